//! What occurs twice, and what is lost from the stream.

use crate::support::World;
use crate::support::bids::{STREAM, id};

const TUPLE: &str = "unique = [\"auction_id\", \"bidder_id\", \"amount\"]\n";

async fn again(world: &mut World, number: u32, bid: &str, amount: &str) {
    let id = id(number);
    let words = [
        "XADD",
        STREAM,
        &id,
        "type",
        "BID_SAVE",
        "bidId",
        bid,
        "auctionId",
        "7",
        "bidderId",
        "11",
        "amount",
        amount,
    ];
    world.redis::<String>(&words).await;
}

#[tokio::test]
async fn one_identity_in_two_entries() {
    let mut world = World::open_bids("").await;
    world.group().await;
    world.done(1..=3).await;
    // Bid 1 has bidder 11.
    again(&mut world, 4, "b1", "100.5").await;
    world.read("worker", 1).await;
    world.ack(4).await;
    let repair = world.repair_full().expect(1);
    let report = repair.report();
    assert_eq!(
        report.settled(),
        [format!("duplicate-entry {} none", id(4))]
    );
    assert!(report.findings[0]["reason"].contains(&id(1)), "{report:?}");
}

#[tokio::test]
async fn one_bid_under_two_identities() {
    let mut world = World::open_bids(TUPLE).await;
    world.group().await;
    world.done(1..=2).await;
    again(&mut world, 4, "b4", "1005e-1").await;
    world.read("worker", 1).await;
    world
        .sql("INSERT INTO bid (bid_id, auction_id, bidder_id, amount, created_at) VALUES ('b4', 7, 11, 100.50, UTC_TIMESTAMP(6) - INTERVAL 1 HOUR)")
        .await;
    world.ack(4).await;
    let scan = world.scan_full().expect(1);
    let report = scan.report();
    let mut rules: Vec<&str> = report.findings.iter().map(|f| f["rule"].as_str()).collect();
    rules.sort_unstable();
    assert_eq!(rules, ["duplicate-entry", "duplicate-row"], "{report:?}");
    let row = report
        .findings
        .iter()
        .find(|f| f["rule"] == "duplicate-row")
        .unwrap();
    assert_eq!(row["severity"], "critical");
    assert_eq!(row["subject"], "11");
}

#[tokio::test]
async fn a_requeued_entry_repeats_nobody() {
    let mut world = World::open_bids("").await;
    world.group().await;
    world.done(1..=2).await;
    // A failover brought the original, 1, back after it was requeued as 4.
    let (new, old) = (id(4), id(1));
    let words = [
        "XADD",
        STREAM,
        &new,
        "type",
        "BID_SAVE",
        "bidId",
        "b1",
        "auctionId",
        "7",
        "bidderId",
        "11",
        "amount",
        "100.50",
        "requeued_from",
        &old,
    ];
    world.redis::<String>(&words).await;
    world.read("worker", 1).await;
    world.ack(4).await;
    world.scan_full().expect(0);
}

#[tokio::test]
async fn a_second_row_is_found_where_the_window_selects_neither() {
    let mut world = World::open_bids("").await;
    world
        .sql("ALTER TABLE bid DROP KEY bid_id, ADD KEY (bid_id)")
        .await;
    world.group().await;
    world.done(1..=2).await;
    world.add(3).await;
    world.read("worker", 1).await;
    world.save(3).await;
    world.save(3).await;
    world.ack(3).await;
    let all = world.scan_full().expect(1);
    let rows = all.report().settled();
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert!(rows[0].starts_with("duplicate-row"), "{rows:?}");
    world
        .sql("UPDATE bid SET created_at = created_at - INTERVAL 1 YEAR")
        .await;
    let since = ["scan", "job.toml", "--since", "2025-01-01T00:00:00Z"];
    let windowed = world.auditor(&since).expect(1);
    assert_eq!(windowed.report().settled(), rows);
}

#[tokio::test]
async fn a_row_whose_entry_is_gone_is_told_and_costs_nothing() {
    let mut world = World::open_bids("keeps_entries = true\n").await;
    world.group().await;
    world.done(1..=5).await;
    world.redis::<i64>(&["XDEL", STREAM, &id(2)]).await;
    let scan = world.scan_full().expect(0);
    let report = scan.report();
    assert_eq!(report.findings.len(), 1, "{report:?}");
    assert_eq!(report.findings[0]["rule"], "lost-entry");
    assert_eq!(report.findings[0]["severity"], "low");
    assert_eq!(report.run["verdict"], "consistent");
}
