//! # Detects
//!
//! A message that is pending although its entry is gone from the stream, and whose consumer is gone too, or whose effect MySQL proves by the
//! entry id (`identity = "$id"`).
//!
//! # How it comes about
//!
//! MAXLEN or XDEL took the entry before it was processed; or it was processed, acknowledged and trimmed, and the failover lost only the
//! acknowledgement. Without the entry nobody can tell its identity.
//!
//! # Why it matters
//!
//! If it was never processed, its content is lost. XAUTOCLAIM and XCLAIM drop such messages without a trace.
//!
//! # Repair and its safety
//!
//! With `$id` as identity and a row of that id it is acknowledged: the row is the proof. Otherwise only with `on_trimmed = "ack"` and only where the consumer
//! is gone, because there is no proof; the id is on record. The script refuses where the entry is back, or the message changed hands.

use crate::model::finding::{Direction, Remedy, RuleId, Severity, Suspect};
use crate::rules::catalog::{Check, Rule};
use crate::rules::stream::EntryCase;

pub const RULE: Rule = Rule {
    id: RuleId("trimmed-pending"),
    severity: Severity::High,
    remedies: &[Remedy::Ack],
    source: include_str!("trimmed_pending.rs"),
    check: Check::Entry(check),
};

fn check(case: &EntryCase<'_>) -> Option<Suspect> {
    let is_wrong = case.entry.is_none()
        && case.pending.is_some()
        && (case.is_owner_gone || case.proof.settles());
    is_wrong.then(|| {
        let detail = if case.proof.settles() {
            "the entry is gone; a row carries its id"
        } else {
            "the entry is gone, and with it what it said"
        };
        RULE.suspect_saying(Direction::Undirected, detail)
    })
}

#[cfg(test)]
mod tests {
    use super::RULE;
    use crate::model::stream::*;
    use crate::rules::stream::testing::*;

    #[test]
    fn objects_where_the_consumer_is_gone_or_the_id_proves_it() {
        let by_id = StreamCheck {
            identity: Identity::EntryId,
            ..bids()
        };
        let gone = |pending, has_row: bool| {
            let look = without_entry(held(settled_look(), pending));
            if has_row { look } else { without_row(look) }
        };
        for (check, look, expected) in [
            (bids(), gone(orphan(), false), Some(RULE.id.0)),
            (bids(), gone(in_hand(), false), None),
            (by_id.clone(), gone(in_hand(), true), Some(RULE.id.0)),
            (by_id.clone(), gone(in_hand(), false), None),
            (by_id, gone(orphan(), false), Some(RULE.id.0)),
            // A row of some identity says nothing of an entry whose identity nobody knows.
            (bids(), gone(in_hand(), true), None),
            (bids(), without_entry(settled_look()), None),
        ] {
            assert_eq!(
                objection(&check, &look),
                expected,
                "{:?} {look:?}",
                check.identity
            );
        }
    }

    #[test]
    fn a_row_without_its_second_effect_proves_nothing() {
        let by_id = StreamCheck {
            identity: Identity::EntryId,
            ..bids()
        };
        let mut look = without_entry(held(settled_look(), in_hand()));
        look.evidence.is_proven = Some(false);
        assert_eq!(objection(&by_id, &look), None);
        look.evidence.is_rejected = true;
        assert_eq!(objection(&by_id, &look), Some(RULE.id.0));
    }
}
