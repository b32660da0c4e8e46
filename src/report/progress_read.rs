//! How far a run came, read back.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use super::ReportError;
use super::csv_file::unreadable;
use super::progress::{FILE_NAME, HeaderNode, Line, Mark, RunHeader};
use crate::model::outcome::Coverage;
use crate::model::shard::Shard;
use crate::model::slice::SliceOrder;

/// Everything `progress.jsonl` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    pub run: RunHeader,
    /// The nodes as they were pinned in the end.
    pub nodes: Vec<HeaderNode>,
    pub checks: BTreeMap<String, CheckProgress>,
    /// Rows of `findings.csv` that were on the disk when it said so last.
    pub rows: u64,
}

/// How far one check came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckProgress {
    /// Slices that are whole.
    pub slices: BTreeMap<SliceOrder, WholeSlice>,
    pub mark: Option<Mark>,
    /// What was counted of it, where the check was dealt with to its end.
    pub done: Option<Coverage>,
    /// After a topology change: what was marked before is void, and later marks do not count, because slices are cut
    /// otherwise then and no mark says which of the earlier ones it is past.
    pub began_again: bool,
}

/// A run that is at work, or gone on with.
#[derive(Debug)]
pub struct AtWork {
    _file: Option<File>,
}

/// Who asks whether a run is at work holds its lock for a moment.
const HOLD_TRIES: u32 = 5;
const HOLD_PAUSE: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WholeSlice {
    pub places: u64,
    /// Every shard has it.
    pub is_shared: bool,
}

impl CheckProgress {
    /// What was counted up to where the check is dealt with.
    pub fn counts(&self) -> Coverage {
        let marked = || self.mark.as_ref().map(|mark| mark.counts);
        self.done.or_else(marked).unwrap_or_default()
    }

    fn went_on(&self) -> bool {
        !self.began_again && (self.done.is_some() || self.mark.is_some())
    }

    /// Whether what stands at this place of its slice is dealt with.
    pub fn has_passed(&self, slice: &SliceOrder, ordinal: u64) -> bool {
        let is_marked = |mark: &Mark| (slice, ordinal) < (&mark.slice, mark.ordinal);
        self.done.is_some() || self.mark.as_ref().is_some_and(is_marked)
    }
}

