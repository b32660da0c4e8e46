//! Writes go to the node of their key, behind that node's own fence.

use std::time::Duration;

use auditor::lab::redis_cluster::RedisCluster;
use auditor::lab::wait;
use auditor::model::identity::Pinned;
use auditor::model::time::Micros;
use auditor::store::redis::{Fence, PerNode, Redis, RedisError, Write, WriteReply, Writer};
use bytes::Bytes;

use super::{LIMIT, errors, keys_in, on_each, plain_cluster, reader, slot, spec};
use crate::support::monitor::Monitor;

struct Stand {
    cluster: RedisCluster,
    redis: Redis,
    pinned: Pinned,
    writer: Writer,
    fence: Fence,
}

impl Stand {
    async fn on(cluster: RedisCluster) -> Self {
        let redis = reader(&cluster).await;
        let pinned = Pinned::of(&redis.facts_of_all().await.unwrap());
        let writer = Writer::connect(&spec(&cluster), &pinned).await.unwrap();
        let deadline = Micros::now().plus(Duration::from_secs(300));
        Self {
            cluster,
            redis,
            pinned,
            writer,
            fence: Fence {
                min_replicas: PerNode::all(0),
                deadline: PerNode::all(deadline),
            },
        }
    }

    async fn set(&self, keys: &[String], value: &str) {
        for key in keys {
            self.cluster.run::<()>(&["SET", key, value]).await.unwrap();
        }
    }

    async fn get(&self, key: &str) -> String {
        self.cluster.run(&["GET", key]).await.unwrap()
    }

    /// The place of a shard's master among the pinned nodes.
    async fn place(&self, shard: usize) -> usize {
        let port = self.cluster.master(shard).await.unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let mut nodes = self.pinned.nodes.iter();
        nodes.position(|node| node.address == address).unwrap()
    }
}

fn replace(keys: &[String], judged: &'static str, new: &'static str) -> Vec<Write> {
    let write = |key: &String| Write::ReplaceString {
        key: key.clone().into_bytes(),
        judged: Bytes::from(judged),
        new: Bytes::from(new),
    };
    keys.iter().map(write).collect()
}

fn spread(cluster: &RedisCluster, count: usize) -> Vec<String> {
    let each = (0..3).map(|shard| keys_in(cluster, shard, "k", count));
    each.flatten().collect()
}

#[tokio::test]
async fn every_write_reaches_the_node_of_its_key_and_no_other() {
    on_each(async |cluster| {
        let mut stand = Stand::on(cluster).await;
        let keys = spread(&stand.cluster, 20);
        stand.set(&keys, "old").await;
        let mut monitors = Vec::new();
        for shard in 0..3 {
            monitors.push(Monitor::start(
                stand.cluster.master(shard).await.unwrap().port(),
            ));
        }
        let replies = stand
            .writer
            .apply(&stand.fence, &replace(&keys, "old", "new"))
            .await;
        assert!(
            replies.iter().all(|r| *r == WriteReply::Applied),
            "{replies:?}"
        );
        for (shard, monitor) in monitors.iter().enumerate() {
            let lines = monitor.lines();
            let scripts = lines.iter().filter(|l| l.contains("\"EVALSHA\""));
            let meant = |line: &&String| {
                let of_shard = keys[shard * 20..(shard + 1) * 20].iter();
                of_shard
                    .clone()
                    .any(|key| line.contains(&format!("\"{key}\"")))
            };
            assert_eq!(scripts.clone().count(), 20, "shard {shard}");
            assert_eq!(scripts.filter(meant).count(), 20, "shard {shard}");
            assert_eq!(
                errors(stand.cluster.master(shard).await.unwrap(), "MOVED").await,
                0
            );
        }
        for key in &keys {
            assert_eq!(stand.get(key).await, "new");
        }
        let counts = stand.writer.wait(&PerNode::all(1), LIMIT).await.unwrap();
        assert_eq!(counts, [Some(1); 3]);
        let one = keys_in(&stand.cluster, 1, "k", 1);
        stand
            .writer
            .apply(&stand.fence, &replace(&one, "new", "newer"))
            .await;
        let counts = stand.writer.wait(&PerNode::all(1), LIMIT).await.unwrap();
        let mut expected = [None; 3];
        expected[stand.place(1).await] = Some(1);
        assert_eq!(counts, expected, "only where something was written");
    })
    .await;
}

