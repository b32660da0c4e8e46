//! When it happened: replication ids, the topology and its guard.

mod evidence;
mod fitness;
mod guard;

pub use evidence::{Change, Handled, Heartbeat, Remembered, Sample};
pub use fitness::{Fitness, fitness};
pub use guard::{Drift, drift};
