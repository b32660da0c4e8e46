//! # Detects
//!
//! The version inside the cached value is lower than the version of its row.
//!
//! # How it comes about
//!
//! The promoted replica had not yet received the last writes. The old master had acknowledged them, so the application believes
//! they are there; the new master serves what was there before.
//!
//! # Why it matters
//!
//! Readers see the past, and an application that writes back what it read makes the past the present.
//!
//! # Repair and its safety
//!
//! The whole document of the row's version replaces the judged one, never only its version, and only if the key still
//! holds exactly the judged bytes. A version never goes back, so equal bytes prove that nothing happened in between. A document that
//! holds members nobody mapped is not overwritten, but invalidated where the application refills on a miss.

use crate::model::finding::{Remedy, RuleId, Severity, Suspect};
use crate::rules::case::Case;
use crate::rules::catalog::{Check, Rule};
use crate::rules::compare::Comparison;

pub const RULE: Rule = Rule {
    id: RuleId("version-regression"),
    severity: Severity::High,
    remedies: &[Remedy::Overwrite, Remedy::Invalidate],
    source: include_str!("version_regression.rs"),
    check: Check::Cache(check),
};

fn check(case: &Case<'_>) -> Vec<Suspect> {
    let is_lower = case.is_compared() && case.version == Some(Comparison::Behind);
    is_lower
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

    fn versioned() -> CacheCheck {
        let mut spec = check(ValueKind::Json, vec![field(pointer("/name"), "name")]);
        spec.version = Some(VersionSpec {
            cache: pointer("/v"),
            column: named("version"),
        });
        spec
    }

    #[test]
    fn objects_to_a_lower_version_once() {
        let judge = judge(versioned(), &[ColumnType::Text]);
        let live = row("7", &[Some("Ann")]);
        assert_eq!(
            found(&judge, Some(&live), &value(r#"{"v":6,"name":"Bob"}"#)),
            [(RULE.id.0, None)]
        );
        assert_eq!(
            found(&judge, Some(&live), &value(r#"{"v":6,"name":"Ann"}"#)),
            [(RULE.id.0, None)]
        );
        assert_eq!(
            found(&judge, Some(&live), &value(r#"{"v":7,"name":"Ann"}"#)),
            []
        );
        assert_eq!(
            found(&judge, Some(&live), &value(r#"{"v":7,"name":"Bob"}"#)),
            [("value-mismatch", Some(0))]
        );
        assert_eq!(
            found(&judge, Some(&live), &value(r#"{"v":8,"name":"Bob"}"#)),
            [("version-ahead", None)]
        );
    }

    #[test]
    fn versions_above_two_to_the_53_are_exact() {
        let judge = judge(versioned(), &[ColumnType::Text]);
        let live = row("9007199254740993", &[Some("Ann")]);
        assert_eq!(
            found(
                &judge,
                Some(&live),
                &value(r#"{"v":9007199254740992,"name":"Ann"}"#)
            ),
            [(RULE.id.0, None)]
        );
        assert_eq!(
            found(
                &judge,
                Some(&live),
                &value(r#"{"v":9007199254740993,"name":"Ann"}"#)
            ),
            []
        );
    }

    #[test]
    fn a_field_that_is_ahead_makes_it_mixed() {
        let mut spec = versioned();
        spec.fields[0].compare = Compare::AtLeast;
        let judge = judge(spec, &[ColumnType::Integer { unsigned: false }]);
        let suspects = judge.suspects(
            Some(row("7", &[Some("5")]).as_ref()),
            &value(r#"{"v":6,"name":6}"#),
        );
        assert_eq!(ids(&suspects), [(RULE.id.0, None)]);
        assert_eq!(
            suspects[0].direction,
            crate::model::finding::Direction::Mixed
        );
    }
}
