//! # Detects
//!
//! A field declared `balance = true` that is below zero in the cache. Critical where it is below zero at the source too.
//!
//! # How it comes about
//!
//! An INCRBY was lost and the DECRBYs that it paid for were not, or the writer checked the balance on the old master and
//! subtracted on the new one. At the source too: money was really spent twice.
//!
//! # Why it matters
//!
//! It is money. A customer sees a debt that is none, or spends what he does not have.
//!
//! # Repair and its safety
//!
//! As for any value where the source's balance is sound: overwritten, incremented by the gap, or invalidated. Where the source
//! is negative too nothing is repaired: a person has to decide who pays.

use crate::model::finding::{Remedy, RuleId, Severity, Suspect};
use crate::rules::case::Case;
use crate::rules::catalog::{Check, Rule};
use crate::rules::compare::Comparison;

pub const RULE: Rule = Rule {
    id: RuleId("negative-balance"),
    severity: Severity::High,
    remedies: &[Remedy::Overwrite, Remedy::Invalidate, Remedy::None],
    source: include_str!("negative_balance.rs"),
    check: Check::Cache(check),
};

fn check(case: &Case<'_>) -> Vec<Suspect> {
    if !case.is_compared() || case.version == Some(Comparison::Behind) {
        return Vec::new();
    }
    let negative = case
        .fields
        .iter()
        .enumerate()
        .filter(|(_, field)| field.negative.cache);
    negative
        .map(|(index, field)| {
            let suspect = RULE.suspect_field(case, index);
            if field.negative.source {
                let detail = Some("it is negative at the source too".to_owned());
                Suspect {
                    severity: Severity::Critical,
                    detail,
                    ..suspect
                }
            } else {
                suspect
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{RULE, Severity};
    use crate::model::check::*;
    use crate::model::column::ColumnType;
    use crate::rules::testing::*;

    #[test]
    fn objects_below_zero_and_worse_on_both_sides() {
        let mut spec = check(ValueKind::Decimal, vec![field(Locator::Whole, "balance")]);
        spec.fields[0].balance = true;
        let judge = judge(spec, &[ColumnType::Decimal { scale: 2 }]);
        let severity = |source: &str, cache: &str| {
            let live = row("1", &[Some(source)]);
            assert_eq!(
                found(&judge, Some(&live), &value(cache)),
                [(RULE.id.0, Some(0))]
            );
            judge.suspects(Some(live.as_ref()), &value(cache))[0].severity
        };
        assert_eq!(severity("10.00", "-0.01"), Severity::High);
        assert_eq!(severity("-5.00", "-0.01"), Severity::Critical);
        assert_eq!(severity("-5.00", "-5"), Severity::Critical);
        // Borderline: zero, however it is spelled, is not below zero.
        assert_eq!(
            found(&judge, Some(&row("1", &[Some("0.00")])), &value("-0")),
            []
        );
        assert_eq!(
            found(&judge, Some(&row("1", &[Some("-5.00")])), &value("3")),
            [("value-mismatch", Some(0))]
        );
    }
}
