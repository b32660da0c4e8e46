//! What the nodes themselves show, in the report of a run.

use std::collections::BTreeMap;

use auditor::lab::cluster::{Cluster, ClusterOptions};
use auditor::lab::servers::{Flavor, RedisServer, SentinelGroup};
use auditor::lab::wait;
use auditor::rules::judge_topology;
use auditor::store::redis::read_topology;

use super::{ANSWER_LIMIT, LIMIT, by_sentinels, local};
use crate::support::{Run, World};

/// A consistent shop on a master with one replica.
async fn shop() -> World {
    let mut world = World::with_replicas(Flavor::MariaDb, 1).await;
    world.open_shop(40).await;
    world
}

/// The same, found by Sentinels.
async fn watched_shop() -> (World, SentinelGroup) {
    let world = shop().await;
    let group = SentinelGroup::start(world.redis.port(), "mymaster")
        .await
        .unwrap();
    group.wait_until_ready(1).await.unwrap();
    (world, group)
}

fn run_by(world: &World, group: &SentinelGroup, arguments: &[&str]) -> Run {
    let mut command = world.command(arguments);
    command.env("REDIS_URL", group.url());
    Run::of(command.output().unwrap(), world.folder.path())
}

async fn role(server: &RedisServer) -> String {
    server.info("role").await.unwrap().unwrap()
}

#[tokio::test]
async fn a_scan_advises_on_settings_and_ends_as_if_it_had_not() {
    let world = shop().await;
    let run = world.scan_full().expect(0);
    let report = run.report();
    assert!(report.findings.is_empty());
    let said: BTreeMap<&str, (&str, &str)> = report
        .topology
        .iter()
        .map(|row| {
            let part = |name: &str| row[name].as_str();
            assert_eq!(part("rule"), "unsafe-config");
            assert_eq!(part("id"), local(world.redis.port()));
            assert_eq!((part("severity"), part("remedy")), ("low", "none"));
            (part("field"), (part("cache_value"), part("source_value")))
        })
        .collect();
    let expected = BTreeMap::from([
        ("appendonly", ("no", "yes")),
        ("min-replicas-to-write", ("0", "1")),
        ("repl-backlog-size", ("1048576", "67108864")),
    ]);
    assert_eq!(said, expected);
    let advice = "advice   unsafe-config: appendonly = no, min-replicas-to-write = 0";
    assert!(run.stdout.contains(advice), "{}", run.stdout);
    let nodes = &report.run["topology_before"]["inventory"]["nodes"];
    assert_eq!(nodes.as_array().unwrap().len(), 2);
    assert_eq!(nodes[0]["redis"]["role"], "master");
    assert_eq!(nodes[1]["follows"]["is_link_up"], true);
    assert_eq!(nodes[1]["address"], local(world.replicas[0].port()));
}

#[tokio::test]
async fn what_the_user_may_not_see_is_said_and_counts_nothing() {
    let mut world = shop().await;
    let rights = "ACL SETUSER looker on >looking ~* -@all +@read +@connection +info +time +role";
    let rights: Vec<&str> = rights.split(' ').collect();
    world.redis::<()>(&rights).await;
    world.replicas[0].kill().unwrap();
    wait::until("the master has noticed", LIMIT, async || {
        let replicas = world.redis.info("connected_slaves").await;
        replicas.is_ok_and(|count| count.as_deref() == Some("0"))
    })
    .await
    .unwrap();
    let mut command = world.command(&["scan", "job.toml", "--full"]);
    let url = format!("redis://looker:looking@127.0.0.1:{}", world.redis.port());
    command.env("REDIS_URL", url);
    let run = Run::of(command.output().unwrap(), world.folder.path()).expect(0);
    let report = run.report();
    assert!(report.topology.is_empty(), "{:?}", report.topology);
    assert!(
        run.stdout.contains("unsafe-config was not looked at"),
        "{}",
        run.stdout
    );
    let inventory = &report.run["topology_after"]["inventory"];
    assert_eq!(inventory["nodes"][0]["settings"], serde_json::Value::Null);
}

