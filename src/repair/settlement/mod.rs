//! What is done about a stream: each finding becomes one step that the server checks itself, or the reason
//! why there is none.

mod entry;
mod group;
pub mod plan;

pub use plan::{PlannedSettlement, SettlementRefusal, SettlementStep, plan_entry, plan_group};
