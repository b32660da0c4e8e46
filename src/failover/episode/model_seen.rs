//! What the finder sees of the model: INFO, heartbeats, witnesses.

use super::fixture::{NO_HISTORY, master};
use super::model::{Node, Role, World, history_id};
use crate::failover::{Heartbeat, PresentMaster};
use crate::model::identity::NodeIdentity;
use crate::model::node::NodeFacts;
use crate::model::time::Micros;
use crate::model::topology::{NodeView, SentinelBelief, SentinelView, Topology, TopologyKind};

const DOWN_AFTER: i64 = 1_000_000;

impl World {
    pub(super) fn master(&self) -> PresentMaster {
        let node = &self.nodes[self.main];
        PresentMaster {
            facts: self.facts(node),
            heartbeat: self.heartbeat(node),
        }
    }

    pub(super) fn topology(&self) -> Topology {
        let is_watched = self.kind == TopologyKind::Sentinel;
        let views = self.nodes.iter().map(|node| NodeView {
            address: self.address(node),
            aliases: Vec::new(),
            said: match node.role {
                Role::Dead(_) => Err("Connection refused (os error 111)".into()),
                _ => Ok(self.facts(node)),
            },
            down_since: match node.role {
                Role::Dead(at) if is_watched => Some(Micros(at + DOWN_AFTER)),
                _ => None,
            },
            role_since: is_watched.then_some(Micros(node.role_since)),
            settings: None,
        });
        let belief = SentinelBelief {
            master: self.address(&self.nodes[self.main]),
            config_epoch: 0,
            role_since: Some(Micros(self.nodes[self.main].role_since)),
            down_after_millis: 1_000,
            sentinels_known: 1,
            replicas: Vec::new(),
        };
        let sentinel = SentinelView {
            address: "s:1".into(),
            said: Ok(belief),
        };
        Topology {
            kind: self.kind,
            nodes: views.collect(),
            sentinels: if is_watched {
                vec![sentinel]
            } else {
                Vec::new()
            },
            epoch: None,
            seen_at: Micros(self.now),
        }
    }

    /// In a plain URL the master has a name that follows it.
    fn address(&self, node: &Node) -> String {
        match self.kind {
            TopologyKind::Standalone if node.number == self.main => "redis:6379".into(),
            _ => format!("h:{}", node.number),
        }
    }

    pub(super) fn heartbeat(&self, node: &Node) -> Option<Heartbeat> {
        let beats = self.writes.iter().rev().filter(|w| w.beat.is_some());
        let mut kept = beats.filter(|w| self.has(node, w.history, w.offset));
        kept.next().and_then(|w| w.beat.clone())
    }

    pub(super) fn facts(&self, node: &Node) -> NodeFacts {
        let second = node.second.map(|(history, _)| history_id(history));
        NodeFacts {
            address: self.address(node),
            identity: NodeIdentity {
                run_id: node.run_id.clone(),
                replication_id: history_id(node.history),
                is_master: node.role == Role::Master,
            },
            offset: node.offset,
            replication_id2: second.unwrap_or_else(|| NO_HISTORY.into()),
            second_offset: node.second.map_or(-1, |(_, offset)| offset),
            uptime_seconds: (self.now / 1_000_000 - node.started / 1_000_000).unsigned_abs(),
            time: Micros(self.now + self.clocks[node.number]),
            ..master("", "a")
        }
    }
}
