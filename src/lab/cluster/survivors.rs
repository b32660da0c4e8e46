//! What befalls a master that lives through it: it is cut off, sleeps, is moved by an operator, or starts again. In all
//! of them but the restarts it goes on acknowledging until the Sentinels demote it, some 10 s after they could have.

use std::time::Duration;

use super::Cluster;
use crate::lab::proxy::{Mode, Proxy};
use crate::lab::servers::RedisServer;
use crate::lab::{LabError, wait};

/// Measured at 10 s from the moment a Sentinel can reach it; a busy machine doubles that.
const DEMOTION_LIMIT: Duration = Duration::from_secs(60);
const SYNC_LIMIT: Duration = Duration::from_secs(30);

impl Cluster {
    /// From now on nothing passes between the master and its replicas, the Sentinels, and whoever asks them for it. The
    /// application goes on as if nothing had happened.
    pub fn cut_off_master(&self) -> Result<(), LabError> {
        self.network()?.set_mode(Mode::BlackHole);
        Ok(())
    }

    /// Everything passes again, what was held up included.
    pub fn heal(&self) -> Result<(), LabError> {
        self.network()?.set_mode(Mode::Pass);
        Ok(())
    }

    /// Stops the master's process, which looks dead to everyone and is not.
    pub async fn put_master_to_sleep(&self) -> Result<(), LabError> {
        self.master.pause().await
    }

    /// The sleeping former master goes on where it was, and does what was sent to it meanwhile.
    pub fn wake_former_master(&self) -> Result<(), LabError> {
        self.former_master()?.resume()
    }

    /// What an operator does who wants the living master moved.
    pub async fn ask_for_failover(&self) -> Result<(), LabError> {
        let group = self.sentinels.as_ref();
        let group = group.ok_or_else(|| LabError::Unfit("there are no Sentinels".into()))?;
        group.ask_for_failover().await
    }

    /// Waits until the Sentinels have made the former master a replica. It acknowledges no write after that.
    pub async fn wait_for_demotion(&self) -> Result<(), LabError> {
        let former = self.former_master()?;
        let cause = format!("the Sentinels demote the master at port {}", former.port());
        wait::until(cause, DEMOTION_LIMIT, async || {
            former
                .info("role")
                .await
                .is_ok_and(|role| role.as_deref() == Some("slave"))
        })
        .await
    }

    /// SIGKILL of the master and a start at the same place, with what lies on its disk: the last
    /// [`Cluster::save_snapshot`], or nothing. The replicas become what it is.
    pub async fn restart_master(&self) -> Result<(), LabError> {
        self.master.restart().await?;
        self.master.wait_for_replicas(self.replicas.len()).await?;
        let history = self.master.info("master_replid").await?;
        for replica in &self.replicas {
            let cause = format!("the replica at port {} has the new history", replica.port());
            wait::until(cause, SYNC_LIMIT, async || {
                replica
                    .info("master_replid")
                    .await
                    .is_ok_and(|found| found == history)
            })
            .await?;
        }
        Ok(())
    }

    /// Writes everything the master has to its disk.
    pub async fn save_snapshot(&self) -> Result<(), LabError> {
        self.master.command(&["SAVE"]).await.map(drop)
    }

    /// Who was the master until the last failover.
    pub fn former_master(&self) -> Result<&RedisServer, LabError> {
        let former = self.former.last();
        former.ok_or_else(|| LabError::Unfit("there was no failover yet".into()))
    }

    fn network(&self) -> Result<&Proxy, LabError> {
        self.proxy
            .as_ref()
            .ok_or_else(|| LabError::Unfit("the cluster was not started behind a proxy".into()))
    }
}
