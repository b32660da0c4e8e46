//! Single entries: what is found of each, and what is settled.

use auditor::lab::servers::Flavor;

use crate::support::World;
use crate::support::bids::{ALIVE, DEAD, GONE, STREAM, id};

const SETTLE: &str = r#"
on_persisted = "ack"
on_unpersisted = "insert"
on_skipped = "insert"
insert_is_enough = true
on_trimmed = "ack"
"#;

fn line(rule: &str, number: u32, rest: &str) -> String {
    format!("{rule} {} {rest}", id(number))
}

#[tokio::test]
async fn a_lost_acknowledgement_is_given_again() {
    let mut world = World::open_bids(SETTLE).await;
    world.group().await;
    world.done(1..=5).await;
    world.add(6).await;
    world.read(ALIVE, 1).await;
    world.save(6).await;
    let scan = world.scan_full().expect(1);
    assert_eq!(
        scan.report().settled(),
        [line("unacked-persisted", 6, "ack")]
    );
    assert_eq!(world.pending().await.len(), 1, "a scan settles nothing");
    let dry = world
        .auditor(&["repair", "job.toml", "--full", "--dry-run"])
        .expect(1);
    assert_eq!(
        dry.report().settled(),
        [line("unacked-persisted", 6, "ack")]
    );
    assert_eq!(world.pending().await.len(), 1, "nor does a dry run");
    let repair = world.repair_full().expect(0);
    let settled = line("unacked-persisted", 6, "ack applied");
    assert_eq!(repair.report().settled(), [settled]);
    assert!(world.pending().await.is_empty());
    assert_eq!(world.rows_of(6).await, "1");
    world.scan_full().expect(0);
}

#[tokio::test]
async fn a_message_of_a_dead_consumer_is_inserted_and_acknowledged() {
    let mut world = World::open_bids(SETTLE).await;
    world.group().await;
    world.done(1..=5).await;
    world.add_of(6, "77.25").await;
    world.read(GONE, 1).await;
    world.add(7).await;
    world.add(8).await;
    world.wait_until_gone(GONE).await;
    let scan = world.scan_full().expect(1);
    assert_eq!(
        scan.report().settled(),
        [line("orphan-pending", 6, "insert")]
    );
    let repair = world.repair_full().expect(0);
    let settled = line("orphan-pending", 6, "insert applied");
    assert_eq!(repair.report().settled(), [settled]);
    assert!(world.pending().await.is_empty());
    let amount = world
        .sql_text(
            "SELECT CONCAT(auction_id, '/', bidder_id, '/', amount) FROM bid WHERE bid_id = 'b6'",
        )
        .await;
    assert_eq!(amount.as_deref(), Some("7/10/77.25"));
    assert_eq!(
        world.cursor().await,
        id(6),
        "what waits is still to be read"
    );
    let exposed = crate::support::report::rows(&repair.report().folder.join("compensation.csv"));
    let exposed: Vec<String> = exposed
        .iter()
        .map(|c| {
            [
                "subject",
                "rule",
                "served_value",
                "true_value",
                "delta",
                "currency",
            ]
            .map(|k| c[k].as_str())
            .join("|")
        })
        .collect();
    assert_eq!(exposed, ["10|orphan-pending|77.25||-77.25|KRW"]);
    world.scan_full().expect(0);
}

#[tokio::test]
async fn a_living_consumer_keeps_its_messages() {
    let settings = format!("{SETTLE}orphan_after = \"1h\"\n");
    let mut world = World::open_bids(&settings).await;
    world.group().await;
    world.done(1..=5).await;
    world.add(6).await;
    world.read(ALIVE, 1).await;
    let scan = world.scan_full().expect(0);
    assert!(scan.report().settled().is_empty());
    world.repair_full().expect(0);
    assert_eq!(world.pending().await, [(id(6), ALIVE.to_owned())]);
    assert_eq!(world.rows_of(6).await, "0");
}

