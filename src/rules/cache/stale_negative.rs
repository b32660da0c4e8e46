//! # Detects
//!
//! The cache remembers "no such row" (one of the check's `absent` spellings), and there is one.
//!
//! # How it comes about
//!
//! The application looked the row up before it existed and remembered that there was none. Creating the row
//! deleted or replaced the mark, and that command was lost with the old master.
//!
//! # Why it matters
//!
//! A customer who exists is told that he does not, until the mark expires, and it often never does.
//!
//! # Repair and its safety
//!
//! The mark is deleted, if it still is exactly the judged mark. The application then looks the row up again. A mark
//! holds nothing that could be lost; the row lock keeps a deletion in flight from being overtaken.

use crate::model::finding::Direction;
use crate::model::finding::{Remedy, RuleId, Severity, Suspect};
use crate::model::mapping::RowMeaning;
use crate::rules::case::Case;
use crate::rules::case::Presence;
use crate::rules::catalog::{Check, Rule};

pub const RULE: Rule = Rule {
    id: RuleId("stale-negative"),
    severity: Severity::High,
    remedies: &[Remedy::Invalidate],
    source: include_str!("stale_negative.rs"),
    check: Check::Cache(check),
};

fn check(case: &Case<'_>) -> Vec<Suspect> {
    let is_stale = case.presence == Presence::AbsentMark && case.meaning == RowMeaning::Live;
    is_stale
        .then(|| RULE.suspect_key(Direction::Undirected))
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::RULE;
    use crate::model::check::*;
    use crate::model::column::ColumnType;
    use crate::rules::testing::*;

    #[test]
    fn objects_to_a_mark_over_a_live_row() {
        let absent = vec![b"".to_vec(), b"__NULL__".to_vec()];
        let spec = CacheCheck {
            absent,
            ..check(ValueKind::String, vec![field(Locator::Whole, "name")])
        };
        let judge = judge(spec, &[ColumnType::Text]);
        let live = row("1", &[Some("Ann")]);
        assert_eq!(found(&judge, Some(&live), &value("")), [(RULE.id.0, None)]);
        assert_eq!(
            found(&judge, Some(&live), &value("__NULL__")),
            [(RULE.id.0, None)]
        );
        assert_eq!(found(&judge, Some(&live), &value("Ann")), []);
        assert_eq!(found(&judge, None, &value("")), []);
        assert_eq!(
            found(&judge, Some(&tombstone("1", &[None])), &value("__NULL__")),
            []
        );
        assert_eq!(found(&judge, Some(&excluded("1", &[None])), &value("")), []);
        // Borderline: almost a mark is a value.
        assert_eq!(
            found(&judge, Some(&live), &value("__NULL__ ")),
            [("value-mismatch", Some(0))]
        );
    }
}