#[tokio::test]
async fn two_masters_at_once_are_a_finding_and_stop_every_write() {
    let (mut world, group) = watched_shop().await;
    world.set("user:3:profile", "{\"version\":1}").await;
    world.replicas[0]
        .command(&["REPLICAOF", "NO", "ONE"])
        .await
        .unwrap();
    let scanned = run_by(&world, &group, &["scan", "job.toml", "--full"]).expect(1);
    let last = ["scan", "job.toml", "--full", "--shard", "1/2"];
    let of_last = run_by(&world, &group, &last).report();
    let arguments = ["repair", "job.toml", "--full", "--yes", "--accept-control"];
    let repaired = run_by(&world, &group, &arguments).expect(4);
    // The Sentinels turn it back some ten seconds later; until then all of this was true.
    assert_eq!(role(&world.replicas[0]).await, "master");
    let rules: Vec<&str> = of_last
        .topology
        .iter()
        .map(|r| r["rule"].as_str())
        .collect();
    assert_eq!(rules, ["split-brain"], "the first shard gives the advice");
    for run in [&scanned, &repaired] {
        let report = run.report();
        let split: Vec<_> = report
            .topology
            .iter()
            .filter(|r| r["rule"] == "split-brain")
            .collect();
        assert_eq!(split.len(), 1, "{:?}", report.topology);
        assert_eq!(split[0]["severity"], "critical");
        assert_eq!(split[0]["id"], local(world.redis.port()));
        assert!(
            split[0]["reason"].contains("is a master still"),
            "{split:?}"
        );
        assert!(
            run.stdout.contains("topology split-brain (critical)"),
            "{}",
            run.stdout
        );
        assert!(!report.findings.is_empty());
        assert!(report.findings.iter().all(|f| f["outcome"] != "applied"));
    }
    assert_eq!(
        world.get("user:3:profile").await.unwrap(),
        "{\"version\":1}"
    );
    assert!(
        repaired.stdout.contains("two masters"),
        "{}",
        repaired.stdout
    );
}

/// The one that was promoted had less than the other, which nobody has turned to it yet.
#[tokio::test]
async fn a_replica_that_was_further_is_told_with_the_bytes_it_has_more() {
    let cluster = Cluster::start(ClusterOptions {
        replicas: 2,
        sentinel_name: Some("mymaster".into()),
        ..ClusterOptions::default()
    })
    .await
    .unwrap();
    cluster.fence().await.unwrap();
    let spec = by_sentinels(cluster.sentinels().unwrap());
    let (behind, ahead) = (&cluster.replicas()[0], &cluster.replicas()[1]);
    behind
        .command(&["CLIENT", "PAUSE", "60000", "WRITE"])
        .await
        .unwrap();
    for number in 0..50 {
        let key = format!("lost:{number}");
        cluster
            .master()
            .command(&["SET", &key, "value"])
            .await
            .unwrap();
    }
    wait::until("the other replica has them all", LIMIT, async || {
        let size = ahead.command(&["DBSIZE"]).await.unwrap();
        size == redis::Value::Int(51)
    })
    .await
    .unwrap();
    cluster.master().kill().unwrap();
    for replica in [behind, ahead] {
        wait::until("its link is down", LIMIT, async || {
            replica.info("master_link_status").await.unwrap().as_deref() == Some("down")
        })
        .await
        .unwrap();
    }
    behind.command(&["REPLICAOF", "NO", "ONE"]).await.unwrap();
    let found = judge_topology(&read_topology(&spec, ANSWER_LIMIT).await);
    let told: Vec<_> = found
        .iter()
        .filter(|o| o.suspect.rule.0 == "replica-behind")
        .collect();
    assert_eq!(told.len(), 1, "{found:?}");
    assert_eq!(told[0].address, local(behind.port()));
    let detail = told[0].suspect.detail.as_deref().unwrap();
    assert!(detail.contains(&local(ahead.port())), "{detail}");
    let bytes: i64 = detail
        .split(": ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!(bytes >= 50 * 30, "{detail}");
    let priorities = "their replica-priority is the same";
    assert!(detail.contains(priorities), "{detail}");
}
