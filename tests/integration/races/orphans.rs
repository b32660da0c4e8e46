//! Keys and members that no row explains, and rows that come while they are taken away.

use auditor::lab::servers::Flavor;

use super::locks::{BALANCE, world_of};
use crate::support::World;

const QUEUE: &str = r#"
[[cache]]
name = "closing-queue"
key = "auction:closing"
value = "zset"
member = "{id}"
score = { column = "ends_at", as = "epoch-ms" }
table = "auction"
where = "status = 'OPEN'"
changed_at = "updated_at"
deletes = "never"
expiry = "none"
expect = "present"
order = "source-first"
repair = "overwrite"
repair_orphans = "invalidate"
"#;

#[tokio::test]
async fn a_row_that_left_where_while_its_zrem_was_lost_is_still_looked_at() {
    let mut world = World::start(Flavor::MariaDb).await;
    world
        .sql(
            "CREATE TABLE auction (id BIGINT PRIMARY KEY, status VARCHAR(10) NOT NULL,
               ends_at DATETIME(6) NOT NULL, updated_at DATETIME(6) NOT NULL);
             INSERT INTO auction VALUES (1, 'OPEN', '2026-01-02', '2026-01-01'),
               (2, 'OPEN', '2026-01-02', '2026-01-01')",
        )
        .await;
    let queue = "auction:closing";
    let add = ["ZADD", queue, "1767312000000", "1", "1767312000000", "2"];
    world.redis::<()>(&add).await;
    world.job(QUEUE);
    world.scan_full().expect(0);

    world
        .sql("UPDATE auction SET status = 'CLOSED', updated_at = NOW(6) WHERE id = 2")
        .await;
    let run = ["repair", "job.toml", "--since", "5m", "--yes"];
    let report = world.auditor(&run).expect(0).report();
    assert_eq!(report.findings.len(), 1);
    assert_eq!(
        (
            report.findings[0]["rule"].as_str(),
            report.findings[0]["field"].as_str(),
            report.findings[0]["outcome"].as_str()
        ),
        ("orphan-key", "2", "applied")
    );
    let left: Vec<String> = world.redis(&["ZRANGE", queue, "0", "-1"]).await;
    assert_eq!(left, ["1"]);
}

#[tokio::test]
async fn an_orphan_is_taken_away_under_a_lock_on_the_place_where_its_row_would_be() {
    for flavor in [Flavor::MariaDb, Flavor::MySql] {
        let mut world = world_of(flavor, &[100]).await;
        world.redis::<()>(&["SET", "user:9:balance", "5"]).await;
        world.job(&format!("{BALANCE}repair_orphans = \"invalidate\"\n"));
        let report = world.repair_full().expect(0).report();
        assert_eq!(
            report.lines(),
            ["orphan-key user:9:balance confirmed applied"]
        );
        let left: Vec<String> = world.redis(&["KEYS", "*"]).await;
        assert_eq!(left, ["user:1:balance"]);
    }
}

#[tokio::test]
async fn keys_of_another_type_are_findings_and_never_end_the_run() {
    let mut world = World::start(Flavor::MariaDb).await;
    world
        .sql(
            "CREATE TABLE auction (id BIGINT PRIMARY KEY, status VARCHAR(10) NOT NULL,
               ends_at DATETIME(6) NOT NULL, updated_at DATETIME(6) NOT NULL);
             INSERT INTO auction VALUES (1, 'OPEN', '2026-01-02', '2026-01-01')",
        )
        .await;
    world.redis::<()>(&["RPUSH", "auction:closing", "1"]).await;
    world.job(&QUEUE.replace("deletes = \"never\"", "deletes = \"scan\""));
    // Its members could not be walked, and the run says so.
    let report = world.repair_full().expect(4).report();
    assert_eq!(report.findings.len(), 1, "{:?}", report.lines());
    assert_eq!(report.findings[0]["rule"], "wrong-type");
    let left: Vec<String> = world.redis(&["LRANGE", "auction:closing", "0", "-1"]).await;
    assert_eq!(left, ["1"]);
}
