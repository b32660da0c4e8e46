//! A stream in a Cluster: its group after a failover of its shard, and its settlement.

use std::time::Duration;

use auditor::lab::wait;
use auditor::model::identity::Pinned;
use auditor::model::stream::StreamId;
use auditor::model::time::Micros;
use auditor::store::redis::{Fence, Held, PerNode, Settlement, WriteReply, Writer};
use bytes::Bytes;

use super::sharded::Sharded;
use super::{LIMIT, plain_cluster, reader, slot, spec};

const LIMITS: &str = "max_control_mismatch = 1.0";

const CHECK: &str = r#"
[[stream]]
name = "bids"
key = "bid-stream"
group = "bid-group"
match = { type = "BID_SAVE" }
identity = "bidId"
table = "bid"
identity_column = "bid_id"
columns = { auction_id = "auctionId", amount = "amount" }
changed_at = "created_at"
insert_is_enough = true
on_persisted = "ack"
on_unpersisted = "insert"
orphan_after = "300ms"
max_deliveries = 3
"#;

async fn bids() -> Sharded {
    let mut world = Sharded::start().await;
    world.job(
        LIMITS,
        &format!("{CHECK}dead_letter = \"{{bid-stream}}:dead\"\n"),
    );
    world
        .sql(
            "CREATE TABLE bid (id BIGINT AUTO_INCREMENT PRIMARY KEY, bid_id VARCHAR(40) NOT NULL,
               auction_id BIGINT NOT NULL, amount DECIMAL(18,2) NOT NULL,
               created_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)), UNIQUE KEY (bid_id), KEY (created_at))",
        )
        .await;
    let group = [
        "XGROUP",
        "CREATE",
        "bid-stream",
        "bid-group",
        "0",
        "MKSTREAM",
    ];
    world.cluster.run::<()>(&group).await.unwrap();
    world
}

fn id(number: u32) -> String {
    format!("{}-0", 1_750_000_000_000 + u64::from(number) * 1_000)
}

async fn add(world: &Sharded, number: u32) {
    let (id, bid) = (id(number), format!("b{number}"));
    let words = [
        "XADD",
        "bid-stream",
        &id,
        "type",
        "BID_SAVE",
        "bidId",
        &bid,
        "auctionId",
        "7",
        "amount",
        "100.50",
    ];
    world.cluster.run::<String>(&words).await.unwrap();
}

async fn save(world: &mut Sharded, number: u32) {
    world
        .sql(&format!(
            "INSERT INTO bid (bid_id, auction_id, amount, created_at)
             VALUES ('b{number}', 7, 100.50, UTC_TIMESTAMP(6) - INTERVAL 1 HOUR)"
        ))
        .await;
}

/// XREADGROUP names its stream late in the command, so it is sent by hand.
async fn read(world: &Sharded, count: u32) {
    let mut command = redis::cmd("XREADGROUP");
    command
        .arg("GROUP")
        .arg("bid-group")
        .arg("gone")
        .arg("COUNT")
        .arg(count);
    command.arg("STREAMS").arg("bid-stream").arg(">");
    world
        .cluster
        .send::<redis::Value>("bid-stream", &command)
        .await
        .unwrap();
}

async fn pending(world: &Sharded) -> Vec<String> {
    let words = ["XPENDING", "bid-stream", "bid-group", "-", "+", "100"];
    let rows: Vec<(String, String, u64, u64)> = world.cluster.run(&words).await.unwrap();
    rows.into_iter().map(|(id, ..)| id).collect()
}

