//! What became of one master, in words that a run decides by and a person reads.

use crate::model::slots::SlotSet;
use crate::model::time::TimeWindow;

/// What happened to one master since it was last dealt with: to a present one, or to one that is gone with its history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Episode {
    /// host:port of the master.
    pub address: String,
    pub run_id: String,
    pub replication_id: String,
    /// The keys that can have lost anything: those it answers for, and where anything happened those that any history on
    /// the way to it answered for, because slots can have been moved since.
    pub slots: SlotSet,
    pub kind: EpisodeKind,
    /// When what is lost was written, by this host's clock and not yet widened by any skew; `None`: nothing can be
    /// lost, or nobody knows when. With [`EpisodeKind::EvidenceGone`] it is only a part of that, as far as it is known.
    /// No `until`: a former master still takes writes.
    pub window: Option<TimeWindow>,
    /// Whether the old master may take writes after the window, too: it is only known not to answer.
    pub is_open: bool,
    /// What `window.since` rests on.
    pub found_by: FoundBy,
    pub sureness: Sureness,
    /// One or a few plain sentences, times in UTC.
    pub explanation: String,
}

/// In rising order of what it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EpisodeKind {
    /// The history is one that was dealt with.
    Nothing,
    /// Nothing is remembered and the server names no former history: watching begins here.
    FirstSight,
    /// The same process under a new replication id, because no replica was attached for `repl-backlog-ttl`.
    Renewed,
    /// The old master's own process goes on as a replica that needed nothing sent again: nothing is lost.
    Graceful,
    /// A restart that brought everything back, or everything up to the last moments.
    RestartWithData,
    /// Another node took over.
    Promotion,
    /// There was a failover or a restart, and nothing says when.
    EvidenceGone,
    /// A restart that brought back an older state.
    RestartFromOldSnapshot,
    /// A restart without any data.
    RestartEmpty,
}

/// On what the beginning of a window rests, the most exact first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FoundBy {
    /// The heartbeat found on the master that took over.
    Heartbeat,
    /// Samples of the state folder, below the offset at which the histories part.
    Samples,
    Sentinel,
    Cluster,
    /// The last run that found no failover.
    LastRun,
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sureness {
    /// Nothing before it can be lost, and what was lost was written within a beat of it or later.
    ExactToTheBeat,
    /// Between two samples.
    Bracketed,
    /// As far back as a replica may usually lag.
    Estimate,
    Unknown,
}

impl EpisodeKind {
    /// As run.json has it.
    pub fn name(self) -> &'static str {
        match self {
            EpisodeKind::Nothing => "nothing",
            EpisodeKind::FirstSight => "first-sight",
            EpisodeKind::Renewed => "renewed",
            EpisodeKind::Graceful => "graceful",
            EpisodeKind::RestartWithData => "restart-with-data",
            EpisodeKind::Promotion => "promotion",
            EpisodeKind::EvidenceGone => "evidence-gone",
            EpisodeKind::RestartFromOldSnapshot => "restart-from-old-snapshot",
            EpisodeKind::RestartEmpty => "restart-empty",
        }
    }

    /// Whether only a full sweep can find what is lost.
    pub fn needs_full_sweep(self) -> bool {
        matches!(
            self,
            EpisodeKind::RestartFromOldSnapshot | EpisodeKind::RestartEmpty
        )
    }
}

impl FoundBy {
    /// As run.json has it.
    pub fn name(self) -> &'static str {
        match self {
            FoundBy::Heartbeat => "heartbeat",
            FoundBy::Samples => "samples",
            FoundBy::Sentinel => "sentinel",
            FoundBy::Cluster => "cluster",
            FoundBy::LastRun => "last-run",
            FoundBy::Nothing => "nothing",
        }
    }
}

impl Sureness {
    /// As run.json has it.
    pub fn name(self) -> &'static str {
        match self {
            Sureness::ExactToTheBeat => "exact to the beat",
            Sureness::Bracketed => "bracketed",
            Sureness::Estimate => "estimate",
            Sureness::Unknown => "unknown",
        }
    }
}
