//! Nodes and topologies for the tables of the rules' tests.

use crate::model::identity::NodeIdentity;
use crate::model::node::{NodeFacts, ReplicaFacts, Upstream};
use crate::model::slots::SlotSet;
use crate::model::time::Micros;
use crate::model::topology::{NodeView, Topology, TopologyKind};

/// A master named `name` in the history `history`, at offset 1000, with no former history.
pub(crate) fn master(name: &str, history: &str) -> NodeFacts {
    NodeFacts {
        address: name.to_owned(),
        identity: NodeIdentity {
            run_id: format!("run of {name}"),
            replication_id: history.to_owned(),
            is_master: true,
        },
        server: "redis".to_owned(),
        version: "7.0.15".to_owned(),
        is_cluster: false,
        slots: SlotSet::all(),
        offset: 1_000,
        replication_id2: "0".repeat(40),
        second_offset: -1,
        uptime_seconds: 100,
        replicas_online: Vec::new(),
        upstream: None,
        is_loading: false,
        is_append_only: true,
        eviction_policy: Some("noeviction".to_owned()),
        time: Micros(0),
    }
}

/// One that was promoted when it had everything of `former` before `second_offset`.
pub(crate) fn promoted(name: &str, history: &str, former: &str, second_offset: i64) -> NodeFacts {
    NodeFacts {
        replication_id2: former.to_owned(),
        second_offset,
        ..master(name, history)
    }
}

/// A replica that has applied `applied` bytes of `history`.
pub(crate) fn replica(name: &str, history: &str, applied: i64, is_up: bool) -> NodeFacts {
    let mut facts = master(name, history);
    facts.identity.is_master = false;
    facts.upstream = Some(Upstream {
        address: "upstream:6379".to_owned(),
        is_up,
        applied_offset: applied,
        priority: 100,
    });
    facts
}

/// `facts` with an online replica listed.
pub(crate) fn with_replica(mut facts: NodeFacts) -> NodeFacts {
    facts.replicas_online.push(ReplicaFacts {
        address: "replica:6379".to_owned(),
        offset: 1_000,
        lag_seconds: 0,
    });
    facts
}

/// A node that answered; `settings` as CONFIG GET gives them.
pub(crate) fn view(facts: NodeFacts, settings: Option<&[(&str, &str)]>) -> NodeView {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    NodeView {
        address: facts.address.clone(),
        aliases: Vec::new(),
        said: Ok(facts),
        down_since: None,
        role_since: None,
        settings: settings.map(|all| all.iter().map(owned).collect()),
    }
}

pub(crate) fn topology(nodes: Vec<NodeFacts>) -> Topology {
    let nodes = nodes.into_iter().map(|facts| view(facts, None));
    of_views(TopologyKind::Sentinel, nodes.collect())
}

pub(crate) fn of_views(kind: TopologyKind, nodes: Vec<NodeView>) -> Topology {
    Topology {
        kind,
        nodes,
        sentinels: Vec::new(),
        epoch: None,
        seen_at: Micros(0),
    }
}
