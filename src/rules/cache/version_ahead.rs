//! # Detects
//!
//! The version inside the cached value is higher than the version of its row.
//!
//! # How it comes about
//!
//! The application writes the cache first and the database later, a transaction is still open, or the database itself lost
//! writes: it failed over too, or was restored.
//!
//! # Why it matters
//!
//! If the database lost them, the cache is the last place where those writes still exist.
//!
//! # Repair and its safety
//!
//! None, ever: nothing here is overwritten or deleted, because the cache may be the only copy. Under `ahead_ok` it is legal and
//! only counted.

use crate::model::finding::Direction;
use crate::model::finding::{Remedy, RuleId, Severity, Suspect};
use crate::rules::case::Case;
use crate::rules::catalog::{Check, Rule};
use crate::rules::compare::Comparison;

pub const RULE: Rule = Rule {
    id: RuleId("version-ahead"),
    severity: Severity::Low,
    remedies: &[Remedy::None],
    source: include_str!("version_ahead.rs"),
    check: Check::Cache(check),
};

fn check(case: &Case<'_>) -> Vec<Suspect> {
    let is_higher = case.is_compared() && case.version == Some(Comparison::Ahead);
    // Ahead is legal only for the whole key: beside a field that is behind it is a contradiction.
    let is_legal = case.mapping.check.ahead_ok && case.direction == Direction::Ahead;
    (is_higher && !is_legal)
        .then(|| RULE.suspect_key(case.direction))
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
    fn objects_to_a_higher_version_unless_it_is_legal() {
        let mut spec = check(ValueKind::Json, vec![field(pointer("/n"), "n")]);
        spec.version = Some(VersionSpec {
            cache: pointer("/v"),
            column: named("version"),
        });
        let strict = judge(spec.clone(), &[ColumnType::Integer { unsigned: false }]);
        let live = row("7", &[Some("5")]);
        assert_eq!(
            found(&strict, Some(&live), &value(r#"{"v":8,"n":1}"#)),
            [(RULE.id.0, None)]
        );
        assert_eq!(found(&strict, Some(&live), &value(r#"{"v":7,"n":5}"#)), []);
        spec.ahead_ok = true;
        spec.fields[0].compare = Compare::AtLeast;
        let lenient = judge(spec, &[ColumnType::Integer { unsigned: false }]);
        assert_eq!(found(&lenient, Some(&live), &value(r#"{"v":8,"n":6}"#)), []);
        assert!(
            lenient
                .case(Some(live.as_ref()), &value(r#"{"v":8,"n":6}"#))
                .is_ahead_legal()
        );
        // Borderline: ahead beside a field that is behind is never legal.
        assert_eq!(
            found(&lenient, Some(&live), &value(r#"{"v":8,"n":4}"#)),
            [(RULE.id.0, None)]
        );
    }
}
