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

    /// The entry with those fields alone that this check reads: however large the rest of it is, it says the same of
    /// duplicates.
    pub fn essence(&self, mut entry: Entry) -> Entry {
        let is_read = |name: &[u8]| {
            let identity = match &self.check().identity {
                Identity::Field(field) => Some(field.as_slice()),
                Identity::EntryId => None,
            };
            name == REQUEUED_FROM
                || identity == Some(name)
                || self.check().matches.iter().any(|(field, _)| field == name)
                || self.reads_field(name)
        };
        entry.fields.retain(|(name, _)| is_read(name));
        entry
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::stream::testing::*;

    #[test]
    fn what_is_left_of_an_entry_says_the_same_of_duplicates() {
        let mut check = bids();
        check.matches = vec![(b"type".to_vec(), b"BID".to_vec())];
        let judge = judge_of(check);
        let mut whole = bid("10.50");
        for (name, value) in [("type", "BID"), ("requeued_from", "3-0"), ("note", "long")] {
            let field = (name.as_bytes().into(), value.as_bytes().into());
            whole.fields.push(field);
        }
        let left = judge.essence(whole.clone());
        assert_eq!(left.field(b"note"), None);
        assert_eq!(left.fields.len() + 1, whole.fields.len());
        assert!(judge.belongs(&left));
        let identity = |entry: &Entry| judge.identity_of(entry.id, Some(entry));
        assert!(identity(&left).is_some());
        assert_eq!(identity(&left), identity(&whole));
        assert_eq!(judge.entry_tuple(&left), judge.entry_tuple(&whole));
        assert_eq!(judge.requeued_from(&left), Some(StreamId::new(3, 0)));
        let money = |entry| judge.money_delta(Some(entry), Some(bid_row("12.00").as_ref()));
        assert_eq!(money(&left), money(&whole));
    }
}
