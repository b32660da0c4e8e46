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
