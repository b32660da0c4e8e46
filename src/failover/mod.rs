//! When it happened: replication ids, the topology and its guard.

mod episode;
mod evidence;
mod guard;

pub use episode::{
    Due, Episode, EpisodeKind, FoundBy, Outlook, PresentMaster, Seen, Sureness, find,
};
pub use evidence::{Change, Handled, Heartbeat, Remembered, Sample};
pub use guard::{Drift, drift};
