//! # Detects
//!
//! A field with declared `states` that stands earlier in their order than the source does.
//!
//! # How it comes about
//!
//! The write of the later state was lost with the old master, and the earlier one is back.
//!
//! # Why it matters
//!
//! What was closed is open again: orders are paid twice, auctions take bids after their end.
//!
//! # Repair and its safety
//!
//! The source's state is written, only if the cached bytes still are the judged ones. States never go back, so equal bytes
//! prove that nothing happened in between. A state that is not in the declared order is no regression, and is never overwritten.

use crate::model::finding::{Remedy, RuleId, Severity, Suspect};
use crate::rules::case::Case;
use crate::rules::catalog::{Check, Rule};
use crate::rules::compare::Comparison;

pub const RULE: Rule = Rule {
    id: RuleId("state-regression"),
    severity: Severity::High,
    remedies: &[Remedy::Overwrite, Remedy::Invalidate],
    source: include_str!("state_regression.rs"),
    check: Check::Cache(check),
};

fn check(case: &Case<'_>) -> Vec<Suspect> {
    if !case.is_compared() || case.version_speaks() {
        return Vec::new();
    }
    let states = case
        .fields
        .iter()
        .enumerate()
        .filter(|(_, field)| field.has_states);
    let behind = states.filter(|(_, field)| field.comparison == Comparison::Behind);
    behind
        .map(|(index, _)| RULE.suspect_field(case, index))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::RULE;
    use crate::model::check::*;
    use crate::model::column::ColumnType;
    use crate::rules::testing::*;

    #[test]
    fn objects_to_an_earlier_state() {
        let mut spec = check(ValueKind::String, vec![field(Locator::Whole, "state")]);
        spec.fields[0].states = ["OPEN", "PAID", "SENT"].map(str::to_owned).to_vec();
        let strict = judge(spec.clone(), &[ColumnType::Enum]);
        for (cache, source, expected) in [
            ("OPEN", "PAID", Some(RULE.id.0)),
            ("OPEN", "SENT", Some(RULE.id.0)),
            ("PAID", "PAID", None),
            ("SENT", "PAID", Some("value-mismatch")),
            ("open", "PAID", Some("value-mismatch")),
            ("OPEN", "LOST", Some("value-mismatch")),
            ("LOST", "LOST", None),
        ] {
            let found = found(&strict, Some(&row("1", &[Some(source)])), &value(cache));
            assert_eq!(found.first().map(|f| f.0), expected, "{cache} {source}");
        }
        spec.ahead_ok = true;
        let lenient = judge(spec, &[ColumnType::Enum]);
        assert_eq!(
            found(&lenient, Some(&row("1", &[Some("PAID")])), &value("SENT")),
            []
        );
        assert_eq!(
            found(&lenient, Some(&row("1", &[Some("PAID")])), &value("LOST")),
            [("value-mismatch", Some(0))]
        );
    }
}
