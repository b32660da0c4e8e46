//! Earlier runs: found by id or folder, and what their `run.json` says.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use uuid::Uuid;

use super::ReportError;
use super::coverage_json::CoverageTwin;
use super::csv_file::{not_writable, unreadable};
use super::folder::job_folder;
use super::progress_read::Progress;
use super::run_json::{ControlRecord, FILE_NAME, RunRecord};
use crate::model::outcome::Coverage;
use crate::model::shard::Shard;
use crate::model::time::Micros;

/// The part of a finished run's `run.json` that a later run needs; of one that did not finish what its `progress.jsonl`
/// says.
#[derive(Debug, Clone, PartialEq)]
pub struct EarlierRun {
    pub folder: PathBuf,
    pub run_id: String,
    pub job: String,
    /// Findings of a run with another hash must not be acted upon.
    pub config_hash: String,
    pub command: String,
    pub verdict: String,
    pub is_dry_run: bool,
    /// RFC 3339 in UTC.
    pub started_at: String,
    /// Beginning and end of the window, RFC 3339 in UTC; no end: it was still open.
    pub window: Option<(String, Option<String>)>,
    /// Findings of all checks, whatever their verdict.
    pub findings: u64,
    pub undo_records: u64,
    pub shard: Shard,
    pub is_full: bool,
    /// The run it went on from.
    pub resumes: Option<String>,
    /// Whether it came to its end, and so has a verdict.
    pub is_finished: bool,
    pub checks: Vec<EarlierCheck>,
}

/// What an earlier run says of one check.
#[derive(Debug, Clone, PartialEq)]
pub struct EarlierCheck {
    pub name: String,
    pub coverage: Coverage,
    /// Each as a sentence.
    pub not_searched: Vec<String>,
    pub control: Option<ControlRecord>,
}

/// Who took back what the run wrote: one JSON object a line.
pub(super) const UNDONE: &str = "undone.jsonl";

/// The verdict of a run that has none.
const UNFINISHED: &str = "unfinished";

/// The folder of `run`, which is a run id of this job or a path.
pub fn find_run(output_root: &Path, job_name: &str, run: &str) -> Result<PathBuf, ReportError> {
    let of_job = job_folder(output_root, job_name)?;
    let by_id = Uuid::parse_str(run)
        .ok()
        .map(|id| of_job.join(id.to_string()));
    let by_path = (!run.is_empty()).then(|| PathBuf::from(run));
    by_id
        .into_iter()
        .chain(by_path)
        .find(|folder| folder.is_dir())
        .ok_or_else(|| ReportError::NoSuchRun {
            name: run.to_owned(),
            folder: of_job,
        })
}

/// The folders of this job's runs, finished or not, the newest first.
pub fn runs_of_job(output_root: &Path, job_name: &str) -> Result<Vec<PathBuf>, ReportError> {
    let of_job = job_folder(output_root, job_name)?;
    let entries = match std::fs::read_dir(&of_job) {
        Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(unreadable(&of_job))?,
    };
    let mut runs = Vec::new();
    for entry in entries {
        let entry = entry.map_err(unreadable(&of_job))?;
        let name = entry.file_name().into_string().unwrap_or_default();
        let is_folder = entry.file_type().map_err(unreadable(&of_job))?.is_dir();
        let is_run = Uuid::parse_str(&name).is_ok_and(|id| id.to_string() == name);
        runs.extend((is_folder && is_run).then(|| entry.path()));
    }
    // A UUIDv7 begins with its time.
    runs.sort();
    runs.reverse();
    Ok(runs)
}

/// Notes that what the run in `folder` wrote was taken back by run `by`.
pub fn note_undone(folder: &Path, by: Uuid) -> Result<(), ReportError> {
    let path = folder.join(UNDONE);
    let line = format!("{}\n", serde_json::json!({ "undone_by": by.to_string() }));
    let file = File::options().create(true).append(true).open(&path);
    let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
    written.map_err(not_writable(&path))
}

/// Whether something of what the run in `folder` wrote was taken back.
pub fn was_undone(folder: &Path) -> bool {
    folder.join(UNDONE).exists()
}

impl EarlierRun {
    /// Reads the `run.json` in `folder`; a run that never finished has none.
    pub fn read(folder: &Path) -> Result<Self, ReportError> {
        let path = folder.join(FILE_NAME);
        let text = std::fs::read(&path).map_err(unreadable(&path))?;
        let twin: Twin = serde_json::from_slice(&text).map_err(|fault| ReportError::Malformed {
            path: path.clone(),
            line: fault.line() as u64,
            what: fault.to_string(),
        })?;
        if twin.auditor_run != RunRecord::FORMAT {
            let what = format!(
                "the format is {}, this program reads {}",
                twin.auditor_run,
                RunRecord::FORMAT
            );
            return Err(ReportError::Malformed {
                path,
                line: 1,
                what,
            });
        }
        Ok(Self {
            folder: folder.to_owned(),
            run_id: twin.run_id,
            job: twin.job,
            config_hash: twin.config_hash,
            command: twin.command,
            verdict: twin.verdict,
            is_dry_run: twin.is_dry_run,
            started_at: twin.started_at,
            window: twin.window.map(|w| (w.since, w.until)),
            findings: twin
                .checks
                .iter()
                .flat_map(|c| &c.findings)
                .map(|f| f.count)
                .sum(),
            undo_records: twin.undo_records,
            shard: twin.shard.shard().unwrap_or_default(),
            is_full: twin.is_full,
            resumes: twin.resumes,
            is_finished: true,
            checks: twin.checks.into_iter().map(CheckTwin::check).collect(),
        })
    }

