//! `auditor report`: the runs of one job put together, every exposure counted once.
//!
//! Rows are streamed. Held are the exposures (some sixty bytes each, plus the evidence of those that several
//! runs saw) and one sum for each customer and currency.

mod chosen;
mod exposures;
mod files;
mod record;
mod rows;
mod text;
mod totals;

pub use chosen::{newest_runs, one_job, runs_named};
pub use files::merge;
pub use record::{MergeRecord, MergedRun, write_merge_json};
pub use text::write_merge_text;
