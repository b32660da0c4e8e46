//! The shop of the other tests, its keys spread over the masters of a Cluster.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};

use auditor::failover::Remembered;
use auditor::failover::state::StateFolder;
use auditor::job;
use auditor::lab::redis_cluster::{RedisCluster, RedisClusterOptions};
use auditor::lab::servers::{Flavor, MysqlServer, RedisServer};
use auditor::lab::wait;
use sqlx::{AssertSqlSafe, MySqlConnection};
use tempfile::TempDir;

use super::LIMIT;
use crate::support::shop::{CHECKS, LIMITS, balance_key, profile, profile_key};
use crate::support::{DATABASE, Run};

/// A job file of this Cluster; what `{limits}` and `{checks}` stand for comes last.
const JOB: &str = r#"
name = "shop"
time_zone = "UTC"
[mysql]
url = "${MYSQL_URL}"
[redis]
url = "${REDIS_URL}"
[limits]
settle = "100ms"
cache_delay = "200ms"
commit_margin = "1s"
"#;

pub(super) struct Sharded {
    pub(super) mysql: MysqlServer,
    pub(super) cluster: RedisCluster,
    pub(super) folder: TempDir,
    sql: MySqlConnection,
}

impl Sharded {
    pub(super) async fn start() -> Self {
        let mysql = MysqlServer::start(Flavor::MariaDb).await.unwrap();
        mysql.create_database(DATABASE).await.unwrap();
        let options = RedisClusterOptions::default();
        Self {
            sql: mysql.connect(DATABASE).await.unwrap(),
            mysql,
            cluster: RedisCluster::start(options).await.unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Users 1 to `count` at version 5 with a balance of 100, both stores agreeing, at rest for an hour.
    pub(super) async fn shop(count: u32) -> Self {
        let mut world = Self::start().await;
        world.job(LIMITS, CHECKS);
        world
            .sql(&format!(
                "CREATE TABLE users (id BIGINT PRIMARY KEY, name VARCHAR(40) NOT NULL,
                   secret VARCHAR(40) NOT NULL, balance BIGINT NOT NULL, version BIGINT NOT NULL,
                   updated_at DATETIME(6) NOT NULL, deleted_at DATETIME(6) NULL,
                   KEY (updated_at), KEY (deleted_at));
                 INSERT INTO users SELECT seq, CONCAT('name ', seq), 'hush', 100, 5,
                   UTC_TIMESTAMP(6) - INTERVAL 1 HOUR, NULL FROM seq_1_to_{count}"
            ))
            .await;
        let all = (1..=count).flat_map(|id| {
            let balance = (balance_key(id), "100".to_owned());
            [(profile_key(id), profile(id, 5)), balance]
        });
        world.fill(all).await;
        world.cluster.fence().await.unwrap();
        world
    }

    pub(super) fn job(&self, limits: &str, checks: &str) {
        let text = format!("{JOB}{limits}\n{checks}\n");
        std::fs::write(self.folder.path().join("job.toml"), text).unwrap();
    }

    pub(super) async fn sql(&mut self, statements: &str) {
        sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))
            .execute(&mut self.sql)
            .await
            .unwrap();
    }

    /// Sets strings, each at the master that began with its slot.
    pub(super) async fn fill(&self, all: impl Iterator<Item = (String, String)>) {
        let mut of_shards: BTreeMap<usize, redis::Pipeline> = BTreeMap::new();
        for (key, value) in all {
            let pipeline = of_shards.entry(self.cluster.shard_of(&key)).or_default();
            pipeline.set(key, value).ignore();
        }
        for (shard, pipeline) in of_shards {
            let master = self.cluster.master(shard).await.unwrap();
            let mut connection = master.connect().await.unwrap();
            pipeline.exec_async(&mut connection).await.unwrap();
        }
    }

    /// Customers change their profiles now: version 6, in MySQL and then in Redis.
    pub(super) async fn change(&mut self, ids: &[u32]) {
        for id in ids {
            self.sql(&format!(
                "UPDATE users SET version = 6, name = 'new {id}', updated_at = UTC_TIMESTAMP(6) WHERE id = {id}"
            ))
            .await;
            let key = profile_key(*id);
            self.cluster
                .run::<()>(&["SET", &key, &newest(*id)])
                .await
                .unwrap();
        }
    }

    pub(super) async fn get(&self, key: &str) -> Option<String> {
        self.cluster.run(&["GET", key]).await.unwrap()
    }

    pub(super) async fn set(&self, key: &str, value: &str) {
        self.cluster.run::<()>(&["SET", key, value]).await.unwrap();
    }

    /// Ids up to `count` whose profile lies in this shard, or does not.
    pub(super) fn ids(&self, count: u32, is_wanted: impl Fn(usize) -> bool) -> Vec<u32> {
        let shard = |id: &u32| self.cluster.shard_of(&profile_key(*id));
        (1..=count).filter(|id| is_wanted(shard(id))).collect()
    }

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_auditor"));
        command
            .args(arguments)
            .env("MYSQL_URL", self.mysql.url(DATABASE))
            .env("REDIS_URL", self.cluster.url())
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .current_dir(self.folder.path());
        command
    }

    pub(super) fn auditor(&self, arguments: &[&str]) -> Run {
        let output = self.command(arguments).output().unwrap();
        Run::of(output, self.folder.path())
    }

    /// What the job's state folder remembers.
    pub(super) fn remembered(&self) -> Remembered {
        let variable = |name: &str| match name {
            "MYSQL_URL" => Some(self.mysql.url(DATABASE)),
            "REDIS_URL" => Some(self.cluster.url()),
            _ => None,
        };
        let job = job::load(&self.folder.path().join("job.toml"), &variable).unwrap();
        StateFolder::open(&job).read().unwrap()
    }

    pub(super) fn scan_full(&self) -> Run {
        self.auditor(&["scan", "job.toml", "--full"])
    }

    pub(super) fn repair_full(&self) -> Run {
        self.auditor(&["repair", "job.toml", "--full", "--yes", "--accept-control"])
    }

    /// Starts the program and gives it back running, its report's folder opened.
    pub(super) async fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let runs = self.folder.path().join("output/shop");
        let is_open =
            async || std::fs::read_dir(&runs).is_ok_and(|mut folders| folders.next().is_some());
        wait::until("the run opens its folder", LIMIT, is_open)
            .await
            .unwrap();
        child.unwrap()
    }

    pub(super) fn ended(&self, child: Child) -> Run {
        Run::of(child.wait_with_output().unwrap(), self.folder.path())
    }

    /// The masters by their shards.
    pub(super) async fn masters(&self) -> Vec<&RedisServer> {
        let mut masters = Vec::new();
        for shard in 0..self.cluster.shards() {
            masters.push(self.cluster.master(shard).await.unwrap());
        }
        masters
    }
}

/// The document of `id` at version 6.
pub(super) fn newest(id: u32) -> String {
    format!(r#"{{"version":6,"name":"new {id}","secret":"hush","lastSeen":7}}"#)
}

/// `version-regression` of each of these profiles, as a report's lines have it.
pub(super) fn regressions(ids: &[u32], outcome: &str) -> Vec<String> {
    let line = |id: &u32| {
        let line = format!(
            "version-regression {} confirmed {outcome}",
            profile_key(*id)
        );
        line.trim_end().to_owned()
    };
    let mut lines: Vec<String> = ids.iter().map(line).collect();
    lines.sort();
    lines
}