#[tokio::test]
async fn a_message_is_requeued_once() {
    let settings = "on_unpersisted = \"requeue\"\n";
    let mut world = World::open_bids(settings).await;
    world.group().await;
    world.done(1..=5).await;
    world.add(6).await;
    world.read(GONE, 1).await;
    world.wait_until_gone(GONE).await;
    let repair = world.repair_full().expect(0);
    let settled = line("orphan-pending", 6, "requeue applied");
    assert_eq!(repair.report().settled(), [settled]);
    assert!(world.pending().await.is_empty());
    let entries = world.entries(STREAM).await;
    assert_eq!(entries.len(), 6);
    let (new, fields) = &entries[5];
    assert_ne!(*new, id(6));
    assert_eq!(
        fields[fields.len() - 2..],
        ["requeued_from".to_owned(), id(6)]
    );
    world.scan_full().expect(0);
}

#[tokio::test]
async fn a_message_is_handed_to_the_consumer_that_the_job_names() {
    let settings = "on_unpersisted = \"claim\"\nclaim_to = \"recovery\"\n";
    let mut world = World::open_bids(settings).await;
    world.group().await;
    world.done(1..=5).await;
    world.add(6).await;
    world.read(GONE, 1).await;
    world.wait_until_gone(GONE).await;
    let repair = world.repair_full();
    let settled = line("orphan-pending", 6, "claim applied");
    assert_eq!(repair.report().settled(), [settled]);
    assert_eq!(world.pending().await, [(id(6), "recovery".to_owned())]);
    assert_eq!(world.rows_of(6).await, "0");
    // Nobody has done it yet, so it is not repaired.
    let repair = repair.expect(1);
    let told = &repair.report().findings[0];
    assert_eq!(
        told["reason"], "handed over to recovery; not in MySQL yet",
        "{told:?}"
    );
    assert_eq!(told["settled_at"], "");
}

#[tokio::test]
async fn what_was_skipped_is_inserted() {
    let mut world = World::open_bids(SETTLE).await;
    world.group().await;
    world.done(1..=5).await;
    world.add(6).await;
    world.read(GONE, 1).await;
    world.ack(6).await;
    let scan = world.scan_full().expect(1);
    assert_eq!(
        scan.report().settled(),
        [line("acked-unpersisted", 6, "insert")]
    );
    let repair = world.repair_full().expect(0);
    let settled = line("acked-unpersisted", 6, "insert applied");
    assert_eq!(repair.report().settled(), [settled]);
    assert_eq!(world.rows_of(6).await, "1");
    world.scan_full().expect(0);
}

#[tokio::test]
async fn a_trimmed_message_goes_only_where_the_job_says_so() {
    let mut world = World::open_bids("").await;
    world.group().await;
    world.done(1..=5).await;
    world.add(6).await;
    world.read(GONE, 1).await;
    world.redis::<i64>(&["XDEL", STREAM, &id(6)]).await;
    world.wait_until_gone(GONE).await;
    let repair = world.repair_full().expect(1);
    let refused = line("trimmed-pending", 6, "none refused");
    assert_eq!(repair.report().settled(), [refused]);
    assert_eq!(world.pending().await.len(), 1);
    world.bids_job(SETTLE);
    let repair = world.repair_full().expect(0);
    let settled = line("trimmed-pending", 6, "ack applied");
    assert_eq!(repair.report().settled(), [settled]);
    assert!(world.pending().await.is_empty());
}

#[tokio::test]
async fn another_payload_is_a_conflict_that_people_settle() {
    let mut world = World::open_bids(SETTLE).await;
    world.group().await;
    world.done(1..=5).await;
    world.add(6).await;
    world.read("worker", 1).await;
    world.ack(6).await;
    world.save_of(6, "90.50").await;
    let repair = world.repair_full().expect(1);
    let refused = line("payload-conflict", 6, "none refused");
    assert_eq!(repair.report().settled(), [refused]);
    let found = &repair.report().findings[0];
    assert_eq!(found["cache_value"], "100.50");
    assert_eq!(found["source_value"], "90.50");
    assert_eq!(found["subject"], "10");
}

