//! A shard that fails over while the program is at work.

use std::collections::BTreeSet;

use auditor::lab::wait;

use super::LIMIT;
use super::sharded::{Sharded, regressions};
use crate::support::report::Report;
use crate::support::shop::{balance_key, profile_key};

const USERS: u32 = 1_500;

fn restarts(report: &Report) -> u64 {
    let checks = report.run["checks"].as_array().unwrap();
    let restarted = checks
        .iter()
        .map(|check| check["slices_restarted"].as_u64().unwrap());
    restarted.sum()
}

#[tokio::test]
async fn a_crash_in_the_middle_of_a_scan_is_noticed_and_what_it_lost_found() {
    let mut world = Sharded::shop(USERS).await;
    let lost: Vec<u32> = world
        .ids(USERS, |shard| shard == 2)
        .into_iter()
        .take(30)
        .collect();
    let kept: Vec<u32> = world
        .ids(USERS, |shard| shard != 2)
        .into_iter()
        .take(30)
        .collect();
    world.cluster.stall(2).await.unwrap();
    world.change(&[&lost[..], &kept[..]].concat()).await;
    // At this pace the sweep would take half a minute: the crash comes into it.
    let scan = world
        .spawn(&["scan", "job.toml", "--full", "--rate", "100"])
        .await;
    world.cluster.crash(2).await.unwrap();
    let run = world.ended(scan).expect(1);
    let report = run.report();
    assert_eq!(report.lines(), regressions(&lost, ""));
    assert!(restarts(&report) > 0, "{}", run.stderr);
}

#[tokio::test]
async fn a_switch_in_the_middle_of_a_scan_loses_nothing_and_finds_nothing() {
    let world = Sharded::shop(USERS).await;
    let scan = world
        .spawn(&["scan", "job.toml", "--full", "--rate", "100"])
        .await;
    world.cluster.switch(0).await.unwrap();
    let run = world.ended(scan).expect(0);
    let report = run.report();
    assert_eq!(report.lines(), Vec::<String>::new());
    assert!(restarts(&report) > 0, "{}", run.stderr);
}

/// Whatever a crash in the middle leaves: no write that was called done is lost, none is wrong, and the next run ends it.
#[tokio::test]
async fn a_crash_in_the_middle_of_a_repair_loses_no_write_that_was_called_done() {
    let mut world = Sharded::shop(USERS).await;
    world
        .sql("UPDATE users SET balance = 7, updated_at = UTC_TIMESTAMP(6) - INTERVAL 1 MINUTE")
        .await;
    let arguments = [
        "repair",
        "job.toml",
        "--full",
        "--yes",
        "--accept-control",
        "--only",
        "balance",
        "--rate",
        "300",
    ];
    let repair = world.spawn(&arguments).await;
    let far = world.ids(USERS, |shard| shard == 1);
    wait::until("some balances are repaired", LIMIT, async || {
        for id in far.iter().take(5) {
            if world.get(&balance_key(*id)).await.as_deref() == Some("7") {
                return true;
            }
        }
        false
    })
    .await
    .unwrap();
    world.cluster.crash(1).await.unwrap();
    let run = world.ended(repair).expect(4);
    let report = run.report();
    let done: BTreeSet<String> = report
        .findings
        .iter()
        .filter(|finding| finding["outcome"] == "applied")
        .map(|finding| finding["key"].clone())
        .collect();
    assert!(!done.is_empty());
    for id in 1..=USERS {
        let key = balance_key(id);
        let value = world.get(&key).await;
        let is_done = done.contains(&key);
        assert!(
            value.as_deref() == Some("7") || (!is_done && value.as_deref() == Some("100")),
            "{key} is {value:?}, done: {is_done}"
        );
        let profile = world.get(&profile_key(id)).await.unwrap();
        assert!(profile.contains("\"version\":5"));
    }
    world.repair_full().expect(0);
    for id in 1..=USERS {
        assert_eq!(world.get(&balance_key(id)).await.as_deref(), Some("7"));
    }
}
