//! A Redis Cluster: keys spread over its masters, slots on their way, and shards that fail over.

use std::time::Duration;

use auditor::job::{Endpoint, RedisSpec, TlsFiles};
use auditor::lab::redis_cluster::{RedisCluster, RedisClusterOptions};
use auditor::lab::servers::{RedisProgram, RedisServer};
use auditor::model::slots::Slot;
use auditor::store::redis::Redis;

mod auditing;
mod failovers;
mod finding;
mod moved;
mod names;
mod nights;
mod reading;
mod resharding;
mod second_masters;
mod sharded;
mod streams;
mod waiting;
mod writing;

const LIMIT: Duration = Duration::from_secs(60);

/// Every node is named, the replicas too.
fn spec(cluster: &RedisCluster) -> RedisSpec {
    spec_of(&cluster.ports())
}

fn spec_of(ports: &[u16]) -> RedisSpec {
    let nodes = ports.iter().map(|port| ("127.0.0.1".to_owned(), *port));
    RedisSpec {
        endpoint: Endpoint::Cluster {
            nodes: nodes.collect(),
        },
        user: None,
        password: None,
        database: 0,
        tls: false,
        tls_files: TlsFiles::default(),
        sentinel_user: None,
        sentinel_password: None,
    }
}

async fn plain_cluster() -> RedisCluster {
    RedisCluster::start(RedisClusterOptions::default())
        .await
        .unwrap()
}

async fn reader(cluster: &RedisCluster) -> Redis {
    Redis::connect(&spec(cluster), LIMIT).await.unwrap()
}

/// Runs a test on a Cluster of every server that is there. A failure's output names the server.
async fn on_each(test: impl AsyncFn(RedisCluster)) {
    let programs = RedisProgram::present().unwrap();
    assert!(!programs.is_empty());
    for program in programs {
        eprintln!("on {}", program.version);
        let options = RedisClusterOptions {
            program: Some(program.path),
            ..RedisClusterOptions::default()
        };
        test(RedisCluster::start(options).await.unwrap()).await;
    }
}

/// Names of the form `name:N` of which `count` lie in this shard.
fn keys_in(cluster: &RedisCluster, shard: usize, name: &str, count: usize) -> Vec<String> {
    let names = (0..).map(|number| format!("{name}:{number}"));
    names
        .filter(|key| cluster.shard_of(key) == shard)
        .take(count)
        .collect()
}

fn slot(key: &str) -> Slot {
    Slot::of(key.as_bytes())
}

fn bytes(keys: &[String]) -> Vec<Vec<u8>> {
    keys.iter().map(|key| key.clone().into_bytes()).collect()
}

/// How often the server answered with this error.
async fn errors(server: &RedisServer, code: &str) -> u64 {
    let line = server.info(&format!("errorstat_{code}")).await.unwrap();
    let count = line.and_then(|line| line.strip_prefix("count=").map(str::to_owned));
    count.map_or(0, |count| count.parse().unwrap())
}
