//! What is done about it: plan (pure), apply (the only writer of values), undo.

mod document;
pub mod plan;
#[cfg(test)]
mod plan_tests;

pub use plan::{GuardKind, PlannedStep, Refusal, plan_step};
