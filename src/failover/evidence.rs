//! What is kept of a master while nothing has happened yet, so that a failover can be dated afterwards.
//!
//! A heartbeat lies in Redis itself and is replicated like any write: what a promoted node holds of it is the last
//! moment known to have been replicated. A sample is the same measurement kept outside of Redis: samples bracket the
//! offset at which the histories part, and the last of them is a sign of life of the old master. A change is what a
//! beat found when the history under it was another one; it is written down before the new beat destroys it.

use crate::model::slots::SlotSet;
use crate::model::time::Micros;

/// One beat, as it lies in Redis: a moment of one history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// By that server's TIME.
    pub beat_at: Micros,
    pub run_id: String,
    pub replication_id: String,
    /// `master_repl_offset` just before the beat was written.
    pub offset: i64,
}

/// One beat that was acknowledged, as the state folder keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// By the clock of the host that took it, when the answer had come: with `beat.beat_at` it gives the skew.
    pub seen_at: Micros,
    /// host:port of the master.
    pub address: String,
    /// The keys it answered for.
    pub slots: SlotSet,
    pub beat: Heartbeat,
}

/// A master whose history is not the one its heartbeat was written in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// By the clock of the host that noticed it.
    pub noticed_at: Micros,
    /// What was found under the key; `None`: nothing, though there had been a beat.
    pub found: Option<Heartbeat>,
    /// The master that took over, or came back, as INFO had it then.
    pub address: String,
    pub slots: SlotSet,
    pub run_id: String,
    pub replication_id: String,
    pub replication_id2: String,
    /// -1 without a former history.
    pub second_offset: i64,
    pub uptime_seconds: u64,
    /// That server's TIME.
    pub server_time: Micros,
}

/// Everything that is remembered of a job's masters: the state folder and its copy in Redis, put together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remembered {
    /// Oldest first, bounded.
    pub samples: Vec<Sample>,
    /// Oldest first, bounded.
    pub changes: Vec<Change>,
    /// The histories (replication ids) that a run has dealt with, or begun with; bounded, the latest last.
    pub handled: Vec<Handled>,
    /// Everything before it was audited; `None` bounds nothing. Of two copies the older one counts.
    pub audited_until: Option<Micros>,
}

/// One master's history, up to whose beginning everything is repaired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handled {
    pub replication_id: String,
    /// The process: a restart keeps no history but may be the same node.
    pub run_id: String,
    pub slots: SlotSet,
    pub handled_at: Micros,
}
