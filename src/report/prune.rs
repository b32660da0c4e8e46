//! `keep_runs`: old runs that say nothing anybody could still need are removed.

use std::fs;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::csv_file::{not_writable, unreadable};
use super::findings_read::FindingsReader;
use super::folder::{is_ours, job_folder};
use super::run_json::FILE_NAME;
use super::run_read::EarlierRun;
use super::{ReportError, compensation, findings, journal};

/// What [`prune`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Folders removed, oldest first.
    pub removed: Vec<PathBuf>,
    /// Old runs that stay, because they hold findings, undo records or compensation, never
    /// finished, or hold something this program did not write.
    pub kept: u64,
}

/// Keeps the newest `keep_runs` runs of the job, whatever they are, and of the older ones removes
/// those that finished without findings, undo records or compensation. `current` always stays.
pub fn prune(
    output_root: &Path,
    job_name: &str,
    keep_runs: u32,
    current: Uuid,
) -> Result<Pruned, ReportError> {
    let of_job = job_folder(output_root, job_name)?;
    let mut runs = Vec::new();
    for entry in fs::read_dir(&of_job).map_err(unreadable(&of_job))? {
        let entry = entry.map_err(unreadable(&of_job))?;
        // A link is no folder here: what it points at was put there by somebody else.
        let is_folder = entry.file_type().map_err(unreadable(&of_job))?.is_dir();
        let name = entry.file_name().into_string().unwrap_or_default();
        match Uuid::parse_str(&name) {
            Ok(id) if is_folder && id != current && id.to_string() == name => {
                runs.push((id, entry.path()))
            }
            _ => {}
        }
    }
    // A UUIDv7 begins with its time.
    runs.sort();
    let old = runs
        .len()
        .saturating_sub((keep_runs as usize).saturating_sub(1));
    let mut pruned = Pruned::default();
    for (id, folder) in runs.into_iter().take(old) {
        if says_nothing(&folder, job_name, id) {
            remove(&folder)?;
            pruned.removed.push(folder);
        } else {
            pruned.kept += 1;
        }
    }
    Ok(pruned)
}

/// Whether the run finished, is of this job, and holds nothing to act upon. In doubt it does.
fn says_nothing(folder: &Path, job_name: &str, id: Uuid) -> bool {
    let Ok(run) = EarlierRun::read(folder) else {
        return false;
    };
    let Ok(entries) = fs::read_dir(folder) else {
        return false;
    };
    run.job == job_name
        && run.run_id == id.to_string()
        && run.findings == 0
        && run.undo_records == 0
        && !folder.join(journal::FILE_NAME).exists()
        && has_only_advice(folder)
        && has_no_rows(&folder.join(compensation::FILE_NAME))
        && entries.into_iter().all(|entry| {
            entry.is_ok_and(|e| {
                e.file_type().is_ok_and(|t| t.is_file())
                    && e.file_name().to_str().is_some_and(is_ours)
            })
        })
}

/// Whether `findings.csv` is not there, or holds no more than advice about settings, which the next run repeats.
fn has_only_advice(folder: &Path) -> bool {
    !folder.join(findings::FILE_NAME).exists()
        || FindingsReader::open(folder).is_ok_and(|rows| {
            rows.into_iter()
                .all(|row| row.is_ok_and(|row| row.rule == "unsafe-config"))
        })
}

/// Whether the CSV file is not there, or is a header only.
fn has_no_rows(path: &Path) -> bool {
    if !path.exists() {
        return true;
    }
    csv::Reader::from_path(path).is_ok_and(|mut reader| reader.records().next().is_none())
}