#[tokio::test]
async fn each_node_has_its_own_history_replicas_and_deadline() {
    let mut stand = Stand::on(plain_cluster().await).await;
    let keys = spread(&stand.cluster, 1);
    stand.set(&keys, "old").await;
    let second = stand.place(1).await;
    let others = |replies: &[WriteReply]| {
        replies[0] == WriteReply::Applied && replies[2] == WriteReply::Applied
    };

    let mut wrong = stand.pinned.clone();
    wrong.nodes[second].identity.replication_id = "0".repeat(40);
    stand.writer.repin(&wrong);
    let replies = stand
        .writer
        .apply(&stand.fence, &replace(&keys, "old", "a"))
        .await;
    assert!(others(&replies), "{replies:?}");
    assert!(matches!(&replies[1], WriteReply::Fenced(why) if why.contains("replication id")));
    stand.writer.repin(&stand.pinned);

    let mut deadlines = vec![Micros::now().plus(LIMIT); 3];
    deadlines[second] = Micros(1);
    let late = Fence {
        deadline: PerNode::each(deadlines),
        ..stand.fence.clone()
    };
    let writes = [
        replace(&keys[..1], "a", "b"),
        replace(&keys[1..2], "old", "b"),
        replace(&keys[2..], "a", "b"),
    ];
    let replies = stand.writer.apply(&late, &writes.concat()).await;
    assert!(
        others(&replies) && replies[1] == WriteReply::Late,
        "{replies:?}"
    );

    let mut replicas = vec![1; 3];
    replicas[second] = 2;
    let lonely = Fence {
        min_replicas: PerNode::each(replicas),
        ..stand.fence.clone()
    };
    let writes = [
        replace(&keys[..1], "b", "c"),
        replace(&keys[1..2], "old", "c"),
        replace(&keys[2..], "b", "c"),
    ];
    let replies = stand.writer.apply(&lonely, &writes.concat()).await;
    assert!(others(&replies), "{replies:?}");
    assert!(
        matches!(&replies[1], WriteReply::Fenced(why) if why.contains("1 of 2")),
        "{replies:?}"
    );
    assert_eq!(stand.get(&keys[1]).await, "old");
}

#[tokio::test]
async fn a_slot_on_its_way_refuses_its_own_keys_alone() {
    on_each(async |cluster| {
        let mut stand = Stand::on(cluster).await;
        let moving: Vec<String> = (0..2).map(|n| format!("{{tag}}:{n}")).collect();
        let home = stand.cluster.shard_of("{tag}");
        let still = keys_in(&stand.cluster, home, "k", 1);
        let keys = [moving.clone(), still].concat();
        stand.set(&keys, "old").await;
        let to = (home + 1) % 3;
        let way = stand.cluster.begin_move(slot("{tag}"), to).await.unwrap();
        assert_eq!(stand.cluster.move_keys(&way, 1).await.unwrap(), 1);
        let replies = stand.writer.apply(&stand.fence, &replace(&keys, "old", "new")).await;
        let is_refused = |r: &&WriteReply| matches!(r, WriteReply::Refused(why) if why.contains("slot is moving"));
        assert_eq!(replies[..2].iter().filter(is_refused).count(), 1, "{replies:?}");
        assert_eq!(replies[2], WriteReply::Applied);
        assert_eq!(replies.iter().filter(|r| **r == WriteReply::Applied).count(), 2);

        while stand.cluster.move_keys(&way, 10).await.unwrap() > 0 {}
        stand.cluster.end_move(way).await.unwrap();
        let writes = [replace(&moving, "old", "last"), replace(&moving, "new", "last")].concat();
        let replies = stand.writer.apply(&stand.fence, &writes).await;
        assert!(replies.iter().all(|r| is_refused(&r)), "{replies:?}");
        let replies = stand.writer.apply(&stand.fence, &writes).await;
        let applied = replies.iter().filter(|r| **r == WriteReply::Applied).count();
        assert_eq!(applied, 2, "it has learnt where they are: {replies:?}");
    })
    .await;
}

#[tokio::test]
async fn a_demoted_master_takes_nothing_and_stops_the_run() {
    on_each(async |cluster| {
        let mut stand = Stand::on(cluster).await;
        let keys = spread(&stand.cluster, 1);
        stand.set(&keys, "old").await;
        stand.cluster.fence().await.unwrap();
        stand.cluster.switch(0).await.unwrap();
        let replies = stand
            .writer
            .apply(&stand.fence, &replace(&keys, "old", "new"))
            .await;
        assert!(
            matches!(&replies[0], WriteReply::Fenced(why) if why.contains("no master")),
            "{replies:?}"
        );
        assert_eq!(stand.get(&keys[0]).await, "old");
        let again = Writer::connect(&spec(&stand.cluster), &stand.pinned).await;
        assert!(matches!(again.err(), Some(RedisError::TopologyChanged(_))));
    })
    .await;
}

#[tokio::test]
async fn a_master_that_dies_leaves_its_own_writes_unknown() {
    let mut stand = Stand::on(plain_cluster().await).await;
    let keys = spread(&stand.cluster, 1);
    stand.set(&keys, "old").await;
    stand.cluster.fence().await.unwrap();
    stand.cluster.crash(2).await.unwrap();
    wait::until("the others answer again", LIMIT, async || {
        stand
            .redis
            .read_strings(&[keys[0].clone().into_bytes()])
            .await
            .is_ok()
    })
    .await
    .unwrap();
    let replies = stand
        .writer
        .apply(&stand.fence, &replace(&keys, "old", "new"))
        .await;
    assert_eq!(replies[..2], [WriteReply::Applied, WriteReply::Applied]);
    assert!(matches!(replies[2], WriteReply::Unknown(_)), "{replies:?}");
}
