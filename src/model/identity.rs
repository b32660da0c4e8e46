//! Who a server is, so that an answer from elsewhere is noticed.

use super::slots::SlotSet;

/// A MySQL server: `@@server_uuid`, or on MariaDB host name, port and server id, plus `@@read_only`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SourceIdentity {
    pub name: String,
    pub read_only: bool,
}

/// A Redis history and process: what a run pins and a fence compares.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NodeIdentity {
    /// Names the process.
    pub run_id: String,
    /// Names the history.
    pub replication_id: String,
    pub is_master: bool,
}

/// Every node that a run reads and writes: one, or the masters of a Cluster, in a fixed order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned {
    pub nodes: Vec<PinnedNode>,
}

/// One of them, as it was when it was pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedNode {
    /// host:port, or the socket's path.
    pub address: String,
    pub identity: NodeIdentity,
    /// The keys it answered for then: all of them outside of a Cluster.
    pub slots: SlotSet,
}

impl Pinned {
    /// Whether a process of that run id is among them.
    pub fn has_process(&self, run_id: &str) -> bool {
        self.nodes.iter().any(|node| node.identity.run_id == run_id)
    }

    /// A single node, which answers for every key.
    pub fn one(address: impl Into<String>, identity: NodeIdentity) -> Self {
        let node = PinnedNode {
            address: address.into(),
            identity,
            slots: SlotSet::all(),
        };
        Self { nodes: vec![node] }
    }
}
