//! # Detects
//!
//! Two rows of the table that carry one identity, or that say the same in the columns the job calls `unique` under two identities. One
//! finding for each row after the first; the reason names the first. Not looked for where the database's own unique keys exclude it.
//!
//! # How it comes about
//!
//! A failover undid a read or an acknowledgement, the entry was delivered a second time, and the table has no unique key that stops a second
//! insert. Or the producer sent the bid twice, each time with another identity.
//!
//! # Why it matters
//!
//! The customer's bid counts twice, and money moved twice.
//!
//! # Repair and its safety
//!
//! None: a row of the source of truth is never deleted by this program. The finding names both rows, the customer and the money.

use crate::model::finding::{Remedy, RuleId, Severity};
use crate::rules::catalog::{Check, Rule};

pub const RULE: Rule = Rule {
    id: RuleId("duplicate-row"),
    severity: Severity::Critical,
    remedies: &[Remedy::None],
    source: include_str!("duplicate_row.rs"),
    check: Check::Duplicate,
};
