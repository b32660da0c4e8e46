//! # Detects
//!
//! A key of this check that has another Redis type than the check's `value` says: a list where a string is expected.
//!
//! # How it comes about
//!
//! A deletion was lost together with the write that followed it under the same name, an old release of the
//! application used the name otherwise, or two applications share it.
//!
//! # Why it matters
//!
//! Every command of the application on this key fails with WRONGTYPE until somebody looks.
//!
//! # Repair and its safety
//!
//! None. What another type holds cannot be judged against the row, so nothing can prove that it is worth nothing.

use crate::model::finding::Direction;
use crate::model::finding::{Remedy, RuleId, Severity, Suspect};
use crate::rules::case::Case;
use crate::rules::case::Presence;
use crate::rules::catalog::{Check, Rule};

pub const RULE: Rule = Rule {
    id: RuleId("wrong-type"),
    severity: Severity::Medium,
    remedies: &[Remedy::None],
    source: include_str!("wrong_type.rs"),
    check: Check::Cache(check),
};

fn check(case: &Case<'_>) -> Vec<Suspect> {
    let Presence::WrongType(name) = &case.presence else {
        return Vec::new();
    };
    let detail = Some(format!("the key is of type {name}"));
    vec![Suspect {
        detail,
        ..RULE.suspect_key(Direction::Undirected)
    }]
}

#[cfg(test)]
mod tests {
    use super::RULE;
    use crate::model::check::*;
    use crate::model::column::ColumnType;
    use crate::model::observation::{Cached, CachedState, KeyExpiry};
    use crate::rules::testing::*;

    #[test]
    fn objects_to_another_type_only() {
        let judge = judge(
            check(ValueKind::Integer, vec![field(Locator::Whole, "n")]),
            &[ColumnType::Integer { unsigned: false }],
        );
        let list = CachedState {
            cached: Cached::WrongType("list".into()),
            expiry: KeyExpiry::Unread,
        };
        let live = row("1", &[Some("5")]);
        assert_eq!(found(&judge, Some(&live), &list), [(RULE.id.0, None)]);
        assert_eq!(found(&judge, None, &list), [(RULE.id.0, None)]);
        assert!(
            judge.suspects(Some(live.as_ref()), &list)[0]
                .detail
                .as_deref()
                .is_some_and(|d| d.ends_with("list"))
        );
        assert_eq!(found(&judge, Some(&live), &value("5")), []);
    }
}
