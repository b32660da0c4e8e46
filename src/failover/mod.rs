//! When it happened: replication ids, the topology and its guard.

mod guard;

pub use guard::{Drift, drift};