#[tokio::test]
async fn poison_goes_to_the_dead_letters_once() {
    let settings = format!("max_deliveries = 2\ndead_letter = \"{DEAD}\"\n{SETTLE}");
    let mut world = World::open_bids(&settings).await;
    world.group().await;
    world.done(1..=5).await;
    world.add(6).await;
    world.read(GONE, 1).await;
    for _ in 0..3 {
        let words = ["XCLAIM", STREAM, "bid-group", GONE, "0", &id(6)];
        world.redis::<redis::Value>(&words).await;
    }
    world.wait_until_gone(GONE).await;
    let repair = world.repair_full().expect(0);
    let settled = line("poison-pending", 6, "dead-letter applied");
    assert_eq!(repair.report().settled(), [settled]);
    assert!(world.pending().await.is_empty());
    let letters = world.entries(DEAD).await;
    assert_eq!(letters.len(), 1);
    let fields = &letters[0].1;
    assert_eq!(
        fields[fields.len() - 2..],
        ["original_id".to_owned(), id(6)]
    );
    world.repair_full().expect(0);
    assert_eq!(world.entries(DEAD).await.len(), 1);
}

#[tokio::test]
async fn entries_of_other_types_are_left_alone_and_counted() {
    let mut world = World::open_bids(SETTLE).await;
    world.group().await;
    world.done(1..=5).await;
    let words = [
        "XADD",
        STREAM,
        &id(6),
        "type",
        "AUCTION_VIEW",
        "bidId",
        "v6",
    ];
    world.redis::<String>(&words).await;
    world.read(GONE, 1).await;
    world.wait_until_gone(GONE).await;
    let repair = world.repair_full().expect(0);
    assert!(repair.report().settled().is_empty());
    assert_eq!(world.pending().await.len(), 1);
    let coverage = &repair.report().run["checks"][0]["coverage"];
    assert_eq!(coverage["foreign"], 1, "{coverage}");
    assert_eq!(coverage["observed"], 5, "{coverage}");
}

#[tokio::test]
async fn an_entry_without_its_identity_cannot_be_judged() {
    let mut world = World::open_bids(SETTLE).await;
    world.group().await;
    world.done(1..=5).await;
    let words = ["XADD", STREAM, &id(6), "type", "BID_SAVE", "amount", "5"];
    world.redis::<String>(&words).await;
    world.read(ALIVE, 1).await;
    let repair = world.repair_full().expect(1);
    let refused = line("undecodable-value", 6, "none refused");
    assert_eq!(repair.report().settled(), [refused]);
}

