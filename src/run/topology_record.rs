//! The nodes as `run.json` has them.

use super::record::redis_record;
use super::topology::TopologyFinding;
use crate::model::time::Micros;
use crate::model::topology::{NodeView, SentinelView, Topology, TopologyKind};
use crate::report::{
    FollowsRecord, InventoryRecord, NodeRecord, SentinelRecord, TopologyFindingRecord,
};

pub(super) fn inventory_record(topology: &Topology) -> InventoryRecord {
    let kind = match topology.kind {
        TopologyKind::Standalone => "standalone",
        TopologyKind::Sentinel => "sentinel",
        TopologyKind::Cluster => "cluster",
    };
    InventoryRecord {
        kind: kind.to_owned(),
        seen_at: topology.seen_at,
        epoch: topology.epoch,
        nodes: topology
            .nodes
            .iter()
            .map(|view| node_record(view, topology.seen_at))
            .collect(),
        sentinels: topology.sentinels.iter().map(sentinel_record).collect(),
    }
}

fn node_record(view: &NodeView, seen_at: Micros) -> NodeRecord {
    let facts = view.said.as_ref().ok();
    let of_cluster = facts.filter(|facts| facts.is_cluster);
    let upstream = facts.and_then(|facts| facts.upstream.as_ref());
    NodeRecord {
        address: view.address.clone(),
        redis: facts.map(|facts| redis_record(facts, seen_at)),
        unreachable: view.said.as_ref().err().cloned(),
        slots: of_cluster.map(|facts| facts.slots.to_string()),
        follows: upstream.map(|upstream| FollowsRecord {
            address: upstream.address.clone(),
            is_link_up: upstream.is_up,
            applied_offset: upstream.applied_offset,
            priority: upstream.priority,
        }),
        down_since: view.down_since,
        role_since: view.role_since,
        settings: view
            .settings
            .as_ref()
            .map(|all| all.iter().cloned().collect()),
    }
}

fn sentinel_record(view: &SentinelView) -> SentinelRecord {
    let belief = view.said.as_ref().ok();
    SentinelRecord {
        address: view.address.clone(),
        unreachable: view.said.as_ref().err().cloned(),
        master: belief.map(|belief| belief.master.clone()),
        config_epoch: belief.map(|belief| belief.config_epoch),
        sentinels_known: belief.map(|belief| belief.sentinels_known),
        replicas: belief.map(|b| b.replicas.clone()).unwrap_or_default(),
    }
}

pub(super) fn finding_record(finding: &TopologyFinding) -> TopologyFindingRecord {
    let setting = finding.objection.setting.as_ref();
    TopologyFindingRecord {
        rule: finding.objection.suspect.rule.to_string(),
        severity: finding.objection.suspect.severity.name().to_owned(),
        address: finding.objection.address.clone(),
        setting: setting.map(|s| s.name.to_owned()),
        value: setting.map(|s| s.value.clone()),
        advised: setting.map(|s| s.advised.clone()),
        reason: finding.reason().to_owned(),
        observed_at: finding.observed_at,
        settled_at: finding.settled_at,
    }
}
