//! The group itself: gone, rewound, and ids that could be given out twice.

use crate::support::World;
use crate::support::bids::{GONE, GROUP, LIMITS, STREAM, id};

const ABOUT: &str = "on_rewound = \"advance\"\n";

#[tokio::test]
async fn a_missing_group_begins_before_the_first_unproven_entry() {
    let mut world = World::open_bids(ABOUT).await;
    for number in 1..=6 {
        world.add(number).await;
    }
    for number in [1, 2, 3, 5] {
        world.save(number).await;
    }
    let scan = world.scan_full().expect(1);
    let missing = format!("group-missing {GROUP} recreate-group");
    assert_eq!(scan.report().settled(), [missing.as_str()]);
    let groups: Vec<redis::Value> = world.redis(&["XINFO", "GROUPS", STREAM]).await;
    assert!(groups.is_empty());
    let repair = world.repair_full().expect(0);
    assert_eq!(repair.report().settled(), [format!("{missing} applied")]);
    assert_eq!(world.cursor().await, id(3));
    world.scan_full().expect(0);
}

#[tokio::test]
async fn an_entry_of_another_type_stops_the_group_before_it() {
    let mut world = World::open_bids(ABOUT).await;
    world.add(1).await;
    world.save(1).await;
    let words = ["XADD", STREAM, &id(2), "type", "AUCTION_VIEW"];
    world.redis::<String>(&words).await;
    world.add(3).await;
    world.save(3).await;
    world.repair_full().expect(0);
    assert_eq!(world.cursor().await, id(1));
}

#[tokio::test]
async fn a_stream_that_is_gone_with_its_group_is_made_again() {
    let mut world = World::open_bids(ABOUT).await;
    world.save(1).await;
    let repair = world.repair_full();
    let missing = format!("group-missing {GROUP} recreate-group applied");
    assert_eq!(repair.report().settled(), [missing]);
    assert_eq!(world.cursor().await, "0-0");
}

#[tokio::test]
async fn a_rewound_cursor_moves_forward_over_what_is_proven() {
    let mut world = World::open_bids(ABOUT).await;
    world.group().await;
    world.done(1..=5).await;
    world.add(6).await;
    let words = ["XGROUP", "SETID", STREAM, GROUP, &id(2)];
    world.redis::<()>(&words).await;
    let scan = world.scan_full().expect(1);
    let rewound = format!("group-rewound {GROUP} advance");
    assert_eq!(scan.report().settled(), [rewound.as_str()]);
    let repair = world.repair_full().expect(0);
    assert_eq!(repair.report().settled(), [format!("{rewound} applied")]);
    assert_eq!(world.cursor().await, id(5));
    world.scan_full().expect(0);
    world.read(GONE, 10).await;
    assert_eq!(world.pending().await, [(id(6), GONE.to_owned())]);
}

/// The layout whose identity is the entry's own id.
const BY_ID: &str = r#"
[[stream]]
name = "bids"
key = "bid-stream"
group = "bid-group"
identity = "$id"
table = "bid2"
identity_column = "stream_id"
columns = { amount = "amount" }
changed_at = "created_at"
raise_last_id = true
orphan_after = "300ms"
"#;

#[tokio::test]
async fn ids_that_rows_carry_are_not_given_out_again() {
    let mut world = World::open_bids("").await;
    world
        .sql(
            "CREATE TABLE bid2 (stream_id VARCHAR(40) PRIMARY KEY, amount BIGINT NOT NULL,
               created_at DATETIME(6) NOT NULL, KEY (created_at))",
        )
        .await;
    world.job_with_limits(LIMITS, BY_ID);
    world.group().await;
    let far = "9999999999999-0";
    for number in 1..=3 {
        let words = ["XADD", STREAM, &id(number), "amount", "5"];
        world.redis::<String>(&words).await;
        world.read("worker", 1).await;
        world.ack(number).await;
    }
    for carried in [id(1), id(2), id(3), id(4), id(5), far.to_owned()] {
        world
            .sql(&format!(
                "INSERT INTO bid2 VALUES ('{carried}', 5, UTC_TIMESTAMP(6) - INTERVAL 1 HOUR)"
            ))
            .await;
    }
    let scan = world.scan_full().expect(0);
    let report = scan.report();
    assert!(!report.findings.is_empty());
    assert!(
        report.findings.iter().all(|f| f["rule"] == "lost-entry"),
        "{report:?}"
    );
    let repair = world.repair_full().expect(0);
    let applied: Vec<String> = repair
        .report()
        .findings
        .iter()
        .map(|f| format!("{} {}", f["remedy"], f["outcome"]))
        .collect();
    assert!(
        applied.contains(&"raise-last-id applied".to_owned()),
        "{applied:?}"
    );
    let last: Vec<redis::Value> = world.redis(&["XINFO", "STREAM", STREAM]).await;
    assert!(format!("{last:?}").contains(&id(5)), "{last:?}");
    assert!(!format!("{last:?}").contains(far), "{last:?}");
}
