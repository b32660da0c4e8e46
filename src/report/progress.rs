//! `progress.jsonl`: how far a run came, for `--resume`, `auditor status` and the putting together of shards.
//!
//! One JSON object a line, appended, under its final name from the start. What a line says is true of the CSV files
//! beside it: they are written out, and for a mark on the disk, before the line is.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ReportError;
use super::coverage_json::CoverageTwin;
use super::csv_file::not_writable;
use crate::model::outcome::Coverage;
use crate::model::slice::SliceOrder;

pub(super) const FILE_NAME: &str = "progress.jsonl";

/// What a run is, as far as another one goes on from it. Times are microseconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunHeader {
    pub auditor_progress: u32,
    pub run_id: String,
    pub job: String,
    pub config_hash: String,
    /// `scan`, `repair` or `run`.
    pub command: String,
    pub is_dry_run: bool,
    pub shard_index: u8,
    pub shard_count: u8,
    pub started_at_us: i64,
    pub is_full: bool,
    /// Whether it sweeps, and does not look at named things only.
    pub is_sweep: bool,
    /// Names of the checks asked for; empty: all.
    pub only: Vec<String>,
    pub window: Option<HeaderWindow>,
    /// Whether everything may be lost, so that a control sample would prove nothing.
    #[serde(default)]
    pub has_no_control: bool,
    /// The run this one goes on from.
    pub resumes: Option<String>,
    pub nodes: Vec<HeaderNode>,
    /// Who MySQL was.
    pub source: String,
    /// The checks in their order, with about how much there is of each.
    pub checks: Vec<HeaderCheck>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderWindow {
    pub since_us: i64,
    pub until_us: Option<i64>,
    pub found_by: String,
}

/// A pinned node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderNode {
    pub address: String,
    pub run_id: String,
    pub replication_id: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderCheck {
    pub name: String,
    pub estimated: Option<u64>,
}

/// Up to where the rows of a check are dealt with: everything before it is, and its findings are on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub slice: SliceOrder,
    /// Places of the slice before this one.
    pub ordinal: u64,
    /// The last key of these.
    pub upto: Vec<Vec<u8>>,
    /// The last key of the slice; `None`: it has no end.
    pub slice_end: Option<Vec<Vec<u8>>>,
    /// What was counted so far.
    pub counts: Coverage,
}

impl RunHeader {
    /// Version of the format.
    pub const FORMAT: u32 = 1;
}

/// Writes `progress.jsonl`; locked as long as it lives, so that others can tell that the run is at work.
pub struct ProgressWriter {
    file: File,
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    Run(RunHeader),
    /// A slice that is whole, and how many places it has.
    Slice {
        check: String,
        slice: String,
        places: u64,
        is_shared: bool,
    },
    Mark {
        check: String,
        slice: String,
        ordinal: u64,
        upto: Vec<String>,
        slice_end: Option<Vec<String>>,
        counts: CoverageTwin,
        /// Rows of `findings.csv` that are on the disk.
        rows: u64,
    },
    /// A check that is dealt with.
    Done {
        check: String,
        counts: CoverageTwin,
        rows: u64,
    },
    /// A check begins again: what was said of its marks is void, here and in the runs this one went on from.
    Again {
        check: String,
    },
    /// The nodes are others now.
    Nodes {
        nodes: Vec<HeaderNode>,
    },
}

impl ProgressWriter {
    pub(super) fn create(folder: &Path, header: &RunHeader) -> Result<Self, ReportError> {
        let path = folder.join(FILE_NAME);
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(&path)
            .map_err(not_writable(&path))?;
        // Whoever asks whether it is at work holds it for a moment. Where a file system has no locks, others merely
        // take the run for one that ended.
        if let Err(fault) = file.lock() {
            tracing::debug!("{} could not be locked: {fault}", path.display());
        }
        let mut writer = Self { file, path };
        writer.append(&Line::Run(header.clone()))?;
        Ok(writer)
    }

    pub fn slice_done(
        &mut self,
        check: &str,
        slice: &SliceOrder,
        places: u64,
        is_shared: bool,
    ) -> Result<(), ReportError> {
        self.append(&Line::Slice {
            check: check.to_owned(),
            slice: slice.to_string(),
            places,
            is_shared,
        })
    }

    /// What lies before the mark must be on the disk: `rows` of `findings.csv`.
    pub fn mark(&mut self, check: &str, mark: &Mark, rows: u64) -> Result<(), ReportError> {
        let hex = |key: &Vec<Vec<u8>>| key.iter().map(hex::encode).collect();
        self.append(&Line::Mark {
            check: check.to_owned(),
            slice: mark.slice.to_string(),
            ordinal: mark.ordinal,
            upto: hex(&mark.upto),
            slice_end: mark.slice_end.as_ref().map(hex),
            counts: mark.counts.into(),
            rows,
        })
    }

    /// What was found of the check must be on the disk: `rows` of `findings.csv`.
    pub fn done(&mut self, check: &str, counts: Coverage, rows: u64) -> Result<(), ReportError> {
        self.append(&Line::Done {
            check: check.to_owned(),
            counts: counts.into(),
            rows,
        })
    }

    pub fn again(&mut self, check: &str) -> Result<(), ReportError> {
        self.append(&Line::Again {
            check: check.to_owned(),
        })
    }

    pub fn nodes(&mut self, nodes: Vec<HeaderNode>) -> Result<(), ReportError> {
        self.append(&Line::Nodes { nodes })
    }

    fn append(&mut self, line: &Line) -> Result<(), ReportError> {
        let mut text = serde_json::to_vec(line).expect("plain fields always make JSON");
        text.push(b'\n');
        self.file.write_all(&text).map_err(not_writable(&self.path))
    }
}
