//! How far a run came, read back.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::{BufRead, BufReader};
use std::path::Path;

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
}

/// How far one check came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckProgress {
    /// Slices that are whole.
    pub slices: BTreeMap<SliceOrder, WholeSlice>,
    pub mark: Option<Mark>,
    /// Where the check was dealt with to its end.
    pub done: Option<DoneCheck>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoneCheck {
    pub counts: Coverage,
    /// What was not looked at, each as a sentence.
    pub left_out: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WholeSlice {
    pub places: u64,
    /// Every shard has it.
    pub is_shared: bool,
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
                    progress = Some(Self { run, nodes, checks });
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

    pub fn check(&self, name: &str) -> CheckProgress {
        self.checks.get(name).cloned().unwrap_or_default()
    }

    pub fn shard(&self) -> Option<Shard> {
        Shard::new(self.run.shard_index, self.run.shard_count)
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
            } => {
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
                self.of(check).mark = Some(Mark {
                    slice: SliceOrder::from_hex(&slice)?,
                    ordinal,
                    upto: key(upto)?,
                    slice_end,
                    counts: counts.into(),
                });
            }
            Line::Done {
                check,
                counts,
                left_out,
            } => {
                let counts = counts.into();
                self.of(check).done = Some(DoneCheck { counts, left_out });
            }
            Line::Again { check } => {
                let check = self.of(check);
                (check.mark, check.done) = (None, None);
            }
            Line::Nodes { nodes } => self.nodes = nodes,
        }
        Some(())
    }

    fn of(&mut self, check: String) -> &mut CheckProgress {
        self.checks.entry(check).or_default()
    }
}
