//! One Redis master with replicas, with or without Sentinels, and the steps of a failover that really
//! loses acknowledged writes.
//!
//! A plain `kill -9` loses next to nothing: what the replica has not read yet waits in its socket. The
//! replicas are stalled first (`CLIENT PAUSE … WRITE`, which leaves PING and INFO answered), so that the
//! link dies with the unread input still in it.
//!
//! What befalls a master that lives on (a partition, a switch, a restart) is in [`survivors`].

use std::time::Duration;

use tokio::sync::watch;

use super::app::MasterName;
use super::proxy::Proxy;
use super::servers::{RedisOptions, RedisServer, SentinelGroup, SentinelOptions};
use super::{LabError, wait};

mod survivors;

/// Past any lab's steps; the pause is lifted long before.
const STALL_MS: &str = "60000";
const STEP_LIMIT: Duration = Duration::from_secs(30);
const FENCE_LIMIT_MS: &str = "10000";

#[derive(Clone, Default)]
pub struct ClusterOptions {
    pub replicas: usize,
    /// The name under which three Sentinels know the master; `None`: promotion is by hand.
    pub sentinel_name: Option<String>,
    /// Further configuration lines of every server.
    pub lines: Vec<String>,
    /// After what silence the Sentinels take the master for dead; `None`: 3 s.
    pub down_after: Option<Duration>,
    /// Between the first master and everyone but the application lies a network of its own: Sentinels, replicas and
    /// whoever asks the Sentinels know it by a proxy's port. The application has the server's own port and stays there
    /// until it is thrown out, and only then goes where [`Cluster::tell_application`] has sent it.
    pub behind_proxy: bool,
}

/// Servers by their present roles.
pub struct Cluster {
    options: ClusterOptions,
    master: RedisServer,
    replicas: Vec<RedisServer>,
    /// Masters of earlier failovers, killed or demoted: their ports stay theirs.
    former: Vec<RedisServer>,
    /// The first master's.
    proxy: Option<Proxy>,
    sentinels: Option<SentinelGroup>,
    named: watch::Sender<u16>,
}

impl Cluster {
    /// Starts everything and waits until every replica is online and every Sentinel knows it.
    pub async fn start(options: ClusterOptions) -> Result<Self, LabError> {
        let master = start_server(&options, None).await?;
        let (named, _) = watch::channel(master.port());
        let proxy = match options.behind_proxy {
            true => Some(Proxy::start(master.port()).await?),
            false => None,
        };
        let mut cluster = Self {
            master,
            replicas: Vec::new(),
            former: Vec::new(),
            proxy,
            sentinels: None,
            named,
            options,
        };
        cluster.add_replicas().await?;
        if let Some(name) = &cluster.options.sentinel_name {
            let down_after = cluster.options.down_after.map(|silence| {
                let millis = silence.as_millis();
                format!("sentinel down-after-milliseconds {name} {millis}")
            });
            let options = SentinelOptions {
                lines: down_after.into_iter().collect(),
                ..SentinelOptions::default()
            };
            let group = SentinelGroup::start_with(cluster.known_port(), name, options).await?;
            group.wait_until_ready(cluster.options.replicas).await?;
            cluster.sentinels = Some(group);
        }
        Ok(cluster)
    }

    pub fn master(&self) -> &RedisServer {
        &self.master
    }

    pub fn replicas(&self) -> &[RedisServer] {
        &self.replicas
    }

    /// The masters of earlier failovers, killed or demoted, the latest last.
    pub fn former_masters(&self) -> &[RedisServer] {
        &self.former
    }

    pub fn sentinels(&self) -> Option<&SentinelGroup> {
        self.sentinels.as_ref()
    }

    /// As a job file has it: by Sentinel name, or the present master's address.
    pub fn url(&self) -> String {
        self.sentinels
            .as_ref()
            .map_or_else(|| self.master.url(), SentinelGroup::url)
    }

    /// How the application follows the master.
    pub fn master_name(&self) -> MasterName {
        match &self.sentinels {
            Some(group) if self.proxy.is_none() => MasterName::Sentinel {
                ports: group.ports(),
                name: group.name().to_owned(),
            },
            _ => MasterName::Watched(self.named.subscribe()),
        }
    }

    /// Waits until every replica has all that was written before.
    pub async fn fence(&self) -> Result<(), LabError> {
        self.master.wait_for_replicas(self.replicas.len()).await?;
        let mut connection = self.master.connect().await?;
        // WAIT counts from the last write of its own connection.
        let (reached,): (usize,) = redis::pipe()
            .set("lab:fence", 1)
            .ignore()
            .cmd("WAIT")
            .arg(self.replicas.len())
            .arg(FENCE_LIMIT_MS)
            .query_async(&mut connection)
            .await
            .map_err(LabError::redis("wait for the replicas"))?;
        if reached < self.replicas.len() {
            return Err(LabError::Unfit(format!(
                "only {reached} of {} replicas are level",
                self.replicas.len()
            )));
        }
        Ok(())
    }

