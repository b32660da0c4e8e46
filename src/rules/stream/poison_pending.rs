//! # Detects
//!
//! A pending entry that was delivered more than `max_deliveries` times and whose effect still is not in MySQL.
//!
//! # How it comes about
//!
//! Its consumers fail on it, one after the other, and give it to the next. A failover brings an older count back and never a higher one.
//!
//! # Why it matters
//!
//! It takes the time of every consumer that claims it, and its effect never comes about. Inserting it or delivering it again
//! would only go on with that.
//!
//! # Repair and its safety
//!
//! Where the job names a `dead_letter` stream and the consumer is gone, the entry is added there with its id in `original_id`, its stream in `original_stream`, and acknowledged, in
//! one script; refused where the message changed hands or its consumer has come back. An entry that the dead letters hold
//! already is not added twice. Never moved out of a live consumer's hands.

use crate::model::finding::{Direction, Remedy, RuleId, Severity, Suspect};
use crate::rules::catalog::{Check, Rule};
use crate::rules::stream::{EntryCase, Proof};

pub const RULE: Rule = Rule {
    id: RuleId("poison-pending"),
    severity: Severity::High,
    remedies: &[Remedy::DeadLetter],
    source: include_str!("poison_pending.rs"),
    check: Check::Entry(check),
};

fn check(case: &EntryCase<'_>) -> Option<Suspect> {
    let deliveries = case.pending?.row.deliveries;
    let is_poison = case
        .check
        .max_deliveries
        .is_some_and(|max| deliveries > max)
        && case.entry.is_some()
        && matches!(case.proof, Proof::Absent | Proof::Unprovable);
    let known = if case.is_dead_lettered {
        "; the dead letters hold it already"
    } else {
        ""
    };
    is_poison.then(|| {
        let detail = format!("delivered {deliveries} times{known}");
        RULE.suspect_saying(Direction::Undirected, detail)
    })
}

#[cfg(test)]
mod tests {
    use super::RULE;
    use crate::model::stream::*;
    use crate::rules::stream::testing::*;

    fn delivered(times: u64, pending: Pending) -> Pending {
        let mut pending = pending;
        pending.row.deliveries = times;
        pending
    }

    #[test]
    fn objects_above_the_allowed_deliveries_whoever_holds_it() {
        let lost = || without_row(settled_look());
        for (look, expected) in [
            (held(lost(), delivered(11, orphan())), Some(RULE.id.0)),
            (held(lost(), delivered(11, in_hand())), Some(RULE.id.0)),
            (
                held(lost(), delivered(10, orphan())),
                Some("orphan-pending"),
            ),
            (held(lost(), delivered(10, in_hand())), None),
            (
                held(settled_look(), delivered(11, orphan())),
                Some("unacked-persisted"),
            ),
            (
                without_entry(held(lost(), delivered(11, orphan()))),
                Some("trimmed-pending"),
            ),
            (without_entry(held(lost(), delivered(11, in_hand()))), None),
        ] {
            assert_eq!(objection(&bids(), &look), expected, "{:?}", look.before);
        }
    }

    #[test]
    fn without_a_limit_nothing_is_poison() {
        let check = StreamCheck {
            max_deliveries: None,
            ..bids()
        };
        let look = held(without_row(settled_look()), delivered(u64::MAX, orphan()));
        assert_eq!(objection(&check, &look), Some("orphan-pending"));
    }
}
