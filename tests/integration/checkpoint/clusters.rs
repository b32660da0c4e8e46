//! A Cluster: one heartbeat for each master, which slots that move and shards that fail over leave apart.

use auditor::lab::redis_cluster::{RedisCluster, RedisClusterOptions};
use auditor::model::slots::Slot;

use super::*;

async fn evidence_of(job: &Job) -> usize {
    let mut count = 0;
    for master in masters(job).await {
        count += master.evidence(10).await.unwrap().len();
    }
    count
}

#[tokio::test]
async fn every_master_beats_for_itself() {
    let mut cluster = RedisCluster::start(RedisClusterOptions::default())
        .await
        .unwrap();
    let site = Site::new(&cluster.url(), "");
    let run = site.checkpoint(&[]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let job = site.job();
    let first = site.remembered();
    assert_eq!(
        (first.samples.len(), first.changes.len()),
        (3, 0),
        "{run:?}"
    );
    for master in masters(&job).await {
        let key = String::from_utf8(master.keys().heartbeat.clone()).unwrap();
        assert!(master.slots().has_key(key.as_bytes()), "{key}");
        let text: String = cluster.run(&["GET", &key]).await.unwrap();
        let beat = Heartbeat::decode(text.as_bytes()).unwrap();
        let sample = first.samples.iter().find(|s| s.beat == beat).unwrap();
        assert_eq!(
            (&sample.slots, &*sample.address),
            (master.slots(), master.address())
        );
    }

    // The smallest tag of all moves to another master with its keys: both choose anew, and nobody's history changed.
    let slot = Slot::of(b"0");
    let giver = cluster.shard_of("0");
    let taker = (giver + 1) % cluster.shards();
    cluster.move_slot(slot, taker).await.unwrap();
    let run = site.checkpoint(&[]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(!run.stderr.contains("`auditor run`"), "{run:?}");
    let moved = site.remembered();
    assert_eq!(
        (moved.samples.len(), moved.changes.len()),
        (6, 0),
        "{run:?}"
    );
    assert_eq!(
        evidence_of(&job).await,
        0,
        "another master's heartbeat is no evidence"
    );

    cluster.fence().await.unwrap();
    let shard = (giver + 2) % cluster.shards();
    let old = cluster
        .master(shard)
        .await
        .unwrap()
        .info("master_replid")
        .await
        .unwrap()
        .unwrap();
    let replicated = moved
        .samples
        .iter()
        .rfind(|s| s.beat.replication_id == old)
        .unwrap();
    cluster.stall(shard).await.unwrap();
    assert_eq!(site.checkpoint(&[]).code, Some(0));
    cluster.crash(shard).await.unwrap();
    let run = site.checkpoint(&[]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stderr.contains("took over"), "{run:?}");
    let after = site.remembered();
    let [change] = &after.changes[..] else {
        panic!("one shard, one change: {:?}", after.changes)
    };
    assert_eq!(change.found.as_ref(), Some(&replicated.beat));
    assert_eq!(change.replication_id2, old);
    assert_eq!(
        change.slots, replicated.slots,
        "no other shard's keys are in question"
    );
}
