//! # Detects
//!
//! The consumer group that the job names does not exist in the stream, or the stream itself does not exist.
//!
//! # How it comes about
//!
//! The group was created shortly before the failover, and the promoted replica never heard of it; or the server came back empty.
//!
//! # Why it matters
//!
//! Every read fails with NOGROUP. An application that then creates the group at `$` skips everything that was added before: those bids are
//! delivered to nobody.
//!
//! # Repair and its safety
//!
//! Recreated at the last entry before the first one that is not proven, counted over the whole stream; never at `$` and never at the
//! highest proven entry, because consumers settle out of order. Entries of other types are proven by nobody, so that some of
//! them are delivered again. Refused where the application recreated the group first.

use crate::model::finding::{Direction, Remedy, RuleId, Severity, Suspect};
use crate::model::stream::StreamState;
use crate::rules::catalog::{Check, Rule};
use crate::rules::stream::GroupCase;

pub const RULE: Rule = Rule {
    id: RuleId("group-missing"),
    severity: Severity::High,
    remedies: &[Remedy::RecreateGroup],
    source: include_str!("group_missing.rs"),
    check: Check::Group(check),
};

fn check(case: &GroupCase<'_>) -> Option<Suspect> {
    let look = case.look;
    if look.cursor_before.is_some() {
        return None;
    }
    let detail = match (&look.stream, look.proven_to) {
        (StreamState::Missing, _) => "there is no such stream".to_owned(),
        (_, Some(id)) => format!("everything up to {id} is proven"),
        (_, None) => "the stream has no such group".to_owned(),
    };
    Some(RULE.suspect_saying(Direction::Behind, detail))
}

#[cfg(test)]
mod tests {
    use super::RULE;
    use crate::model::stream::*;
    use crate::rules::stream::testing::*;

    #[test]
    fn objects_where_there_is_no_group_or_no_stream() {
        let missing = || GroupLook {
            cursor_before: None,
            cursor_after: None,
            proven_to: Some(id(1000)),
            ..group_look()
        };
        let no_stream = GroupLook {
            stream: StreamState::Missing,
            ..missing()
        };
        let empty = GroupLook {
            proven_to: Some(StreamId::MIN),
            ..missing()
        };
        for (look, expected) in [
            (missing(), vec![RULE.id.0]),
            (no_stream, vec![RULE.id.0]),
            (empty, vec![RULE.id.0]),
            (group_look(), vec![]),
        ] {
            assert_eq!(group_objections(&bids(), &look), expected);
        }
    }

    #[test]
    fn a_key_of_another_type_is_no_missing_group() {
        let look = GroupLook {
            stream: StreamState::WrongType("list".into()),
            cursor_before: None,
            cursor_after: None,
            ..group_look()
        };
        assert_eq!(group_objections(&bids(), &look), ["wrong-type"]);
    }

    #[test]
    fn it_says_how_far_everything_is_proven() {
        let look = GroupLook {
            cursor_before: None,
            cursor_after: None,
            proven_to: Some(id(1000)),
            ..group_look()
        };
        let suspects = judge_of(bids()).judge_group(&look);
        assert_eq!(
            suspects[0].detail.as_deref(),
            Some("everything up to 1000-0 is proven")
        );
    }
}
