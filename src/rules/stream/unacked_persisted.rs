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
