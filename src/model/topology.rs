//! Every node that could be asked, and what the witnesses say of those that could not.

use super::node::NodeFacts;
use super::time::Micros;

/// How the job reaches its Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopologyKind {
    Standalone,
    Sentinel,
    Cluster,
}

/// All known nodes at one moment: the master or masters, their replicas, and former masters that a witness remembers.
#[derive(Debug, Clone)]
pub struct Topology {
    pub kind: TopologyKind,
    /// Each address once.
    pub nodes: Vec<NodeView>,
    /// One for each Sentinel of the job; empty without Sentinels.
    pub sentinels: Vec<SentinelView>,
    /// `cluster_current_epoch`, or the highest `config-epoch` of the Sentinels: one more with every failover.
    pub epoch: Option<u64>,
    /// By this host's clock.
    pub seen_at: Micros,
}

/// One node, by its own words and those of others. Instants are by this host's clock, as near as the witness is exact.
#[derive(Debug, Clone)]
pub struct NodeView {
    /// host:port, as the witnesses name it.
    pub address: String,
    /// What it said of itself, or why it said nothing.
    pub said: Result<NodeFacts, String>,
    /// A witness (Sentinel, another node of the Cluster) holds it for down since then, or had its last sign of life then.
    pub down_since: Option<Micros>,
    /// Since when a Sentinel knows it in its present role.
    pub role_since: Option<Micros>,
    /// Settings by CONFIG GET, by name; `None`: the user may not ask.
    pub settings: Option<Vec<(String, String)>>,
}

/// One Sentinel and what it believes.
#[derive(Debug, Clone)]
pub struct SentinelView {
    pub address: String,
    /// `Err`: why it does not count (unreachable, refused, does not know the name).
    pub said: Result<SentinelBelief, String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentinelBelief {
    /// host:port of the master it names.
    pub master: String,
    /// One more with every failover: a Sentinel with less than the others is stale.
    pub config_epoch: u64,
    /// When the named master took this role, as far as this Sentinel knows.
    pub role_since: Option<Micros>,
    /// `down-after-milliseconds`
    pub down_after_millis: u64,
    /// `num-other-sentinels` and this one.
    pub sentinels_known: u64,
    /// host:port of every replica it lists.
    pub replicas: Vec<String>,
}

impl Topology {
    /// The nodes that say of themselves that they are masters.
    pub fn masters(&self) -> impl Iterator<Item = &NodeFacts> {
        let said = self.nodes.iter().filter_map(|node| node.said.as_ref().ok());
        said.filter(|facts| facts.identity.is_master)
    }
}

impl NodeView {
    /// A setting's value; `None`: the user may not ask, or the server does not know it.
    pub fn setting(&self, name: &str) -> Option<&str> {
        let mut settings = self.settings.iter().flatten();
        settings.find_map(|(known, value)| (known == name).then_some(value.as_str()))
    }
}
