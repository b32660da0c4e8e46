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