    /// From now on the replicas apply nothing, while they look alive to everyone.
    pub async fn stall_replicas(&self) -> Result<(), LabError> {
        for replica in &self.replicas {
            replica
                .command(&["CLIENT", "PAUSE", STALL_MS, "WRITE"])
                .await?;
        }
        Ok(())
    }

    /// Lets stalled replicas go on; what they have not read yet they read now.
    pub async fn unstall_replicas(&self) -> Result<(), LabError> {
        for replica in &self.replicas {
            replica.command(&["CLIENT", "UNPAUSE"]).await?;
        }
        Ok(())
    }

    /// SIGKILL of the master, and until every replica has noticed: its unread input is gone then.
    pub async fn crash_master(&self) -> Result<(), LabError> {
        self.master.kill()?;
        for replica in &self.replicas {
            wait::until("the replica's link is down", STEP_LIMIT, async || {
                replica
                    .info("master_link_status")
                    .await
                    .is_ok_and(|status| status.as_deref() == Some("down"))
            })
            .await?;
        }
        Ok(())
    }

    /// Makes the first replica the master by hand, tells the application, and turns the others to it.
    pub async fn promote(&mut self) -> Result<(), LabError> {
        let next = self
            .replicas
            .first()
            .ok_or_else(|| LabError::Unfit("there is no replica".into()))?;
        next.command(&["REPLICAOF", "NO", "ONE"]).await?;
        self.unstall_replicas().await?;
        let port = next.port();
        for other in &self.replicas[1..] {
            other
                .command(&["REPLICAOF", "127.0.0.1", &port.to_string()])
                .await?;
        }
        self.take_over(port).await?;
        self.tell_application();
        Ok(())
    }

    /// Lets the Sentinels promote a replica, and waits until they all name it and it is writable.
    /// A stalled replica would refuse their promotion, so the stall ends first. An application that asks the Sentinels
    /// follows when it has lost the old master, one behind a proxy when it is told, too.
    pub async fn wait_for_new_master(&mut self) -> Result<(), LabError> {
        let group = self
            .sentinels
            .as_ref()
            .ok_or_else(|| LabError::Unfit("there are no Sentinels".into()))?;
        self.unstall_replicas().await?;
        let port = group.wait_for_new_master(self.known_port()).await?;
        self.take_over(port).await
    }

    /// `promote` or `wait_for_new_master`, as the cluster was started.
    pub async fn replace_master(&mut self) -> Result<(), LabError> {
        match self.sentinels {
            Some(_) => self.wait_for_new_master().await,
            None => self.promote().await,
        }
    }

    /// Whoever of the application has no connection, or loses the one he has, now goes to the present master.
    pub fn tell_application(&self) {
        self.named.send_replace(self.master.port());
    }

    /// Fresh replicas for the present master, as many as there were at first, ready for the next failover.
    pub async fn rearm(&mut self) -> Result<(), LabError> {
        self.former.clear();
        self.add_replicas().await?;
        match &self.sentinels {
            Some(group) => group.wait_until_ready(self.options.replicas).await,
            None => Ok(()),
        }
    }

    async fn add_replicas(&mut self) -> Result<(), LabError> {
        while self.replicas.len() < self.options.replicas {
            self.replicas
                .push(start_server(&self.options, Some(self.known_port())).await?);
        }
        self.master.wait_for_replicas(self.replicas.len()).await
    }

    async fn take_over(&mut self, port: u16) -> Result<(), LabError> {
        let index = self
            .replicas
            .iter()
            .position(|replica| replica.port() == port)
            .ok_or_else(|| LabError::Unfit(format!("port {port} is none of the replicas")))?;
        let next = self.replicas.remove(index);
        wait::until("the new master says so", STEP_LIMIT, async || {
            next.info("role")
                .await
                .is_ok_and(|role| role.as_deref() == Some("master"))
        })
        .await?;
        self.former.push(std::mem::replace(&mut self.master, next));
        self.master.wait_for_replicas(self.replicas.len()).await
    }

    /// Where everyone but the application finds the present master.
    fn known_port(&self) -> u16 {
        match &self.proxy {
            Some(proxy) if self.former.is_empty() => proxy.port(),
            _ => self.master.port(),
        }
    }
}

async fn start_server(
    options: &ClusterOptions,
    replica_of: Option<u16>,
) -> Result<RedisServer, LabError> {
    RedisServer::start(RedisOptions {
        lines: options.lines.clone(),
        replica_of,
        ..RedisOptions::default()
    })
    .await
}
