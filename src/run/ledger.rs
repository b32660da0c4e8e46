//! What a run will say of itself: coverage, what was left out, and the verdict that follows.

use std::collections::BTreeMap;
use std::time::Duration;

use super::control::Control;
use crate::model::outcome::{Coverage, RunVerdict};

/// One check's part.
#[derive(Debug, Clone, Default)]
pub(super) struct CheckLedger {
    pub coverage: Coverage,
    /// Each as a sentence; empty: everything was searched.
    pub not_searched: Vec<String>,
    pub control: Option<Control>,
    pub is_control_refused: bool,
    /// A store was lost or refused before anything was read.
    pub saw_nothing: bool,
    pub restarts: u32,
    pub took: Duration,
}

/// The run's part.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    pub checks: BTreeMap<String, CheckLedger>,
    pub limits_hit: Vec<String>,
    /// Reasons for a partial run, as sentences.
    pub partial: Vec<String>,
    /// What is worth saying of a run that is whole, as sentences.
    pub remarks: Vec<String>,
}

impl Ledger {
    pub(super) fn check(&mut self, name: &str) -> &mut CheckLedger {
        self.checks.entry(name.to_owned()).or_default()
    }

    /// The verdict: worst of what was left out, what stayed unknown, and what remains.
    pub(super) fn verdict(&self, unresolved: u64) -> RunVerdict {
        let is_partial = !self.partial.is_empty()
            || !self.limits_hit.is_empty()
            || self.checks.values().any(|c| {
                !c.not_searched.is_empty()
                    || c.is_control_refused
                    || c.coverage.unknown > 0
                    || c.coverage.skipped > 0
                    || (c.coverage.observed == 0 && c.coverage.keyless > 0)
            });
        if !self.checks.is_empty() && self.checks.values().all(|c| c.saw_nothing) {
            RunVerdict::NothingJudged
        } else if is_partial {
            RunVerdict::Partial
        } else if unresolved > 0 {
            RunVerdict::FindingsRemain
        } else {
            RunVerdict::Consistent
        }
    }
}

/// What the sweep counted, with the verdicts and outcomes that the findings had.
pub(super) fn merged(swept: Coverage, verdicts: Coverage) -> Coverage {
    Coverage {
        matched: swept.matched + verdicts.matched,
        suspect: swept.suspect.saturating_sub(verdicts.matched),
        confirmed: verdicts.confirmed,
        transient: verdicts.transient,
        hot: verdicts.hot,
        unknown: verdicts.unknown,
        applied: verdicts.applied,
        refused: verdicts.refused,
        lost_race: verdicts.lost_race,
        ..swept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(coverage: Coverage) -> Ledger {
        let mut ledger = Ledger::default();
        ledger.check("profile").coverage = coverage;
        ledger
    }

    #[test]
    fn the_worst_wins() {
        let clean = Coverage {
            observed: 10,
            matched: 10,
            ..Coverage::default()
        };
        assert_eq!(ledger(clean).verdict(0), RunVerdict::Consistent);
        assert_eq!(ledger(clean).verdict(1), RunVerdict::FindingsRemain);
        assert_eq!(
            ledger(Coverage {
                unknown: 1,
                ..clean
            })
            .verdict(0),
            RunVerdict::Partial
        );
        assert_eq!(
            ledger(Coverage {
                skipped: 1,
                ..clean
            })
            .verdict(1),
            RunVerdict::Partial
        );
        let mut refused = ledger(clean);
        refused.check("profile").is_control_refused = true;
        assert_eq!(refused.verdict(0), RunVerdict::Partial);
    }

    #[test]
    fn a_store_lost_before_the_first_look_judges_nothing() {
        let mut lost = ledger(Coverage::default());
        lost.check("profile").saw_nothing = true;
        assert_eq!(lost.verdict(0), RunVerdict::NothingJudged);
        lost.check("balance").coverage.observed = 1;
        lost.check("profile")
            .not_searched
            .push("it was not finished".to_owned());
        assert_eq!(lost.verdict(0), RunVerdict::Partial);
    }

    #[test]
    fn nothing_observed_is_clean_only_where_there_is_nothing() {
        assert_eq!(
            ledger(Coverage::default()).verdict(0),
            RunVerdict::Consistent
        );
        let nulls = Coverage {
            keyless: 3,
            ..Coverage::default()
        };
        assert_eq!(ledger(nulls).verdict(0), RunVerdict::Partial);
    }
}
