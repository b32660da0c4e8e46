//! # Detects
//!
//! A value that is not readable as the check declares it: no JSON, half a surrogate pair, a member twice, text where a number is
//! declared, a document without the version that the check maps. In a stream: an entry without the field that names its
//! effect, or one that a row of its identity cannot be compared with.
//!
//! # How it comes about
//!
//! Another release of the application wrote it, a write was cut by a proxy, or a lost deletion left a value of an older format.
//!
//! # Why it matters
//!
//! The application fails on it, or worse, reads it as something else.
//!
//! # Repair and its safety
//!
//! Invalidated, where the application refills on a miss; a plain value that is mapped whole is overwritten from the row
//! instead. Only if it still is exactly what was judged, and under a row lock, since nothing in it tells its age. An entry of a
//! stream is only reported: without its identity nothing is proven, so it is neither acknowledged nor moved.

use crate::model::finding::Direction;
use crate::model::finding::{Remedy, RuleId, Severity, Suspect};
use crate::rules::case::Case;
use crate::rules::case::Presence;
use crate::rules::catalog::{Check, Rule};
use crate::rules::compare::Comparison;

pub const RULE: Rule = Rule {
    id: RuleId("undecodable-value"),
    severity: Severity::Medium,
    remedies: &[Remedy::Invalidate, Remedy::Overwrite],
    source: include_str!("undecodable_value.rs"),
    check: Check::Cache(check),
};

fn check(case: &Case<'_>) -> Vec<Suspect> {
    let (direction, detail) = match &case.presence {
        Presence::Undecodable(reason) => (Direction::Undirected, reason.clone()),
        Presence::Present if !case.version_speaks() => match undecodable_part(case) {
            Some(detail) => (case.direction, detail),
            None => return Vec::new(),
        },
        _ => return Vec::new(),
    };
    vec![Suspect {
        detail: Some(detail),
        ..RULE.suspect_key(direction)
    }]
}

fn undecodable_part(case: &Case<'_>) -> Option<String> {
    if let Some(Comparison::Undecodable(reason)) = case.version {
        return Some(format!("the version: {reason}"));
    }
    case.fields
        .iter()
        .enumerate()
        .find_map(|(index, field)| match field.comparison {
            Comparison::Undecodable(reason) if case.is_judged(index) => Some(format!(
                "{}: {reason}",
                case.mapping.check.fields[index].cache
            )),
            _ => None,
        })
}

#[cfg(test)]
mod tests {
    use super::RULE;
    use crate::model::check::*;
    use crate::model::column::ColumnType;
    use crate::rules::testing::*;

    #[test]
    fn objects_to_what_cannot_be_read() {
        let mut spec = check(ValueKind::Json, vec![field(pointer("/n"), "n")]);
        spec.version = Some(VersionSpec {
            cache: pointer("/v"),
            column: named("version"),
        });
        let judge = judge(spec, &[ColumnType::Integer { unsigned: false }]);
        let live = row("3", &[Some("5")]);
        for wrong in [
            "",
            "{",
            r#"{"v":3,"v":3,"n":5}"#,
            r#"{"v":3,"n":"x"}"#,
            r#"{"v":3,"n":""}"#,
            r#"{"v":3,"n":true}"#,
            r#"{"v":3,"n":{}}"#,
            r#"{"n":5}"#,
            r#"{"v":null,"n":5}"#,
            r#"{"v":"x","n":5}"#,
            r#"{"v":3,"n":5,"x":"\ud800"}"#,
        ] {
            assert_eq!(
                found(&judge, Some(&live), &value(wrong)),
                [(RULE.id.0, None)],
                "{wrong}"
            );
        }
        for right in [
            r#"{"v":3,"n":5}"#,
            r#"{"v":"3","n":"5.0"}"#,
            r#"{"v":3e0,"n":5,"x":1,"x":2}"#,
        ] {
            assert_eq!(found(&judge, Some(&live), &value(right)), [], "{right}");
        }
        // Borderline: an older version speaks for a field that cannot be read; without a row nothing is read.
        assert_eq!(
            found(&judge, Some(&live), &value(r#"{"v":2,"n":"x"}"#)),
            [("version-regression", None)]
        );
        assert_eq!(found(&judge, None, &value("{")), [("orphan-key", None)]);
    }

    #[test]
    fn its_detail_names_the_place_and_never_the_value() {
        let judge = judge(
            check(ValueKind::Json, vec![field(pointer("/a/n"), "n")]),
            &[ColumnType::Integer { unsigned: false }],
        );
        let suspects = judge.suspects(
            Some(row("1", &[Some("5")]).as_ref()),
            &value(r#"{"a":{"n":"secret"}}"#),
        );
        assert_eq!(
            suspects[0].detail.as_deref(),
            Some("/a/n: it is not a number")
        );
    }
}
