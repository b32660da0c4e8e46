//! # Detects
//!
//! A key or member that `expect = "present"` promises and that is not there. Judged only where nothing legal takes keys away:
//! members of a key that exists, and keys with `expiry = "none"` on a server whose policy evicts no such key.
//!
//! # How it comes about
//!
//! The write that created it was acknowledged by the old master and never reached the promoted replica.
//!
//! # Why it matters
//!
//! An auction that is in no closing queue is never closed; what is never looked up again is never filled again.
//!
//! # Repair and its safety
//!
//! The whole value is created from the row, only if there still is nothing (NX), with the check's `ttl`, while the row is share-locked. A
//! document is created only where every member that it needs is mapped.

use crate::model::check::{CacheCheck, Expiry};
use crate::model::finding::Direction;
use crate::model::finding::{Remedy, RuleId, Severity, Suspect};
use crate::model::mapping::RowMeaning;
use crate::rules::case::Case;
use crate::rules::case::Presence;
use crate::rules::catalog::{Check, Rule};
use crate::rules::judge::JudgeContext;

pub const RULE: Rule = Rule {
    id: RuleId("missing-key"),
    severity: Severity::Medium,
    remedies: &[Remedy::Overwrite],
    source: include_str!("missing_key.rs"),
    check: Check::Cache(check),
};

/// Whether the absence of a live row's key or member is wrong. `key_exists`: the key is there, and what
/// is missing is a member of it.
pub(in crate::rules) fn is_expected(
    check: &CacheCheck,
    context: JudgeContext,
    key_exists: bool,
) -> bool {
    let never_leaves = key_exists || (check.expiry == Expiry::None && !context.evicts_unexpiring);
    check.expect_present && never_leaves
}

fn check(case: &Case<'_>) -> Vec<Suspect> {
    let Presence::Missing { key_exists } = case.presence else {
        return Vec::new();
    };
    let is_wrong = case.meaning == RowMeaning::Live
        && is_expected(&case.mapping.check, case.context, key_exists);
    is_wrong
        .then(|| RULE.suspect_key(Direction::Undirected))
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{JudgeContext, RULE};
    use crate::model::check::*;
    use crate::model::column::ColumnType;
    use crate::rules::testing::*;

    fn spec(expect_present: bool, expiry: Expiry) -> CacheCheck {
        CacheCheck {
            expect_present,
            expiry,
            ..check(ValueKind::String, vec![field(Locator::Whole, "name")])
        }
    }

    #[test]
    fn objects_only_where_nothing_legal_takes_keys_away() {
        let live = row("1", &[Some("Ann")]);
        for (expect_present, expiry, key_exists, expected) in [
            (true, Expiry::None, false, true),
            (true, Expiry::Any, true, true),
            (true, Expiry::Any, false, false),
            (true, Expiry::Required, false, false),
            (false, Expiry::None, false, false),
            (false, Expiry::None, true, false),
        ] {
            let judge = judge(spec(expect_present, expiry), &[ColumnType::Text]);
            let found = found(&judge, Some(&live), &missing(key_exists));
            assert_eq!(
                found == [(RULE.id.0, None)],
                expected,
                "{expect_present} {expiry:?} {key_exists}: {found:?}"
            );
        }
    }

    #[test]
    fn an_evicting_server_may_take_any_key() {
        let mapping = std::sync::Arc::new(mapping(spec(true, Expiry::None), &[ColumnType::Text]));
        let judge = crate::rules::Judge::new(
            mapping,
            JudgeContext {
                evicts_unexpiring: true,
            },
        );
        assert_eq!(
            found(&judge, Some(&row("1", &[Some("Ann")])), &missing(false)),
            []
        );
        assert_eq!(
            found(&judge, Some(&row("1", &[Some("Ann")])), &missing(true)),
            [(RULE.id.0, None)]
        );
    }

    #[test]
    fn no_row_no_key_is_right() {
        let judge = judge(spec(true, Expiry::None), &[ColumnType::Text]);
        assert_eq!(found(&judge, None, &missing(false)), []);
        assert_eq!(
            found(&judge, Some(&tombstone("1", &[None])), &missing(true)),
            []
        );
    }
}
