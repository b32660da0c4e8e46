//! What is written down: CSV, JSON and journal files. Knows no server.
//!
//! One run writes one folder, `<output>/<job>/<run id>/`. CSV files carry `.partial` until they
//! are whole, `run.json` is renamed into place last and is the mark of a finished run, and
//! `undo.jsonl` has its final name from its first record on. Nothing earlier is ever overwritten.

mod cell;
mod compensation;
mod coverage_json;
mod csv_file;
mod digest_map;
mod findings;
mod findings_read;
mod folder;
mod journal;
mod journal_read;
mod journal_settlement;
mod merge;
mod money;
mod places;
mod progress;
mod progress_read;
mod prune;
mod range_row;
mod ranges;
mod run_json;
mod run_read;
mod summary;
mod topology_json;

use std::path::PathBuf;

pub use cell::{CellError, escape, escape_id, unescape, unescape_id};
pub use compensation::CompensationWriter;
pub use digest_map::{DigestMap, SubjectDigest};
pub use findings::FindingsWriter;
pub use findings_read::{EarlierFinding, FindingsReader};
pub use folder::RunFolder;
pub use journal::{Journal, Previous, UndoOutcome, UndoRecord, digest_of_fields, digest_of_value};
pub use journal_read::{JournalReader, UndoEntry};
pub use journal_settlement::{SettlementPlace, SettlementRecord};
pub use merge::{
    Before, CheckSum, FoundBefore, MergeRecord, MergedRun, SplitRecord, merge, newest_runs,
    one_job, runs_named, write_merge_json, write_merge_text,
};
pub use places::PlacesWriter;
pub use progress::{HeaderCheck, HeaderNode, HeaderWindow, Mark, ProgressWriter, RunHeader};
pub use progress_read::{AtWork, CheckProgress, Progress, WholeSlice};
pub use prune::{Pruned, prune};
pub use ranges::RangesWriter;
pub use run_json::{
    CheckRecord, ControlRecord, EpisodeRecord, RedisRecord, RuleCount, RunRecord, SourceRecord,
    Timing, ToleranceRecord, TopologyRecord, WindowRecord,
};
pub use run_read::{EarlierCheck, EarlierRun, find_run, note_undone, runs_of_job, was_undone};
pub use summary::{write_json, write_text};
pub use topology_json::{
    FollowsRecord, InventoryRecord, NodeRecord, SentinelRecord, TopologyFindingRecord,
};

/// Errors by what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Another folder, or more room, is needed.
    #[error(
        "cannot write {path}: {source}; make the folder writable or name another one with --output"
    )]
    NotWritable {
        path: PathBuf,
        source: std::io::Error,
    },
    /// Something is there already; it is never overwritten.
    #[error(
        "{0} exists already and is never overwritten; start again, so that the run gets a new id"
    )]
    Exists(PathBuf),
    /// A name that would leave the output folder.
    #[error("`{0}` cannot be the name of a folder; give the job a name without slashes")]
    BadName(String),
    /// An earlier run's file could not be opened or read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    /// An earlier run's file does not say what this program writes.
    #[error("{path}, line {line}: {what}")]
    Malformed {
        path: PathBuf,
        line: u64,
        what: String,
    },
    /// No run of that name.
    #[error("no run {name} under {folder}; name a run id, or the folder of a run")]
    NoSuchRun { name: String, folder: PathBuf },
    /// A prefix that more than one run has.
    #[error("{name} may be {runs}: write more of the run id")]
    Ambiguous { name: String, runs: String },
    /// There is nothing to merge.
    #[error("no finished run under {0}; name the runs, or the folder they lie in with --output")]
    NoFinishedRun(PathBuf),
    /// What lies there is not, or not yet, a whole run.
    #[error("{folder} cannot be merged: {what}")]
    NotWhole { folder: PathBuf, what: String },
    /// What it says of itself, and what lies there, do not fit.
    #[error(
        "the run in {folder} cannot be gone on with: {what}; leave --resume out, and begin anew"
    )]
    NotResumable { folder: PathBuf, what: String },
    /// Adding up what was asked differently would be no sum.
    #[error("runs {first} and {other} cannot be merged: {what}")]
    NotOneJob {
        first: String,
        other: String,
        what: String,
    },
    /// A signal came.
    #[error("stopped before the merged report in {0} was finished; the folder can be removed")]
    Stopped(PathBuf),
    /// An append to the journal failed before: what it holds at its end is not known.
    #[error("the journal {0} failed earlier; nothing more may be written")]
    JournalBroken(PathBuf),
}
