//! Slots that move while the program is at work.

use std::collections::BTreeSet;

use auditor::model::slots::Slot;

use super::sharded::Sharded;
use super::slot;
use crate::support::shop::{CHECKS, LIMITS, balance_key, profile_key};

const USERS: u32 = 800;

/// A shop with wrong balances and keys of rows that are gone, on every master; what a scan says of it.
async fn damaged() -> (Sharded, Vec<String>) {
    let mut world = Sharded::shop(USERS).await;
    world.job(
        LIMITS,
        &CHECKS.replace("deletes = \"never\"", "deletes = \"scan\""),
    );
    world.sql("DELETE FROM users WHERE id % 40 = 1").await;
    let expected = {
        let gone = (1..=USERS).filter(|id| id % 40 == 1);
        let orphans = gone.flat_map(|id| [profile_key(id), balance_key(id)]);
        let orphans = orphans.map(|key| format!("orphan-key {key} confirmed"));
        let mut wrong = Vec::new();
        for id in (1..=USERS).filter(|id| id % 40 == 2) {
            world.set(&balance_key(id), "99").await;
            wrong.push(format!(
                "value-mismatch {} balance confirmed",
                balance_key(id)
            ));
        }
        let mut expected: Vec<String> = orphans.chain(wrong).collect();
        expected.sort();
        expected
    };
    (world, expected)
}

/// What a scan says, without the fields that differ with the mapping's own words.
fn said(lines: Vec<String>) -> Vec<String> {
    let parts = |line: String| {
        let words: Vec<&str> = line.split(' ').collect();
        format!("{} {}", words[0], words[1])
    };
    lines.into_iter().map(parts).collect()
}

#[tokio::test]
async fn a_resharding_in_the_middle_changes_nothing_that_is_found() {
    let (world, expected) = damaged().await;
    let expected = said(expected);
    assert_eq!(said(world.scan_full().expect(1).report().lines()), expected);
    std::fs::remove_dir_all(world.folder.path().join("output")).unwrap();

    let scan = world
        .spawn(&["scan", "job.toml", "--full", "--rate", "400"])
        .await;
    let slots: BTreeSet<Slot> = (1..=40).map(|id| slot(&balance_key(id))).collect();
    for slot in slots {
        let home = usize::from(slot.number()) / 5_462;
        world.cluster.move_slot(slot, (home + 1) % 3).await.unwrap();
    }
    let run = world.ended(scan).expect(1);
    assert_eq!(said(run.report().lines()), expected, "{}", run.stderr);
    assert_eq!(
        said(world.scan_full().expect(1).report().lines()),
        expected,
        "and afterwards"
    );
}

#[tokio::test]
async fn a_slot_that_never_arrives_is_said_and_its_keys_are_read_all_the_same() {
    let (world, expected) = damaged().await;
    let key = balance_key(2);
    let home = world.cluster.shard_of(&key);
    let way = world
        .cluster
        .begin_move(slot(&key), (home + 1) % 3)
        .await
        .unwrap();
    assert!(world.cluster.move_keys(&way, 10).await.unwrap() > 0);
    let report = world.scan_full().expect(4).report();
    let wrong: Vec<String> = said(expected.clone())
        .into_iter()
        .filter(|line| line.starts_with("value-mismatch"))
        .collect();
    assert_eq!(
        said(report.lines()),
        wrong,
        "what rows lead to is found, the rest was not searched for"
    );
    for check in report.run["checks"].as_array().unwrap() {
        let left = check["not_searched"].to_string();
        assert!(
            left.contains("slots of the Cluster moved all the time"),
            "{left}"
        );
    }
    world.cluster.end_move(way).await.unwrap();
}

#[tokio::test]
async fn keys_of_moving_slots_are_left_and_repaired_by_the_next_run() {
    let mut world = Sharded::shop(60).await;
    world
        .sql("UPDATE users SET balance = 7, updated_at = UTC_TIMESTAMP(6) - INTERVAL 1 MINUTE")
        .await;
    let key = balance_key(2);
    let home = world.cluster.shard_of(&key);
    let way = world
        .cluster
        .begin_move(slot(&key), (home + 1) % 3)
        .await
        .unwrap();
    while world.cluster.move_keys(&way, 10).await.unwrap() > 0 {}
    let report = world.repair_full().report();
    let left: Vec<&str> = report
        .findings
        .iter()
        .filter(|finding| finding["outcome"] != "applied")
        .map(|finding| finding["key"].as_str())
        .collect();
    assert_eq!(left, [key.as_str()]);
    let reason = report.findings.iter().find(|f| f["key"] == key).unwrap();
    assert!(reason["reason"].contains("slot is moving"), "{reason:?}");
    assert_eq!(world.get(&key).await.as_deref(), Some("100"));
    world.cluster.end_move(way).await.unwrap();
    world.repair_full().expect(0);
    for id in 1..=60 {
        assert_eq!(world.get(&balance_key(id)).await.as_deref(), Some("7"));
    }
}
