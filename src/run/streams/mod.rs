//! Streams: their groups first, then their entries and pending lists, then duplicates and what is lost.

mod audit;
mod check;
mod control;
mod duplicates;
mod entries;
mod findings;
mod group;
mod money;
mod rows;
mod scope;
mod show;
mod sweep;

pub(super) use audit::audit;
pub(super) use check::{StreamRun, stream_runs, with_siblings};
pub(super) use control::control_sample;
pub(super) use scope::{StreamScope, stream_scope};