#[tokio::test]
async fn a_row_is_no_proof_where_its_second_effect_is_missing() {
    let settings = "on_persisted = \"ack\"\nproof_sql = \"SELECT b.bid_id FROM bid b JOIN effect e \
                    ON e.bid_id = b.bid_id WHERE b.bid_id IN (:ids)\"\n\
                    rejected_sql = \"SELECT bid_id FROM rejected WHERE bid_id IN (:ids)\"\n";
    let mut world = World::open_bids(settings).await;
    world
        .sql(
            "CREATE TABLE effect (bid_id VARCHAR(40) PRIMARY KEY); CREATE TABLE rejected (bid_id VARCHAR(40) PRIMARY KEY);
             INSERT INTO effect VALUES ('b1'), ('b2'), ('b3'), ('b5'); INSERT INTO rejected VALUES ('b6'), ('b7')",
        )
        .await;
    world.group().await;
    world.done(1..=3).await;
    for number in 4..=8 {
        world.add(number).await;
    }
    world.read(GONE, 5).await;
    // 4 has its row and not its effect, 5 has both; 6 and 7 were rejected, 7 after its acknowledgement.
    world.save(4).await;
    world.save(5).await;
    world.ack(7).await;
    world.ack(8).await;
    world.wait_until_gone(GONE).await;
    let repair = world.repair_full().expect(1);
    let report = repair.report();
    assert_eq!(
        report.settled(),
        [
            line("acked-unpersisted", 8, "none refused"),
            line("orphan-pending", 4, "none refused"),
            line("unacked-persisted", 5, "ack applied"),
            line("unacked-persisted", 6, "ack applied"),
        ]
    );
    // A bid that was rightly refused has no row, and that is worth nothing.
    let worth = |rule: &str| {
        let of_rule = report.ranges.iter().filter(|range| range["rule"] == rule);
        of_rule
            .map(|range| range["money_delta"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(worth("unacked-persisted"), ["0.0"]);
    assert_eq!(worth("acked-unpersisted"), ["-100.5"]);
    assert_eq!(world.pending().await, [(id(4), GONE.to_owned())]);
}

#[tokio::test]
async fn two_checks_of_one_group_share_its_messages() {
    let mut world = World::open_bids("").await;
    let path = world.folder.path().join("job.toml");
    let one = std::fs::read_to_string(&path).unwrap();
    let check = &one[one.find("[[stream]]").unwrap()..];
    let other = check
        .replace("name = \"bids\"", "name = \"views\"")
        .replace("BID_SAVE", "AUCTION_VIEW")
        .replace("table = \"bid\"", "table = \"view\"");
    std::fs::write(&path, format!("{one}{other}")).unwrap();
    world.sql("CREATE TABLE view LIKE bid").await;
    for number in [1, 3, 4] {
        world.add(number).await;
        if number == 1 {
            let id = id(2);
            let words = [
                "XADD",
                STREAM,
                &id,
                "type",
                "AUCTION_VIEW",
                "bidId",
                "v2",
                "auctionId",
                "7",
                "bidderId",
                "12",
                "amount",
                "1",
            ];
            world.redis::<String>(&words).await;
        }
    }
    world.save(1).await;
    world.save(3).await;
    world
        .sql("INSERT INTO view (bid_id, auction_id, bidder_id, amount) VALUES ('v2', 7, 12, 1)")
        .await;
    let repair = world.repair_full().expect(0);
    let missing = "group-missing bid-group recreate-group applied".to_owned();
    assert_eq!(
        repair.report().settled(),
        [missing],
        "one group, told of once"
    );
    assert_eq!(world.cursor().await, id(3), "each check proves its own");
    world.read(GONE, 1).await;
    world.redis::<i64>(&["XDEL", STREAM, &id(4)]).await;
    world.wait_until_gone(GONE).await;
    let scan = world.scan_full().expect(1);
    assert_eq!(
        scan.report().settled(),
        [line("trimmed-pending", 4, "none")],
        "nobody's message, told of once"
    );
    world
        .auditor(&["scan", "job.toml", "--full", "--only", "views"])
        .expect(1);
}

#[tokio::test]
async fn caches_and_streams_go_in_one_run() {
    let mut world = World::start(Flavor::MariaDb).await;
    world.open_shop(20).await;
    let caches = std::fs::read_to_string(world.folder.path().join("job.toml")).unwrap();
    let mut world = {
        world
            .sql(
                "CREATE TABLE bid (id BIGINT AUTO_INCREMENT PRIMARY KEY, bid_id VARCHAR(40) NOT NULL,
                   auction_id BIGINT NOT NULL, bidder_id BIGINT NOT NULL, amount DECIMAL(18,2) NOT NULL,
                   created_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)), UNIQUE KEY (bid_id))",
            )
            .await;
        world
    };
    world.bids_job(SETTLE);
    let streams = std::fs::read_to_string(world.folder.path().join("job.toml")).unwrap();
    let stream = &streams[streams.find("[[stream]]").unwrap()..];
    std::fs::write(
        world.folder.path().join("job.toml"),
        format!("{caches}{stream}"),
    )
    .unwrap();
    world.group().await;
    world.done(1..=5).await;
    world.add(6).await;
    world.read(ALIVE, 1).await;
    world.save(6).await;
    world.set("user:3:balance", "90").await;
    let repair = world.repair_full().expect(0);
    let report = repair.report();
    let mut rules: Vec<&str> = report.findings.iter().map(|f| f["rule"].as_str()).collect();
    rules.sort_unstable();
    assert_eq!(rules, ["unacked-persisted", "value-mismatch"]);
    assert_eq!(report.run["checks"].as_array().unwrap().len(), 3);
    world.scan_full().expect(0);
}
