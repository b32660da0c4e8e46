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
    /// Further addresses by which it is known: a name beside its number, or the other way round.
    pub aliases: Vec<String>,
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
    /// Whom the Sentinels take for the master: those that saw the latest failover, and of them the most. `None`: no
    /// Sentinel answered, or they are of two minds.
    pub fn believed_master(&self) -> Option<&str> {
        let said = || self.sentinels.iter().filter_map(|s| s.said.as_ref().ok());
        let latest = said().map(|belief| belief.config_epoch).max()?;
        let of_latest = || said().filter(|belief| belief.config_epoch == latest);
        let votes = |name: &str| of_latest().filter(|b| b.master == name).count();
        let best = of_latest().max_by_key(|belief| votes(&belief.master))?;
        let mut others = of_latest().filter(|belief| belief.master != best.master);
        let is_tied = others.any(|other| votes(&other.master) == votes(&best.master));
        (!is_tied).then_some(best.master.as_str())
    }

    /// The nodes that say of themselves that they are masters.
    pub fn masters(&self) -> impl Iterator<Item = &NodeFacts> {
        let said = self.nodes.iter().filter_map(|node| node.said.as_ref().ok());
        said.filter(|facts| facts.identity.is_master)
    }
}

impl NodeView {
    /// Whether this is one of its addresses.
    pub fn goes_by(&self, address: &str) -> bool {
        self.address == address || self.aliases.iter().any(|alias| alias == address)
    }

    /// A setting's value; `None`: the user may not ask, or the server does not know it.
    pub fn setting(&self, name: &str) -> Option<&str> {
        let mut settings = self.settings.iter().flatten();
        settings.find_map(|(known, value)| (known == name).then_some(value.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn believing(named: &[(&str, u64)]) -> Topology {
        let view = |(master, config_epoch): &(&str, u64)| SentinelView {
            address: "s:26379".to_owned(),
            said: Ok(SentinelBelief {
                master: (*master).to_owned(),
                config_epoch: *config_epoch,
                role_since: None,
                down_after_millis: 1_000,
                sentinels_known: 3,
                replicas: Vec::new(),
            }),
        };
        let silent = SentinelView {
            address: "s:26380".to_owned(),
            said: Err("refused".to_owned()),
        };
        Topology {
            kind: TopologyKind::Sentinel,
            nodes: Vec::new(),
            sentinels: named.iter().map(view).chain([silent]).collect(),
            epoch: None,
            seen_at: Micros(0),
        }
    }

    #[test]
    fn the_latest_failover_counts_before_the_number_of_sentinels() {
        for (named, expected) in [
            (&[][..], None),
            (&[("a", 0)], Some("a")),
            (&[("a", 1), ("a", 1), ("b", 2)], Some("b")),
            (&[("a", 1), ("b", 1), ("b", 1)], Some("b")),
            (&[("b", 1), ("b", 1), ("a", 1)], Some("b")),
            (&[("a", 1), ("b", 1)], None),
        ] {
            assert_eq!(believing(named).believed_master(), expected, "{named:?}");
        }
    }
}
