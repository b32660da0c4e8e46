//! What one entry, or one group, looked like on both sides, and when.

use super::entry::{ConsumerFacts, Entry, PendingRow, StreamState};
use super::id::StreamId;
use crate::model::identity::SourceIdentity;
use crate::model::rows::Row;
use crate::model::time::Micros;

/// A pending row and what is known of its owner, read together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    pub row: PendingRow,
    /// `None`: the group lists no such consumer any more.
    pub owner: Option<ConsumerFacts>,
}

/// What the primary says of one identity.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Evidence {
    /// All rows with this identity, as the database decides equality; cells as in `StreamMapping::rows`.
    pub rows: Vec<Row>,
    /// Whether `proof_sql` names it; `None`: the check has none.
    pub is_proven: Option<bool>,
    /// Whether `rejected_sql` names it.
    pub is_rejected: bool,
}

/// One look at one entry id: cursor, pending list and entry; the primary; cursor and pending list again.
#[derive(Debug, Clone)]
pub struct EntryLook {
    pub id: StreamId,
    /// `None`: the stream holds no such entry.
    pub entry: Option<Entry>,
    /// The group's last delivered id; `None`: there is no such group.
    pub cursor_before: Option<StreamId>,
    pub cursor_after: Option<StreamId>,
    pub before: Option<Pending>,
    pub after: Option<Pending>,
    /// Empty where the identity is not known (the entry is gone, or has no such field).
    pub evidence: Evidence,
    /// Whether the dead letters hold it.
    pub is_dead_lettered: bool,
    pub source: SourceIdentity,
    /// The primary's clock at the read.
    pub source_time: Micros,
    /// Redis's clock before the pending list was read.
    pub cache_time: Micros,
    /// This host's clock when the look was complete.
    pub at: Micros,
}

/// One look at a group: the cursor; the entries around it and their proof; the cursor again.
#[derive(Debug, Clone)]
pub struct GroupLook {
    pub stream: StreamState,
    /// `None`: there is no such group.
    pub cursor_before: Option<StreamId>,
    pub cursor_after: Option<StreamId>,
    /// Without a group: the last entry before the first one that is not proven (0-0 where that is the very
    /// first), counted over all entries from the stream's beginning.
    /// With one: the last of the proven entries that follow the cursor without a gap, if any.
    pub proven_to: Option<StreamId>,
    /// How many proven entries lie between the cursor and `proven_to`.
    pub proven_count: u64,
    /// With `$id` as identity: the highest id that a row carries, and that is not later than Redis's clock
    /// and the skew.
    pub highest_in_source: Option<StreamId>,
    /// Ids from the future that rows carry.
    pub future_in_source: Vec<StreamId>,
    pub source: SourceIdentity,
    pub source_time: Micros,
    pub cache_time: Micros,
    pub at: Micros,
}

impl EntryLook {
    /// Bytes of the entry and of its rows: what makes looks differ in size.
    pub fn weight(&self) -> usize {
        let entry = self.entry.as_ref().map_or(0, Entry::weight);
        let rows: usize = self.evidence.rows.iter().map(Row::weight).sum();
        entry + rows
    }

    /// A look counts only if nobody touched the message meanwhile: the same owner, the same number of
    /// deliveries, and no delivery in between.
    pub fn counts(&self) -> bool {
        match (&self.before, &self.after) {
            (None, None) => true,
            (Some(before), Some(after)) => before.row.is_untouched(&after.row),
            _ => false,
        }
    }
}

impl PendingRow {
    /// Whether `later` is this row and nobody claimed or read it in between.
    pub fn is_untouched(&self, later: &PendingRow) -> bool {
        self.consumer == later.consumer
            && self.deliveries == later.deliveries
            && self.idle_millis <= later.idle_millis
    }
}

impl GroupLook {
    /// A look counts only if the group did not move meanwhile.
    pub fn counts(&self) -> bool {
        self.cursor_before == self.cursor_after
    }
}
