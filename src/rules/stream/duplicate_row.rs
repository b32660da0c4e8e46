//! # Detects
//!
//! Two rows of the table that carry one identity, or that say the same in the columns the job calls `unique` under two identities. One
//! finding for each row after the first; the reason names the first. Not looked for where the database's own unique keys exclude it.
//!
//! # How it comes about
//!
//! A failover undid a read or an acknowledgement, the entry was delivered a second time, and the table has no unique key that stops a second
//! insert. Or the producer sent the bid twice, each time with another identity.
//!
//! # Why it matters
//!
//! The customer's bid counts twice, and money moved twice.
//!
//! # Repair and its safety
//!
//! None: a row of the source of truth is never deleted by this program. The finding names both rows, the customer and the money.

use crate::model::finding::{Remedy, RuleId, Severity};
use crate::rules::catalog::{Check, Rule};

pub const RULE: Rule = Rule {
    id: RuleId("duplicate-row"),
    severity: Severity::Critical,
    remedies: &[Remedy::None],
    source: include_str!("duplicate_row.rs"),
    check: Check::Duplicate,
};

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::RULE;
    use crate::model::stream::*;
    use crate::rules::stream::testing::*;
    use crate::rules::stream::{
        DuplicateBy, DuplicateCase, DuplicateSide, StreamJudge, judge_duplicate,
    };

    #[test]
    fn names_the_first_row_and_what_is_twice() {
        for (by, expected) in [
            (DuplicateBy::Identity, "it carries the identity of row 17"),
            (
                DuplicateBy::Tuple,
                "it says the same as row 17 under another identity",
            ),
        ] {
            let case = DuplicateCase {
                side: DuplicateSide::Rows,
                by,
            };
            let suspect = judge_duplicate(case, "17");
            assert_eq!(suspect.rule, RULE.id);
            assert_eq!(suspect.detail.as_deref(), Some(expected));
        }
    }

    #[test]
    fn unique_keys_of_the_table_exclude_it() {
        let check = StreamCheck {
            unique: vec![AMOUNT, BIDDER],
            ..bids()
        };
        let open = StreamMapping::clone(judge_of(check).mapping());
        for (identity_is_unique, tuple_is_unique) in [(false, true), (true, false)] {
            let judge = StreamJudge::new(Arc::new(StreamMapping {
                identity_is_unique,
                tuple_is_unique,
                ..open.clone()
            }));
            let side = DuplicateSide::Rows;
            let by_identity = DuplicateCase {
                side,
                by: DuplicateBy::Identity,
            };
            let by_tuple = DuplicateCase {
                side,
                by: DuplicateBy::Tuple,
            };
            assert_eq!(judge.can_duplicate(by_identity), !identity_is_unique);
            assert_eq!(judge.can_duplicate(by_tuple), !tuple_is_unique);
        }
    }
}
