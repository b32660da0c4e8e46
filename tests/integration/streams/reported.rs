//! What the report says of streams: what a run leaves out, how long a customer was exposed, and whose loss it was.

use std::time::Duration;

use crate::support::World;
use crate::support::bids::{ALIVE, GONE, GROUP, STREAM, id};
use crate::support::report::{Record, rows};

#[tokio::test]
async fn a_run_from_an_earlier_one_names_what_it_does_not_judge_again() {
    let mut world = World::open_bids("on_persisted = \"ack\"\nkeeps_entries = true\n").await;
    world.group().await;
    world.done(1..=3).await;
    let twice = id(4);
    let words = [
        "XADD",
        STREAM,
        &twice,
        "type",
        "BID_SAVE",
        "bidId",
        "b1",
        "auctionId",
        "7",
        "bidderId",
        "11",
        "amount",
        "100.5",
    ];
    world.redis::<String>(&words).await;
    world.read("worker", 1).await;
    world.ack(4).await;
    world.add(5).await;
    world.read(ALIVE, 1).await;
    world.save(5).await;
    let scan = world.scan_full().expect(1);
    let earlier = scan.report();
    assert_eq!(
        earlier.settled(),
        [
            format!("duplicate-entry {twice} none"),
            format!("unacked-persisted {} ack", id(5)),
        ]
    );
    let folder = earlier.folder.to_str().unwrap();
    let repair = world
        .auditor(&["repair", "job.toml", "--from", folder, "--yes"])
        .expect(4);
    let report = repair.report();
    assert_eq!(
        report.settled(),
        [format!("unacked-persisted {} ack applied", id(5))]
    );
    let named = report.run.to_string();
    assert!(
        named.contains("duplicate-entry is judged over a whole stream or table"),
        "{named}"
    );
}

/// The compensation of bid 2, whose consumer is gone, after a repair that did what `settings` say.
async fn exposed_after(settings: &str, status: i32) -> Record {
    let mut world = World::open_bids(settings).await;
    world.group().await;
    world.done(1..=1).await;
    world.add(2).await;
    world.read(GONE, 1).await;
    world.wait_until_gone(GONE).await;
    let report = world.repair_full().expect(status).report();
    let mut rows = rows(&report.folder.join("compensation.csv"));
    assert_eq!(rows.len(), 1, "{report:?}");
    assert_eq!(report.findings[0]["outcome"], "applied", "{report:?}");
    rows.remove(0)
}

#[tokio::test]
async fn an_exposure_ends_when_the_row_is_in_and_not_when_the_message_was_moved() {
    let inserted = "on_persisted = \"ack\"\non_unpersisted = \"insert\"\ninsert_is_enough = true\n";
    let row = exposed_after(inserted, 0).await;
    assert!(!row["exposed_until"].is_empty(), "{row:?}");
    assert!(row["exposed_from"] < row["exposed_until"], "{row:?}");
    let row = exposed_after("on_unpersisted = \"requeue\"\n", 0).await;
    assert_eq!(row["exposed_until"], "", "{row:?}");
    let claimed = "on_unpersisted = \"claim\"\nclaim_to = \"recovery\"\n";
    let row = exposed_after(claimed, 1).await;
    assert_eq!(row["exposed_until"], "", "{row:?}");
}

#[tokio::test]
async fn an_old_message_is_of_the_window_if_it_was_delivered_in_it() {
    let mut world = World::open_bids("").await;
    world.group().await;
    for number in 1..=2 {
        world.add(number).await;
        world.read(GONE, 1).await;
    }
    // The second one was delivered a day ago.
    let day = Duration::from_secs(86_400).as_millis().to_string();
    let words = [
        "XCLAIM",
        STREAM,
        GROUP,
        GONE,
        "0",
        &id(2),
        "IDLE",
        &day,
        "JUSTID",
    ];
    world.redis::<redis::Value>(&words).await;
    world.wait_until_gone(GONE).await;
    let scan = world
        .auditor(&["scan", "job.toml", "--since", "10m"])
        .expect(1);
    let report = scan.report();
    let attributed: Vec<(&str, &str)> = report
        .findings
        .iter()
        .map(|row| (row["id"].as_str(), row["attribution"].as_str()))
        .collect();
    assert_eq!(
        attributed,
        [(id(1).as_str(), "window"), (id(2).as_str(), "outside")]
    );
}
