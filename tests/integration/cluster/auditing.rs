//! The program on a Cluster: what one shard's failover lost, and nothing else.

use std::collections::BTreeMap;

use super::errors;
use super::sharded::{Sharded, newest, regressions};
use crate::support::monitor::Monitor;
use crate::support::shop::{CHECKS, LIMITS, balance_key, profile_key};

const USERS: u32 = 240;

/// What a write is, as MONITOR and the command table name it.
const WRITES: [&str; 9] = [
    "\"EVAL\"",
    "\"EVALSHA\"",
    "\"SET\"",
    "\"DEL\"",
    "\"EXPIRE\"",
    "\"PEXPIRE\"",
    "\"HSET\"",
    "\"XADD\"",
    "\"XACK\"",
];

#[tokio::test]
async fn what_one_shard_lost_is_found_and_repaired_and_nothing_else() {
    let mut world = Sharded::shop(USERS).await;
    let lost: Vec<u32> = world
        .ids(USERS, |shard| shard == 1)
        .into_iter()
        .take(9)
        .collect();
    let kept: Vec<u32> = world
        .ids(USERS, |shard| shard != 1)
        .into_iter()
        .take(20)
        .collect();
    world.cluster.stall(1).await.unwrap();
    world.change(&[&lost[..], &kept[..]].concat()).await;
    world.cluster.crash(1).await.unwrap();
    for id in &lost {
        assert!(
            world
                .get(&profile_key(*id))
                .await
                .unwrap()
                .contains("\"version\":5"),
            "{id}"
        );
    }
    let before = world.cluster.snapshot().await.unwrap();

    let scan = world.scan_full().expect(1).report();
    assert_eq!(scan.lines(), regressions(&lost, ""));
    let dry = world
        .auditor(&["repair", "job.toml", "--full", "--dry-run"])
        .expect(1)
        .report();
    assert_eq!(dry.lines().len(), lost.len());
    assert_eq!(
        world.cluster.snapshot().await.unwrap(),
        before,
        "nothing was written yet"
    );

    let mut monitors = Vec::new();
    for master in world.masters().await {
        monitors.push(Monitor::start(master.port()));
    }
    let repair = world.repair_full().expect(0).report();
    assert_eq!(repair.lines(), regressions(&lost, "applied"));
    for (shard, monitor) in monitors.iter().enumerate() {
        let lines = monitor.lines();
        let writes = lines
            .iter()
            .filter(|line| WRITES.iter().any(|name| line.contains(name)));
        let foreign = writes.clone().filter(|line| !line.contains("\"EVALSHA\""));
        // Redis prints what a script does as well.
        let foreign = foreign.filter(|line| !line.contains(" lua] "));
        assert_eq!(foreign.collect::<Vec<_>>(), Vec::<&String>::new());
        let scripts = writes.filter(|line| line.contains("\"EVALSHA\"")).count();
        assert_eq!(
            scripts,
            if shard == 1 { lost.len() } else { 0 },
            "shard {shard}"
        );
        assert_eq!(errors(world.masters().await[shard], "MOVED").await, 0);
    }
    let mut expected = before;
    for id in &lost {
        assert_eq!(world.get(&profile_key(*id)).await, Some(newest(*id)));
        expected.remove(&profile_key(*id));
    }
    let mut after: BTreeMap<String, String> = world.cluster.snapshot().await.unwrap();
    after.retain(|key, _| !lost.iter().any(|id| profile_key(*id) == *key));
    assert_eq!(after, expected, "every other key is as it was");
    world.scan_full().expect(0);
}

#[tokio::test]
async fn keys_that_no_row_explains_are_found_on_every_master() {
    let mut world = Sharded::shop(60).await;
    let checks = CHECKS.replace(
        "deletes = \"never\"",
        "deletes = \"scan\"\nrepair_orphans = \"invalidate\"",
    );
    world.job(LIMITS, &checks);
    world.sql("DELETE FROM users WHERE id <= 12").await;
    let mut expected: Vec<String> = (1..=12)
        .flat_map(|id| [profile_key(id), balance_key(id)])
        .map(|key| format!("orphan-key {key} confirmed"))
        .collect();
    expected.sort();
    let shards: std::collections::BTreeSet<usize> = (1..=12)
        .map(|id| world.cluster.shard_of(&balance_key(id)))
        .collect();
    assert_eq!(shards.len(), 3, "they lie everywhere");
    assert_eq!(world.scan_full().expect(1).report().lines(), expected);
    let repair = world.repair_full().report();
    let applied = repair
        .lines()
        .into_iter()
        .filter(|line| line.ends_with("applied"));
    assert_eq!(
        applied.count(),
        12,
        "those of the check that says so: {:?}",
        repair.lines()
    );
    for id in 1..=12 {
        assert_eq!(world.get(&balance_key(id)).await, None);
        assert!(world.get(&profile_key(id)).await.is_some());
    }
}

#[tokio::test]
async fn what_was_repaired_is_taken_back_on_every_master() {
    let mut world = Sharded::shop(60).await;
    let old = world.cluster.snapshot().await.unwrap();
    world.sql("UPDATE users SET balance = 7, updated_at = UTC_TIMESTAMP(6) - INTERVAL 1 MINUTE WHERE id <= 9").await;
    let repair = world.repair_full().expect(0).report();
    assert_eq!(repair.lines().len(), 9);
    for id in 1..=9 {
        assert_eq!(world.get(&balance_key(id)).await.as_deref(), Some("7"));
    }
    let folder = repair.folder.to_str().unwrap().to_owned();
    world
        .auditor(&["undo", "job.toml", &folder, "--yes"])
        .expect(0);
    assert_eq!(world.cluster.snapshot().await.unwrap(), old);
}

#[tokio::test]
async fn a_master_without_enough_replicas_stops_writes_to_it() {
    let mut world = Sharded::shop(60).await;
    world.job(&format!("{LIMITS}\nmin_replicas = 1"), CHECKS);
    world.cluster.crash(0).await.unwrap();
    world
        .sql("UPDATE users SET balance = 7, updated_at = UTC_TIMESTAMP(6) - INTERVAL 1 MINUTE")
        .await;
    let run = world.repair_full().expect(4);
    let address = format!("127.0.0.1:{}", world.masters().await[0].port());
    let said = run.report().run["limits_hit"].to_string();
    assert!(
        said.contains(&format!("0 replica(s) of {address} online")),
        "{said}"
    );
    world.job(LIMITS, CHECKS);
    world.repair_full().expect(0);
    for id in 1..=60 {
        assert_eq!(world.get(&balance_key(id)).await.as_deref(), Some("7"));
    }
}

#[tokio::test]
async fn jobs_that_do_not_fit_a_cluster_are_refused_with_what_to_write() {
    let world = Sharded::shop(3).await;
    let mut command = world.command(&["scan", "job.toml", "--full"]);
    let port = world.masters().await[0].port();
    command.env("REDIS_URL", format!("redis://127.0.0.1:{port}"));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains(&format!("redis-cluster://127.0.0.1:{port}")),
        "{said}"
    );
}
