//! Two entries, or two rows, for one effect.

use super::judge::StreamJudge;
use crate::model::finding::{Direction, Suspect};
use crate::model::stream::{Entry, Identity, StreamId};
use crate::rules::stream::{duplicate_entry, duplicate_row};

/// The field of a requeued entry that holds the id it had before.
const REQUEUED_FROM: &[u8] = b"requeued_from";

/// What occurs twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DuplicateCase {
    pub side: DuplicateSide,
    pub by: DuplicateBy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DuplicateSide {
    Entries,
    Rows,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DuplicateBy {
    Identity,
    /// The columns that the check calls `unique`, under different identities.
    Tuple,
}

/// The objection to an extra entry or row. `first` names the one it repeats: an entry id, or a row's key.
pub fn judge_duplicate(case: DuplicateCase, first: &str) -> Suspect {
    let (rule, what) = match case.side {
        DuplicateSide::Entries => (duplicate_entry::RULE, "entry"),
        DuplicateSide::Rows => (duplicate_row::RULE, "row"),
    };
    let detail = match case.by {
        DuplicateBy::Identity => format!("it carries the identity of {what} {first}"),
        DuplicateBy::Tuple => {
            format!("it says the same as {what} {first} under another identity")
        }
    };
    rule.suspect_saying(Direction::Undirected, detail)
}

impl StreamJudge {
    /// Whether such a duplicate can be at all: not where the database's keys or the entry ids exclude it, nor
    /// without a declared tuple.
    pub fn can_duplicate(&self, case: DuplicateCase) -> bool {
        let check = self.check();
        match (case.side, case.by) {
            (DuplicateSide::Entries, DuplicateBy::Identity) => check.identity != Identity::EntryId,
            (DuplicateSide::Entries, DuplicateBy::Tuple) => !check.unique.is_empty(),
            (DuplicateSide::Rows, DuplicateBy::Identity) => !self.mapping().identity_is_unique,
            (DuplicateSide::Rows, DuplicateBy::Tuple) => {
                !check.unique.is_empty() && !self.mapping().tuple_is_unique
            }
        }
    }

    /// The id the entry had before it was requeued.
    pub fn requeued_from(&self, entry: &Entry) -> Option<StreamId> {
        StreamId::parse(entry.field(REQUEUED_FROM)?)
    }

    /// Whether one is the other, requeued: a failover may have brought the original back. They are no duplicates.
    pub fn is_requeue(&self, one: &Entry, other: &Entry) -> bool {
        self.requeued_from(one) == Some(other.id) || self.requeued_from(other) == Some(one.id)
    }
}
