//! Failovers by Sentinel in the middle of a run, and partitions that heal: no write lands on a master that is demoted or
//! alone and stays unnoticed, and the next run ends right.

use auditor::lab::cluster::{Cluster, ClusterOptions};
use auditor::lab::proxy::{Mode, Proxy};
use auditor::lab::servers::{Flavor, RedisServer, SentinelGroup};
use auditor::lab::wait;

use super::{LIMIT, local, server};
use crate::support::profiles::{NEW, OLD, PROFILE};
use crate::support::{Run, World};

const SCAN: [&str; 3] = ["scan", "job.toml", "--full"];
const REPAIR: [&str; 5] = ["repair", "job.toml", "--full", "--yes", "--accept-control"];

/// Two users at version 2, and nothing in this world's Redis.
async fn two_users() -> World {
    let mut world = World::start(Flavor::MariaDb).await;
    world
        .sql(
            "CREATE TABLE users (id BIGINT PRIMARY KEY, name VARCHAR(40), version BIGINT NOT NULL,
               updated_at DATETIME(6) NOT NULL);
             INSERT INTO users VALUES (1, 'new', 2, '2026-01-01'), (2, 'new', 2, '2026-01-01')",
        )
        .await;
    let path = world.job_with_limits("max_control_mismatch = 1", PROFILE);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("settle = \"100ms\"", "settle = \"2s\"")).unwrap();
    world
}

async fn set(server: &RedisServer, id: u8, value: &str) {
    let key = format!("user:{id}:profile");
    server.command(&["SET", &key, value]).await.unwrap();
}

async fn get(server: &RedisServer, id: u8) -> String {
    let key = format!("user:{id}:profile");
    match server.command(&["GET", &key]).await.unwrap() {
        redis::Value::BulkString(bytes) => String::from_utf8(bytes).unwrap(),
        other => panic!("{key}: {other:?}"),
    }
}

async fn by_sentinel() -> Cluster {
    Cluster::start(ClusterOptions {
        replicas: 1,
        sentinel_name: Some("mymaster".into()),
        ..ClusterOptions::default()
    })
    .await
    .unwrap()
}

async fn run(world: &World, url: &str, arguments: &[&str]) -> Run {
    world
        .ended(world.begin(arguments, &[("REDIS_URL", url)]))
        .await
}