    /// The same of a run that has no `run.json`; `None`: nothing tells what it was.
    pub fn read_unfinished(folder: &Path) -> Result<Option<Self>, ReportError> {
        let Some(progress) = Progress::read(folder)? else {
            return Ok(None);
        };
        let shard = progress.shard().unwrap_or_default();
        let checks = progress.run.checks.iter().map(|check| {
            let progress = progress.check(&check.name);
            EarlierCheck {
                name: check.name.clone(),
                coverage: progress.counts(),
                not_searched: Vec::new(),
                control: None,
            }
        });
        let checks = checks.collect();
        let run = progress.run;
        let time = |us: i64| Micros(us).to_rfc3339();
        let window = run.window.map(|w| (time(w.since_us), w.until_us.map(time)));
        Ok(Some(Self {
            folder: folder.to_owned(),
            run_id: run.run_id,
            job: run.job,
            config_hash: run.config_hash,
            command: run.command,
            verdict: UNFINISHED.to_owned(),
            is_dry_run: run.is_dry_run,
            started_at: time(run.started_at_us),
            window,
            findings: 0,
            undo_records: 0,
            shard,
            is_full: run.is_full,
            resumes: run.resumes,
            is_finished: false,
            checks,
        }))
    }
}

#[derive(Deserialize)]
struct Twin {
    auditor_run: u32,
    run_id: String,
    job: String,
    config_hash: String,
    command: String,
    verdict: String,
    is_dry_run: bool,
    started_at: String,
    window: Option<WindowTwin>,
    undo_records: u64,
    checks: Vec<CheckTwin>,
    /// Older versions knew no shards.
    #[serde(default)]
    shard: ShardTwin,
    #[serde(default)]
    is_full: bool,
    #[serde(default)]
    resumes: Option<String>,
}

#[derive(Deserialize, Default)]
struct ShardTwin {
    index: u8,
    count: u8,
}

impl ShardTwin {
    fn shard(&self) -> Option<Shard> {
        Shard::new(self.index, self.count)
    }
}

#[derive(Deserialize)]
struct WindowTwin {
    since: String,
    until: Option<String>,
}

#[derive(Deserialize)]
struct CheckTwin {
    name: String,
    coverage: CoverageTwin,
    not_searched: Vec<String>,
    control: Option<ControlTwin>,
    findings: Vec<CountTwin>,
}

#[derive(Deserialize)]
struct ControlTwin {
    sampled: u64,
    mismatched: u64,
    allowed: f64,
    is_refused: bool,
}

impl CheckTwin {
    fn check(self) -> EarlierCheck {
        EarlierCheck {
            name: self.name,
            coverage: self.coverage.into(),
            not_searched: self.not_searched,
            control: self.control.map(|control| ControlRecord {
                sampled: control.sampled,
                mismatched: control.mismatched,
                allowed: control.allowed,
                is_refused: control.is_refused,
            }),
        }
    }
}

#[derive(Deserialize)]
struct CountTwin {
    count: u64,
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::super::folder::RunFolder;
    use super::super::run_json::tests::record;
    use super::*;

    #[test]
    fn a_run_is_found_by_id_and_by_folder() {
        let root = tempfile::tempdir().unwrap();
        let run_id = Uuid::now_v7();
        let folder = RunFolder::open(root.path(), "auction", run_id).unwrap();
        let find = |run: &str| find_run(root.path(), "auction", run);
        assert_eq!(find(&run_id.to_string()).unwrap(), folder.path());
        assert_eq!(
            find(folder.path().to_str().unwrap()).unwrap(),
            folder.path()
        );
        let fault = find(&Uuid::nil().to_string()).unwrap_err().to_string();
        assert!(
            fault.contains("auction") && fault.contains("no run 0000"),
            "{fault}"
        );
        assert!(find("").is_err());
    }

    #[test]
    fn what_was_written_is_read_and_an_unfinished_run_is_not() {
        let root = tempfile::tempdir().unwrap();
        let run_id = Uuid::now_v7();
        let folder = RunFolder::open(root.path(), "auction", run_id).unwrap();
        assert!(matches!(
            EarlierRun::read(folder.path()),
            Err(ReportError::Unreadable { .. })
        ));
        folder.finish(&record(run_id)).unwrap();
        let run = EarlierRun::read(folder.path()).unwrap();
        assert_eq!(run.run_id, run_id.to_string());
        assert_eq!(
            (run.job.as_str(), run.config_hash.as_str()),
            ("auction", "c0ffee")
        );
        assert_eq!((run.findings, run.undo_records), (10, 9));
    }

    #[test]
    fn another_format_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let folder = RunFolder::open(root.path(), "auction", Uuid::nil()).unwrap();
        let mut later = record(Uuid::nil());
        later.auditor_run = 2;
        folder.finish(&later).unwrap();
        let fault = EarlierRun::read(folder.path()).unwrap_err().to_string();
        assert!(fault.contains("the format is 2"), "{fault}");
    }
}
