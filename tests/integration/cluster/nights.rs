//! `auditor run` alone, beside a sidecar, after one shard of a Cluster failed over.

use std::process::{Child, Stdio};

use auditor::lab::wait;

use super::sharded::{Sharded, newest, regressions};
use super::{LIMIT, slot};
use crate::support::monitor::Monitor;
use crate::support::shop::{balance_key, profile_key};

const USERS: u32 = 240;
/// The shard that fails over.
const SHARD: usize = 1;

/// `auditor checkpoint --every`, until it is dropped.
struct Sidecar(Child);

impl Sidecar {
    async fn start(world: &Sharded) -> Self {
        let mut command = world.command(&["checkpoint", "job.toml", "--every", "200ms"]);
        let command = command.stdout(Stdio::null()).stderr(Stdio::null());
        let sidecar = Self(command.spawn().unwrap());
        beaten(world, 2).await;
        sidecar
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until every present master has been beaten through so often from now on.
async fn beaten(world: &Sharded, times: usize) {
    let beats = |address: &str| {
        let samples = world.remembered().samples.into_iter();
        samples.filter(|s| s.address == address).count()
    };
    for master in world.masters().await {
        let address = format!("127.0.0.1:{}", master.port());
        let wanted = beats(&address) + times;
        wait::until("the sidecar beats", LIMIT, async || {
            beats(&address) >= wanted
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn what_one_shard_lost_is_repaired_by_itself_and_no_other_shard_is_read() {
    let mut world = Sharded::shop(USERS).await;
    let first = |ids: Vec<u32>| (ids[..6].to_vec(), ids[6..14].to_vec());
    let (kept, lost) = first(world.ids(USERS, |shard| shard == SHARD));
    let (before, meanwhile) = first(world.ids(USERS, |shard| shard != SHARD));
    let _sidecar = Sidecar::start(&world).await;
    let begun = world.auditor(&["run", "job.toml"]).expect(0);
    assert!(begun.stdout.starts_with("nothing to do yet"), "{begun:?}");
    let quiet = world.auditor(&["run", "job.toml"]).expect(0);
    assert!(quiet.stdout.starts_with("nothing to do: "), "{quiet:?}");

    world.change(&[&kept[..], &before[..]].concat()).await;
    beaten(&world, 2).await;
    world.cluster.fence().await.unwrap();
    world.cluster.stall(SHARD).await.unwrap();
    world.change(&[&lost[..], &meanwhile[..]].concat()).await;
    beaten(&world, 1).await;
    let dead = world.cluster.crash(SHARD).await.unwrap();
    let old = |id: &u32| profile_key(*id);
    for key in lost.iter().map(old) {
        let value = world.get(&key).await.unwrap();
        assert!(value.contains("\"version\":5"), "{key} was to be lost");
    }
    // It is none of this run's business: no failover is behind it.
    let wrong = world.ids(USERS, |shard| shard != SHARD)[20];
    world.set(&balance_key(wrong), "99").await;

    let mut others = Vec::new();
    for shard in (0..3).filter(|shard| *shard != SHARD) {
        others.push(Monitor::start(
            world.cluster.master(shard).await.unwrap().port(),
        ));
    }
    let run = world.auditor(&["run", "job.toml"]).expect(0);
    // The control sample is of rows that did not change; whoever sweeps reads those that did.
    let changed: Vec<String> = meanwhile.iter().map(old).collect();
    for monitor in &others {
        let lines = monitor.lines();
        assert!(!lines.is_empty(), "it heard nothing");
        for key in &changed {
            let quoted = format!("\"{key}\"");
            let read = lines.iter().find(|line| line.contains(&quoted));
            assert_eq!(read, None, "nothing happened to this shard");
        }
    }
    let report = run.report();
    assert_eq!(report.lines(), regressions(&lost, "applied"));
    for id in lost.iter().chain(&kept).chain(&before).chain(&meanwhile) {
        assert_eq!(world.get(&profile_key(*id)).await, Some(newest(*id)));
    }
    let coverage = &report.run["checks"][0]["coverage"];
    assert!(
        coverage["other_shards"].as_u64().unwrap() >= meanwhile.len() as u64,
        "{coverage}"
    );
    let window = &report.run["window"];
    assert_eq!(window["found_by"], "heartbeat");
    let episodes = window["episodes"].as_array().unwrap();
    let happened: Vec<_> = episodes.iter().filter(|e| e["kind"] != "nothing").collect();
    assert_eq!((episodes.len(), happened.len()), (3, 1), "{episodes:?}");
    assert_eq!(happened[0]["kind"], "promotion");
    let master = world.cluster.master(SHARD).await.unwrap();
    assert_ne!(master.port(), dead);
    assert_eq!(
        happened[0]["address"],
        format!("127.0.0.1:{}", master.port())
    );

    let history = master.info("master_replid").await.unwrap().unwrap();
    let handled = world.remembered().handled;
    assert!(handled.iter().any(|h| h.replication_id == history));
    let again = world.auditor(&["run", "job.toml"]).expect(0);
    assert!(
        again.stdout.starts_with("nothing to do: no failover"),
        "{again:?}"
    );
    assert_eq!(again.stdout.lines().count(), 1);
    assert_eq!(
        world.get(&balance_key(wrong)).await.as_deref(),
        Some("99"),
        "nobody asked for a full sweep"
    );
}

#[tokio::test]
async fn what_left_the_failed_shard_before_anybody_looked_is_repaired_where_it_is_now() {
    let mut world = Sharded::shop(USERS).await;
    let lost = world.ids(USERS, |shard| shard == SHARD)[..6].to_vec();
    let _sidecar = Sidecar::start(&world).await;
    world.auditor(&["run", "job.toml"]).expect(0);
    beaten(&world, 2).await;
    world.cluster.fence().await.unwrap();
    world.cluster.stall(SHARD).await.unwrap();
    world.change(&lost).await;
    beaten(&world, 1).await;
    world.cluster.crash(SHARD).await.unwrap();
    beaten(&world, 1).await;
    for id in &lost[..3] {
        let moving = slot(&profile_key(*id));
        world.cluster.move_slot(moving, SHARD + 1).await.unwrap();
    }
    let report = world.auditor(&["run", "job.toml"]).expect(0).report();
    assert_eq!(report.lines(), regressions(&lost, "applied"));
    for id in &lost {
        assert_eq!(world.get(&profile_key(*id)).await, Some(newest(*id)));
    }
    let again = world.auditor(&["run", "job.toml"]).expect(0);
    assert!(again.stdout.contains("no failover"), "{again:?}");
}
