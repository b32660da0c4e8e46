//! The nodes as they stand: started, acquainted, up.

use std::path::PathBuf;
use std::time::Duration;

use redis::aio::MultiplexedConnection;

use super::node::Node;
use crate::lab::servers::{RedisOptions, RedisServer, free_port};
use crate::lab::{LabError, wait};
use crate::model::slots::{SLOTS, Slot};

/// A failover takes 3 to 5 s with this, and a node that is merely slow is not taken for dead too easily.
const NODE_TIMEOUT_MS: &str = "1500";
pub(super) const STEP_LIMIT: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub struct RedisClusterOptions {
    /// At least three, so that the others can agree on a failover.
    pub masters: usize,
    /// Further configuration lines of every server.
    pub lines: Vec<String>,
    /// Another server than the one on PATH.
    pub program: Option<PathBuf>,
}

impl Default for RedisClusterOptions {
    fn default() -> Self {
        Self {
            masters: 3,
            lines: Vec::new(),
            program: None,
        }
    }
}

/// The nodes, and where each stands in it.
pub struct RedisCluster {
    pub(super) options: RedisClusterOptions,
    pub(super) nodes: Vec<Node>,
}

impl RedisCluster {
    /// Starts everything and waits until every node holds the Cluster for up and every replica is online.
    pub async fn start(options: RedisClusterOptions) -> Result<Self, LabError> {
        let mut cluster = Self {
            nodes: Vec::new(),
            options,
        };
        let masters = cluster.options.masters;
        for number in 0..masters * 2 {
            cluster.add_node(number % masters).await?;
        }
        for (number, node) in cluster.nodes.iter().enumerate() {
            let epoch = (number + 1).to_string();
            node.run(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch]).await?;
        }
        let share = usize::from(SLOTS).div_ceil(masters);
        for (shard, node) in cluster.nodes[..masters].iter().enumerate() {
            let first = shard * share;
            let last = (first + share).min(usize::from(SLOTS)) - 1;
            let (first, last) = (first.to_string(), last.to_string());
            node.run(&["CLUSTER", "ADDSLOTSRANGE", &first, &last])
                .await?;
        }
        for node in &cluster.nodes[1..] {
            cluster.nodes[0].meet(node).await?;
        }
        cluster.wait_until_acquainted().await?;
        for shard in 0..masters {
            let (master, replica) = (&cluster.nodes[shard], &cluster.nodes[masters + shard]);
            replica.run(&["CLUSTER", "REPLICATE", &master.id]).await?;
        }
        cluster.wait_until_up().await?;
        for shard in 0..masters {
            cluster.master(shard).await?.wait_for_replicas(1).await?;
        }
        Ok(cluster)
    }

    /// As a job file has it; every node is named.
    pub fn url(&self) -> String {
        let ports: Vec<String> = self
            .ports()
            .iter()
            .map(|p| format!("127.0.0.1:{p}"))
            .collect();
        format!("redis-cluster://{}", ports.join(","))
    }

    /// Of every node, those that were killed too.
    pub fn ports(&self) -> Vec<u16> {
        self.nodes.iter().map(|node| node.server.port()).collect()
    }

    pub fn servers(&self) -> impl Iterator<Item = &RedisServer> {
        self.nodes.iter().map(|node| &node.server)
    }

    pub fn shards(&self) -> usize {
        self.options.masters
    }

    /// The shard that began with the slot of `key`.
    pub fn shard_of(&self, key: &str) -> usize {
        let share = usize::from(SLOTS).div_ceil(self.options.masters);
        usize::from(Slot::of(key.as_bytes()).number()) / share
    }

    /// The living node of this shard that says it is a master.
    pub async fn master(&self, shard: usize) -> Result<&RedisServer, LabError> {
        Ok(&self.node(shard, "master").await?.server)
    }

    /// The living node of this shard that says it is a replica.
    pub async fn replica(&self, shard: usize) -> Result<&RedisServer, LabError> {
        Ok(&self.node(shard, "slave").await?.server)
    }

    /// A further master without slots.
    pub async fn add_master(&mut self) -> Result<usize, LabError> {
        let shard = self.options.masters;
        self.options.masters += 1;
        self.add_node(shard).await?;
        let new = self.nodes.last().expect("a node was added just now");
        let known = self
            .nodes
            .iter()
            .find(|node| node.is_alive && node.id != new.id);
        known.expect("a Cluster has nodes").meet(new).await?;
        self.wait_until_acquainted().await?;
        self.wait_until_up().await?;
        Ok(shard)
    }

    /// Waits until every living node holds the Cluster for up and every slot for served.
    pub async fn wait_until_up(&self) -> Result<(), LabError> {
        for node in self.nodes.iter().filter(|node| node.is_alive) {
            wait::until("a node holds the Cluster for up", STEP_LIMIT, async || {
                let Ok(text) = node.text(&["CLUSTER", "INFO"]).await else {
                    return false;
                };
                let role = node.server.info("role").await;
                let link = node.server.info("master_link_status").await;
                let follows = !matches!(role.as_ref().map(Option::as_deref), Ok(Some("slave")))
                    || link.is_ok_and(|link| link.as_deref() == Some("up"));
                text.contains("cluster_state:ok") && follows
            })
            .await?;
        }
        Ok(())
    }

    pub(super) async fn wait_until_acquainted(&self) -> Result<(), LabError> {
        let alive: Vec<&Node> = self.nodes.iter().filter(|node| node.is_alive).collect();
        for node in &alive {
            wait::until("every node knows every other", STEP_LIMIT, async || {
                let Ok(text) = node.text(&["CLUSTER", "NODES"]).await else {
                    return false;
                };
                alive.iter().all(|other| text.contains(&other.id)) && !text.contains("handshake")
            })
            .await?;
        }
        Ok(())
    }

    pub(super) async fn add_node(&mut self, shard: usize) -> Result<(), LabError> {
        let bus_port = free_port()?;
        let mut lines: Vec<String> = [
            "cluster-enabled yes".to_owned(),
            "cluster-config-file nodes.conf".to_owned(),
            format!("cluster-port {bus_port}"),
            format!("cluster-node-timeout {NODE_TIMEOUT_MS}"),
            "cluster-allow-replica-migration no".to_owned(),
        ]
        .into();
        lines.extend(self.options.lines.iter().cloned());
        let server = RedisServer::start(RedisOptions {
            lines,
            program: self.options.program.clone(),
            ..RedisOptions::default()
        })
        .await?;
        let mut node = Node {
            server,
            id: String::new(),
            bus_port,
            shard,
            is_alive: true,
        };
        node.id = node.text(&["CLUSTER", "MYID"]).await?;
        self.nodes.push(node);
        Ok(())
    }

    pub(super) async fn node(&self, shard: usize, role: &str) -> Result<&Node, LabError> {
        for node in self.nodes.iter().filter(|n| n.shard == shard && n.is_alive) {
            if node.server.info("role").await?.as_deref() == Some(role) {
                return Ok(node);
            }
        }
        Err(LabError::Unfit(format!(
            "shard {shard} has no living {role}"
        )))
    }

    pub(super) fn by_port(&self, port: u16) -> &Node {
        let mut nodes = self.nodes.iter();
        nodes
            .find(|node| node.server.port() == port)
            .expect("only ports of our own nodes are asked for")
    }

    pub(super) async fn connect(&self, port: u16) -> Result<MultiplexedConnection, LabError> {
        match self.nodes.iter().find(|node| node.server.port() == port) {
            Some(node) => node.server.connect().await,
            None => Err(LabError::Unfit(format!("port {port} is none of the nodes"))),
        }
    }
}
