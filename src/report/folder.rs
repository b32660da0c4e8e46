//! A run's own folder, opened before the first row or key is read.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::compensation::{self, CompensationWriter};
use super::csv_file::{not_writable, sync_folder};
use super::digest_map::DigestMap;
use super::findings::FindingsWriter;
use super::journal::Journal;
use super::places::PlacesWriter;
use super::progress::{ProgressWriter, RunHeader};
use super::ranges::RangesWriter;
use super::run_json::{FILE_NAME, RunRecord};
use super::{ReportError, findings, journal};
use crate::model::time::Micros;

/// `<output>/<job>/<run id>/`.
#[derive(Debug, Clone)]
pub struct RunFolder {
    path: PathBuf,
    job: String,
    run_id: Uuid,
}

impl RunFolder {
    /// Creates the folder of a new run and proves that files can be made in it.
    pub fn open(output_root: &Path, job_name: &str, run_id: Uuid) -> Result<Self, ReportError> {
        let of_job = job_folder(output_root, job_name)?;
        std::fs::create_dir_all(&of_job).map_err(not_writable(&of_job))?;
        let path = of_job.join(run_id.to_string());
        DirBuilder::new()
            .create(&path)
            .map_err(|fault| match fault.kind() {
                ErrorKind::AlreadyExists => ReportError::Exists(path.clone()),
                _ => not_writable(&path)(fault),
            })?;
        sync_folder(&of_job)?;
        Ok(Self {
            path,
            job: job_name.to_owned(),
            run_id,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn run_id(&self) -> Uuid {
        self.run_id
    }

    /// Opens `findings.csv.partial`.
    pub fn findings(&self) -> Result<FindingsWriter, ReportError> {
        FindingsWriter::create(&self.path, self.run_id)
    }

    /// Opens `affected_ranges.csv.partial`. `promoted_at`, where it is known, bounds from when on the
    /// cache can have been wrong.
    pub fn ranges(&self, promoted_at: Option<Micros>) -> Result<RangesWriter, ReportError> {
        RangesWriter::create(&self.path, &self.job, self.run_id, promoted_at)
    }

    /// Opens `compensation.csv.partial`.
    pub fn compensation(&self) -> Result<CompensationWriter, ReportError> {
        CompensationWriter::create(&self.path, self.run_id)
    }

    /// Opens `places.csv.partial`.
    pub fn places(&self) -> Result<PlacesWriter, ReportError> {
        PlacesWriter::create(&self.path)
    }

    /// Begins `progress.jsonl`.
    pub fn progress(&self, header: &RunHeader) -> Result<ProgressWriter, ReportError> {
        ProgressWriter::create(&self.path, header)
    }

    /// What is remembered of each subject reported; a file of it has no name and lies in the folder.
    pub fn subjects(&self) -> DigestMap {
        DigestMap::new(&self.path)
    }

    /// The journal; `undo.jsonl` appears with its first record.
    pub fn journal(&self, config_hash: &str) -> Journal {
        Journal::new(&self.path, &self.job, self.run_id, config_hash)
    }

    /// Writes `run.json`, the mark of a finished run: called last, when the other files are whole.
    pub fn finish(&self, record: &RunRecord) -> Result<PathBuf, ReportError> {
        let whole = self.path.join(FILE_NAME);
        if whole.exists() {
            return Err(ReportError::Exists(whole));
        }
        let partial = self.path.join(format!("{FILE_NAME}.partial"));
        let mut text = serde_json::to_vec_pretty(record).expect("plain fields always make JSON");
        text.push(b'\n');
        let fault = not_writable(&partial);
        let write = |mut file: File| file.write_all(&text).and_then(|()| file.sync_all());
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&partial)
            .and_then(write)
            .and_then(|()| std::fs::rename(&partial, &whole))
            .map_err(fault)?;
        sync_folder(&self.path)?;
        Ok(whole)
    }
}

/// Where the runs of one job lie; refuses a name that is more than one folder.
pub(super) fn job_folder(output_root: &Path, job_name: &str) -> Result<PathBuf, ReportError> {
    let mut parts = Path::new(job_name).components();
    match (parts.next(), parts.next()) {
        (Some(std::path::Component::Normal(only)), None) if only == job_name => {
            Ok(output_root.join(job_name))
        }
        _ => Err(ReportError::BadName(job_name.to_owned())),
    }
}

/// Every file a run may leave behind.
pub(super) fn is_ours(name: &str) -> bool {
    let whole = name.strip_suffix(".partial").unwrap_or(name);
    [
        findings::FILE_NAME,
        super::ranges::FILE_NAME,
        FILE_NAME,
        compensation::FILE_NAME,
        super::places::FILE_NAME,
        super::progress::FILE_NAME,
        super::run_read::UNDONE,
        "report.html",
        "auditor.prom",
    ]
    .contains(&whole)
        || name == journal::FILE_NAME
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::super::run_json::tests::record;
    use super::*;

    #[test]
    fn files_have_their_names_only_once_they_are_whole() {
        let root = tempfile::tempdir().unwrap();
        let run_id = Uuid::now_v7();
        let folder = RunFolder::open(root.path(), "auction", run_id).unwrap();
        let names = || {
            let mut names: Vec<String> = std::fs::read_dir(folder.path())
                .unwrap()
                .map(|e| e.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        assert_eq!(
            folder.path(),
            root.path().join("auction").join(run_id.to_string())
        );
        let (findings, ranges) = (folder.findings().unwrap(), folder.ranges(None).unwrap());
        let _journal = folder.journal("c0ffee");
        assert_eq!(
            names(),
            ["affected_ranges.csv.partial", "findings.csv.partial"]
        );
        findings.finish().unwrap();
        ranges.finish().unwrap();
        folder.finish(&record(run_id)).unwrap();
        assert_eq!(names(), ["affected_ranges.csv", "findings.csv", "run.json"]);
        assert!(names().iter().all(|n| is_ours(n)));
    }

    #[test]
    fn nothing_earlier_is_overwritten() {
        let root = tempfile::tempdir().unwrap();
        let folder = RunFolder::open(root.path(), "auction", Uuid::nil()).unwrap();
        assert!(matches!(
            RunFolder::open(root.path(), "auction", Uuid::nil()),
            Err(ReportError::Exists(_))
        ));
        folder.findings().unwrap().finish().unwrap();
        assert!(matches!(folder.findings(), Err(ReportError::Exists(_))));
        folder.finish(&record(Uuid::nil())).unwrap();
        assert!(matches!(
            folder.finish(&record(Uuid::nil())),
            Err(ReportError::Exists(_))
        ));
    }

    #[test]
    fn a_folder_that_cannot_be_made_says_what_to_do() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        std::fs::write(&file, "").unwrap();
        let fault = RunFolder::open(&file, "auction", Uuid::nil())
            .unwrap_err()
            .to_string();
        assert!(
            fault.contains("--output") && fault.contains("file/auction"),
            "{fault}"
        );
        for name in ["", "..", ".", "a/b", "/etc", "a/"] {
            let result = RunFolder::open(root.path(), name, Uuid::nil());
            assert!(matches!(result, Err(ReportError::BadName(_))), "{name:?}");
        }
    }
}
