//! # Detects
//!
//! A pending entry whose effect is not in MySQL and whose consumer is gone: the group lists it no more, or it has neither asked for
//! entries nor got any for `orphan_after`; and the message itself has waited as long. Both must hold at both looks.
//!
//! # How it comes about
//!
//! The consumer died between reading and committing, or came back under another name. A failover that loses a claim gives the
//! message back to the consumer that was taken for dead before it.
//!
//! # Why it matters
//!
//! A read with `>` never delivers it again. Unless somebody claims it, the bid waits for ever.
//!
//! # Repair and its safety
//!
//! By `on_unpersisted`: `insert` writes the row under a unique key, proves it again and only then acknowledges; `requeue` moves the entry to the
//! stream's end in one script; `claim` hands it to the consumer the job names and acknowledges nothing. Each step is refused where the message has
//! another owner or number of deliveries than judged, was delivered since, or its consumer has come back. With
//! `may_leave_no_row` a missing row proves nothing, and nothing is inserted.

use crate::model::finding::{Direction, Remedy, RuleId, Severity, Suspect};
use crate::rules::catalog::{Check, Rule};
use crate::rules::stream::{EntryCase, Proof};

pub const RULE: Rule = Rule {
    id: RuleId("orphan-pending"),
    severity: Severity::High,
    remedies: &[Remedy::Insert, Remedy::Requeue, Remedy::Claim],
    source: include_str!("orphan_pending.rs"),
    check: Check::Entry(check),
};

fn check(case: &EntryCase<'_>) -> Option<Suspect> {
    let is_wrong = case.entry.is_some()
        && case.pending.is_some()
        && case.is_owner_gone
        && matches!(case.proof, Proof::Absent | Proof::Unprovable);
    is_wrong.then(|| {
        if case.is_dead_lettered {
            RULE.suspect_saying(Direction::Undirected, "the dead letters hold it already")
        } else {
            RULE.suspect_key(Direction::Undirected)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::RULE;
    use crate::model::stream::*;
    use crate::rules::stream::testing::*;

    fn found(pending: Pending) -> Option<&'static str> {
        objection(&bids(), &held(without_row(settled_look()), pending))
    }

    #[test]
    fn objects_where_the_consumer_and_the_message_have_waited_long_enough() {
        let minute = 60_000;
        for (idle, inactive, expected) in [
            (minute, None, true),
            (minute, Some(minute), true),
            (minute - 1, None, false),
            (minute - 1, Some(10 * minute), false),
            // It asks for entries and gets none: alive, as long as it asked a moment ago.
            (20, Some(10 * minute), false),
            // Redis 8 keeps the last success apart from the last attempt.
            (10 * minute, Some(minute - 1), false),
        ] {
            let found = found(pending(Some(consumer(idle, inactive))));
            assert_eq!(
                found == Some(RULE.id.0),
                expected,
                "{idle} {inactive:?}: {found:?}"
            );
        }
        assert_eq!(
            found(orphan()),
            Some(RULE.id.0),
            "the group lists it no more"
        );
        let mut fresh = orphan();
        fresh.row.idle_millis = minute - 1;
        assert_eq!(
            found(fresh),
            None,
            "the message itself was delivered lately"
        );
    }

    #[test]
    fn what_is_in_the_table_is_no_orphan() {
        assert_eq!(
            objection(&bids(), &held(settled_look(), orphan())),
            Some("unacked-persisted")
        );
        // With no group the pending list is gone, too.
        assert_eq!(
            objection(&bids(), &undelivered(without_row(settled_look()))),
            None
        );
    }

    #[test]
    fn a_missing_row_that_means_nothing_still_leaves_an_orphan() {
        let check = StreamCheck {
            may_leave_no_row: true,
            ..bids()
        };
        let look = held(without_row(settled_look()), orphan());
        assert_eq!(objection(&check, &look), Some(RULE.id.0));
    }

    #[test]
    fn it_says_where_the_dead_letters_hold_it() {
        let mut look = held(without_row(settled_look()), orphan());
        look.is_dead_lettered = true;
        let suspect = judge_of(bids()).judge_entry(&look);
        assert_eq!(
            suspect.and_then(|s| s.detail).as_deref(),
            Some("the dead letters hold it already")
        );
    }
}
