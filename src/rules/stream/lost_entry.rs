//! # Detects
//!
//! MySQL has the effect of an entry that the stream does not have. Two ways: with `identity = "$id"`, rows that carry ids above the last id the
//! stream ever gave; and, only where the job says `keeps_entries = true`, rows of the window whose identity no entry carries.
//!
//! # How it comes about
//!
//! The entry was added, read and processed on the old master within the lost window, and the promoted replica never heard of it.
//!
//! # Why it matters
//!
//! The effect is safe, so this never changes the exit code. But the stream's last id went back with it: an id may be given again, to
//! another entry, and a reader that remembers an id of the lost range silently skips new entries.
//!
//! # Repair and its safety
//!
//! With `raise_last_id = true` the stream's last id is raised past every id that MySQL has seen, so that none is given again. Only upwards, and never to an
//! id later than Redis's clock and the skew: a bad row would otherwise stop the stream for years. Entries are not written back.

use crate::model::finding::{Direction, Remedy, RuleId, Severity, Suspect};
use crate::model::stream::StreamCheck;
use crate::rules::catalog::{Check, Rule};
use crate::rules::stream::{GroupCase, LostCase};

pub const RULE: Rule = Rule {
    id: RuleId("lost-entry"),
    severity: Severity::Low,
    remedies: &[Remedy::RaiseLastId],
    source: include_str!("lost_entry.rs"),
    check: Check::Group(check),
};

/// The objection to a row without its entry; `None` where the application may have taken the entry away.
pub(super) fn suspect(check: &StreamCheck, case: &LostCase) -> Option<Suspect> {
    let detail = match case {
        LostCase::NoEntry if !check.keeps_entries => return None,
        LostCase::NoEntry => "no entry of the stream carries its identity".to_owned(),
        LostCase::AboveLast {
            last,
            highest,
            future,
        } => {
            let above = highest.map(|id| format!("rows carry ids up to {id}"));
            let beyond = future.iter().max().map(|id| {
                format!(
                    "{} rows carry ids from the future, up to {id}, to which it is never raised",
                    future.len()
                )
            });
            let both: Vec<_> = above.into_iter().chain(beyond).collect();
            format!("the stream's last id is {last}; {}", both.join("; "))
        }
    };
    Some(RULE.suspect_saying(Direction::Behind, detail))
}

fn check(case: &GroupCase<'_>) -> Option<Suspect> {
    suspect(case.check, &case.above_last()?)
}

#[cfg(test)]
mod tests {
    use super::RULE;
    use crate::model::stream::*;
    use crate::rules::stream::testing::*;

    fn by_id() -> StreamCheck {
        StreamCheck {
            identity: Identity::EntryId,
            ..bids()
        }
    }

    #[test]
    fn objects_to_rows_with_ids_above_the_last_one() {
        let look = |highest, future: &[u64]| GroupLook {
            highest_in_source: highest,
            future_in_source: future.iter().map(|millis| id(*millis)).collect(),
            ..group_look()
        };
        for (what, look, expected) in [
            ("above", look(Some(id(2001)), &[]), true),
            (
                "above by its sequence",
                look(Some(StreamId::new(2000, 1)), &[]),
                true,
            ),
            ("the last one itself", look(Some(id(2000)), &[]), false),
            ("below", look(Some(id(1999)), &[]), false),
            ("none", look(None, &[]), false),
            ("from the future only", look(None, &[9000]), true),
            (
                "the stream's last id lies in the future, too",
                look(None, &[2000]),
                false,
            ),
        ] {
            let found = group_objections(&by_id(), &look);
            assert_eq!(found == [RULE.id.0], expected, "{what}: {found:?}");
            assert!(
                group_objections(&bids(), &look).is_empty(),
                "no entry ids: {what}"
            );
        }
    }

    #[test]
    fn an_empty_server_has_lost_every_id() {
        let look = GroupLook {
            stream: StreamState::Missing,
            cursor_before: None,
            cursor_after: None,
            highest_in_source: Some(id(5)),
            ..group_look()
        };
        assert_eq!(
            group_objections(&by_id(), &look),
            ["group-missing", RULE.id.0]
        );
    }

    #[test]
    fn it_names_the_ids() {
        let look = GroupLook {
            highest_in_source: Some(id(3000)),
            future_in_source: vec![id(9000), id(8000)],
            ..group_look()
        };
        let suspects = judge_of(by_id()).judge_group(&look);
        assert_eq!(
            suspects[0].detail.as_deref(),
            Some(
                "the stream's last id is 2000-0; rows carry ids up to 3000-0; 2 rows carry ids from the future, \
                 up to 9000-0, to which it is never raised"
            )
        );
    }

    #[test]
    fn a_row_without_an_entry_is_judged_only_where_entries_are_kept() {
        for keeps_entries in [true, false] {
            let judge = judge_of(StreamCheck {
                keeps_entries,
                ..bids()
            });
            assert_eq!(judge.judge_lost_row().is_some(), keeps_entries);
        }
    }
}
