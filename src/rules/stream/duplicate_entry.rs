//! # Detects
//!
//! Two entries of the stream that carry one identity, or that say the same in the columns the job calls `unique` under two
//! identities. One finding for each entry after the first; the reason names the first.
//!
//! # How it comes about
//!
//! A producer got no answer from the dying master and sent the bid again; or a resurrected entry stands beside the one that replaced it. An entry that
//! carries `requeued_from` is no duplicate of the one it replaced.
//!
//! # Why it matters
//!
//! One bid is processed twice unless the table's keys stop it; under two identities they do not.
//!
//! # Repair and its safety
//!
//! None: both entries were accepted, and which of them the customer meant is not for a machine to say. Both are read again and compared
//! exactly before this is said.

use crate::model::finding::{Remedy, RuleId, Severity};
use crate::rules::catalog::{Check, Rule};

pub const RULE: Rule = Rule {
    id: RuleId("duplicate-entry"),
    severity: Severity::High,
    remedies: &[Remedy::None],
    source: include_str!("duplicate_entry.rs"),
    check: Check::Duplicate,
};

#[cfg(test)]
mod tests {
    use super::RULE;
    use crate::model::stream::*;
    use crate::rules::stream::testing::*;
    use crate::rules::stream::{DuplicateBy, DuplicateCase, DuplicateSide, judge_duplicate};

    fn case(by: DuplicateBy) -> DuplicateCase {
        DuplicateCase {
            side: DuplicateSide::Entries,
            by,
        }
    }

    #[test]
    fn names_the_first_entry_and_what_is_twice() {
        for (by, expected) in [
            (
                DuplicateBy::Identity,
                "it carries the identity of entry 5-0",
            ),
            (
                DuplicateBy::Tuple,
                "it says the same as entry 5-0 under another identity",
            ),
        ] {
            let suspect = judge_duplicate(case(by), "5-0");
            assert_eq!(suspect.rule, RULE.id);
            assert_eq!(suspect.detail.as_deref(), Some(expected));
        }
    }

    #[test]
    fn an_entry_id_is_never_given_twice() {
        let by_id = StreamCheck {
            identity: Identity::EntryId,
            unique: vec![AMOUNT],
            ..bids()
        };
        assert!(!judge_of(by_id.clone()).can_duplicate(case(DuplicateBy::Identity)));
        assert!(judge_of(by_id).can_duplicate(case(DuplicateBy::Tuple)));
        assert!(judge_of(bids()).can_duplicate(case(DuplicateBy::Identity)));
        assert!(
            !judge_of(bids()).can_duplicate(case(DuplicateBy::Tuple)),
            "none declared"
        );
    }

    #[test]
    fn a_requeued_entry_does_not_repeat_the_one_it_was() {
        let judge = judge_of(bids());
        let original = bid("10.50");
        let mut again = bid("10.50");
        again.id = id(3000);
        assert!(!judge.is_requeue(&original, &again));
        again
            .fields
            .push((b"requeued_from"[..].into(), b"1000-0"[..].into()));
        assert!(judge.is_requeue(&original, &again) && judge.is_requeue(&again, &original));
        let mut other = original;
        other.id = id(999);
        assert!(
            !judge.is_requeue(&other, &again),
            "requeued from another one"
        );
    }
}
