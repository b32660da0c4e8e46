//! What an interrupted run, and those it went on from, have dealt with: for whoever goes on from it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::sequence::{column, open, progress_of};
use super::splits::{Strand, run_in};
use crate::model::slice::SliceOrder;
use crate::report::progress_read::Progress;
use crate::report::run_json::RuleCount;
use crate::report::{ReportError, findings, places};

/// An interrupted run.
#[derive(Debug, Clone)]
pub struct Before {
    pub folder: PathBuf,
    pub progress: Progress,
    /// When the first of the runs was begun that went on from one another; microseconds since the epoch.
    pub begun_at_us: i64,
    /// By check: what was found where it is dealt with.
    pub found: BTreeMap<String, FoundBefore>,
    /// `None`: it was killed.
    verdict: Option<String>,
}

/// What was found of a check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundBefore {
    pub counts: Vec<RuleCount>,
    /// Confirmed or hot, and not right again.
    pub unresolved: u64,
}

impl Before {
    /// Reads the run in `folder`; `None`: an older version made it, or nothing did.
    pub fn read(folder: &Path) -> Result<Option<Self>, ReportError> {
        let Some(run) = run_in(folder)? else {
            return Ok(None);
        };
        let Some(progress) = Progress::read(folder)? else {
            return Ok(None);
        };
        let verdict = run.is_finished.then(|| run.verdict.clone());
        let strand = Strand::ending_with(run, &[])?;
        let mut begun_at_us = progress.run.started_at_us;
        let mut found: BTreeMap<String, FoundBefore> = BTreeMap::new();
        for run in &strand.runs {
            let progress = progress_of(run)?;
            begun_at_us = begun_at_us.min(progress.run.started_at_us);
            let rows = open(run, findings::FILE_NAME, &findings::COLUMNS)?;
            let places = open(run, places::FILE_NAME, &places::COLUMNS)?;
            for (row, place) in rows.zip(places) {
                let (row, place) = (row?, place?);
                let check = &row[column::CHECK];
                let slice = SliceOrder::from_hex(&place[0]);
                let ordinal = place[1].parse().unwrap_or(u64::MAX);
                let has_passed = slice.is_some_and(|slice| {
                    let of_check = progress.checks.get(check);
                    of_check.is_some_and(|of| of.has_passed(&slice, ordinal))
                });
                if has_passed || &row[column::OUTCOME] == "applied" {
                    found
                        .entry(check.to_owned())
                        .or_default()
                        .count(&row, has_passed);
                }
            }
        }
        Ok(Some(Self {
            folder: folder.to_owned(),
            progress,
            begun_at_us,
            found,
            verdict,
        }))
    }
}

impl Before {
    /// Whether there may be something left to do.
    pub fn is_interrupted(&self) -> bool {
        !matches!(
            self.verdict.as_deref(),
            Some("consistent" | "findings-remain")
        )
    }
}

impl FoundBefore {
    fn count(&mut self, row: &csv::StringRecord, has_passed: bool) {
        let cell = |at: usize| row[at].to_owned();
        let is_open = row[column::SETTLED_AT].is_empty();
        let (rule, verdict) = (&row[column::RULE], &row[column::VERDICT]);
        // What is only told never changes how a run ends.
        let is_wrong = match verdict {
            "confirmed" => is_open && rule != "lost-entry",
            "hot" => rule != "lost-entry",
            _ => false,
        };
        self.unresolved += u64::from(has_passed && is_wrong);
        let repaired = u64::from(verdict == "confirmed" && !is_open);
        let known = self.counts.iter_mut().find(|count| {
            let severity = count.severity == row[column::SEVERITY];
            count.rule == *rule && count.verdict == *verdict && severity
        });
        match known {
            Some(count) => {
                count.count += 1;
                count.repaired += repaired;
            }
            None => self.counts.push(RuleCount {
                rule: cell(column::RULE),
                severity: cell(column::SEVERITY),
                verdict: cell(column::VERDICT),
                count: 1,
                repaired,
            }),
        }
    }
}
