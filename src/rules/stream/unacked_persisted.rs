//! # Detects
//!
//! A pending entry whose whole effect is in MySQL, or that was legally rejected. Proof is `proof_sql`, or the row of its identity
//! with every one of `columns` equal, read from the primary after the pending list.
//!
//! # How it comes about
//!
//! The acknowledgement was lost with the old master: the entry is pending again, with its old consumer and an idle time that counts from the
//! first delivery. Or the consumer died after the commit and before the acknowledgement.
//!
//! # Why it matters
//!
//! Whoever claims old messages processes it a second time. Where the insert is not idempotent the bid counts twice.
//!
//! # Repair and its safety
//!
//! Acknowledged where `on_persisted = "ack"`, whoever its consumer is: an acknowledgement of what is done takes nothing from anybody. One script, refused where
//! the message has another owner or number of deliveries than judged, or was delivered since. Its effect is proven again right before.

use crate::model::finding::{Direction, Remedy, RuleId, Severity, Suspect};
use crate::rules::catalog::{Check, Rule};
use crate::rules::stream::{EntryCase, Proof};

pub const RULE: Rule = Rule {
    id: RuleId("unacked-persisted"),
    severity: Severity::Medium,
    remedies: &[Remedy::Ack],
    source: include_str!("unacked_persisted.rs"),
    check: Check::Entry(check),
};

fn check(case: &EntryCase<'_>) -> Option<Suspect> {
    let is_wrong = case.entry.is_some() && case.pending.is_some() && case.proof.settles();
    is_wrong.then(|| {
        if case.proof == Proof::Rejected {
            RULE.suspect_saying(Direction::Behind, "it was legally rejected")
        } else {
            RULE.suspect_key(Direction::Behind)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::RULE;
    use crate::model::stream::*;
    use crate::rules::stream::testing::*;

    #[test]
    fn objects_to_what_is_pending_and_done() {
        let evidence = |is_proven, is_rejected, has_row: bool| Evidence {
            is_proven,
            is_rejected,
            ..rows_of(has_row.then(|| bid_row("10.50")))
        };
        for (what, evidence, expected) in [
            ("an equal row", evidence(None, false, true), true),
            (
                "named by proof_sql",
                evidence(Some(true), false, true),
                true,
            ),
            (
                "named, without a row of its own",
                evidence(Some(true), false, false),
                true,
            ),
            ("rejected", evidence(None, true, false), true),
            (
                "rejected, not proven",
                evidence(Some(false), true, false),
                true,
            ),
            (
                "a row without its second effect",
                evidence(Some(false), false, true),
                false,
            ),
            ("nothing", evidence(None, false, false), false),
        ] {
            for pending in [orphan(), in_hand()] {
                let look = held(settled_look(), pending);
                let look = EntryLook {
                    evidence: evidence.clone(),
                    ..look
                };
                let found = objection(&bids(), &look);
                assert_eq!(found == Some(RULE.id.0), expected, "{what}: {found:?}");
            }
        }
        assert_eq!(objection(&bids(), &settled_look()), None, "not pending");
    }

    #[test]
    fn one_equal_row_among_several_is_the_proof() {
        let look = |rows: &[&str]| EntryLook {
            evidence: rows_of(rows.iter().map(|amount| bid_row(amount))),
            ..held(settled_look(), orphan())
        };
        assert_eq!(objection(&bids(), &look(&["9", "10.5"])), Some(RULE.id.0));
        assert_eq!(
            objection(&bids(), &look(&["9", "11"])),
            Some("payload-conflict")
        );
    }
}
