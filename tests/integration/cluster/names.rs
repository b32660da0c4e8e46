//! Nodes that announce names, or nothing at all, and addresses that lead nowhere.

use std::time::Duration;

use auditor::job::Endpoint;
use auditor::lab::proxy::{Mode, Proxy};
use auditor::lab::redis_cluster::{RedisCluster, RedisClusterOptions};
use auditor::lab::wait;
use auditor::store::redis::{Redis, RedisError, read_topology};

use super::{LIMIT, bytes, keys_in, plain_cluster, reader, slot, spec, spec_of};

async fn announcing(lines: &[&str]) -> RedisCluster {
    let lines = lines.iter().map(|line| (*line).to_owned()).collect();
    RedisCluster::start(RedisClusterOptions {
        lines,
        ..RedisClusterOptions::default()
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_node_is_one_by_its_number_and_by_its_name_living_or_dead() {
    let cluster = announcing(&[
        "cluster-announce-hostname localhost",
        "cluster-preferred-endpoint-type hostname",
    ])
    .await;
    let named = |port: u16| [format!("localhost:{port}"), format!("127.0.0.1:{port}")];
    // Everybody has heard of everybody's name.
    wait::until("masters are found by their names", LIMIT, async || {
        let redis = Redis::connect(&spec(&cluster), LIMIT).await.unwrap();
        let found = redis.facts_of_all().await.unwrap();
        found.iter().all(|m| m.address.starts_with("localhost:"))
    })
    .await
    .unwrap();
    let dead = cluster.master(2).await.unwrap();
    let (port, seed) = (dead.port(), cluster.master(0).await.unwrap().port());
    dead.kill().unwrap();
    let limit = Duration::from_secs(3);
    wait::until("all witnesses hold it for down", LIMIT, async || {
        let found = read_topology(&spec_of(&[seed]), limit).await;
        let mut down = found.nodes.iter().filter(|n| n.down_since.is_some());
        assert_eq!(found.nodes.len(), 6, "{:?}", found.nodes);
        for node in &found.nodes {
            let is_one = |port| named(port).iter().all(|address| node.goes_by(address));
            assert!(cluster.ports().into_iter().any(is_one), "{node:?}");
        }
        let is_it = down.next().is_some_and(|n| n.goes_by(&named(port)[0]));
        is_it && down.next().is_none()
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn masters_that_announce_no_host_are_followed_to_where_a_slot_went() {
    let cluster = announcing(&["cluster-preferred-endpoint-type unknown-endpoint"]).await;
    let keys = keys_in(&cluster, 0, "key", 2);
    for key in &keys {
        cluster
            .run::<()>(&["SET", key, key])
            .await
            .unwrap_or_else(|fault| panic!("{fault}"));
    }
    let redis = reader(&cluster).await;
    let from = cluster.shard_of(&keys[0]);
    let moving = cluster.begin_move(slot(&keys[0]), 1).await.unwrap();
    while cluster.move_keys(&moving, 10).await.unwrap() > 0 {}
    let read = async || {
        let read = redis.read_strings(&bytes(&keys)).await.unwrap();
        read.into_iter().flatten().count()
    };
    assert_eq!(read().await, 2, "asked at {from} and sent on");
    cluster.end_move(moving).await.unwrap();
    assert_eq!(read().await, 2);
}

#[tokio::test]
async fn a_seed_that_never_answers_is_not_waited_for() {
    let cluster = plain_cluster().await;
    let mut ports = cluster.ports();
    let hole = Proxy::start(ports[0]).await.unwrap();
    hole.set_mode(Mode::BlackHole);
    ports.push(hole.port());
    let short = Duration::from_secs(4);
    let redis = tokio::time::timeout(short, Redis::connect(&spec_of(&ports), LIMIT)).await;
    assert!(redis.unwrap().is_ok(), "the limit of a connection is 5 s");
}

#[tokio::test]
async fn seeds_of_two_clusters_are_refused() {
    let (one, other) = (plain_cluster().await, plain_cluster().await);
    let mut spec = spec(&one);
    if let Endpoint::Cluster { nodes } = &mut spec.endpoint {
        let stranger = other.master(0).await.unwrap().port();
        nodes.push(("127.0.0.1".to_owned(), stranger));
    }
    let error = Redis::connect(&spec, LIMIT).await.err().unwrap();
    assert!(
        matches!(&error, RedisError::Refused(why) if why.contains("two different Clusters")),
        "{error}"
    );
}
