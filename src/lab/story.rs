//! The whole stage on one machine: a database, a Redis with replicas, the application, and a failover
//! that loses what customers were told is done.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::LabError;
use super::app::{App, AppError, Load, Running, Stock};
use super::cluster::{Cluster, ClusterOptions};
use super::servers::{MysqlOptions, MysqlServer};
use super::stream_script::StreamScript;
use super::truth::Truth;
use super::watch::Watcher;

const DATABASE: &str = "auction";
/// A slow machine gets through a lab's few thousand requests well within this.
pub(super) const REQUESTS_LIMIT: Duration = Duration::from_secs(120);
/// Earned while the replicas are stalled, so that the earning is lost …
pub(super) const EARNED: i64 = 1_000;
/// … and spent after the failover, so that the cached points fall below zero.
pub(super) const SPENT: i64 = 900;

pub struct Stage {
    pub database: MysqlServer,
    pub cluster: Cluster,
    pub app: App,
}

/// How many requests are acknowledged in each act of a failover.
#[derive(Debug, Clone, Copy)]
pub struct Acts {
    pub load: Load,
    /// Before the replicas fall behind: all of these survive.
    pub before: u64,
    /// While they are behind: the writes of these are lost.
    pub lost: u64,
    /// On the new master.
    pub after: u64,
}

/// What happened, by clocks and counters that the auditor does not see.
#[derive(Debug, Clone, Copy)]
pub struct Loss {
    /// No write acknowledged before this instant was lost.
    pub since: DateTime<Utc>,
    pub crashed_at: DateTime<Utc>,
    pub promoted_at: DateTime<Utc>,
    /// Requests acknowledged to customers before the replicas fell behind.
    pub acknowledged_before: u64,
    /// Requests acknowledged in between, whose cache writes the new master never saw.
    pub acknowledged_lost: u64,
    /// Replication stream bytes that the old master had and the new one has not; at least so many.
    pub lost_bytes: i64,
}

impl Stage {
    /// Starts every server and fills both sides.
    pub async fn start(
        database: MysqlOptions,
        cluster: ClusterOptions,
        stock: Stock,
    ) -> Result<Self, LabError> {
        let (database, cluster) =
            tokio::try_join!(MysqlServer::start_with(database), Cluster::start(cluster))?;
        let app = App::open(
            &database,
            DATABASE,
            cluster.master(),
            cluster.master_name(),
            stock,
        )
        .await?;
        Ok(Self {
            database,
            cluster,
            app,
        })
    }

    /// The environment that the job file of the auction expects: `MYSQL_URL`, `REDIS_URL` (by Sentinel name where
    /// there are Sentinels, else of the present master).
    pub fn environment(&self) -> [(&'static str, String); 2] {
        [
            ("MYSQL_URL", self.database.url(DATABASE)),
            ("REDIS_URL", self.cluster.url()),
        ]
    }

    /// The name of the application's database.
    pub fn database_name(&self) -> &'static str {
        DATABASE
    }

    /// What differs now. The application must be stopped.
    pub async fn truth(&self) -> Result<Truth, LabError> {
        Truth::read(&self.database, DATABASE, self.cluster.master()).await
    }

    /// A witness of the present master from now on.
    pub async fn watch(&self) -> Result<Watcher, LabError> {
        Watcher::start(self.cluster.master(), self.app.addresses()).await
    }

    /// One failover under load that loses acknowledged writes. The application is still running when this
    /// returns; stop it for a quiet audit. Another one can follow after `cluster.rearm()`.
    pub async fn fail_over(&mut self, acts: Acts) -> Result<(Loss, Running), LabError> {
        self.fail_over_with(acts, None).await
    }

    /// The same failover, which hits the streams of `script` too.
    pub async fn fail_over_with(
        &mut self,
        acts: Acts,
        mut script: Option<&mut StreamScript>,
    ) -> Result<(Loss, Running), LabError> {
        if let Some(script) = &mut script {
            script.before(self.cluster.master()).await?;
        }
        let running = self.app.run(acts.load).await?;
        running.wait_for(acts.before, REQUESTS_LIMIT).await?;
        // Taken before the fence, which holds only for what was written before it.
        let since = Utc::now();
        self.cluster.fence().await?;
        let acknowledged_before = running.tally().acknowledged;
        self.cluster.stall_replicas().await?;
        self.guests_change_points(EARNED).await?;
        if let Some(script) = &mut script {
            script.lose(self.cluster.master()).await?;
        }
        running.wait_for(acts.lost, REQUESTS_LIMIT).await?;
        let acknowledged_lost =
            running.tally().acknowledged - acknowledged_before + self.app.stock().guests;
        let written = offset(&self.cluster, "master_repl_offset").await?;
        self.cluster.crash_master().await?;
        let crashed_at = Utc::now();
        self.cluster.replace_master().await?;
        let promoted_at = Utc::now();
        let lost_bytes = written - offset(&self.cluster, "second_repl_offset").await? + 1;
        self.guests_change_points(-SPENT).await?;
        if let Some(script) = &mut script {
            script.after().await?;
        }
        running.wait_for(acts.after, REQUESTS_LIMIT).await?;
        let loss = Loss {
            since,
            crashed_at,
            promoted_at,
            acknowledged_before,
            acknowledged_lost,
            lost_bytes,
        };
        Ok((loss, running))
    }

    pub(super) async fn guests_change_points(&self, change: i64) -> Result<(), LabError> {
        let unfit = |error: AppError| LabError::Unfit(format!("a guest's request failed: {error}"));
        let mut clerk = self.app.clerk(self.app.stock().seed).await.map_err(unfit)?;
        for guest in self.app.stock().guest_ids() {
            clerk.change_points(guest, change).await.map_err(unfit)?;
        }
        Ok(())
    }
}

async fn offset(cluster: &Cluster, field: &str) -> Result<i64, LabError> {
    let text = cluster.master().info(field).await?;
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| LabError::Unfit(format!("the master's INFO has no {field}")))
}
