//! What is done about a stream: each finding becomes one step that the server checks itself, or the reason
//! why there is none.

pub mod plan;

mod apply;
mod apply_group;
mod batch;
mod entry;
mod group;
mod inserting;
#[cfg(test)]
mod plan_move_tests;
#[cfg(test)]
mod plan_properties;
#[cfg(test)]
mod plan_tests;
mod prepare;
mod record;

pub use apply::{GroupGround, GroupItem, SettleItem, StreamGround};
pub use plan::{PlannedSettlement, SettlementRefusal, SettlementStep, plan_entry, plan_group};
