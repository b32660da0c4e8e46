//! Where a window ends: when the old master stopped acknowledging. Every bound is an upper one: by its death, by its
//! demotion, and where neither is known, by the moment at which one master is seen to be left.

use std::time::Duration;

use super::estimate::promoted_at;
use super::memory::{Memory, Seen};
use super::step::{Step, UPTIME_ERROR};
use crate::model::node::NodeFacts;
use crate::model::time::Micros;
use crate::model::topology::{NodeView, TopologyKind};

/// When an old master can have acknowledged its last write, by this host's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    /// `None`: it still may.
    pub(super) at: Option<Micros>,
    pub(super) by: EndedBy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EndedBy {
    Death,
    Demotion,
    /// The process started that came instead of it.
    Restart,
    /// Not known: one master is left now.
    OneIsLeft,
    /// The old master does not answer, and may go on where only its clients reach it.
    Silence,
    /// Two are.
    Nothing,
}

/// How long a silent master is held for one that may come back and take writes until it is demoted.
const SILENCE_MAX: Duration = Duration::from_secs(3_600);
/// How often Sentinel asks a replica for its role: so long a master may stay unnoticed.
const INFO_PERIOD: Duration = Duration::from_secs(11);
/// Sentinel notes the role of a new instance when it hears of it, within this of the promotion.
const SAME_MOMENT: Duration = Duration::from_secs(1);
/// A node of a Cluster that is cut off serves for its `cluster-node-timeout` and little more; its last sign of life comes
/// up to half of that earlier.
const NODE_TIMEOUTS: u32 = 2;

/// The end of what a restarted server's earlier process acknowledged. A process that is older than the memory of a
/// promotion may have followed others and been promoted since it started.
pub(super) fn end_by_restart(step: &Step<'_>, seen: &Seen<'_>) -> End {
    // Where it names a former history, it may as well be a replica that was started and at once promoted.
    let is_certain = step.former.is_none() || seen.names_are_nodes();
    if !step.is_young() || !is_certain {
        return left(seen);
    }
    End {
        at: Some(step.process_start.plus(UPTIME_ERROR)),
        by: EndedBy::Restart,
    }
}

/// The end of what the master acknowledged whose history this step left behind. A heartbeat of an older history says that
/// there were other masters in between, of which nothing is known.
pub(super) fn end_by_promotion(step: &Step<'_>, seen: &Seen<'_>, memory: &Memory<'_>) -> End {
    let Some((former, _)) = step.former else {
        return left(seen);
    };
    match step.found {
        Some(beat) if beat.replication_id != former => left(seen),
        _ => end_of(former, step, seen, memory),
    }
}

fn end_of(id: &str, step: &Step<'_>, seen: &Seen<'_>, memory: &Memory<'_>) -> End {
    let Some((run_id, address)) = memory.process_of(id) else {
        return left(seen);
    };
    let nodes = || seen.topology.nodes.iter();
    let by_run_id = nodes().find(|n| said(n).is_some_and(|f| f.identity.run_id == run_id));
    let by_address = || nodes().find(|n| address.is_some_and(|address| n.goes_by(address)));
    let end = match (by_run_id, by_address()) {
        (Some(_), _) if is_pinned(run_id, seen) && step.run_id != run_id => {
            end_of_returned((run_id, id), step, seen, memory)
        }
        (Some(node), _) => end_of_living(node, step, seen),
        (None, Some(node)) if seen.names_are_nodes() => end_of_gone(node, step, seen),
        (None, _) => left(seen),
    };
    // Whatever the witnesses say, it lived when it last answered.
    let at = end.at.map(|at| at.max(memory.last_sign(id).unwrap_or(at)));
    End { at, ..end }
}

/// The old master's own process still answers.
fn end_of_living(node: &NodeView, step: &Step<'_>, seen: &Seen<'_>) -> End {
    if said(node)
        .is_some_and(|facts| facts.identity.is_master && facts.identity.run_id != step.run_id)
    {
        return End {
            at: None,
            by: EndedBy::Nothing,
        };
    }
    match demoted_at(node, step, seen) {
        Some(at) => End {
            at: Some(at),
            by: EndedBy::Demotion,
        },
        None => left(seen),
    }
}

