//! Former masters and nodes that do not say which slots they answer for: none of them is a second master.

use std::time::Duration;

use auditor::job::RedisSpec;
use auditor::lab::redis_cluster::{RedisCluster, RedisClusterOptions};
use auditor::model::secret::Secret;
use auditor::model::topology::{NodeView, Topology};
use auditor::rules::judge_topology;
use auditor::store::redis::read_topology;

use super::{keys_in, plain_cluster, spec};

const ANSWER_LIMIT: Duration = Duration::from_secs(3);

fn second_masters(topology: &Topology) -> Vec<String> {
    let objections = judge_topology(topology).into_iter();
    objections
        .filter(|objection| objection.suspect.rule.0 == "split-brain")
        .filter_map(|objection| objection.suspect.detail)
        .collect()
}

fn at(topology: &Topology, port: u16) -> &NodeView {
    let address = format!("127.0.0.1:{port}");
    let mut nodes = topology.nodes.iter();
    nodes.find(|node| node.address == address).unwrap()
}

#[tokio::test]
async fn a_former_master_that_loads_its_data_is_not_one_of_two() {
    let lines = [
        "key-load-delay 10000",
        // It answers INFO after every so many bytes of its file.
        "loading-process-events-interval-bytes 1024",
    ];
    let mut cluster = RedisCluster::start(RedisClusterOptions {
        lines: lines.map(str::to_owned).to_vec(),
        ..RedisClusterOptions::default()
    })
    .await
    .unwrap();
    let value = "v".repeat(100);
    let mut connection = cluster.master(0).await.unwrap().connect().await.unwrap();
    let mut pipeline = redis::pipe();
    for key in keys_in(&cluster, 0, "key", 3_000) {
        pipeline.set(key, &value).ignore();
    }
    pipeline.cmd("SAVE").ignore();
    pipeline.query_async::<()>(&mut connection).await.unwrap();
    let port = cluster.crash(0).await.unwrap();
    cluster.start_again(port).await.unwrap();
    let found = read_topology(&spec(&cluster), ANSWER_LIMIT).await;
    let facts = at(&found, port).said.as_ref().unwrap();
    assert!(facts.is_loading && facts.identity.is_master, "{facts:?}");
    assert!(facts.slots.is_empty(), "{facts:?}");
    assert_eq!(second_masters(&found), Vec::<String>::new());
}

#[tokio::test]
async fn a_node_that_hides_its_slots_has_not_all_of_them() {
    let cluster = plain_cluster().await;
    let may = "reset on >pw ~* +@all";
    let hidden = cluster.master(1).await.unwrap().port();
    for server in cluster.servers() {
        let not = match server.port() == hidden {
            true => " -cluster|nodes",
            false => "",
        };
        let line = format!("ACL SETUSER looker {may}{not}");
        let words: Vec<&str> = line.split(' ').collect();
        server.command(&words).await.unwrap();
    }
    let spec = RedisSpec {
        user: Some("looker".to_owned()),
        password: Some(Secret::new("pw")),
        ..spec(&cluster)
    };
    let found = read_topology(&spec, ANSWER_LIMIT).await;
    assert_eq!(second_masters(&found), Vec::<String>::new());
    let why = at(&found, hidden).said.as_ref().unwrap_err();
    assert!(why.contains("NOPERM"), "{why}");
    assert_eq!(found.masters().count(), 2, "the others say what they have");
}
