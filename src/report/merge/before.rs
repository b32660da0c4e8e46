//! What an interrupted run, and those it went on from, have dealt with: for whoever goes on from it.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use super::sequence::{chain_of, column, open};
use super::splits::{Strand, run_in};
use crate::model::finding::OutcomeKind;
use crate::model::slice::SliceOrder;
use crate::report::cell::{escape, guard};
use crate::report::progress_read::Progress;
use crate::report::run_json::RuleCount;
use crate::report::{JournalReader, ReportError, findings, journal, places};

/// An interrupted run.
#[derive(Debug, Clone)]
pub struct Before {
    pub progress: Progress,
    /// Its folder, after those of the runs it went on from.
    pub folders: Vec<PathBuf>,
    /// Of each run that was killed before it told of all it wrote: its id, and how many of its intents may be such.
    pub untold: Vec<(String, u64)>,
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
        if Progress::read(folder)?.is_none() {
            return Ok(None);
        }
        let verdict = run.is_finished.then(|| run.verdict.clone());
        let strand = Strand::ending_with(run, &[])?;
        if let Some(gone) = strand.gone {
            let what = format!("it went on from run {gone}, which is not there any more");
            return Err(not_resumable(folder, what));
        }
        let chain = chain_of(&strand)?;
        let mut found: BTreeMap<String, FoundBefore> = BTreeMap::new();
        let mut untold = Vec::new();
        for (run, progress) in strand.runs.iter().zip(&chain) {
            let rows = open(run, findings::FILE_NAME, &findings::COLUMNS)?;
            let places = open(run, places::FILE_NAME, &places::COLUMNS)?;
            let mut told = 0;
            let mut applied = HashSet::new();
            for (row, place) in rows.zip(places) {
                told += 1;
                let (row, place) = (row?, place?);
                let check = &row[column::CHECK];
                let slice = SliceOrder::from_hex(&place[0]);
                let ordinal = place[1].parse().unwrap_or(u64::MAX);
                let has_passed = slice.is_some_and(|slice| {
                    let of_check = progress.checks.get(check);
                    of_check.is_some_and(|of| of.has_passed(&slice, ordinal))
                });
                let is_applied = &row[column::OUTCOME] == "applied";
                if is_applied {
                    let cell = |at: usize| row[at].to_owned();
                    applied.insert([column::CHECK, column::KEY, column::FIELD].map(cell));
                    applied.insert([cell(column::CHECK), cell(column::KEY), String::new()]);
                }
                if has_passed || is_applied {
                    found
                        .entry(check.to_owned())
                        .or_default()
                        .count(&row, has_passed);
                }
            }
            if told < progress.rows {
                let what = format!(
                    "of {} findings that were on the disk there are {told}",
                    progress.rows
                );
                return Err(not_resumable(&run.folder, what));
            }
            let count = match run.is_finished {
                true => 0,
                false => untold_in(&run.folder, &applied)?,
            };
            untold.extend((count > 0).then(|| (run.run_id.clone(), count)));
        }
        let progress = chain.into_iter().next_back();
        Ok(progress.map(|progress| Self {
            progress,
            folders: strand.runs.into_iter().map(|run| run.folder).collect(),
            untold,
            found,
            verdict,
        }))
    }
}

/// How many values the run in `folder` wrote, or may have written, of which no finding tells. `applied` has those that are
/// told, by check, key and field.
fn untold_in(folder: &Path, applied: &HashSet<[String; 3]>) -> Result<u64, ReportError> {
    if !folder.join(journal::FILE_NAME).exists() {
        return Ok(0);
    }
    let mut untold = HashSet::new();
    for entry in JournalReader::open(folder)?.newest_first() {
        let entry = entry?;
        let outcome = entry.outcome.and_then(|said| said.outcome);
        if outcome.is_some_and(|outcome| outcome != OutcomeKind::Applied) {
            continue;
        }
        let record = entry.record;
        let member = record.member.as_deref().map(escape).unwrap_or_default();
        let name = [record.check, escape(&record.key), member];
        // A cell that looked like a formula is written with a guard.
        let is_told = applied.contains(&name) || applied.contains(&name.clone().map(guard));
        untold.extend((!is_told).then_some(name));
    }
    Ok(untold.len() as u64)
}

fn not_resumable(folder: &Path, what: String) -> ReportError {
    ReportError::NotResumable {
        folder: folder.to_owned(),
        what,
    }
}

impl Before {
    /// Whether it wrote its report, whatever that says.
    pub fn has_ended(&self) -> bool {
        self.verdict.is_some()
    }

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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use uuid::Uuid;

    use super::*;
    use crate::model::finding::Remedy;
    use crate::model::observation::KeyExpiry;
    use crate::model::time::Micros;
    use crate::report::{Previous, RunFolder, UndoOutcome, UndoRecord};

    fn record(key: &str) -> UndoRecord {
        UndoRecord {
            check: "balance".into(),
            key: key.as_bytes().to_vec(),
            member: None,
            previous: Previous::Text(None),
            expiry: KeyExpiry::Never,
            digest: None,
            ttl_millis: None,
            row_fingerprint: Vec::new(),
            id: Vec::new(),
            remedy: Remedy::Overwrite,
            at: Micros(0),
        }
    }

    #[test]
    fn what_may_have_been_written_and_is_not_told_is_counted() {
        let root = tempfile::tempdir().unwrap();
        let folder = RunFolder::open(root.path(), "auction", Uuid::now_v7()).unwrap();
        let mut journal = folder.journal("abc");
        let keys = ["told", "=told", "unknown", "applied", "refused", "applied"];
        let records: Vec<UndoRecord> = keys.into_iter().map(record).collect();
        journal.append_batch(&records).unwrap();
        let outcome = |sequence, outcome| UndoOutcome {
            sequence,
            outcome: Some(outcome),
            reason: String::new(),
            at: Micros(0),
        };
        let outcomes = [
            outcome(3, OutcomeKind::Applied),
            outcome(4, OutcomeKind::Refused),
        ];
        journal.append_outcomes(&outcomes).unwrap();
        let name = |key: &str| ["balance", key, ""].map(str::to_owned);
        let applied = HashSet::from([name("told"), name("'=told")]);
        assert_eq!(untold_in(folder.path(), &applied).unwrap(), 2);
        assert_eq!(untold_in(root.path(), &applied).unwrap(), 0, "no journal");
    }
}