/// The old master's own process is one of the masters again: it came back under a later history, and stopped taking writes
/// in this one before. That it is a master says nothing of a second one.
fn end_of_returned(
    (run_id, id): (&str, &str),
    step: &Step<'_>,
    seen: &Seen<'_>,
    memory: &Memory<'_>,
) -> End {
    let one_is_left = left(seen);
    let back_at = memory.next_history_of(run_id, id, step.noticed_at);
    End {
        at: one_is_left.at.min(back_at.or(one_is_left.at)),
        ..one_is_left
    }
}

/// Whether this process is a master that answers for the job's keys.
fn is_pinned(run_id: &str, seen: &Seen<'_>) -> bool {
    let mut masters = seen.masters.iter();
    masters.any(|master| master.facts.identity.run_id == run_id)
}

/// Another process answers in its place, or none.
fn end_of_gone(node: &NodeView, step: &Step<'_>, seen: &Seen<'_>) -> End {
    let death = |at: Micros| End {
        at: Some(at),
        by: EndedBy::Death,
    };
    match &node.said {
        Ok(facts) if facts.identity.run_id == step.run_id => death(started(facts, seen)),
        Ok(facts) if facts.identity.is_master => left(seen),
        Ok(facts) => {
            // It may have come back as a master, until Sentinel demoted it.
            let start = started(facts, seen);
            match (demoted_at(node, step, seen), node.role_since) {
                (Some(at), _) => End {
                    at: Some(at.max(start)),
                    by: EndedBy::Demotion,
                },
                (None, Some(since)) => death(since.max(start).plus(INFO_PERIOD)),
                (None, _) => left(seen),
            }
        }
        Err(why) => match (node.down_since, seen.topology.kind) {
            (Some(at), TopologyKind::Cluster) => match node_timeout(seen) {
                Some(timeout) => death(at.plus(timeout.saturating_mul(NODE_TIMEOUTS))),
                None => left(seen),
            },
            // A host that refuses the connection has no such process any more. One that is silent may be cut off from us
            // and from the Sentinels, and go on.
            (Some(at), _) if why.contains("Connection refused") => death(at),
            // A Sentinel needs a while after the switch to see that it is silent, too.
            (since, TopologyKind::Sentinel)
                if !why.contains("Connection refused")
                    && since.is_none_or(|at| at.plus(SILENCE_MAX) > seen.topology.seen_at) =>
            {
                End {
                    at: Some(seen.topology.seen_at),
                    by: EndedBy::Silence,
                }
            }
            _ => left(seen),
        },
    }
}

/// When a witness saw it change from master to replica. A role that it is said to have had since the promotion itself
/// says nothing: that is when the witness began to hold it for a replica.
fn demoted_at(node: &NodeView, step: &Step<'_>, seen: &Seen<'_>) -> Option<Micros> {
    let promoted = promoted_at(step, seen)?;
    let since = node.role_since?;
    (since > promoted.plus(SAME_MOMENT)).then_some(since)
}

/// The longest `cluster-node-timeout` of all nodes that say theirs: that of the dead one is as a rule the same. `None`:
/// none does.
fn node_timeout(seen: &Seen<'_>) -> Option<Duration> {
    let nodes = seen.topology.nodes.iter();
    let said = nodes.filter_map(|node| node.setting("cluster-node-timeout")?.parse().ok());
    said.max().map(Duration::from_millis)
}

/// At the latest.
fn started(facts: &NodeFacts, seen: &Seen<'_>) -> Micros {
    let uptime = Duration::from_secs(facts.uptime_seconds);
    seen.topology.seen_at.minus(uptime).plus(UPTIME_ERROR)
}

fn left(seen: &Seen<'_>) -> End {
    End {
        at: Some(seen.topology.seen_at),
        by: EndedBy::OneIsLeft,
    }
}

fn said(node: &NodeView) -> Option<&NodeFacts> {
    node.said.as_ref().ok()
}
