//! Entry ids that are the identity: given twice after a failover, or never given at all.

use super::{Held, owned, told};
use crate::support::World;
use crate::support::bids::{ALIVE, GONE, GROUP, LIMITS, STREAM, id};

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
orphan_after = "1s"
"#;

impl World {
    /// The table, the group, and bids 1 to 3 that are done.
    async fn by_id(settings: &str) -> Self {
        let mut world = Self::open_bids("").await;
        world
            .sql(
                "CREATE TABLE bid2 (stream_id VARCHAR(40) PRIMARY KEY, amount BIGINT NOT NULL,
                   created_at DATETIME(6) NOT NULL, KEY (created_at))",
            )
            .await;
        world.job_with_limits(LIMITS, &format!("{BY_ID}{settings}"));
        world.group().await;
        for number in 1..=3 {
            world.add_by_id(number, 5).await;
            world.read("worker", 1).await;
            world.ack(number).await;
            world.save_by_id(&id(number), 5).await;
        }
        world
    }

    async fn add_by_id(&mut self, number: u32, amount: u32) {
        let words = ["XADD", STREAM, &id(number), "amount", &amount.to_string()];
        self.redis::<String>(&words).await;
    }

    async fn save_by_id(&mut self, id: &str, amount: u32) {
        self.sql(&format!(
            "INSERT INTO bid2 VALUES ('{id}', {amount}, LEAST(UTC_TIMESTAMP(6), TIMESTAMP('1970-01-01')
               + INTERVAL (SUBSTRING_INDEX('{id}', '-', 1) DIV 1000 + 1) SECOND))"
        ))
        .await;
    }

    async fn amounts(&mut self) -> String {
        let select = "SELECT GROUP_CONCAT(amount ORDER BY amount) FROM bid2";
        self.sql_text(select).await.unwrap()
    }
}

/// The old master gave ids 4 to 6 to bids that are in the table; the new one gave them to others.
#[tokio::test]
async fn bids_under_ids_that_were_given_twice_get_new_ones_once() {
    let mut world = World::by_id("on_unpersisted = \"requeue\"\n").await;
    for number in 4..=6 {
        world.save_by_id(&id(number), number * 10 + 1).await;
        world.add_by_id(number, number * 10 + 2).await;
    }
    // 4 hangs, 5 met the row of the other bid and was acknowledged, 6 was not read.
    world.read(GONE, 2).await;
    world.ack(5).await;
    world.wait_until_silent().await;
    let run = world.repair_full().expect(0);
    let conflict = |number| format!("payload-conflict {} requeue applied", id(number));
    assert_eq!(
        run.report().settled(),
        [conflict(4), conflict(5), conflict(6)]
    );
    assert!(world.pending().await.is_empty());
    let again = world.repair_full().expect(0);
    assert!(again.report().settled().is_empty(), "once is enough");
    let entries = world.entries(STREAM).await;
    assert_eq!(entries.len(), 6);
    world.read(ALIVE, 100).await;
    assert_eq!(world.pending().await.len(), 3, "the group gets them all");
    for (nth, (new, fields)) in (4..=6).zip(&entries[3..]) {
        let amount = nth * 10 + 2;
        let marked = [
            "amount".to_owned(),
            amount.to_string(),
            "requeued_from".to_owned(),
            id(nth),
        ];
        assert_eq!(*fields, marked);
        world.save_by_id(new, amount).await;
        let acked: i64 = world.redis(&["XACK", STREAM, GROUP, new]).await;
        assert_eq!(acked, 1);
    }
    assert_eq!(world.amounts().await, "5,5,5,41,42,51,52,61,62");
    let scan = world.scan_full().expect(0);
    assert!(scan.report().settled().is_empty());
}

#[tokio::test]
async fn a_conflict_that_a_live_consumer_works_at_is_left_to_it() {
    let settings = "on_unpersisted = \"requeue\"\n";
    let mut world = World::by_id(settings).await;
    world.save_by_id(&id(4), 41).await;
    world.add_by_id(4, 42).await;
    world.read(GONE, 1).await;
    world.wait_until_silent().await;
    let held = Held::repair(&world).await;
    let _alive = world.lives(ALIVE).await;
    world.claim(ALIVE, 4).await;
    let run = held.goes_on(&world).await;
    assert_eq!(told(&run), ["lost-race"]);
    let left = format!("payload-conflict {} none refused", id(4));
    assert_eq!(run.report().settled(), [left], "its owner is alive");
    assert_eq!(world.pending().await, owned(&[4], ALIVE));
    assert_eq!(world.entries(STREAM).await.len(), 4);
}

const FAR: &str = "9999999999999-0";

#[tokio::test]
async fn an_id_from_the_future_is_told_and_not_raised_to() {
    let mut world = World::by_id("raise_last_id = true\n").await;
    world.save_by_id(FAR, 9).await;
    let before = world.stream_fact("last-generated-id").await;
    let run = world.repair_full().expect(0);
    let findings = run.report().findings;
    assert!(
        findings.iter().any(|f| f["rule"] == "lost-entry"),
        "{findings:?}"
    );
    assert!(
        findings.iter().all(|f| f["outcome"] != "applied"),
        "{findings:?}"
    );
    assert_eq!(world.stream_fact("last-generated-id").await, before);
    let given: String = world.redis(&["XADD", STREAM, "*", "amount", "7"]).await;
    assert!(given.as_str() < FAR, "{given}");
}

#[tokio::test]
async fn a_last_id_is_raised_once_though_nobody_heard_of_it() {
    let mut world = World::by_id("raise_last_id = true\n").await;
    world.save_by_id(&id(5), 9).await;
    let held = Held::repair(&world).await;
    let run = held.goes_unanswered(&world, 1).await.expect(0);
    let outcomes: Vec<String> = run
        .report()
        .findings
        .iter()
        .map(|f| format!("{} {} {}", f["rule"], f["remedy"], f["outcome"]))
        .collect();
    assert_eq!(outcomes, ["lost-entry raise-last-id applied"]);
    assert_eq!(world.stream_fact("last-generated-id").await, id(5));
}

#[tokio::test]
async fn a_stream_that_went_past_the_id_by_itself_is_not_put_back() {
    let mut world = World::by_id("raise_last_id = true\n").await;
    world.save_by_id(&id(5), 9).await;
    let held = Held::repair(&world).await;
    let given: String = world.redis(&["XADD", STREAM, "*", "amount", "7"]).await;
    let run = held.goes_on(&world).await;
    let findings = run.report().findings;
    assert!(
        findings.iter().all(|f| f["outcome"] != "applied"),
        "{findings:?}"
    );
    assert_eq!(world.stream_fact("last-generated-id").await, given);
    assert_eq!(world.entries(STREAM).await.len(), 4);
}
