//! What counts as wrong: pure rules, one file each. No I/O, no clock, no async.
//!
//! A `Judge` compares one row with one cached value into a `Case`; every rule of the catalog looks at
//! the case; `confirm` decides over several looks what the objections are worth. [`stream`] does the same
//! for entries and groups, [`topology`] for nodes.

pub mod cache;
mod case;
pub mod catalog;
mod compare;
#[cfg(test)]
mod compare_tests;
mod compare_time;
pub mod confirm;
mod encode;
mod form;
mod judge;
mod shown;
pub mod stream;
#[cfg(test)]
pub(crate) mod testing;
pub mod topology;

pub use case::{BothSides, Case, FieldCase, Presence};
pub use catalog::{Rule, explain, judge_topology};
pub use compare::{CacheToken, Comparison, FieldComparer};
pub use confirm::{ConfirmTiming, Decision, LOOKS_MAX, changed_at, decide, fingerprint};
pub use encode::{CannotEncode, EncodedField};
pub use form::check_form;
pub use judge::{Judge, JudgeContext};
pub use stream::{Proof, StreamJudge, decide_entry, decide_group};
pub use topology::{SettingAdvice, TopologyObjection};