/// `run.json` goes last, so that a removal cut short is finished the next time.
fn remove(folder: &Path) -> Result<(), ReportError> {
    let fault = not_writable(folder);
    for entry in fs::read_dir(folder).map_err(&fault)? {
        let path = entry.map_err(&fault)?.path();
        if !path.ends_with(FILE_NAME) {
            fs::remove_file(path).map_err(&fault)?;
        }
    }
    fs::remove_file(folder.join(FILE_NAME)).map_err(&fault)?;
    fs::remove_dir(folder).map_err(fault)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::super::findings::tests::{check, finding};
    use super::super::folder::RunFolder;
    use super::super::journal::{Previous, UndoRecord};
    use super::super::run_json::{RunRecord, tests::record};
    use super::*;
    use crate::model::check::{Layout, ValueKind};
    use crate::model::finding::{Remedy, RuleId};
    use crate::model::observation::{KeyExpiry, Position};
    use crate::model::time::Micros;

    fn clean(run_id: Uuid) -> RunRecord {
        let mut record = record(run_id);
        record.checks[0].findings.clear();
        record.undo_records = 0;
        record
    }

    /// The folder of a new run, with an empty `findings.csv`.
    fn begun(root: &Path) -> (Uuid, RunFolder) {
        let id = Uuid::now_v7();
        let folder = RunFolder::open(root, "auction", id).unwrap();
        folder.findings().unwrap().finish().unwrap();
        (id, folder)
    }

    fn finished(root: &Path) -> PathBuf {
        let (id, folder) = begun(root);
        folder.finish(&clean(id)).unwrap();
        folder.path().to_owned()
    }

    #[test]
    fn the_oldest_clean_runs_go_and_the_newest_stay() {
        let root = tempfile::tempdir().unwrap();
        let runs: Vec<PathBuf> = (0..4).map(|_| finished(root.path())).collect();
        let current = begun(root.path()).0;
        let pruned = prune(root.path(), "auction", 3, current).unwrap();
        assert_eq!(
            pruned,
            Pruned {
                removed: runs[..2].to_vec(),
                kept: 0
            }
        );
        assert!(runs[2].is_dir() && runs[3].is_dir());
        assert_eq!(
            prune(root.path(), "auction", 3, current).unwrap(),
            Pruned::default()
        );
        assert_eq!(
            prune(root.path(), "auction", 0, current).unwrap().removed,
            runs[2..]
        );
        assert!(
            root.path()
                .join("auction")
                .join(current.to_string())
                .is_dir()
        );
    }

    #[test]
    fn a_run_that_somebody_may_need_stays() {
        let root = tempfile::tempdir().unwrap();
        let (_, unfinished) = begun(root.path());
        let (id, counted) = begun(root.path());
        counted
            .finish(&RunRecord {
                undo_records: 0,
                ..record(id)
            })
            .unwrap();
        let (id, listed) = begun(root.path());
        fs::remove_file(listed.path().join("findings.csv")).unwrap();
        let mut writer = listed.findings().unwrap();
        writer
            .write(
                &finding(Position::default(), b"k", &[]),
                Some(&check(ValueKind::String, Layout::KeyPerRow, Vec::new())),
            )
            .unwrap();
        writer.finish().unwrap();
        listed.finish(&clean(id)).unwrap();
        let (id, undoable) = begun(root.path());
        undoable
            .journal("c0ffee")
            .append_batch(&[UndoRecord {
                check: "profile".into(),
                key: b"k".to_vec(),
                member: None,
                previous: Previous::Text(None),
                expiry: KeyExpiry::Never,
                digest: None,
                ttl_millis: None,
                row_fingerprint: Vec::new(),
                id: Vec::new(),
                remedy: Remedy::Overwrite,
                at: Micros(0),
            }])
            .unwrap();
        undoable.finish(&clean(id)).unwrap();
        let paid = finished(root.path());
        fs::write(paid.join("compensation.csv"), "run_id,subject\na,b\n").unwrap();
        let annotated = finished(root.path());
        fs::write(annotated.join("notes.txt"), "keep me").unwrap();
        let foreign = finished(root.path());
        let text = fs::read_to_string(foreign.join(FILE_NAME)).unwrap();
        fs::write(
            foreign.join(FILE_NAME),
            text.replace("\"auction\"", "\"other\""),
        )
        .unwrap();
        let (id, advised) = begun(root.path());
        fs::remove_file(advised.path().join("findings.csv")).unwrap();
        let mut writer = advised.findings().unwrap();
        let mut advice = finding(Position::default(), b"", &[b"127.0.0.1:6379"]);
        advice.suspect.rule = RuleId("unsafe-config");
        writer.write(&advice, None).unwrap();
        writer.finish().unwrap();
        advised.finish(&clean(id)).unwrap();
        let advised = advised.path().to_owned();
        let gone = finished(root.path());
        let pruned = prune(root.path(), "auction", 1, Uuid::nil()).unwrap();
        assert_eq!(
            pruned,
            Pruned {
                removed: vec![advised, gone],
                kept: 7
            }
        );
        assert!(unfinished.path().is_dir());
    }
}
