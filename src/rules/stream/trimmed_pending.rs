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
