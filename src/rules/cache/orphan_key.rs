//! # Detects
//!
//! A key or member that no row explains: there is none, or the check's `where` leaves it out.
//!
//! # How it comes about
//!
//! A deletion was lost, a row left the `where` while its ZREM was lost, or the insert that the key followed was
//! rolled back. Keys of other applications that fit the template look the same.
//!
//! # Why it matters
//!
//! Queues hold what is long done, sets count what is gone, memory fills with what nobody will read.
//!
//! # Repair and its safety
//!
//! Reported. Only with `repair_orphans = "invalidate"` is it deleted, if it still is exactly what was judged and still no row
//! explains it: that a row is absent is weaker proof than a tombstone.

use crate::model::finding::Direction;
use crate::model::finding::{Remedy, RuleId, Severity, Suspect};
use crate::model::mapping::RowMeaning;
use crate::rules::case::Case;
use crate::rules::case::Presence;
use crate::rules::catalog::{Check, Rule};

pub const RULE: Rule = Rule {
    id: RuleId("orphan-key"),
    severity: Severity::Low,
    remedies: &[Remedy::Invalidate],
    source: include_str!("orphan_key.rs"),
    check: Check::Cache(check),
};

fn check(case: &Case<'_>) -> Vec<Suspect> {
    let is_unexplained = matches!(case.meaning, RowMeaning::None | RowMeaning::Excluded);
    // Where the cache may be ahead, its row may still be on its way.
    let is_early = case.meaning == RowMeaning::None && case.mapping.check.ahead_ok;
    let is_orphan = case.presence == Presence::Present && is_unexplained && !is_early;
    is_orphan
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
    fn objects_to_what_no_row_explains() {
        let spec = CacheCheck {
            absent: vec![b"-".to_vec()],
            ..check(ValueKind::String, vec![field(Locator::Whole, "name")])
        };
        let judge = judge(spec, &[ColumnType::Text]);
        assert_eq!(found(&judge, None, &value("Ann")), [(RULE.id.0, None)]);
        assert_eq!(
            found(&judge, Some(&excluded("2", &[Some("Ann")])), &value("Ann")),
            [(RULE.id.0, None)]
        );
        assert_eq!(found(&judge, None, &value("-")), []);
        assert_eq!(found(&judge, None, &missing(false)), []);
        assert_eq!(
            found(&judge, Some(&row("2", &[Some("Ann")])), &value("Ann")),
            []
        );
    }

    #[test]
    fn a_hash_is_there_even_with_nothing_of_ours_in_it() {
        let judge = judge(
            check(
                ValueKind::Hash,
                vec![field(Locator::HashField(b"n".to_vec()), "n")],
            ),
            &[ColumnType::Text],
        );
        assert_eq!(found(&judge, None, &hash(&[None])), [(RULE.id.0, None)]);
    }

    #[test]
    fn where_the_cache_may_be_ahead_its_row_may_be_on_its_way() {
        let spec = CacheCheck {
            ahead_ok: true,
            ..check(ValueKind::String, vec![field(Locator::Whole, "name")])
        };
        let judge = judge(spec, &[ColumnType::Text]);
        assert_eq!(found(&judge, None, &value("Ann")), []);
        assert_eq!(
            found(&judge, Some(&excluded("2", &[Some("Ann")])), &value("Ann")),
            [(RULE.id.0, None)]
        );
    }
}
