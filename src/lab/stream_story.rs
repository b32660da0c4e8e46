//! The stage of the bidding streams: a database, a Redis with replicas, and failovers that lose what
//! producers and consumers were told is done.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::LabError;
use super::app::streams::{Alive, LIVE, Layout, StreamApp, StreamLoad, StreamRunning};
use super::cluster::{Cluster, ClusterOptions};
use super::servers::{MysqlOptions, MysqlServer};
use super::stream_script::{StreamFacts, StreamScript};
use super::truth::streams::{StreamTruth, StreamView, StreamWorld};
use super::wait;
use super::watch::Watcher;

const DATABASE: &str = "bids";
/// A slow machine gets through a lab's few thousand messages well within this.
const MESSAGES_LIMIT: Duration = Duration::from_secs(120);
const IDLE_LIMIT: Duration = Duration::from_secs(60);

pub struct StreamStage {
    pub database: MysqlServer,
    pub cluster: Cluster,
    pub app: Arc<StreamApp>,
}

/// How many messages are taken all the way in each act of a failover under load.
#[derive(Debug, Clone, Copy)]
pub struct StreamActs {
    pub load: StreamLoad,
    pub before: u64,
    pub lost: u64,
    pub after: u64,
}

/// What happened, by clocks and counters that the auditor does not see.
#[derive(Debug, Clone, Copy)]
pub struct StreamLoss {
    /// Nothing acknowledged before this instant was lost.
    pub since: DateTime<Utc>,
    pub crashed_at: DateTime<Utc>,
    pub promoted_at: DateTime<Utc>,
}

/// A failover by script: its times, what is to be found, and the live consumers.
pub struct PlayedScript {
    pub loss: StreamLoss,
    pub facts: StreamFacts,
    /// Alive until dropped.
    pub alive: Vec<Alive>,
}

impl StreamStage {
    pub async fn start(database: MysqlOptions, cluster: ClusterOptions) -> Result<Self, LabError> {
        let (database, cluster) =
            tokio::try_join!(MysqlServer::start_with(database), Cluster::start(cluster))?;
        let app =
            StreamApp::open(&database, DATABASE, cluster.master(), cluster.master_name()).await?;
        Ok(Self {
            database,
            cluster,
            app: Arc::new(app),
        })
    }

    /// The environment that a job file expects: `MYSQL_URL`, `REDIS_URL`.
    pub fn environment(&self) -> [(&'static str, String); 2] {
        [
            ("MYSQL_URL", self.database.url(DATABASE)),
            ("REDIS_URL", self.cluster.url()),
        ]
    }

    pub fn database_name(&self) -> &'static str {
        DATABASE
    }

    /// Both sides of one layout. The application must be stopped, or at rest with what it holds.
    pub async fn world(&self, layout: Layout) -> Result<StreamWorld, LabError> {
        StreamWorld::read(&self.database, DATABASE, self.cluster.master(), layout).await
    }

    pub async fn truth(&self, view: &StreamView) -> Result<StreamTruth, LabError> {
        Ok(StreamTruth::of(&self.world(view.layout).await?, view))
    }

    /// A witness of the present master from now on.
    pub async fn watch(&self) -> Result<Watcher, LabError> {
        Watcher::start(self.cluster.master(), self.app.addresses()).await
    }

    /// Loses `count` of everything that a failover can lose of a stream, all of it known by construction.
    pub async fn play(&mut self, count: usize, seed: u64) -> Result<PlayedScript, LabError> {
        let mut script = StreamScript::new(self.app.clone(), count, seed);
        script.before(self.cluster.master()).await?;
        let since = Utc::now();
        self.cluster.fence().await?;
        self.cluster.stall_replicas().await?;
        script.lose(self.cluster.master()).await?;
        let loss = self.replace_master(since).await?;
        script.after().await?;
        let (facts, alive) = script.into_alive();
        Ok(PlayedScript { loss, facts, alive })
    }

    /// One failover while producers and consumers work. They are still at it when this returns.
    pub async fn fail_over(
        &mut self,
        acts: StreamActs,
    ) -> Result<(StreamLoss, StreamRunning), LabError> {
        let running = self.app.run(acts.load);
        running.wait_for(acts.before, MESSAGES_LIMIT).await?;
        let since = Utc::now();
        self.cluster.fence().await?;
        self.cluster.stall_replicas().await?;
        running.wait_for(acts.lost, MESSAGES_LIMIT).await?;
        let loss = self.replace_master(since).await?;
        running.wait_for(acts.after, MESSAGES_LIMIT).await?;
        Ok((loss, running))
    }

    /// Waits until everyone but [`LIVE`] and `others` has been idle for `orphan_after`, and so has every
    /// message they hold.
    pub async fn wait_until_gone(
        &self,
        layout: Layout,
        others: &BTreeSet<String>,
        orphan_after: Duration,
    ) -> Result<(), LabError> {
        let cause = format!(
            "the dead of {} have been idle for {orphan_after:?}",
            layout.group()
        );
        let limit = orphan_after + IDLE_LIMIT;
        wait::until(cause, limit, async || {
            self.world(layout).await.is_ok_and(|world| {
                world.are_idle(orphan_after, |name| name == LIVE || others.contains(name))
            })
        })
        .await
    }

    async fn replace_master(&mut self, since: DateTime<Utc>) -> Result<StreamLoss, LabError> {
        self.cluster.crash_master().await?;
        let crashed_at = Utc::now();
        self.cluster.replace_master().await?;
        Ok(StreamLoss {
            since,
            crashed_at,
            promoted_at: Utc::now(),
        })
    }
}
