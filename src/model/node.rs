//! What a Redis node says of itself.

use super::identity::{NodeIdentity, Pinned, PinnedNode};
use super::slots::SlotSet;
use super::time::Micros;

/// What a node says of itself by INFO and TIME.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFacts {
    /// host:port, or the socket's path.
    pub address: String,
    pub identity: NodeIdentity,
    /// `redis` or `valkey`, and its version.
    pub server: String,
    pub version: String,
    pub is_cluster: bool,
    /// The keys it answers for: all of them outside of a Cluster.
    pub slots: SlotSet,
    pub offset: i64,
    pub replication_id2: String,
    /// First byte not shared with `replication_id2`'s history; -1 without one.
    pub second_offset: i64,
    pub uptime_seconds: u64,
    /// Replicas `state=online`, with their lag in seconds.
    pub replicas_online: Vec<ReplicaFacts>,
    /// Of a replica: whom it follows.
    pub upstream: Option<Upstream>,
    pub is_loading: bool,
    /// From INFO persistence: whether it appends every command to a file.
    pub is_append_only: bool,
    /// From INFO memory; e.g. `noeviction`, `allkeys-lru`.
    pub eviction_policy: Option<String>,
    /// The server's clock.
    pub time: Micros,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaFacts {
    pub address: String,
    pub offset: i64,
    pub lag_seconds: u64,
}

/// The master of a replica, as the replica sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// host:port
    pub address: String,
    /// `master_link_status:up`
    pub is_up: bool,
    /// Bytes applied: `slave_repl_offset`.
    pub applied_offset: i64,
    /// `slave_priority` (0: never promoted).
    pub priority: i64,
}

impl NodeFacts {
    /// Whether it names another history as its former one.
    pub fn has_former_history(&self) -> bool {
        self.second_offset >= 0 && self.replication_id2.bytes().any(|byte| byte != b'0')
    }
}

impl Pinned {
    /// The nodes as they are now, in their order.
    pub fn of(nodes: &[NodeFacts]) -> Self {
        let pinned = nodes.iter().map(|node| PinnedNode {
            address: node.address.clone(),
            identity: node.identity.clone(),
            slots: node.slots.clone(),
        });
        Self {
            nodes: pinned.collect(),
        }
    }
}
