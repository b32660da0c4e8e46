//! # Detects
//!
//! An entry and the rows of its identity that say different things: no row of that identity is equal in all `columns`. Typed values are
//! compared, not spellings.
//!
//! # How it comes about
//!
//! With `identity = "$id"`: the old master gave an id, its entry was processed, the new master never knew it and gave the id to another entry. With an
//! identity of the application's own: a producer used it twice, or a row was changed after it was inserted.
//!
//! # Why it matters
//!
//! The row was taken for the proof of an entry that it says nothing of. Whoever acknowledges by the id alone loses a bid.
//!
//! # Repair and its safety
//!
//! With `$id` and `on_unpersisted = "requeue"` the entry gets a new id by one script that adds it anew and deletes the old one; if it
//! is pending, only where its consumer is gone. With any other identity there is nothing to do by machine: which of the two is right nobody knows.

use crate::model::finding::{Direction, Remedy, RuleId, Severity, Suspect};
use crate::rules::catalog::{Check, Rule};
use crate::rules::stream::{EntryCase, Proof};

pub const RULE: Rule = Rule {
    id: RuleId("payload-conflict"),
    severity: Severity::Critical,
    remedies: &[Remedy::Requeue],
    source: include_str!("payload_conflict.rs"),
    check: Check::Entry(check),
};

fn check(case: &EntryCase<'_>) -> Option<Suspect> {
    let Proof::Conflict { field } = case.proof else {
        return None;
    };
    Some(Suspect {
        field: Some(field),
        ..RULE.suspect_key(Direction::Undirected)
    })
}

#[cfg(test)]
mod tests {
    use super::RULE;
    use crate::model::finding::Severity;
    use crate::model::stream::*;
    use crate::rules::stream::testing::*;

    #[test]
    fn objects_to_a_row_that_says_something_else_wherever_the_entry_stands() {
        let look = |amount: &str| EntryLook {
            evidence: rows_of([bid_row(amount)]),
            ..settled_look()
        };
        for (amount, expected) in [
            ("10.5", None),
            ("10.50", None),
            ("1.05e1", None),
            ("10.51", Some(RULE.id.0)),
            ("0", Some(RULE.id.0)),
        ] {
            assert_eq!(objection(&bids(), &look(amount)), expected, "{amount}");
        }
        for conflict in [
            undelivered(look("9")),
            held(look("9"), orphan()),
            held(look("9"), in_hand()),
        ] {
            assert_eq!(objection(&bids(), &conflict), Some(RULE.id.0));
        }
    }

    #[test]
    fn proof_and_rejection_by_sql_do_not_excuse_it() {
        let mut look = settled_look();
        look.evidence = Evidence {
            is_proven: Some(true),
            is_rejected: true,
            ..rows_of([bid_row("9")])
        };
        assert_eq!(objection(&bids(), &look), Some(RULE.id.0));
    }

    #[test]
    fn it_names_the_column() {
        let look = EntryLook {
            entry: Some(entry_of(
                id(1000),
                &[
                    ("type", "BID"),
                    ("bidId", "b1"),
                    ("amount", "10.50"),
                    ("bidder", "8"),
                ],
            )),
            ..settled_look()
        };
        let suspect = judge_of(bids()).judge_entry(&look);
        let suspect = suspect.expect("the bidders differ");
        assert_eq!(
            (suspect.rule.0, suspect.field, suspect.severity),
            (RULE.id.0, Some(BIDDER), Severity::Critical)
        );
    }
}
