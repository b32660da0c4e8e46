//! When it happened: replication ids, the topology and its guard.

mod episode;
mod evidence;
mod fitness;
mod guard;
mod known;
pub mod sampler;
pub mod state;

pub use crate::model::heartbeat::{FoundBeat, Heartbeat};
pub use episode::{
    Due, Episode, EpisodeKind, FoundBy, Outlook, PresentMaster, Seen, Sureness, find, is_dealt_with,
};
pub use evidence::{Change, Handled, Remembered, Sample};
pub use fitness::{Fitness, fitness};
pub use guard::{Drift, drift};
pub use known::Known;
