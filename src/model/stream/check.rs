//! One `[[stream]]` mapping as it was asked for, with no invalid state left in it.

use std::sync::Arc;
use std::time::Duration;

use crate::model::check::{CacheCheck, Named};

/// One `[[stream]]` check: entries of one stream, read by one group, and the table they end in.
#[derive(Debug, Clone)]
pub struct StreamCheck {
    pub name: Named,
    pub key: Vec<u8>,
    /// Where the `key` setting stood.
    pub key_span: std::ops::Range<usize>,
    pub group: Vec<u8>,
    /// Fields an entry must have, each with its value, to be this check's. Others are left alone.
    pub matches: Vec<(Vec<u8>, Vec<u8>)>,
    pub identity: Identity,
    pub identity_column: Named,
    /// The table's side, said as a mapping of hashes: the key is `{identity_column}`, the fields are the
    /// `columns` of the check, each found in the entry's field of that name (`Locator::HashField`). With it
    /// rows are swept, bound and compared like those of any other check. `subject`, `currency`, `window`, `settle` and
    /// `cache_delay` are in there too.
    pub rows: Arc<CacheCheck>,
    /// For each of `rows.fields`: the constant, spelled as the cache would, that stands for the entry's field.
    pub constants: Vec<Option<Vec<u8>>>,
    /// A SELECT of those of the identities `:ids` whose whole effect is there.
    pub proof_sql: Option<Named>,
    /// A SELECT of those of the identities `:ids` that were legally rejected.
    pub rejected_sql: Option<Named>,
    /// A missing row proves nothing, because a rejected entry leaves none.
    pub may_leave_no_row: bool,
    /// Indices into `rows.fields` of the tuple that names one effect; empty: none was declared.
    pub unique: Vec<usize>,
    pub orphan_after: Duration,
    /// `None`: never poison.
    pub max_deliveries: Option<u64>,
    pub on_persisted: OnPersisted,
    pub on_unpersisted: OnUnpersisted,
    pub on_skipped: OnSkipped,
    pub on_rewound: OnRewound,
    pub on_trimmed: OnTrimmed,
    /// The application never trims or deletes entries.
    pub keeps_entries: bool,
    pub raise_last_id: bool,
    pub dead_letter: Option<Vec<u8>>,
    /// Index into `rows.fields` of what an entry is worth.
    pub money: Option<usize>,
}

/// What names an entry's effect in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    Field(Vec<u8>),
    /// `$id`: the id of the entry itself.
    EntryId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnPersisted {
    Ack,
    Report,
}

/// Only with `insert_is_enough` is there an `Insert`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnUnpersisted {
    Insert,
    Requeue,
    /// Hands the message to this consumer.
    Claim(Vec<u8>),
    Report,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnSkipped {
    Insert,
    Requeue,
    Report,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnRewound {
    Advance,
    Report,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnTrimmed {
    Ack,
    Report,
}

impl StreamCheck {
    /// Whether anything of this check is ever inserted.
    pub fn inserts(&self) -> bool {
        self.on_unpersisted == OnUnpersisted::Insert || self.on_skipped == OnSkipped::Insert
    }
}
