//! Earlier runs: found by id or folder, and what their `run.json` says.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use uuid::Uuid;

use super::ReportError;
use super::csv_file::unreadable;
use super::folder::job_folder;
use super::run_json::{FILE_NAME, RunRecord};

/// The part of a finished run's `run.json` that a later run needs.
#[derive(Debug, Clone, PartialEq, Eq)]
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
}

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
        })
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
}

#[derive(Deserialize)]
struct WindowTwin {
    since: String,
    until: Option<String>,
}

#[derive(Deserialize)]
struct CheckTwin {
    findings: Vec<CountTwin>,
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
