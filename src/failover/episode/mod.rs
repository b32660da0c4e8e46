//! What happened to a job's masters since a run last dealt with them: worked out, without asking anyone, from what is
//! remembered of them and what is seen of them now.

mod end;
mod estimate;
mod gone;
mod judge;
mod kind;
mod memory;
mod outlook;
mod start;
mod step;
mod tell;

#[cfg(test)]
mod chain_tests;
#[cfg(test)]
mod cluster_tests;
#[cfg(test)]
mod decision_tests;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod gone_tests;
#[cfg(test)]
mod model;
#[cfg(test)]
mod model_seen;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod restart_tests;

pub use gone::is_dealt_with;
pub use kind::{Episode, EpisodeKind, FoundBy, Sureness};
pub use memory::{PresentMaster, Seen};
pub use outlook::{Due, Outlook, find};
