//! Which runs are merged: found by id, prefix or folder, finished, whole, and of one job.

use std::fs;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::rows::FILES;
use super::splits::are_of_one_split;
use crate::model::outcome::RunVerdict;
use crate::report::ReportError;
use crate::report::csv_file::unreadable;
use crate::report::run_json::FILE_NAME as RUN_JSON;
use crate::report::run_read::EarlierRun;

/// The runs of these names, each a run id or the beginning of one under `output_root`, or a folder; the
/// same run named twice is one. In the order in which they were begun.
pub fn runs_named(output_root: &Path, names: &[String]) -> Result<Vec<EarlierRun>, ReportError> {
    let mut runs: Vec<EarlierRun> = Vec::new();
    for name in names {
        let folder = find_anywhere(output_root, name)?;
        let run = whole_run(&folder)?;
        match runs.iter().find(|known| known.run_id == run.run_id) {
            None => runs.push(run),
            Some(known) if is_same_folder(&known.folder, &run.folder) => {}
            Some(known) => {
                return Err(ReportError::NotWhole {
                    folder: run.folder.clone(),
                    what: format!(
                        "it is a copy of run {}, which lies in {} too; name one of them",
                        run.run_id,
                        known.folder.display()
                    ),
                });
            }
        }
    }
    runs.sort_by(|a, b| a.run_id.cmp(&b.run_id));
    Ok(runs)
}

/// The newest finished run of each job under `output_root`, by job name; where it is a shard, the newest finished run of
/// every shard of its split.
pub fn newest_runs(output_root: &Path) -> Result<Vec<Vec<EarlierRun>>, ReportError> {
    let mut newest = Vec::new();
    let jobs = match folders(output_root) {
        Err(_) if !output_root.exists() => Vec::new(),
        jobs => jobs?,
    };
    for of_job in jobs {
        let mut runs: Vec<PathBuf> = folders(&of_job)?
            .into_iter()
            .filter(|folder| run_id_of(folder).is_some() && folder.join(RUN_JSON).is_file())
            .collect();
        runs.sort();
        if let Some(folder) = runs.pop() {
            newest.push(with_shards(whole_run(&folder)?, &runs)?);
        }
    }
    if newest.is_empty() {
        return Err(ReportError::NoFinishedRun(output_root.to_owned()));
    }
    Ok(newest)
}

/// Refuses runs of several jobs, and of several versions of one job file: their checks may mean something
/// else by the same name.
pub fn one_job(runs: &[EarlierRun]) -> Result<(), ReportError> {
    let Some((first, others)) = runs.split_first() else {
        return Ok(());
    };
    let refused = |other: &EarlierRun, what: String| ReportError::NotOneJob {
        first: first.run_id.clone(),
        other: other.run_id.clone(),
        what,
    };
    for other in others {
        if other.job != first.job {
            let what = format!(
                "they are of the jobs `{}` and `{}`; make a report of each",
                first.job, other.job
            );
            return Err(refused(other, what));
        }
        if other.config_hash != first.config_hash {
            let what = format!(
                "the job file of `{}` changed in between; make a report of each",
                first.job
            );
            return Err(refused(other, what));
        }
    }
    Ok(())
}

/// `run` and the newest of `older` for each other shard of its split. Where a shard that is there already was looked at
/// to its end before, an earlier split begins: its shards stand in for none of this one.
fn with_shards(run: EarlierRun, older: &[PathBuf]) -> Result<Vec<EarlierRun>, ReportError> {
    let count = usize::from(run.shard.count());
    let mut runs = vec![run];
    for folder in older.iter().rev() {
        if runs.len() == count {
            break;
        }
        // What cannot be read is of no use here, and may be of another version.
        let Ok(other) = EarlierRun::read(folder) else {
            continue;
        };
        if !are_of_one_split(&runs[0], &other) {
            continue;
        }
        if runs.iter().all(|known| known.shard != other.shard) {
            runs.push(whole_run(folder)?);
        } else if is_to_its_end(&other) {
            break;
        }
    }
    runs.sort_by(|a, b| a.run_id.cmp(&b.run_id));
    Ok(runs)
}

/// What is not may have been tried again.
fn is_to_its_end(run: &EarlierRun) -> bool {
    use RunVerdict::{Consistent, FindingsRemain};
    let verdict = RunVerdict::of_name(&run.verdict);
    matches!(verdict, Some(Consistent | FindingsRemain))
}

