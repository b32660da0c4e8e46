//! What tables of tests are made of. Times are seconds; node `a` lives at `h:1`, `b` at `h:2`, and so on.

use crate::failover::{Change, Handled, Heartbeat, PresentMaster, Remembered, Sample};
use crate::model::identity::NodeIdentity;
use crate::model::node::{NodeFacts, Upstream};
use crate::model::slots::{Slot, SlotSet};
use crate::model::time::Micros;
use crate::model::topology::{NodeView, SentinelBelief, SentinelView, Topology, TopologyKind};

pub(super) const NO_HISTORY: &str = "0000000000000000000000000000000000000000";
/// The moment of every table.
pub(super) const NOW: i64 = 1_000;

pub(super) fn at(seconds: i64) -> Micros {
    Micros(seconds * 1_000_000)
}

pub(super) fn address(node: &str) -> String {
    let number = node.bytes().next().unwrap_or(b'a') - b'a' + 1;
    format!("h:{number}")
}

/// The beat of second `second` in `history`, whose master is the process `run`.
pub(super) fn beat(history: &str, run: &str, second: i64) -> Heartbeat {
    Heartbeat {
        beat_at: at(second),
        run_id: run.into(),
        replication_id: history.into(),
        offset: second * 100,
    }
}

/// The same beat as the state folder has it, seen without delay.
pub(super) fn sample(history: &str, run: &str, second: i64) -> Sample {
    Sample {
        seen_at: at(second),
        address: address(run),
        slots: SlotSet::all(),
        beat: beat(history, run, second),
    }
}

/// One for each second.
pub(super) fn samples(
    history: &str,
    run: &str,
    seconds: std::ops::RangeInclusive<i64>,
) -> Vec<Sample> {
    seconds.map(|second| sample(history, run, second)).collect()
}

pub(super) fn handled(history: &str, run: &str, second: i64) -> Handled {
    Handled {
        replication_id: history.into(),
        run_id: run.into(),
        slots: SlotSet::all(),
        handled_at: at(second),
    }
}

/// The process `run` as a master of `history` that was started at second 0.
pub(super) fn master(history: &str, run: &str) -> NodeFacts {
    NodeFacts {
        address: address(run),
        identity: NodeIdentity {
            run_id: run.into(),
            replication_id: history.into(),
            is_master: true,
        },
        server: "redis".into(),
        version: "7.0.15".into(),
        is_cluster: false,
        slots: SlotSet::all(),
        offset: NOW * 100,
        replication_id2: NO_HISTORY.into(),
        second_offset: -1,
        uptime_seconds: NOW.unsigned_abs(),
        replicas_online: Vec::new(),
        upstream: None,
        is_loading: false,
        is_append_only: false,
        eviction_policy: None,
        time: at(NOW),
    }
}

/// Promoted when it had everything up to byte `second * 100` of `former`.
pub(super) fn promoted(history: &str, run: &str, former: &str, second: i64) -> NodeFacts {
    NodeFacts {
        replication_id2: former.into(),
        second_offset: second * 100 + 1,
        ..master(history, run)
    }
}

pub(super) fn replica(of: &NodeFacts, run: &str) -> NodeFacts {
    let identity = NodeIdentity {
        run_id: run.into(),
        replication_id: of.identity.replication_id.clone(),
        is_master: false,
    };
    NodeFacts {
        identity,
        upstream: Some(Upstream {
            address: of.address.clone(),
            is_up: true,
            applied_offset: of.offset,
            priority: 100,
        }),
        ..master("", run)
    }
}

/// Started at `second`.
pub(super) fn started(second: i64, facts: NodeFacts) -> NodeFacts {
    NodeFacts {
        uptime_seconds: (NOW - second).unsigned_abs(),
        ..facts
    }
}

pub(super) fn present(facts: NodeFacts, heartbeat: Option<Heartbeat>) -> PresentMaster {
    PresentMaster { facts, heartbeat }
}

/// What the first beat of `facts` found at `second`.
pub(super) fn change(facts: &NodeFacts, found: Option<Heartbeat>, second: i64) -> Change {
    Change {
        noticed_at: at(second),
        found,
        address: facts.address.clone(),
        slots: facts.slots.clone(),
        run_id: facts.identity.run_id.clone(),
        replication_id: facts.identity.replication_id.clone(),
        replication_id2: facts.replication_id2.clone(),
        second_offset: facts.second_offset,
        uptime_seconds: second.unsigned_abs(),
        server_time: at(second),
    }
}

pub(super) fn view(facts: &NodeFacts) -> NodeView {
    NodeView {
        address: facts.address.clone(),
        aliases: Vec::new(),
        said: Ok(facts.clone()),
        down_since: None,
        role_since: None,
        settings: None,
    }
}

/// A node that does not answer, for `why`; a witness holds it for down since `down_since`.
pub(super) fn silent(node: &str, why: &str, down_since: Option<i64>) -> NodeView {
    NodeView {
        address: address(node),
        aliases: Vec::new(),
        said: Err(why.into()),
        down_since: down_since.map(at),
        role_since: None,
        settings: None,
    }
}

pub(super) fn topology(kind: TopologyKind, nodes: Vec<NodeView>) -> Topology {
    Topology {
        kind,
        nodes,
        sentinels: Vec::new(),
        epoch: None,
        seen_at: at(NOW),
    }
}

/// A Sentinel with a `down-after` of a second.
pub(super) fn sentinel(master: &NodeFacts, role_since: Option<i64>) -> SentinelView {
    SentinelView {
        address: "s:1".into(),
        said: Ok(SentinelBelief {
            master: master.address.clone(),
            config_epoch: 1,
            role_since: role_since.map(at),
            down_after_millis: 1_000,
            sentinels_known: 3,
            replicas: Vec::new(),
        }),
    }
}

pub(super) fn remembering(samples: Vec<Sample>, handled: Vec<Handled>) -> Remembered {
    Remembered {
        samples,
        handled,
        ..Remembered::default()
    }
}

/// The slots from one up to another.
pub(super) fn slots(from: u16, to: u16) -> SlotSet {
    (from..to).filter_map(Slot::new).collect()
}

/// One shard of two.
pub(super) fn low() -> SlotSet {
    slots(0, 8_000)
}

pub(super) fn high() -> SlotSet {
    slots(8_000, 16_384)
}

pub(super) fn with(facts: NodeFacts, slots: SlotSet) -> NodeFacts {
    NodeFacts { slots, ..facts }
}

/// `remembered` of the low shard; the high one was dealt with as `X` on the process `x`.
pub(super) fn of_two_shards(mut remembered: Remembered) -> Remembered {
    let samples = remembered.samples.iter_mut().map(|s| &mut s.slots);
    let marks = remembered.handled.iter_mut().map(|h| &mut h.slots);
    samples.chain(marks).for_each(|had| *had = low());
    let mut other = handled("X", "x", 100);
    other.slots = high();
    remembered.handled.push(other);
    remembered
}
