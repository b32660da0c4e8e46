//! # Detects
//!
//! A mapped field whose value differs from its column's, by value and not by spelling, at the same version or where there
//! is none. Its direction says whether the cache is older, newer, or whether nothing tells.
//!
//! # How it comes about
//!
//! The last write of the value was lost with the old master. Without a version, a value that the application writes first
//! to the cache looks the same.
//!
//! # Why it matters
//!
//! Prices, names, permissions and counters are served as they once were.
//!
//! # Repair and its safety
//!
//! Overwritten or invalidated where the cache is behind, or where nothing tells and the job says `order = "source-first"`; never where any field is
//! ahead. A field that follows another is written only together with it. Values without a direction are written only under a
//! lock on their row, because equal bytes do not prove that nothing happened in between.

use crate::model::finding::{Remedy, RuleId, Severity, Suspect};
use crate::rules::case::Case;
use crate::rules::catalog::{Check, Rule};
use crate::rules::compare::Comparison;

pub const RULE: Rule = Rule {
    id: RuleId("value-mismatch"),
    severity: Severity::Medium,
    remedies: &[Remedy::Overwrite, Remedy::Invalidate],
    source: include_str!("value_mismatch.rs"),
    check: Check::Cache(check),
};

fn check(case: &Case<'_>) -> Vec<Suspect> {
    if !case.is_compared() || case.version_speaks() {
        return Vec::new();
    }
    let ahead_ok = case.mapping.check.ahead_ok;
    let is_wrong = |comparison: Comparison| match comparison {
        Comparison::Equal | Comparison::Undecodable(_) => false,
        Comparison::Ahead => !ahead_ok,
        Comparison::Behind | Comparison::Differs => true,
    };
    let fields = case.fields.iter().enumerate();
    let wrong =
        fields.filter(|(index, field)| is_wrong(field.comparison) && case.is_judged(*index));
    wrong
        .map(|(index, _)| RULE.suspect_field(case, index))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::RULE;
    use crate::model::check::*;
    use crate::model::column::ColumnType;
    use crate::rules::testing::*;

    fn top_bid() -> CacheCheck {
        let named_field =
            |name: &str, column: &str| field(Locator::HashField(name.as_bytes().to_vec()), column);
        let mut spec = check(
            ValueKind::Hash,
            vec![
                named_field("price", "amount"),
                named_field("count", "bids"),
                named_field("bidder", "bidder"),
            ],
        );
        spec.fields[0].compare = Compare::AtLeast;
        spec.fields[1].compare = Compare::AtLeast;
        spec.fields[2].follows = Some(0);
        spec.fields[2].null = Some(Vec::new());
        spec.order = Some(Order::CacheFirst);
        spec.ahead_ok = true;
        spec
    }

    const TOP_BID: [ColumnType; 3] = [
        ColumnType::Integer { unsigned: true },
        ColumnType::Integer { unsigned: true },
        ColumnType::Text,
    ];

    #[test]
    fn a_follower_is_judged_with_its_leader() {
        let judge = judge(top_bid(), &TOP_BID);
        let live = row("1", &[Some("100"), Some("4"), Some("ann")]);
        for (cached, expected) in [
            (["100", "4", "ann"], vec![]),
            (["90", "4", "bob"], vec![0, 2]),
            (["90", "4", "ann"], vec![0]),
            (["110", "5", "bob"], vec![]),
            (["110", "4", "bob"], vec![]),
            (["110", "3", "bob"], vec![1]),
            (["90", "5", "bob"], vec![0, 2]),
            (["100", "4", "bob"], vec![2]),
            (["100", "5", "bob"], vec![]),
        ] {
            let expected: Vec<_> = expected.into_iter().map(|i| (RULE.id.0, Some(i))).collect();
            assert_eq!(
                found(&judge, Some(&live), &hash(&cached.map(Some))),
                expected,
                "{cached:?}"
            );
        }
        // A hash that holds nothing of ours is a hash that was not filled.
        assert_eq!(found(&judge, Some(&live), &hash(&[None, None, None])), []);
        assert_eq!(
            found(&judge, Some(&live), &hash(&[None, Some("4"), Some("ann")])),
            [(RULE.id.0, Some(0))]
        );
    }

    #[test]
    fn null_empty_and_missing_are_three_things() {
        let spec = check(ValueKind::Json, vec![field(pointer("/name"), "name")]);
        let judge = judge(spec, &[ColumnType::Text]);
        for (cached, source, is_wrong) in [
            (r#"{"name":null}"#, None, false),
            ("{}", None, false),
            (r#"{"name":""}"#, None, true),
            (r#"{"name":""}"#, Some(""), false),
            (r#"{"name":null}"#, Some(""), true),
            ("{}", Some(""), true),
            (r#"{"name":"null"}"#, None, true),
            (r#"{"name":"\u0041nn"}"#, Some("Ann"), false),
        ] {
            let found = found(&judge, Some(&row("1", &[source])), &value(cached));
            assert_eq!(
                found == [(RULE.id.0, Some(0))],
                is_wrong,
                "{cached} {source:?}"
            );
        }
    }
}
