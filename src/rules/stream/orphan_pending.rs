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
