//! The lab's accidents lose what they say they lose, and nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use auditor::lab::accidents::{Accident, Mishap};
use auditor::lab::app::{CacheWrite, Load, Stock};
use auditor::lab::cluster::ClusterOptions;
use auditor::lab::servers::{Flavor, MysqlOptions, RedisServer};
use auditor::lab::story::{Acts, Stage};
use auditor::lab::truth::{Lost, Truth};

/// The application's cache writes follow their commits at once, however busy the machine is.
const CACHE_DELAY: Duration = Duration::from_secs(60);
/// Long enough for any restart.
const PATIENT: Duration = Duration::from_secs(60);
const ACTS: Acts = Acts {
    load: Load {
        clerks: 4,
        // Ten seconds and more go by until a demotion: users are deleted all the while.
        per_second: Some(120),
        seed: 5,
    },
    before: 200,
    lost: 200,
    after: 150,
};

/// What is known when everything is over and the application has stopped.
struct Aftermath {
    stage: Stage,
    mishap: Mishap,
    /// The port of the master at the start.
    first_port: u16,
    first_run_id: String,
    writes: Vec<CacheWrite>,
    truth: Truth,
}

impl Aftermath {
    async fn of(accident: Accident) -> Self {
        let database = MysqlOptions {
            flavor: Flavor::MariaDb,
            arguments: Vec::new(),
            tls: false,
        };
        let cluster = ClusterOptions {
            replicas: 2,
            sentinel_name: Some("mymaster".into()),
            down_after: accident.is_restart().then_some(PATIENT),
            behind_proxy: accident.needs_proxy(),
            ..ClusterOptions::default()
        };
        let stock = Stock::new(400, 60, 5);
        let mut stage = Stage::start(database, cluster, stock).await.unwrap();
        let first_port = stage.cluster.master().port();
        let first_run_id = info(stage.cluster.master(), "run_id").await;
        let (mishap, running) = stage.suffer(accident, ACTS).await.unwrap();
        running.stop().await;
        let truth = stage.truth().await.unwrap();
        let writes = stage.app.take_cache_writes();
        assert!(mishap.acknowledged >= ACTS.lost, "{mishap:?}");
        assert!(truth.expected.len() > 30, "{:?}", truth.by_rule());
        Self {
            stage,
            mishap,
            first_port,
            first_run_id,
            writes,
            truth,
        }
    }

    /// Another node is the master, the old process follows it, and everything that is wrong was acknowledged by the old
    /// one in the time that the mishap names.
    async fn is_failover(&self) {
        let cluster = &self.stage.cluster;
        let former = cluster.former_master().unwrap();
        assert_eq!(former.port(), self.first_port);
        assert_eq!(info(former, "run_id").await, self.first_run_id);
        assert_eq!(info(former, "role").await, "slave");
        assert_eq!(info(cluster.master(), "role").await, "master");
        let named = cluster.sentinels().unwrap().master_port().await.unwrap();
        assert_eq!(named, cluster.master().port());

        let since = self.mishap.since.unwrap();
        let lost = Lost::of(&self.writes, cluster.master().port(), since, CACHE_DELAY);
        for expected in &self.truth.expected {
            let is_explained = lost.explains(&expected.key, &expected.member, chrono::Utc::now());
            assert!(is_explained, "{expected:?} was not lost");
        }
        let of_old = self.writes.iter().filter(|write| {
            write.is_acknowledged
                && write.port == Some(self.first_port)
                && write.answered_at > since
        });
        let last = of_old.clone().map(|write| write.answered_at).max();
        assert!(of_old.count() as u64 >= ACTS.lost);
        assert!(last.unwrap() <= self.mishap.until, "{:?}", self.mishap);
    }

    /// Nobody noticed: the master is where it was, and another process.
    async fn is_restart(&self) {
        let cluster = &self.stage.cluster;
        assert!(cluster.former_masters().is_empty());
        assert_eq!(cluster.master().port(), self.first_port);
        assert_ne!(info(cluster.master(), "run_id").await, self.first_run_id);
        let named = cluster.sentinels().unwrap().master_port().await.unwrap();
        assert_eq!(named, self.first_port, "no failover");
        cluster.fence().await.unwrap();
        let count = keys(cluster.master()).await;
        for replica in cluster.replicas() {
            assert_eq!(keys(replica).await, count, "the replicas were taken along");
        }
    }

    fn by_rule(&self) -> BTreeMap<&'static str, usize> {
        self.truth.by_rule()
    }
}

#[tokio::test]
async fn a_partition_that_heals_loses_what_the_old_master_acknowledged_until_its_demotion() {
    let aftermath = Aftermath::of(Accident::Partition).await;
    aftermath.is_failover().await;
    assert!(aftermath.by_rule().contains_key("negative-balance"));
}

#[tokio::test]
async fn a_switch_under_load_loses_what_the_old_master_acknowledged_until_its_demotion() {
    let aftermath = Aftermath::of(Accident::Switch).await;
    aftermath.is_failover().await;
}

#[tokio::test]
async fn a_master_that_wakes_loses_what_it_acknowledges_until_its_demotion() {
    let aftermath = Aftermath::of(Accident::Sleep).await;
    aftermath.is_failover().await;
    assert!(aftermath.by_rule().contains_key("negative-balance"));
}

#[tokio::test]
async fn a_restart_without_data_loses_everything_and_no_sentinel_acts() {
    let aftermath = Aftermath::of(Accident::RestartEmpty).await;
    aftermath.is_restart().await;
    assert_eq!(aftermath.mishap.since, None);
    let missing = aftermath.by_rule()["missing-key"];
    assert!(missing > 500, "{:?}", aftermath.by_rule());
}

#[tokio::test]
async fn a_restart_from_a_snapshot_loses_what_came_after_it() {
    let aftermath = Aftermath::of(Accident::RestartFromSnapshot).await;
    aftermath.is_restart().await;
    let rules = aftermath.by_rule();
    assert!(rules.contains_key("negative-balance"), "{rules:?}");
    assert!(rules.contains_key("version-regression"), "{rules:?}");
    let missing = rules.get("missing-key").copied().unwrap_or_default();
    assert!(missing < 100, "most of it is on the disk: {rules:?}");
}

async fn info(server: &RedisServer, field: &str) -> String {
    server.info(field).await.unwrap().unwrap()
}

async fn keys(server: &RedisServer) -> u64 {
    let count = server.command(&["DBSIZE"]).await.unwrap();
    redis::from_redis_value(count).unwrap()
}
