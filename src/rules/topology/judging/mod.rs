//! What the rules about nodes share.

mod objection;
#[cfg(test)]
pub(crate) mod testing;

pub use objection::{SettingAdvice, TopologyObjection};
