//! How a reported subject stands.

use crate::model::finding::{Finding, Verdict};

/// Where a reported subject stands by its latest look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Right,
    Wrong,
    Unknown,
}

impl Standing {
    /// The standing that was kept as `code`.
    pub(super) fn of(code: u64) -> Self {
        [Self::Right, Self::Wrong, Self::Unknown]
            .into_iter()
            .find(|standing| *standing as u64 == code)
            .expect("only standings are kept")
    }
}

/// How a subject with these findings stands.
pub(super) fn standing(verdict: Verdict, findings: &[Finding]) -> Standing {
    let is_open = findings.iter().any(|f| f.settled_at.is_none());
    match verdict {
        // It costs nobody anything, and may be what the application does itself.
        Verdict::Hot | Verdict::Confirmed if are_only_told(findings) => Standing::Right,
        // It was never seen at rest, whatever its last look happened to show.
        Verdict::Hot => Standing::Wrong,
        Verdict::Confirmed if is_open => Standing::Wrong,
        Verdict::Confirmed | Verdict::Transient => Standing::Right,
        Verdict::Unknown => Standing::Unknown,
    }
}

/// Whether the findings are told and never change the exit code. (DESIGN §8.)
fn are_only_told(findings: &[Finding]) -> bool {
    let is_told = |finding: &Finding| finding.suspect.rule.0 == "lost-entry";
    !findings.is_empty() && findings.iter().all(is_told)
}
