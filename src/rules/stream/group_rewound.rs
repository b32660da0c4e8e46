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
    // What was delivered while the walk went on is proven because the group works: a busy group is no finding. The
    // cursor is read after the evidence, and an entry is delivered before its row is there.
    let caught_up = look.cursor_after.is_some_and(|after| after >= proven_to);
    (proven_to > cursor && look.proven_count > 0 && !caught_up).then(|| {
        let detail = format!(
            "{} entries after {cursor}, up to {proven_to}, are in the table already",
            look.proven_count
        );
        RULE.suspect_saying(Direction::Behind, detail)
    })
}

#[cfg(test)]
mod tests {
    use super::RULE;
    use crate::model::stream::*;
    use crate::rules::stream::testing::*;

    #[test]
    fn objects_to_proven_entries_after_the_cursor() {
        let look = |cursor, proven_to, proven_count| GroupLook {
            cursor_before: Some(id(cursor)),
            cursor_after: Some(id(cursor)),
            proven_to,
            proven_count,
            ..group_look()
        };
        for (look, expected) in [
            (look(1000, Some(id(2000)), 3), vec![RULE.id.0]),
            (look(1000, Some(id(1001)), 1), vec![RULE.id.0]),
            (look(1000, Some(id(1000)), 0), vec![]),
            (look(1000, Some(id(999)), 1), vec![]),
            (look(1000, None, 0), vec![]),
        ] {
            assert_eq!(group_objections(&bids(), &look), expected, "{look:?}");
        }
    }

    #[test]
    fn a_group_that_works_while_it_is_looked_at_is_as_it_should_be() {
        let look = |cursor_after| GroupLook {
            cursor_before: Some(id(1000)),
            cursor_after: Some(id(cursor_after)),
            proven_to: Some(id(1500)),
            proven_count: 2,
            ..group_look()
        };
        for (cursor_after, expected) in [
            (1000, vec![RULE.id.0]),
            (1499, vec![RULE.id.0]),
            (1500, vec![]),
            (1600, vec![]),
        ] {
            let look = look(cursor_after);
            assert_eq!(group_objections(&bids(), &look), expected, "{look:?}");
        }
    }
}
