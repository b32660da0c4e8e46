//! A Cluster: one heartbeat for each master, which slots that move and shards that fail over leave apart.

use auditor::lab::redis_cluster::{RedisCluster, RedisClusterOptions};
use auditor::model::slots::Slot;

use super::sidecars::Sidecar;
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

/// What became of a shard that has lost its master and its replica is for others to see to.
#[tokio::test]
async fn a_shard_without_any_node_keeps_no_other_from_being_beaten_through() {
    let cluster = RedisCluster::start(RedisClusterOptions {
        lines: vec!["cluster-require-full-coverage no".to_owned()],
        ..RedisClusterOptions::default()
    })
    .await
    .unwrap();
    let site = Site::new(&cluster.url(), "");
    let sidecar = Sidecar::start(&site, &["--every", "200ms"]);
    let address = async |shard| {
        let master = cluster.master(shard).await.unwrap();
        format!("127.0.0.1:{}", master.port())
    };
    let living = [address(1).await, address(2).await];
    let beats = |address: &str| {
        let samples = site.remembered().samples.into_iter();
        samples.filter(|s| s.address == address).count()
    };
    let beaten = async |count: usize| {
        for address in &living {
            let wanted = beats(address) + count;
            wait::until("a living master is beaten through", LIMIT, async || {
                beats(address) >= wanted
            })
            .await
            .unwrap();
        }
    };
    beaten(2).await;
    let dead = cluster.master(0).await.unwrap();
    cluster.replica(0).await.unwrap().kill().unwrap();
    dead.kill().unwrap();
    sidecar.says("no heartbeat: ").await;
    beaten(5).await;
    assert_eq!(sidecar.stop().await, Some(0));

    // One that is started now cannot rest on connections it has.
    wait::until("the others hold the shard for failed", LIMIT, async || {
        site.checkpoint(&[]).code == Some(4)
    })
    .await
    .unwrap();
    let run = site.checkpoint(&[]);
    assert_eq!(run.code, Some(4), "{run:?}");
    assert!(living.iter().all(|a| run.stdout.contains(a)), "{run:?}");
    assert!(run.stderr.contains(&dead.port().to_string()), "{run:?}");
}