/// A repair has judged and journaled two writes. (That a client is blocked says nothing here: Sentinels publish.)
async fn is_journaled(world: &World) {
    let runs = world.folder.path().join("output/shop");
    let intents = || -> Option<usize> {
        let run = std::fs::read_dir(&runs).ok()?.next()?.ok()?;
        let text = std::fs::read_to_string(run.path().join("undo.jsonl")).ok()?;
        Some(text.matches("\"kind\":\"intent\"").count())
    };
    wait::until("both writes are journaled", LIMIT, async || {
        intents() == Some(2)
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_crash_in_the_middle_of_a_scan_is_waited_out_and_looked_at_again() {
    let world = two_users().await;
    let mut cluster = by_sentinel().await;
    set(cluster.master(), 1, OLD).await;
    set(cluster.master(), 2, OLD).await;
    cluster.fence().await.unwrap();
    // What makes the second one right never reaches the replica.
    cluster.stall_replicas().await.unwrap();
    set(cluster.master(), 2, NEW).await;
    let url = cluster.url();
    let child = world.begin(&SCAN, &[("REDIS_URL", &url)]);
    world.says("second look at").await;
    let old = cluster.master().port();
    cluster.crash_master().await.unwrap();
    cluster.replace_master().await.unwrap();
    let ended = world.ended(child).await.expect(1);
    let report = ended.report();
    assert_eq!(
        report.lines(),
        [
            "version-regression user:1:profile confirmed",
            "version-regression user:2:profile confirmed"
        ]
    );
    assert!(ended.stderr.contains("begins again"), "{}", ended.stderr);
    assert!(
        ended
            .stdout
            .contains(&format!("the node {} did not answer", local(old)))
    );
    let masters =
        ["topology_before", "topology_after"].map(|at| &report.run[at]["redis"]["address"]);
    assert_ne!(masters[0], masters[1]);
}

#[tokio::test]
async fn connections_that_are_reset_in_the_middle_of_a_repair_are_opened_again_and_it_goes_on() {
    let world = two_users().await;
    for id in [1, 2] {
        set(&world.redis, id, OLD).await;
    }
    let proxy = Proxy::start(world.redis.port()).await.unwrap();
    let url = format!("redis://127.0.0.1:{}", proxy.port());
    let child = world.begin(&REPAIR, &[("REDIS_URL", &url)]);
    world.says("second look at").await;
    proxy.cut_connections();
    let ended = world.ended(child).await.expect(0);
    assert!(ended.stderr.contains("begins again"), "{}", ended.stderr);
    let report = ended.report();
    assert_eq!(report.findings.len(), 2, "{:?}", report.lines());
    assert!(report.findings.iter().all(|f| f["outcome"] == "applied"));
    for id in [1, 2] {
        assert_eq!(get(&world.redis, id).await, NEW);
    }
}

#[tokio::test]
async fn a_crash_in_the_middle_of_a_repair_is_told_and_the_next_run_ends_right() {
    let world = two_users().await;
    let mut cluster = by_sentinel().await;
    for id in [1, 2] {
        set(cluster.master(), id, OLD).await;
    }
    cluster.fence().await.unwrap();
    let url = cluster.url();
    cluster
        .master()
        .command(&["CLIENT", "PAUSE", "60000", "WRITE"])
        .await
        .unwrap();
    let child = world.begin(&REPAIR, &[("REDIS_URL", &url)]);
    is_journaled(&world).await;
    cluster.crash_master().await.unwrap();
    cluster.replace_master().await.unwrap();
    let first = world.ended(child).await.expect(4);
    let report = first.report();
    assert_eq!(report.findings.len(), 2, "{:?}", report.lines());
    assert!(
        report
            .findings
            .iter()
            .all(|f| f["outcome"] != "applied" && f["settled_at"].is_empty())
    );
    assert_eq!(
        report
            .undo()
            .iter()
            .filter(|line| line["kind"] == "intent")
            .count(),
        2
    );
    for id in [1, 2] {
        assert_eq!(get(cluster.master(), id).await, OLD);
    }
    let second = run(&world, &url, &REPAIR).await.expect(0);
    assert_eq!(second.report().findings.len(), 2);
    for id in [1, 2] {
        assert_eq!(get(cluster.master(), id).await, NEW);
    }
}

/// A master that Sentinels and the replica reach only through a proxy: what is cut there leaves the program on its side.
struct Parted {
    world: World,
    proxy: Proxy,
    replica: RedisServer,
    group: SentinelGroup,
}

impl Parted {
    async fn start() -> Self {
        let world = two_users().await;
        let proxy = Proxy::start(world.redis.port()).await.unwrap();
        let replica = server(Some(proxy.port()), &[]).await;
        world.redis.wait_for_replicas(1).await.unwrap();
        for id in [1, 2] {
            set(&world.redis, id, OLD).await;
        }
        wait::until("the replica has both", LIMIT, async || {
            let size = replica.command(&["DBSIZE"]).await;
            size.is_ok_and(|size| size == redis::Value::Int(2))
        })
        .await
        .unwrap();
        let group = SentinelGroup::start(proxy.port(), "mymaster")
            .await
            .unwrap();
        group.wait_until_ready(1).await.unwrap();
        Self {
            world,
            proxy,
            replica,
            group,
        }
    }

    async fn is_promoted(&self) {
        let new = self
            .group
            .wait_for_new_master(self.proxy.port())
            .await
            .unwrap();
        assert_eq!(new, self.replica.port());
    }

    /// Sentinel takes some ten seconds to turn the old master into a replica of the new one.
    async fn heals(&self) {
        self.proxy.set_mode(Mode::Pass);
        wait::until("the old master is demoted", LIMIT, async || {
            let role = self.world.redis.info("role").await;
            role.is_ok_and(|role| role.as_deref() == Some("slave"))
        })
        .await
        .unwrap();
    }

    /// A repair by the Sentinels puts everything right.
    async fn ends_right(&self) {
        let run = run(&self.world, &self.group.url(), &REPAIR).await.expect(0);
        assert_eq!(run.report().findings.len(), 2);
        for id in [1, 2] {
            assert_eq!(get(&self.replica, id).await, NEW);
        }
    }
}

#[tokio::test]
async fn a_repair_on_the_wrong_side_of_a_partition_writes_nothing_once_another_is_master() {
    let parted = Parted::start().await;
    parted.proxy.set_mode(Mode::BlackHole);
    parted.is_promoted().await;
    let url = parted.world.redis.url();
    // The old master does not list its lost replica for ever; until then it leads to the new master.
    let run = run(&parted.world, &url, &REPAIR).await.expect(4);
    let report = run.report();
    assert_eq!(report.findings.len(), 2, "{:?}", report.lines());
    assert!(
        report.findings.iter().all(|f| f["outcome"] == "refused"),
        "{:?}",
        report.lines()
    );
    let split = report.topology.iter().find(|f| f["rule"] == "split-brain");
    let split = split.unwrap_or_else(|| panic!("{}", run.stdout));
    assert_eq!(split["id"], local(parted.world.redis.port()));
    assert!(run.stdout.contains("two masters at once"), "{}", run.stdout);
    for server in [&parted.world.redis, &parted.replica] {
        assert_eq!(get(server, 1).await, OLD);
    }
    parted.heals().await;
    parted.ends_right().await;
}

#[tokio::test]
async fn what_a_repair_wrote_to_a_master_that_was_cut_off_is_told_and_written_again_by_the_next() {
    let parted = Parted::start().await;
    parted
        .world
        .redis
        .command(&["CLIENT", "PAUSE", "60000", "WRITE"])
        .await
        .unwrap();
    let child = parted.world.begin(&REPAIR, &[]);
    is_journaled(&parted.world).await;
    // Everything was well when it was judged; the script goes on a moment after the cut.
    parted.proxy.set_mode(Mode::BlackHole);
    parted
        .world
        .redis
        .command(&["CLIENT", "UNPAUSE"])
        .await
        .unwrap();
    let run = parted.world.ended(child).await.expect(4);
    let report = run.report();
    assert_eq!(report.findings.len(), 2, "{:?}", report.lines());
    let limits = report.run["limits_hit"].as_array().unwrap();
    assert_eq!(limits.len(), 1, "{}", run.stdout);
    parted.is_promoted().await;
    assert_eq!(
        get(&parted.replica, 1).await,
        OLD,
        "it went with the old master"
    );
    parted.heals().await;
    parted.ends_right().await;
}
