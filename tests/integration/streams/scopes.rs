//! Windows, single entries, earlier runs, the control sample, the lease.

use crate::support::World;
use crate::support::bids::{ALIVE, GONE, STREAM, id};

const SETTLE: &str = r#"
on_persisted = "ack"
on_skipped = "insert"
insert_is_enough = true
"#;

/// Five that are done, 6 pending though saved, 7 skipped; all of the year 2025.
async fn damaged(settings: &str) -> World {
    let mut world = World::open_bids(settings).await;
    world.group().await;
    world.done(1..=5).await;
    world.add(6).await;
    world.read(ALIVE, 1).await;
    world.save(6).await;
    world.add(7).await;
    world.read(GONE, 1).await;
    world.ack(7).await;
    world
}

#[tokio::test]
async fn a_window_finds_everything_pending_and_only_its_own_entries() {
    let mut world = damaged(SETTLE).await;
    let now = [
        "XADD",
        STREAM,
        "*",
        "type",
        "BID_SAVE",
        "bidId",
        "b8",
        "auctionId",
        "7",
        "bidderId",
        "12",
        "amount",
        "3",
    ];
    let new: String = world.redis(&now).await;
    world.read(GONE, 1).await;
    let acked: i64 = world.redis(&["XACK", STREAM, "bid-group", &new]).await;
    assert_eq!(acked, 1);
    let scan = world
        .auditor(&["scan", "job.toml", "--since", "10m"])
        .expect(1);
    assert_eq!(
        scan.report().settled(),
        [
            format!("acked-unpersisted {new} insert"),
            format!("unacked-persisted {} ack", id(6)),
        ]
    );
    let coverage = &scan.report().run["checks"][0]["coverage"];
    assert_eq!(coverage["observed"], 2, "{coverage}");
}

#[tokio::test]
async fn one_entry_is_shown_from_both_sides() {
    let world = damaged(SETTLE).await;
    let shown = world
        .auditor(&["scan", "job.toml", "--only", "bids", "--id", &id(6)])
        .expect(1);
    for part in [
        id(6).as_str(),
        "100.50",
        "unacked-persisted",
        "pending",
        ALIVE,
    ] {
        assert!(
            shown.stdout.contains(part),
            "no {part} in\n{}",
            shown.stdout
        );
    }
    let right = world
        .auditor(&["scan", "job.toml", "--only", "bids", "--id", &id(3)])
        .expect(0);
    assert!(right.stdout.contains("no rule objects"), "{}", right.stdout);
    let wrong = world
        .auditor(&["scan", "job.toml", "--only", "bids", "--id", "b6"])
        .expect(2);
    assert!(
        wrong.stderr.contains("1526919030474-55"),
        "{}",
        wrong.stderr
    );
    let pending = world
        .auditor(&["scan", "job.toml", "--key", STREAM])
        .expect(1);
    let unacked = format!("unacked-persisted {} ack", id(6));
    assert_eq!(pending.report().settled(), [unacked]);
}

#[tokio::test]
async fn an_earlier_run_s_findings_are_settled() {
    let mut world = damaged(SETTLE).await;
    let scan = world.scan_full().expect(1);
    let run = scan.report().folder;
    let repair = world
        .auditor(&[
            "repair",
            "job.toml",
            "--from",
            run.to_str().unwrap(),
            "--yes",
        ])
        .expect(0);
    assert_eq!(
        repair.report().settled(),
        [
            format!("acked-unpersisted {} insert applied", id(7)),
            format!("unacked-persisted {} ack applied", id(6)),
        ]
    );
    assert!(world.pending().await.is_empty());
    assert_eq!(world.rows_of(7).await, "1");
}

#[tokio::test]
async fn a_wrong_mapping_is_no_failover() {
    let mut world = World::open_bids(SETTLE).await;
    world.group().await;
    world.done(1..=40).await;
    world.sql("UPDATE bid SET amount = amount + 1").await;
    let path = world.folder.path().join("job.toml");
    let strict = std::fs::read_to_string(&path)
        .unwrap()
        .replace("max_control_mismatch = 1.0", "max_control_mismatch = 0.05");
    std::fs::write(&path, strict).unwrap();
    let run = world
        .auditor(&["repair", "job.toml", "--since", "10m", "--yes"])
        .expect(4);
    let report = run.report();
    assert!(report.findings.is_empty());
    assert_eq!(
        report.run["checks"][0]["control"]["mismatched"], 40,
        "{report:?}"
    );
    assert!(world.rows_of(1).await == "1");
}

#[tokio::test]
async fn a_second_repair_is_turned_away() {
    let mut world = damaged(&format!("{SETTLE}settle = \"6s\"\n")).await;
    let first = world.spawn(&["repair", "job.toml", "--full", "--yes"]);
    world.has_begun().await;
    world
        .auditor(&["repair", "job.toml", "--full", "--yes"])
        .expect(5);
    let first = first.wait_with_output().unwrap();
    assert_eq!(
        first.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&first.stderr)
    );
    assert_eq!(world.rows_of(7).await, "1");
}

#[tokio::test]
async fn faults_against_the_schema_are_told_together() {
    let world = World::open_bids(
        "on_persisted = \"ack\"\nproof_sql = \"SELECT nothing FROM bid WHERE bid_id IN (:ids)\"\n",
    )
    .await;
    let run = world.scan_full().expect(2);
    assert!(run.stderr.contains("nothing"), "{}", run.stderr);
    assert!(!world.folder.path().join("output").exists());
}

#[tokio::test]
async fn a_stream_of_many_pages_is_looked_at_once_and_in_order() {
    const BIDS: u32 = 25_000;
    let mut world = World::open_bids("").await;
    let add = "for n = 1, ARGV[1] do redis.call('XADD', KEYS[1], (1750000000000 + n * 1000) .. '-0', 'type', 'BID_SAVE', \
               'bidId', 'b' .. n, 'auctionId', '7', 'bidderId', '12', 'amount', '100.50') end";
    world
        .redis::<()>(&["EVAL", add, "1", STREAM, &BIDS.to_string()])
        .await;
    world
        .redis::<()>(&["XGROUP", "CREATE", STREAM, "bid-group", "$"])
        .await;
    // The first one, some at the end of one page and the beginning of the next, the last one.
    world
        .sql(&format!(
            "INSERT INTO bid (bid_id, auction_id, bidder_id, amount)
             SELECT CONCAT('b', seq), 7, 12, 100.5 FROM seq_1_to_{BIDS}
             WHERE seq NOT IN (1, 999, 1000, 1001, 1002, {BIDS})"
        ))
        .await;
    let scan = world.scan_full().expect(1);
    let report = scan.report();
    let found: Vec<&str> = report.findings.iter().map(|f| f["id"].as_str()).collect();
    let lost = [1, 999, 1000, 1001, 1002, BIDS].map(id);
    assert_eq!(found, lost);
    let coverage = &report.run["checks"][0]["coverage"];
    assert_eq!(coverage["observed"], BIDS, "{coverage}");
    assert_eq!(coverage["matched"], BIDS - 6, "{coverage}");
    let ranges: Vec<(&str, &str)> = report
        .ranges
        .iter()
        .map(|r| (r["first_stream_id"].as_str(), r["last_stream_id"].as_str()))
        .collect();
    let whole =
        [(0, 0), (1, 4), (5, 5)].map(|(a, b): (usize, usize)| (lost[a].as_str(), lost[b].as_str()));
    assert_eq!(ranges, whole);
}