fn find_anywhere(output_root: &Path, name: &str) -> Result<PathBuf, ReportError> {
    let wanted = name.to_lowercase();
    let mut matching = Vec::new();
    // Without the folder there is no run of that id; a path may still be one.
    for of_job in folders(output_root).unwrap_or_default() {
        for folder in folders(&of_job)? {
            match run_id_of(&folder) {
                Some(id) if id == wanted => return Ok(folder),
                Some(id) if !wanted.is_empty() && id.starts_with(&wanted) => {
                    matching.push((id, folder));
                }
                _ => {}
            }
        }
    }
    let path = PathBuf::from(name);
    if !name.is_empty() && path.is_dir() {
        return Ok(path);
    }
    match matching.len() {
        0 => Err(ReportError::NoSuchRun {
            name: name.to_owned(),
            folder: output_root.to_owned(),
        }),
        1 => Ok(matching.remove(0).1),
        _ => {
            matching.sort();
            let ids: Vec<&str> = matching.iter().map(|(id, _)| id.as_str()).collect();
            Err(ReportError::Ambiguous {
                name: name.to_owned(),
                runs: ids.join(" or "),
            })
        }
    }
}

/// Reads `run.json`, and refuses a folder whose files are not all there and whole.
fn whole_run(folder: &Path) -> Result<EarlierRun, ReportError> {
    let not_whole = |what: &str| ReportError::NotWhole {
        folder: folder.to_owned(),
        what: what.to_owned(),
    };
    if !folder.join(RUN_JSON).is_file() {
        return Err(not_whole(
            if folder.join(super::record::FILE_NAME).is_file() {
                "it is a merged report itself; name the runs it was made of"
            } else {
                "it holds no run.json, so the run was killed, is still running, or was an undo; run it again, or \
             name finished runs"
            },
        ));
    }
    for name in FILES {
        if folder.join(format!("{name}.partial")).exists() {
            return Err(not_whole(&format!("{name}.partial is not a whole file")));
        }
        if !folder.join(name).is_file() {
            return Err(not_whole(&format!(
                "it holds no {name}: it was removed, or an older version made the run; its sums would be too \
                 small"
            )));
        }
    }
    EarlierRun::read(folder)
}

/// The folders in `path`, without links: what they point at was put there by somebody else.
fn folders(path: &Path) -> Result<Vec<PathBuf>, ReportError> {
    let fault = unreadable(path);
    let mut folders = Vec::new();
    for entry in fs::read_dir(path).map_err(&fault)? {
        let entry = entry.map_err(&fault)?;
        if entry.file_type().map_err(&fault)?.is_dir() {
            folders.push(entry.path());
        }
    }
    folders.sort();
    Ok(folders)
}

fn run_id_of(folder: &Path) -> Option<String> {
    let name = folder.file_name()?.to_str()?;
    let id = Uuid::parse_str(name).ok()?.to_string();
    (id == name).then_some(id)
}

