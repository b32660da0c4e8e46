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