#[tokio::test]
async fn what_a_failover_did_to_a_stream_is_found_and_settled() {
    let mut world = bids().await;
    let shard = world.cluster.shard_of("bid-stream");
    for number in 1..=6 {
        add(&world, number).await;
    }
    read(&world, 5).await;
    world.cluster.fence().await.unwrap();
    world.cluster.stall(shard).await.unwrap();
    // 1 to 3 end well, and the acknowledgements are lost; 4 and 5 were never saved; 5 was tried too often.
    for number in 1..=3 {
        save(&mut world, number).await;
        let acked: i64 = world
            .cluster
            .run(&["XACK", "bid-stream", "bid-group", &id(number)])
            .await
            .unwrap();
        assert_eq!(acked, 1);
    }
    world.cluster.crash(shard).await.unwrap();
    assert_eq!(pending(&world).await.len(), 5);
    let words = [
        "XCLAIM",
        "bid-stream",
        "bid-group",
        "gone",
        "0",
        &id(5),
        "RETRYCOUNT",
        "9",
        "JUSTID",
    ];
    world.cluster.run::<redis::Value>(&words).await.unwrap();
    wait::until("the consumer is gone", LIMIT, async || {
        let words = ["XINFO", "CONSUMERS", "bid-stream", "bid-group"];
        let all: Vec<std::collections::BTreeMap<String, redis::Value>> =
            world.cluster.run(&words).await.unwrap();
        all.iter()
            .all(|c| matches!(c["idle"], redis::Value::Int(idle) if idle > 350))
    })
    .await
    .unwrap();

    let expected: Vec<String> = (1..=3)
        .map(|number| format!("unacked-persisted {} ack", id(number)))
        .chain([
            format!("orphan-pending {} insert", id(4)),
            format!("poison-pending {} dead-letter", id(5)),
        ])
        .collect();
    let mut expected: Vec<String> = expected;
    expected.sort();
    let found = world.scan_full().expect(1).report().settled();
    assert_eq!(found, expected);
    assert_eq!(pending(&world).await.len(), 5, "a scan settles nothing");
    let settled = world.repair_full().expect(0).report().settled();
    let applied: Vec<String> = expected
        .iter()
        .map(|line| format!("{line} applied"))
        .collect();
    assert_eq!(settled, applied);
    assert_eq!(pending(&world).await, Vec::<String>::new());
    let dead: u64 = world
        .cluster
        .run(&["XLEN", "{bid-stream}:dead"])
        .await
        .unwrap();
    assert_eq!(dead, 1);
    world.scan_full().expect(0);
}

#[tokio::test]
async fn dead_letters_in_another_slot_are_refused_with_where_to_put_them() {
    let world = bids().await;
    for (dead, near) in [
        ("bid-stream:dead", "{bid-stream}:dead"),
        ("dead", "{bid-stream}:dead"),
    ] {
        world.job(LIMITS, &format!("{CHECK}dead_letter = \"{dead}\"\n"));
        let run = world.scan_full().expect(2);
        assert!(
            run.stderr.contains(&format!("dead_letter = \"{near}\"")),
            "{}",
            run.stderr
        );
    }
    // Where there is no Cluster, no slot matters.
    let mut command = world.command(&["scan", "job.toml", "--full"]);
    command.env("REDIS_URL", "redis://127.0.0.1:1");
    let said = command.output().unwrap().stderr;
    assert!(!String::from_utf8_lossy(&said).contains("slot"));
}

/// A script of two keys is answered by neither end while their slot is on its way.
#[tokio::test]
async fn a_move_of_two_keys_waits_for_its_slot() {
    let cluster = plain_cluster().await;
    let run = async |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        cluster.run::<redis::Value>(&words).await.unwrap()
    };
    run("XADD {tag}:s 5-1 f v").await;
    run("XGROUP CREATE {tag}:s g 0").await;
    let mut take = redis::cmd("XREADGROUP");
    take.arg("GROUP")
        .arg("g")
        .arg("c")
        .arg("STREAMS")
        .arg("{tag}:s")
        .arg(">");
    cluster
        .send::<redis::Value>("{tag}:s", &take)
        .await
        .unwrap();
    let redis = reader(&cluster).await;
    let pinned = Pinned::of(&redis.facts_of_all().await.unwrap());
    let mut writer = Writer::connect(&spec(&cluster), &pinned).await.unwrap();
    let fence = Fence {
        min_replicas: PerNode::all(0),
        deadline: PerNode::all(Micros::now().plus(Duration::from_secs(300))),
    };
    let step = [Settlement::DeadLetter {
        key: b"{tag}:s".to_vec(),
        group: b"g".to_vec(),
        held: Held {
            id: StreamId::new(5, 1),
            consumer: b"c".to_vec(),
            deliveries: 1,
            idle_millis: 0,
            owner_idle_min_millis: None,
        },
        dead_letter: b"{tag}:dead".to_vec(),
        fields: vec![(Bytes::from("f"), Bytes::from("v"))],
    }];
    let to = (cluster.shard_of("{tag}") + 1) % 3;
    let way = cluster.begin_move(slot("{tag}"), to).await.unwrap();
    let replies = writer.settle(&fence, &step).await;
    assert!(
        matches!(&replies[0], WriteReply::Refused(why) if why.starts_with("TRYAGAIN") && why.contains("slot is moving")),
        "{replies:?}"
    );
    while cluster.move_keys(&way, 10).await.unwrap() > 0 {}
    cluster.end_move(way).await.unwrap();
    let replies = writer.settle(&fence, &step).await;
    assert!(
        matches!(&replies[0], WriteReply::Refused(why) if why.starts_with("MOVED")),
        "{replies:?}"
    );
    assert_eq!(writer.settle(&fence, &step).await, [WriteReply::Applied]);
    let dead: u64 = cluster.run(&["XLEN", "{tag}:dead"]).await.unwrap();
    assert_eq!(dead, 1);
}