impl Progress {
    /// Reads the file in `folder`; a line that a kill tore off is as if it were never written. `None`: an older
    /// version made the run.
    pub fn read(folder: &Path) -> Result<Option<Self>, ReportError> {
        let path = folder.join(FILE_NAME);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(fault) => return Err(unreadable(&path)(fault)),
        };
        let mut reader = BufReader::new(file);
        let mut progress: Option<Self> = None;
        let mut text = Vec::new();
        for line in 1.. {
            text.clear();
            reader
                .read_until(b'\n', &mut text)
                .map_err(unreadable(&path))?;
            if text.last() != Some(&b'\n') {
                break;
            }
            let malformed = |what: String| ReportError::Malformed {
                path: path.clone(),
                line,
                what,
            };
            let read: Line =
                serde_json::from_slice(&text).map_err(|fault| malformed(fault.to_string()))?;
            match (&mut progress, read) {
                (None, Line::Run(run)) if run.auditor_progress == RunHeader::FORMAT => {
                    let nodes = run.nodes.clone();
                    let checks = BTreeMap::new();
                    progress = Some(Self {
                        run,
                        nodes,
                        checks,
                        rows: 0,
                    });
                }
                (Some(progress), read) => {
                    let known = progress.take(read);
                    known.ok_or_else(|| malformed("it is not what this version writes".into()))?;
                }
                _ => {
                    return Err(malformed(
                        "its beginning is missing, or of another version".into(),
                    ));
                }
            }
        }
        Ok(progress)
    }

    /// Whether the run in `folder` is at work, as far as this host can tell.
    pub fn is_at_work(folder: &Path) -> bool {
        let file = File::open(folder.join(FILE_NAME));
        file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// Keeps others from going on with the run in `folder` as long as the result lives. `None`: it is at work, or somebody
    /// goes on with it. Where a file system has no locks, nobody is kept from anything.
    pub fn hold(folder: &Path) -> Result<Option<AtWork>, ReportError> {
        let path = folder.join(FILE_NAME);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Some(AtWork { _file: None }));
            }
            Err(fault) => return Err(unreadable(&path)(fault)),
        };
        for _ in 0..HOLD_TRIES {
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => std::thread::sleep(HOLD_PAUSE),
                Ok(()) => return Ok(Some(AtWork { _file: Some(file) })),
                Err(TryLockError::Error(fault)) => {
                    tracing::debug!("{} could not be locked: {fault}", path.display());
                    return Ok(Some(AtWork { _file: None }));
                }
            }
        }
        Ok(None)
    }

    pub fn check(&self, name: &str) -> CheckProgress {
        self.checks.get(name).cloned().unwrap_or_default()
    }

    pub fn shard(&self) -> Option<Shard> {
        Shard::new(self.run.shard_index, self.run.shard_count)
    }

    /// Of runs that went on from one another, the oldest first: where a later one swept a check from its beginning, what
    /// those before it say of it is void. One that goes on says so before it looks at anything.
    pub fn void_what_began_again(chain: &mut [Self]) {
        for at in 1..chain.len() {
            let (before, from) = chain.split_at_mut(at);
            for progress in before {
                for (name, of) in &mut progress.checks {
                    let next = from[0].checks.get(name);
                    if !next.is_some_and(CheckProgress::went_on) {
                        (of.mark, of.done) = (None, None);
                    }
                }
            }
        }
    }

    fn take(&mut self, line: Line) -> Option<()> {
        match line {
            Line::Run(_) => return None,
            Line::Slice {
                check,
                slice,
                places,
                is_shared,
            } => {
                let slice = SliceOrder::from_hex(&slice)?;
                let whole = WholeSlice { places, is_shared };
                self.of(check).slices.insert(slice, whole);
            }
            Line::Mark {
                check,
                slice,
                ordinal,
                upto,
                slice_end,
                counts,
                rows,
            } => {
                self.rows = self.rows.max(rows);
                let key = |cells: Vec<String>| -> Option<Vec<Vec<u8>>> {
                    cells
                        .into_iter()
                        .map(|cell| hex::decode(cell).ok())
                        .collect()
                };
                let slice_end = match slice_end {
                    Some(end) => Some(key(end)?),
                    None => None,
                };
                let mark = Mark {
                    slice: SliceOrder::from_hex(&slice)?,
                    ordinal,
                    upto: key(upto)?,
                    slice_end,
                    counts: counts.into(),
                };
                let check = self.of(check);
                check.mark = Some(mark).filter(|_| !check.began_again);
            }
            Line::Done {
                check,
                counts,
                rows,
            } => {
                self.rows = self.rows.max(rows);
                self.of(check).done = Some(counts.into());
            }
            Line::Again { check } => {
                let check = self.of(check);
                (check.mark, check.done) = (None, None);
                check.began_again = true;
            }
            Line::Nodes { nodes } => self.nodes = nodes,
        }
        Some(())
    }

    fn of(&mut self, check: String) -> &mut CheckProgress {
        self.checks.entry(check).or_default()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::report::progress::ProgressWriter;

    fn header(run_id: &str) -> RunHeader {
        RunHeader {
            auditor_progress: RunHeader::FORMAT,
            run_id: run_id.to_owned(),
            job: "auction".to_owned(),
            config_hash: "abc".to_owned(),
            command: "scan".to_owned(),
            is_dry_run: false,
            shard_index: 0,
            shard_count: 1,
            started_at_us: 1,
            is_full: true,
            is_sweep: true,
            only: Vec::new(),
            window: None,
            has_no_control: false,
            resumes: None,
            nodes: Vec::new(),
            source: "primary".to_owned(),
            checks: Vec::new(),
        }
    }

    fn mark(id: i128) -> Mark {
        Mark {
            slice: SliceOrder::of_id(0, id),
            ordinal: 5,
            upto: vec![id.to_string().into_bytes()],
            slice_end: None,
            counts: Coverage {
                observed: 5,
                ..Coverage::default()
            },
        }
    }

    /// What is read of a run that wrote so.
    fn written(write: impl FnOnce(&mut ProgressWriter)) -> Progress {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = ProgressWriter::create(folder.path(), &header("r")).unwrap();
        write(&mut writer);
        Progress::read(folder.path()).unwrap().unwrap()
    }

    fn marked() -> Progress {
        written(|writer| writer.mark("a", &mark(7), 3).unwrap())
    }

    #[test]
    fn a_torn_line_is_none_and_a_broken_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = ProgressWriter::create(folder.path(), &header("r")).unwrap();
        writer.mark("a", &mark(7), 3).unwrap();
        let whole = Progress::read(folder.path()).unwrap().unwrap();
        assert_eq!((whole.check("a").mark, whole.rows), (Some(mark(7)), 3));
        let path = folder.path().join(FILE_NAME);
        let text = std::fs::read_to_string(&path).unwrap();
        for torn in ["{\"mark\":{\"che", "\0\0\0\0"] {
            std::fs::write(&path, format!("{text}{torn}")).unwrap();
            assert_eq!(Progress::read(folder.path()).unwrap().unwrap(), whole);
        }
        std::fs::write(&path, format!("{text}{{\"ma\n{text}")).unwrap();
        let fault = Progress::read(folder.path()).unwrap_err().to_string();
        assert!(fault.contains("progress.jsonl, line 3"), "{fault}");
        // Killed before it said what it is.
        std::fs::write(&path, "").unwrap();
        assert_eq!(Progress::read(folder.path()).unwrap(), None);
    }

    #[test]
    fn what_began_again_is_marked_no_more_and_voids_the_runs_before() {
        let went_on = marked();
        let began_again = written(|writer| {
            writer.mark("a", &mark(7), 0).unwrap();
            writer.again("a").unwrap();
            writer.mark("a", &mark(9), 0).unwrap();
        });
        assert_eq!(began_again.check("a").mark, None);
        let was_killed_at_once = written(|_| ());
        let dealt_with = written(|writer| {
            writer.done("a", Coverage::default(), 0).unwrap();
        });
        let dealt_with_anew = written(|writer| {
            writer.again("a").unwrap();
            writer.done("a", Coverage::default(), 0).unwrap();
        });
        for (last, counts) in [
            (&went_on, true),
            (&dealt_with, true),
            (&began_again, false),
            (&was_killed_at_once, false),
            (&dealt_with_anew, false),
        ] {
            let mut chain = [marked(), went_on.clone(), last.clone()];
            Progress::void_what_began_again(&mut chain);
            for before in &chain[..2] {
                assert_eq!(before.check("a").mark.is_some(), counts, "{last:?}");
            }
            assert_eq!(&chain[2], last);
        }
    }

    #[test]
    fn a_run_is_held_by_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let writer = ProgressWriter::create(folder.path(), &header("r")).unwrap();
        assert!(Progress::is_at_work(folder.path()));
        assert!(Progress::hold(folder.path()).unwrap().is_none());
        drop(writer);
        assert!(!Progress::is_at_work(folder.path()));
        let held = Progress::hold(folder.path()).unwrap();
        assert!(held.is_some() && Progress::hold(folder.path()).unwrap().is_none());
        drop(held);
        assert!(Progress::hold(folder.path()).unwrap().is_some());
    }
}
