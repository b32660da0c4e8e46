//! # Detects
//!
//! The group's cursor stands before entries that follow it without a gap and whose effect MySQL already has.
//!
//! # How it comes about
//!
//! Reads moved the cursor on the old master, and the promoted replica never heard of it. Pending rows of those reads are lost with them.
//!
//! # Why it matters
//!
//! The group gets these entries a second time. Where the insert is not idempotent every one of them counts twice.
//!
//! # Repair and its safety
//!
//! Only with `on_rewound = "advance"`: the cursor is moved over proven entries alone, one after the other, and stops before the first that is not proven or
//! is of another type; forward only, and only if it still stands where it was judged.

use crate::model::finding::{Direction, Remedy, RuleId, Severity, Suspect};
use crate::rules::catalog::{Check, Rule};
use crate::rules::stream::GroupCase;

pub const RULE: Rule = Rule {
    id: RuleId("group-rewound"),
    severity: Severity::Medium,
    remedies: &[Remedy::Advance],
    source: include_str!("group_rewound.rs"),
    check: Check::Group(check),
};

fn check(case: &GroupCase<'_>) -> Option<Suspect> {
    let look = case.look;
    let (cursor, proven_to) = (look.cursor_before?, look.proven_to?);
    (proven_to > cursor && look.proven_count > 0).then(|| {
        let detail = format!(
            "{} entries after {cursor}, up to {proven_to}, are in the table already",
            look.proven_count
        );
        RULE.suspect_saying(Direction::Behind, detail)
    })
}
