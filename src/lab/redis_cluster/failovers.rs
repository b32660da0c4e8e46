//! Masters that are killed, switched and brought back.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::cluster::{RedisCluster, STEP_LIMIT};
use crate::lab::{LabError, wait};

/// A manual failover gives up after 5 s.
const SWITCH_LIMIT: Duration = Duration::from_secs(6);
/// Past any lab's steps; the pause is lifted long before.
const STALL_MS: &str = "60000";

impl RedisCluster {
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

    /// Starts a killed node again, as it was. It answers INFO when this returns; it may be loading its data.
    pub async fn start_again(&mut self, port: u16) -> Result<(), LabError> {
        let node = self
            .nodes
            .iter_mut()
            .find(|node| node.server.port() == port);
        let node = node.ok_or_else(|| LabError::Unfit(format!("no node at port {port}")))?;
        node.server.restart().await?;
        node.is_alive = true;
        Ok(())
    }

    /// Starts a killed node again and waits until it is its successor's replica.
    pub async fn revive(&mut self, port: u16) -> Result<(), LabError> {
        self.start_again(port).await?;
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
        let asked_at = Mutex::new(None::<Instant>);
        wait::until("the replica takes over", STEP_LIMIT, async || {
            // A replica that does not get the votes in time gives up, and is asked again.
            let is_due = {
                let mut asked_at = asked_at.lock().expect("nobody panics while holding it");
                let is_due = asked_at.is_none_or(|at| at.elapsed() > SWITCH_LIMIT);
                if is_due {
                    *asked_at = Some(Instant::now());
                }
                is_due
            };
            if is_due {
                // Refused where it has taken over meanwhile.
                let _ = replica.command(&["CLUSTER", "FAILOVER"]).await;
            }
            let role = replica.info("role").await;
            role.is_ok_and(|role| role.as_deref() == Some("master"))
        })
        .await?;
        self.wait_for_takeover(shard, port).await
    }
}
