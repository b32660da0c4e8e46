//! What is done about it: plan (pure), apply (the only writer of values), undo.

mod apply;
pub mod plan;
mod prepare;
mod record;
mod undo;
mod undoer;
mod write;

pub use apply::{Applier, ApplyLimits, Repairable, StepOutcome};
pub use undoer::Undoer;