fn is_same_folder(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::super::files::tests::run_of;
    use super::*;
    use crate::report::folder::RunFolder;

    fn named(root: &Path, names: &[&str]) -> Result<Vec<EarlierRun>, String> {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        runs_named(root, &names).map_err(|fault| fault.to_string())
    }

    #[test]
    fn a_run_is_found_by_id_by_its_beginning_and_by_folder_and_is_one() {
        let root = tempfile::tempdir().unwrap();
        let [one, two] = [
            "01900000-0000-7000-8000-00000000000a",
            "01900000-0000-7000-8000-00000000000b",
        ];
        let folder = run_of(root.path(), "auction", one, "c0ffee", &[]);
        run_of(root.path(), "other", two, "c0ffee", &[]);
        let path = folder.to_str().unwrap();
        for names in [
            vec![one],
            vec!["01900000-0000-7000-8000-00000000000A"],
            vec![path],
            vec![one, path, one],
        ] {
            let runs = named(root.path(), &names).unwrap();
            assert_eq!(runs.len(), 1, "{names:?}");
            assert_eq!(runs[0].run_id, one);
        }
        let both = named(root.path(), &[two, one]).unwrap();
        assert_eq!([&both[0].run_id, &both[1].run_id], [one, two]);
        let fault = named(root.path(), &["0190"]).unwrap_err();
        assert_eq!(
            fault,
            format!("0190 may be {one} or {two}: write more of the run id")
        );
        for nobody in ["0191", "", "no/such"] {
            let fault = named(root.path(), &[nobody]).unwrap_err();
            assert!(
                fault.starts_with(&format!("no run {nobody} under ")),
                "{fault}"
            );
        }
    }

    #[test]
    fn a_copy_of_a_run_is_not_a_second_run() {
        let root = tempfile::tempdir().unwrap();
        let id = "01900000-0000-7000-8000-00000000000a";
        let folder = run_of(root.path(), "auction", id, "c0ffee", &[]);
        let copy = root.path().join("copy");
        fs::create_dir(&copy).unwrap();
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
        }
        let fault = named(root.path(), &[id, copy.to_str().unwrap()]).unwrap_err();
        assert!(fault.contains("it is a copy of run 01900000"), "{fault}");
    }

    #[test]
    fn what_is_not_whole_is_refused_with_its_reason() {
        let root = tempfile::tempdir().unwrap();
        let id = Uuid::now_v7();
        let open = RunFolder::open(root.path(), "auction", id).unwrap();
        let fault = named(root.path(), &[&id.to_string()]).unwrap_err();
        assert!(fault.contains("it holds no run.json"), "{fault}");
        fs::write(open.path().join("report.json"), "{}").unwrap();
        let fault = named(root.path(), &[&id.to_string()]).unwrap_err();
        assert!(fault.contains("a merged report itself"), "{fault}");
        let id = "01900000-0000-7000-8000-00000000000a";
        let folder = run_of(root.path(), "auction", id, "c0ffee", &[]);
        let (whole, partial) = (
            folder.join("compensation.csv"),
            folder.join("compensation.csv.partial"),
        );
        fs::copy(&whole, &partial).unwrap();
        let fault = named(root.path(), &[id]).unwrap_err();
        assert!(fault.contains("compensation.csv.partial is not"), "{fault}");
        fs::remove_file(whole).unwrap();
        fs::remove_file(partial).unwrap();
        let fault = named(root.path(), &[id]).unwrap_err();
        assert!(fault.contains("it holds no compensation.csv"), "{fault}");
    }

    #[test]
    fn without_a_name_it_is_the_newest_finished_run_of_each_job() {
        let root = tempfile::tempdir().unwrap();
        assert!(matches!(
            newest_runs(root.path()),
            Err(ReportError::NoFinishedRun(_))
        ));
        let id = |n: u32| format!("0190000{n}-0000-7000-8000-000000000000");
        for (job, n) in [("a", 2), ("a", 1), ("b", 3)] {
            run_of(root.path(), job, &id(n), "c0ffee", &[]);
        }
        fs::create_dir(root.path().join("a").join(id(9))).unwrap();
        fs::create_dir(root.path().join("c")).unwrap();
        let runs = newest_runs(root.path()).unwrap();
        let ids: Vec<&str> = runs.iter().flatten().map(|r| r.run_id.as_str()).collect();
        assert_eq!(ids, [id(2), id(3)]);
    }

    /// A finished run of one shard of four.
    fn shard_of(root: &Path, number: u32, index: u8, verdict: &str, started_at: &str) {
        let id = format!("019000{number:02}-0000-7000-8000-000000000000");
        let path = run_of(root, "a", &id, "c0ffee", &[]).join("run.json");
        let mut run: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        run["shard"] = serde_json::json!({"index": index, "count": 4});
        (run["verdict"], run["started_at"]) = (verdict.into(), started_at.into());
        fs::write(&path, run.to_string()).unwrap();
    }

    #[test]
    fn a_shard_of_an_earlier_split_stands_in_for_none() {
        let root = tempfile::tempdir().unwrap();
        let newest = || {
            let runs = newest_runs(root.path()).unwrap();
            let number = |run: &EarlierRun| run.run_id[6..8].parse::<u32>().unwrap();
            runs[0].iter().map(number).collect::<Vec<_>>()
        };
        let morning = "2026-11-21T08:00:00.000000Z";
        for index in 0..4 {
            shard_of(root.path(), u32::from(index), index, "consistent", morning);
        }
        assert_eq!(newest(), [0, 1, 2, 3]);
        // The same night again, and one of them killed.
        let noon = "2026-11-21T12:00:00.000000Z";
        for (number, index) in [(10, 0), (11, 1), (13, 3)] {
            shard_of(root.path(), number, index, "consistent", noon);
        }
        assert_eq!(newest(), [10, 11, 13]);
        // It was tried twice more.
        shard_of(root.path(), 14, 2, "partial", noon);
        shard_of(root.path(), 15, 2, "consistent", noon);
        assert_eq!(newest(), [10, 11, 13, 15]);
        // And a day later one alone.
        let later = "2026-11-22T12:00:01.000000Z";
        shard_of(root.path(), 20, 1, "consistent", later);
        assert_eq!(newest(), [20]);
    }

    #[test]
    fn several_jobs_and_several_versions_of_a_job_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let id = |n: u32| format!("0190000{n}-0000-7000-8000-000000000000");
        for (job, n, hash) in [("a", 1, "x"), ("a", 2, "x"), ("a", 3, "y"), ("b", 4, "x")] {
            run_of(root.path(), job, &id(n), hash, &[]);
        }
        let asked = |a: u32, b: u32| {
            let runs = named(root.path(), &[&id(a), &id(b)]).unwrap();
            one_job(&runs).map_err(|fault| fault.to_string())
        };
        asked(1, 2).unwrap();
        let fault = asked(1, 3).unwrap_err();
        assert!(fault.contains("the job file of `a` changed"), "{fault}");
        let fault = asked(1, 4).unwrap_err();
        assert!(fault.contains("the jobs `a` and `b`"), "{fault}");
    }
}
