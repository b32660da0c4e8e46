//! A real Redis Cluster on free loopback ports, and the steps of failovers and reshardings.
//!
//! Each shard has one replica. What a crash loses is what the replica was kept from reading before, as in
//! [`super::cluster`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use redis::aio::MultiplexedConnection;

use super::servers::{RedisOptions, RedisServer, free_port};
use super::{LabError, wait};
use crate::model::slots::{SLOTS, Slot};

/// A failover takes 3 to 5 s with this, and a node that is merely slow is not taken for dead too easily.
const NODE_TIMEOUT_MS: &str = "1500";
const STEP_LIMIT: Duration = Duration::from_secs(60);
/// Past any lab's steps; the pause is lifted long before.
const STALL_MS: &str = "60000";
/// Keys of one MIGRATE.
const MIGRATED_AT_ONCE: usize = 100;

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
    options: RedisClusterOptions,
    nodes: Vec<Node>,
}

struct Node {
    server: RedisServer,
    id: String,
    bus_port: u16,
    /// The shard it belongs to; the n-th began with the n-th part of the slots.
    shard: usize,
    is_alive: bool,
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
        Ok(shard)
    }

    /// One command at whichever node answers for its key, words as they are; redirections are followed.
    pub async fn run<T: redis::FromRedisValue>(&self, words: &[&str]) -> Result<T, LabError> {
        let mut command = redis::cmd(words[0]);
        words[1..].iter().for_each(|word| {
            command.arg(*word);
        });
        let key = match words[0] {
            "XINFO" | "XGROUP" | "OBJECT" => words[2],
            _ => words[1],
        };
        self.send(key, &command).await
    }

    /// The same of a command and its key.
    pub async fn send<T: redis::FromRedisValue>(
        &self,
        key: &str,
        command: &redis::Cmd,
    ) -> Result<T, LabError> {
        let mut port = self
            .master(self.shard_of(key))
            .await
            .map(RedisServer::port)?;
        let mut is_asking = false;
        for _ in 0..8 {
            let mut connection = self.connect(port).await?;
            let mut pipeline = redis::pipe();
            if is_asking {
                pipeline.cmd("ASKING").ignore();
            }
            let answer: redis::RedisResult<(T,)> = pipeline
                .add_command(command.clone())
                .query_async(&mut connection)
                .await;
            let fault = match answer {
                Ok((answer,)) => return Ok(answer),
                Err(fault) => fault,
            };
            let text = fault.to_string();
            let target = text
                .split(|c: char| c.is_whitespace() || c == ',' || c == '"')
                .find_map(|word| word.strip_prefix("127.0.0.1:")?.parse().ok());
            match target {
                Some(target) => {
                    is_asking = text.to_uppercase().contains("ASK");
                    port = target;
                }
                None => {
                    return Err(LabError::redis(format!("send to the Cluster for {key}"))(
                        fault,
                    ));
                }
            }
        }
        Err(LabError::Unfit(format!(
            "the Cluster sends {key} in a circle"
        )))
    }

    /// Waits until the replica of every shard has all that was written before.
    pub async fn fence(&self) -> Result<(), LabError> {
        for shard in 0..self.options.masters {
            let Ok(replica) = self.replica(shard).await else {
                continue;
            };
            let master = self.master(shard).await?;
            wait::until("the replica is level", STEP_LIMIT, async || {
                let (at, behind) = (
                    master.info("master_repl_offset").await,
                    replica.info("slave_repl_offset").await,
                );
                matches!((at, behind), (Ok(Some(at)), Ok(Some(behind))) if at == behind)
            })
            .await?;
        }
        Ok(())
    }

    /// From now on the replica of this shard applies nothing, while it looks alive to everyone.
    pub async fn stall(&self, shard: usize) -> Result<(), LabError> {
        let replica = self.replica(shard).await?;
        replica
            .command(&["CLIENT", "PAUSE", STALL_MS, "WRITE"])
            .await?;
        Ok(())
    }

    /// SIGKILL of the shard's master; its replica loses what it has not read, goes on, and is waited for until it has
    /// taken over and every living node holds the Cluster for up. Gives the port of the dead master.
    pub async fn crash(&mut self, shard: usize) -> Result<u16, LabError> {
        let port = self.kill_master(shard).await?;
        self.wait_for_takeover(shard, port).await?;
        Ok(port)
    }

    /// The first half of [`RedisCluster::crash`]: the master is gone and nobody has taken over.
    pub async fn kill_master(&mut self, shard: usize) -> Result<u16, LabError> {
        let port = self.master(shard).await?.port();
        let replica = self.replica(shard).await?.port();
        let dead = self
            .nodes
            .iter_mut()
            .find(|node| node.server.port() == port);
        let dead = dead.expect("the master is one of the nodes");
        dead.server.kill()?;
        dead.is_alive = false;
        let replica = self.by_port(replica);
        wait::until("the replica's link is down", STEP_LIMIT, async || {
            let status = replica.server.info("master_link_status").await;
            status.is_ok_and(|status| status.as_deref() == Some("down"))
        })
        .await?;
        replica.run(&["CLIENT", "UNPAUSE"]).await?;
        Ok(port)
    }

    /// Waits until another node than the one at `port` is this shard's master and the Cluster is up.
    pub async fn wait_for_takeover(&self, shard: usize, port: u16) -> Result<(), LabError> {
        wait::until("another node takes over", STEP_LIMIT, async || {
            self.master(shard)
                .await
                .is_ok_and(|master| master.port() != port)
        })
        .await?;
        self.wait_until_up().await
    }

    /// Starts a killed node again, as it was, and waits until it is its successor's replica.
    pub async fn revive(&mut self, port: u16) -> Result<(), LabError> {
        let node = self
            .nodes
            .iter_mut()
            .find(|node| node.server.port() == port);
        let node = node.ok_or_else(|| LabError::Unfit(format!("no node at port {port}")))?;
        node.server.restart().await?;
        node.is_alive = true;
        let node = self.by_port(port);
        wait::until(
            "the old master follows the new one",
            STEP_LIMIT,
            async || {
                let status = node.server.info("master_link_status").await;
                status.is_ok_and(|status| status.as_deref() == Some("up"))
            },
        )
        .await?;
        self.wait_until_up().await
    }

    /// `CLUSTER FAILOVER` of this shard: nothing is lost.
    pub async fn switch(&self, shard: usize) -> Result<(), LabError> {
        let port = self.master(shard).await?.port();
        let replica = self.replica(shard).await?;
        replica.command(&["CLUSTER", "FAILOVER"]).await?;
        self.wait_for_takeover(shard, port).await
    }

    /// Moves a slot with its keys to another shard, from beginning to end.
    pub async fn move_slot(&self, slot: Slot, to: usize) -> Result<(), LabError> {
        let moving = self.begin_move(slot, to).await?;
        while self.move_keys(&moving, MIGRATED_AT_ONCE).await? > 0 {}
        self.end_move(moving).await
    }

    /// From now on the slot is on its way: its keys stay where they are, new ones begin at the other shard.
    pub async fn begin_move(&self, slot: Slot, to: usize) -> Result<MovingSlot, LabError> {
        let number = slot.number().to_string();
        let target = self.node(to, "master").await?;
        let source = self.owner(slot).await?;
        target
            .run(&["CLUSTER", "SETSLOT", &number, "IMPORTING", &source.id])
            .await?;
        source
            .run(&["CLUSTER", "SETSLOT", &number, "MIGRATING", &target.id])
            .await?;
        Ok(MovingSlot {
            number,
            from: source.server.port(),
            to: target.server.port(),
        })
    }

    /// Moves up to `count` keys of the slot; how many there were.
    pub async fn move_keys(&self, moving: &MovingSlot, count: usize) -> Result<usize, LabError> {
        let mut connection = self.connect(moving.from).await?;
        let keys: Vec<Vec<u8>> = redis::cmd("CLUSTER")
            .arg("GETKEYSINSLOT")
            .arg(&moving.number)
            .arg(count)
            .query_async(&mut connection)
            .await
            .map_err(LabError::redis("list the keys of a slot"))?;
        if keys.is_empty() {
            return Ok(0);
        }
        let mut migrate = redis::cmd("MIGRATE");
        migrate.arg("127.0.0.1").arg(moving.to).arg("").arg(0);
        migrate.arg(10_000).arg("KEYS").arg(&keys);
        migrate
            .query_async::<redis::Value>(&mut connection)
            .await
            .map_err(LabError::redis("migrate keys"))?;
        Ok(keys.len())
    }

    /// From now on the slot is the other shard's, and every node is told so.
    pub async fn end_move(&self, moving: MovingSlot) -> Result<(), LabError> {
        let target = self.by_port(moving.to).id.clone();
        let first = [moving.to, moving.from];
        let rest = self.nodes.iter().filter(|node| node.is_alive);
        let rest = rest
            .map(|node| node.server.port())
            .filter(|port| !first.contains(port));
        for port in first.into_iter().chain(rest) {
            let node = self.by_port(port);
            let role = node.server.info("role").await?;
            if role.as_deref() == Some("master") {
                node.run(&["CLUSTER", "SETSLOT", &moving.number, "NODE", &target])
                    .await?;
            }
        }
        Ok(())
    }

    /// Every key with its type and content, by the masters' own word.
    pub async fn snapshot(&self) -> Result<BTreeMap<String, String>, LabError> {
        let mut all = BTreeMap::new();
        for shard in 0..self.options.masters {
            let mut connection = self.master(shard).await?.connect().await?;
            let keys: Vec<Vec<u8>> = redis::cmd("KEYS")
                .arg("*")
                .query_async(&mut connection)
                .await
                .map_err(LabError::redis("list keys"))?;
            for key in keys {
                let content: redis::Value = redis::cmd("DUMP")
                    .arg(&key)
                    .query_async(&mut connection)
                    .await
                    .map_err(LabError::redis("dump a key"))?;
                all.insert(key.escape_ascii().to_string(), format!("{content:?}"));
            }
        }
        Ok(all)
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

    async fn wait_until_acquainted(&self) -> Result<(), LabError> {
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

    async fn add_node(&mut self, shard: usize) -> Result<(), LabError> {
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

    async fn node(&self, shard: usize, role: &str) -> Result<&Node, LabError> {
        for node in self.nodes.iter().filter(|n| n.shard == shard && n.is_alive) {
            if node.server.info("role").await?.as_deref() == Some(role) {
                return Ok(node);
            }
        }
        Err(LabError::Unfit(format!(
            "shard {shard} has no living {role}"
        )))
    }

    /// The master that owns the slot by its own word.
    async fn owner(&self, slot: Slot) -> Result<&Node, LabError> {
        for shard in 0..self.options.masters {
            let node = self.node(shard, "master").await?;
            let text = node.text(&["CLUSTER", "NODES"]).await?;
            let own = text.lines().find(|line| line.contains("myself"));
            let ranges = own.unwrap_or_default().split(' ').skip(8);
            let has = |range: &str| {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                let (first, last) = (first.parse::<u16>(), last.parse::<u16>());
                matches!((first, last), (Ok(a), Ok(b)) if (a..=b).contains(&slot.number()))
            };
            if ranges.filter(|range| !range.starts_with('[')).any(has) {
                return Ok(node);
            }
        }
        Err(LabError::Unfit(format!(
            "nobody owns slot {}",
            slot.number()
        )))
    }

    fn by_port(&self, port: u16) -> &Node {
        let mut nodes = self.nodes.iter();
        nodes
            .find(|node| node.server.port() == port)
            .expect("only ports of our own nodes are asked for")
    }

    async fn connect(&self, port: u16) -> Result<MultiplexedConnection, LabError> {
        match self.nodes.iter().find(|node| node.server.port() == port) {
            Some(node) => node.server.connect().await,
            None => Err(LabError::Unfit(format!("port {port} is none of the nodes"))),
        }
    }
}

/// A slot on its way from one shard to another.
#[derive(Debug)]
pub struct MovingSlot {
    number: String,
    /// Ports of the two masters.
    from: u16,
    to: u16,
}

impl Node {
    async fn run(&self, words: &[&str]) -> Result<(), LabError> {
        self.server.command(words).await.map(drop)
    }

    async fn text(&self, words: &[&str]) -> Result<String, LabError> {
        let mut connection = self.server.connect().await?;
        let mut command = redis::cmd(words[0]);
        words[1..].iter().for_each(|word| {
            command.arg(*word);
        });
        command
            .query_async(&mut connection)
            .await
            .map_err(LabError::redis(words.join(" ")))
    }

    async fn meet(&self, other: &Node) -> Result<(), LabError> {
        let (port, bus) = (other.server.port().to_string(), other.bus_port.to_string());
        self.run(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus])
            .await
    }
}
