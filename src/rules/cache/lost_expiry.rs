//! # Detects
//!
//! A key that never expires, though the check says `expiry = "required"`.
//!
//! # How it comes about
//!
//! The EXPIRE that followed the write was lost with the old master; the write itself was not.
//!
//! # Why it matters
//!
//! Sessions, locks and one-time codes live for ever, and memory fills up.
//!
//! # Repair and its safety
//!
//! The check's `ttl` is set, only if the key still has no expiry and, for a string, still holds the judged bytes. An expiry that the
//! application sets in the meantime is never shortened.

use crate::model::check::{CacheCheck, Expiry};
use crate::model::finding::Direction;
use crate::model::finding::{Remedy, RuleId, Severity, Suspect};
use crate::model::observation::KeyExpiry;
use crate::rules::case::Case;
use crate::rules::catalog::{Check, Rule};

pub const RULE: Rule = Rule {
    id: RuleId("lost-expiry"),
    severity: Severity::Low,
    remedies: &[Remedy::SetTtl],
    source: include_str!("lost_expiry.rs"),
    check: Check::Cache(check),
};

/// Whether a key with this expiry should have one; what was not read is not judged.
pub(in crate::rules) fn is_lost(check: &CacheCheck, expiry: KeyExpiry) -> bool {
    check.expiry == Expiry::Required && expiry == KeyExpiry::Never
}

fn check(case: &Case<'_>) -> Vec<Suspect> {
    let is_lost = case.is_compared() && is_lost(&case.mapping.check, case.expiry);
    is_lost
        .then(|| RULE.suspect_key(Direction::Undirected))
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{KeyExpiry, RULE};
    use crate::model::check::*;
    use crate::model::column::ColumnType;
    use crate::rules::testing::*;

    #[test]
    fn objects_to_a_key_that_never_expires() {
        let live = row("1", &[Some("Ann")]);
        for (expiry, read, is_wrong) in [
            (Expiry::Required, KeyExpiry::Never, true),
            (Expiry::Required, KeyExpiry::AtMillis(5), false),
            (Expiry::Required, KeyExpiry::Unread, false),
            (Expiry::Any, KeyExpiry::Never, false),
            (Expiry::None, KeyExpiry::Never, false),
        ] {
            let spec = CacheCheck {
                expiry,
                ..check(ValueKind::String, vec![field(Locator::Whole, "name")])
            };
            let judge = judge(spec, &[ColumnType::Text]);
            let state = crate::model::observation::CachedState {
                expiry: read,
                ..value("Ann")
            };
            assert_eq!(
                found(&judge, Some(&live), &state) == [(RULE.id.0, None)],
                is_wrong,
                "{expiry:?} {read:?}"
            );
        }
    }
}
