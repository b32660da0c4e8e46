//! What is done about it: plan (pure), apply (the only writer of values), undo.

mod apply;
mod document;
mod ground;
mod lookout;
pub mod plan;
#[cfg(test)]
mod plan_properties;
#[cfg(test)]
mod plan_tests;
mod planner;
mod prepare;
mod record;
mod replace;
pub mod settlement;
mod spell;
mod undo;
mod undoer;
mod write;
mod writing;

pub use apply::{Applier, ApplyLimits, Repairable, StepOutcome};
pub use plan::{GuardKind, PlannedStep, Refusal, plan_step};
pub use prepare::prepare;
pub use settlement::{
    GroupGround, GroupItem, PlannedSettlement, SettleItem, SettlementRefusal, SettlementStep,
    StreamGround, plan_entry, plan_group,
};
pub use undoer::Undoer;
