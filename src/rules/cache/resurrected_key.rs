//! # Detects
//!
//! A key or member whose row is a tombstone: the source says that it was deleted, and when.
//!
//! # How it comes about
//!
//! The DEL, ZREM or HDEL that followed the deletion never reached the promoted replica, so what was deleted is back.
//!
//! # Why it matters
//!
//! Revoked sessions work again, closed auctions take bids, a deleted customer is shown to others.
//!
//! # Repair and its safety
//!
//! The key or member is deleted, if it still is exactly what was judged. The tombstone is proof that it should not be
//! there; a row that is created anew in the meantime is held off by the row lock. Not done under `order = "cache-first"`, where the
//! cache may know of a row that is not written yet.

use crate::model::finding::Direction;
use crate::model::finding::{Remedy, RuleId, Severity, Suspect};
use crate::model::mapping::RowMeaning;
use crate::rules::case::Case;
use crate::rules::case::Presence;
use crate::rules::catalog::{Check, Rule};

pub const RULE: Rule = Rule {
    id: RuleId("resurrected-key"),
    severity: Severity::High,
    remedies: &[Remedy::Invalidate],
    source: include_str!("resurrected_key.rs"),
    check: Check::Cache(check),
};

fn check(case: &Case<'_>) -> Vec<Suspect> {
    let is_back = case.presence == Presence::Present && case.meaning == RowMeaning::Tombstone;
    is_back
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
    fn objects_to_what_a_tombstone_left() {
        let spec = CacheCheck {
            absent: vec![b"-".to_vec()],
            ..check(ValueKind::String, vec![field(Locator::Whole, "name")])
        };
        let judge = judge(spec, &[ColumnType::Text]);
        let dead = tombstone("2", &[Some("Ann")]);
        assert_eq!(
            found(&judge, Some(&dead), &value("Ann")),
            [(RULE.id.0, None)]
        );
        assert_eq!(found(&judge, Some(&dead), &value("-")), []);
        assert_eq!(found(&judge, Some(&dead), &missing(false)), []);
        assert_eq!(
            found(&judge, Some(&row("2", &[Some("Ann")])), &value("Ann")),
            []
        );
    }
}
