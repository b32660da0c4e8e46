//! # Detects
//!
//! Two entries of the stream that carry one identity, or that say the same in the columns the job calls `unique` under two
//! identities. One finding for each entry after the first; the reason names the first.
//!
//! # How it comes about
//!
//! A producer got no answer from the dying master and sent the bid again; or a resurrected entry stands beside the one that replaced it. An entry that
//! carries `requeued_from` is no duplicate of the one it replaced.
//!
//! # Why it matters
//!
//! One bid is processed twice unless the table's keys stop it; under two identities they do not.
//!
//! # Repair and its safety
//!
//! None: both entries were accepted, and which of them the customer meant is not for a machine to say. Both are read again and compared
//! exactly before this is said.

use crate::model::finding::{Remedy, RuleId, Severity};
use crate::rules::catalog::{Check, Rule};

pub const RULE: Rule = Rule {
    id: RuleId("duplicate-entry"),
    severity: Severity::High,
    remedies: &[Remedy::None],
    source: include_str!("duplicate_entry.rs"),
    check: Check::Duplicate,
};
