//! `auditor report`: the runs of one job put together, every exposure counted once.
//!
//! Shards of one split, and runs that went on from one another, are put together as one process would have written them.
//!
//! Rows are streamed. Held are the exposures (some sixty bytes each, plus the evidence of those that several
//! runs saw) and one sum for each customer and currency.

mod before;
mod chosen;
mod exposures;
mod files;
mod record;
mod replay;
mod rows;
mod sequence;
mod splits;
mod sums;
mod text;
mod totals;

pub use before::{Before, FoundBefore};
pub use chosen::{newest_runs, one_job, runs_named};
pub use files::merge;
pub use record::{MergeRecord, MergedRun, write_merge_json};
pub use sums::{CheckSum, SplitRecord};
pub use text::write_merge_text;
