//! `auditor run` and `--since auto` on real servers: what nobody said is found out.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use auditor::failover::Remembered;
use auditor::failover::state::StateFolder;
use auditor::job;
use auditor::lab::proxy::Proxy;
use auditor::lab::servers::{Flavor, RedisOptions, RedisServer};
use auditor::lab::wait;

use crate::support::shop::{profile, profile_key};
use crate::support::{Run, World};

mod by_hand;
mod everything;
mod memories;
mod promotions;
mod restarts;
mod together;

const USERS: u32 = 40;
/// Wrong for an hour: no failover's business.
const WRONG_LONG_AGO: u32 = 33;

/// A shop whose Redis is reached by one name, whoever is the master.
struct Night {
    world: World,
    name: Proxy,
}

impl Night {
    /// A master with so many replicas.
    async fn with_replicas(count: usize) -> Self {
        Self::of(World::with_replicas(Flavor::MariaDb, count).await).await
    }

    /// A master without replicas that is configured by `lines`.
    async fn with_lines(lines: &[&str]) -> Self {
        let mut world = World::start(Flavor::MariaDb).await;
        world.redis = RedisServer::start(RedisOptions {
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
            ..RedisOptions::default()
        })
        .await
        .unwrap();
        world.cache = world.redis.connect().await.unwrap();
        Self::of(world).await
    }

    async fn of(mut world: World) -> Self {
        world.open_shop(USERS).await;
        let wrong = profile(WRONG_LONG_AGO, 4);
        world.set(&profile_key(WRONG_LONG_AGO), &wrong).await;
        let name = Proxy::start(world.redis.port()).await.unwrap();
        Self { world, name }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.world.command(arguments);
        command.env("REDIS_URL", self.url());
        command
    }

    /// On a thread of its own, because the name answers on this one.
    async fn auditor(&self, arguments: &[&str]) -> Run {
        let mut command = self.command(arguments);
        let output = tokio::task::spawn_blocking(move || command.output());
        Run::of(output.await.unwrap().unwrap(), self.world.folder.path())
    }

    async fn run(&self) -> Run {
        self.auditor(&["run", "job.toml"]).await
    }

    async fn checkpoint(&self) {
        self.auditor(&["checkpoint", "job.toml"]).await.expect(0);
    }

    /// Watching begins, with a heartbeat.
    async fn begin(&self) {
        let run = self.run().await.expect(0);
        assert!(run.stdout.contains("nothing to do yet"), "{}", run.stdout);
        self.checkpoint().await;
    }

    /// Replica `index` dies its master's death: the master is killed, it is promoted, and the name follows.
    async fn fail_over_to(&self, index: usize, master: &RedisServer) {
        master.kill().unwrap();
        promote(&self.world.replicas[index]).await;
        self.name.set_target(self.world.replicas[index].port());
        self.name.cut_connections();
    }

    /// A job file in which `old` is replaced.
    fn edit_job(&self, old: &str, new: &str) {
        let path = self.world.folder.path().join("job.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(old));
        std::fs::write(&path, text.replace(old, new)).unwrap();
    }

    /// What shards have noted.
    fn shards(&self) -> String {
        std::fs::read_to_string(self.state().join("shards.json")).unwrap()
    }

    fn allow_full_repair(&self) {
        self.edit_job("name = \"shop\"", "name = \"shop\"\nfull_repair = true");
    }

    /// The application gives `ids` a new name, in MySQL and in the cache that the name leads to.
    async fn rename(&mut self, ids: std::ops::RangeInclusive<u32>) {
        let client = redis::Client::open(self.url()).unwrap();
        let mut cache = client.get_multiplexed_async_connection().await.unwrap();
        for id in ids {
            self.world
                .sql(&format!(
                    "UPDATE users SET name = 'newer', version = 6, updated_at = UTC_TIMESTAMP(6) WHERE id = {id}"
                ))
                .await;
            let mut set = redis::cmd("SET");
            set.arg(profile_key(id)).arg(NEWER);
            set.query_async::<()>(&mut cache).await.unwrap();
        }
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.name.port())
    }

    /// Whether `ids` have their new name on `server`.
    async fn are_newer(&self, server: &RedisServer, ids: std::ops::RangeInclusive<u32>) -> bool {
        for id in ids {
            if get(server, &profile_key(id)).await.as_deref() != Some(NEWER) {
                return false;
            }
        }
        true
    }

    /// Folders of runs.
    fn folders(&self) -> Vec<PathBuf> {
        let all = std::fs::read_dir(self.world.folder.path().join("output/shop"));
        let all = all.into_iter().flatten().map(|entry| entry.unwrap().path());
        all.filter(|path| path.join("run.json").exists()).collect()
    }

    /// What the state folder remembers.
    fn remembered(&self) -> Remembered {
        let job = self.world.folder.path().join("job.toml");
        let job = job::load(&job, &|name| {
            let scheme = if name == "REDIS_URL" {
                "redis"
            } else {
                "mysql"
            };
            Some(format!("{scheme}://nobody@127.0.0.1:1/0"))
        });
        StateFolder::open(&job.unwrap()).read().unwrap()
    }

    fn state(&self) -> PathBuf {
        self.world.folder.path().join("state/shop")
    }
}

/// The document of a user whom the application gave a new name.
const NEWER: &str = r#"{"version":6,"name":"newer","secret":"hush","lastSeen":7}"#;

async fn get(server: &RedisServer, key: &str) -> Option<String> {
    match server.command(&["GET", key]).await.unwrap() {
        redis::Value::BulkString(bytes) => Some(String::from_utf8(bytes).unwrap()),
        redis::Value::Nil => None,
        other => panic!("{key}: {other:?}"),
    }
}

/// Everything written to `master` so far has reached `replica`.
async fn in_step(master: &RedisServer, replica: &RedisServer) {
    let offset = async |server: &RedisServer| {
        let text = server.info("master_repl_offset").await.unwrap().unwrap();
        text.parse::<i64>().unwrap()
    };
    let wanted = offset(master).await;
    let cause = "the replica has everything";
    wait::until(cause, Duration::from_secs(30), async || {
        offset(replica).await >= wanted
    })
    .await
    .unwrap();
}

/// INFO counts the age of a process in whole seconds: what comes after this is told from what was before.
async fn a_second_passes(server: &RedisServer) {
    let uptime = async || {
        let text = server.info("uptime_in_seconds").await.unwrap().unwrap();
        text.parse::<u64>().unwrap()
    };
    let before = uptime().await;
    let cause = "the server's clock moves on";
    wait::until(cause, Duration::from_secs(30), async || {
        uptime().await >= before + 3
    })
    .await
    .unwrap();
}

/// What is written to the master from now on does not reach `replica`.
async fn stall(replica: &RedisServer) {
    replica
        .command(&["CLIENT", "PAUSE", "60000", "WRITE"])
        .await
        .unwrap();
}

async fn promote(replica: &RedisServer) {
    replica.command(&["REPLICAOF", "NO", "ONE"]).await.unwrap();
    replica.command(&["CLIENT", "UNPAUSE"]).await.unwrap();
}

/// The lines of findings that were repaired.
fn repaired(ids: std::ops::RangeInclusive<u32>) -> Vec<String> {
    let line = |id| format!("version-regression {} confirmed applied", profile_key(id));
    ids.map(line).collect()
}
