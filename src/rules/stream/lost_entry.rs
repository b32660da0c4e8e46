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
