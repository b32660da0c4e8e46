//! # Detects
//!
//! An entry at or below the group's cursor that is not pending and whose effect is not in MySQL: for the group it is done, and nobody
//! will ever look at it again. Judged only where a missing row means something (not with `may_leave_no_row`), and not
//! where the dead letters hold the entry.
//!
//! # How it comes about
//!
//! The application recreated a lost group at `$`, or set its cursor too far; a consumer reads with NOACK or acknowledges before it
//! commits, and died; MySQL rolled back what was acknowledged. A failover of Redis alone loses acknowledgements and never makes one.
//!
//! # Why it matters
//!
//! A bid that the customer was promised has no effect, and nothing in Redis will bring it up again.
//!
//! # Repair and its safety
//!
//! None unless `on_skipped` says so, because the entry may have been passed over on purpose. `insert` writes the row by a plain INSERT under a unique
//! key, so that a consumer that comes back cannot double it. `requeue` adds the entry anew and deletes the old one in one script,
//! refused where it is pending by now or the stream has another group.

use crate::model::finding::{Direction, Remedy, RuleId, Severity, Suspect};
use crate::rules::catalog::{Check, Rule};
use crate::rules::stream::{EntryCase, Proof};

pub const RULE: Rule = Rule {
    id: RuleId("acked-unpersisted"),
    severity: Severity::Critical,
    remedies: &[Remedy::Insert, Remedy::Requeue],
    source: include_str!("acked_unpersisted.rs"),
    check: Check::Entry(check),
};

fn check(case: &EntryCase<'_>) -> Option<Suspect> {
    let is_wrong = case.entry.is_some()
        && case.pending.is_none()
        && case.is_delivered
        && case.proof == Proof::Absent
        && !case.is_dead_lettered;
    is_wrong.then(|| RULE.suspect_key(Direction::Undirected))
}

#[cfg(test)]
mod tests {
    use super::RULE;
    use crate::model::stream::*;
    use crate::rules::stream::testing::*;

    #[test]
    fn objects_to_what_was_acknowledged_without_its_effect() {
        let lost = || without_row(settled_look());
        let rejected = Evidence {
            is_rejected: true,
            ..Evidence::default()
        };
        let not_whole = Evidence {
            is_proven: Some(false),
            ..rows_of([bid_row("10.50")])
        };
        let at_cursor = |millis| EntryLook {
            cursor_before: Some(id(millis)),
            cursor_after: Some(id(millis)),
            ..lost()
        };
        let no_group = EntryLook {
            cursor_before: None,
            cursor_after: None,
            ..lost()
        };
        let dead = EntryLook {
            is_dead_lettered: true,
            ..lost()
        };
        for (what, look, expected) in [
            ("no row", lost(), true),
            (
                "a row that is not the whole effect",
                EntryLook {
                    evidence: not_whole,
                    ..lost()
                },
                true,
            ),
            ("exactly at the cursor", at_cursor(1000), true),
            ("just above the cursor", at_cursor(999), false),
            ("no group", no_group, false),
            ("a row", settled_look(), false),
            (
                "rejected",
                EntryLook {
                    evidence: rejected,
                    ..lost()
                },
                false,
            ),
            ("dead-lettered", dead, false),
            ("in a consumer's hands", held(lost(), in_hand()), false),
            ("trimmed", without_entry(lost()), false),
        ] {
            let found = objection(&bids(), &look);
            assert_eq!(found == Some(RULE.id.0), expected, "{what}: {found:?}");
        }
    }

    #[test]
    fn a_missing_row_that_means_nothing_is_no_loss() {
        let check = StreamCheck {
            may_leave_no_row: true,
            ..bids()
        };
        let lost = without_row(settled_look());
        assert_eq!(objection(&check, &lost), None);
        // A row that is there was not rejected, so its missing second effect still is a loss.
        let not_whole = Evidence {
            is_proven: Some(false),
            ..rows_of([bid_row("10.50")])
        };
        let look = EntryLook {
            evidence: not_whole,
            ..lost
        };
        assert_eq!(objection(&check, &look), Some(RULE.id.0));
    }
}
