//! The rules about the nodes themselves, one file each; the catalog has them in order. What they look at is one reading
//! of all nodes, and what they object to is never repaired: it is told, and two masters at once stop every write.

mod judging;

pub mod replica_behind;
pub mod split_brain;
pub mod unsafe_config;

#[cfg(test)]
pub(crate) use judging::testing;
pub use judging::{SettingAdvice, TopologyObjection};
