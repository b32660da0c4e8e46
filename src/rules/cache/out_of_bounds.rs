//! # Detects
//!
//! A cached number below the field's declared `min` or above its `max`.
//!
//! # How it comes about
//!
//! Lost increments or decrements leave counters where they can never be: a stock below zero, more seats than there are.
//!
//! # Why it matters
//!
//! Applications rarely check what cannot be; they oversell, or refuse everything.
//!
//! # Repair and its safety
//!
//! As for any value: overwritten or invalidated under the same guards. Where the source is out of bounds as well, nothing is
//! repaired, since writing it again would change nothing.

use crate::model::finding::{Remedy, RuleId, Severity, Suspect};
use crate::rules::case::Case;
use crate::rules::catalog::{Check, Rule};
use crate::rules::compare::Comparison;

pub const RULE: Rule = Rule {
    id: RuleId("out-of-bounds"),
    severity: Severity::Medium,
    remedies: &[Remedy::Overwrite, Remedy::Invalidate],
    source: include_str!("out_of_bounds.rs"),
    check: Check::Cache(check),
};

fn check(case: &Case<'_>) -> Vec<Suspect> {
    if !case.is_compared() || case.version == Some(Comparison::Behind) {
        return Vec::new();
    }
    let beyond = case
        .fields
        .iter()
        .enumerate()
        .filter(|(_, field)| field.beyond.cache);
    beyond
        .map(|(index, field)| {
            let detail = field
                .beyond
                .source
                .then(|| "the source is out of bounds too".to_owned());
            Suspect {
                detail,
                ..RULE.suspect_field(case, index)
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::RULE;
    use crate::model::check::*;
    use crate::model::column::ColumnType;
    use crate::rules::testing::*;

    #[test]
    fn objects_beyond_either_bound() {
        let mut spec = check(ValueKind::Decimal, vec![field(Locator::Whole, "stock")]);
        spec.fields[0].min = Some(0.into());
        spec.fields[0].max = Some(5.into());
        let judge = judge(spec, &[ColumnType::Decimal { scale: 1 }]);
        let ids = |source: &str, cache: &str| {
            found(&judge, Some(&row("1", &[Some(source)])), &value(cache))
        };
        assert_eq!(ids("3.0", "-1"), [(RULE.id.0, Some(0))]);
        assert_eq!(ids("3.0", "5.0000001"), [(RULE.id.0, Some(0))]);
        assert_eq!(ids("6.0", "6"), [(RULE.id.0, Some(0))]);
        assert_eq!(ids("3.0", "4"), [("value-mismatch", Some(0))]);
        // Borderline: the bounds themselves are inside.
        assert_eq!(ids("5.0", "5"), []);
        assert_eq!(ids("0.0", "-0.0"), []);
    }
}
