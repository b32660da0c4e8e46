//! What `--full` finds in the other direction: everything in Redis that no row leads to, and nothing else.

use auditor::lab::servers::Flavor;
use redis::aio::MultiplexedConnection;
use sqlx::{AssertSqlSafe, MySqlConnection};

use crate::support::World;

const ROWS: u64 = 12_000;
const CHECKS: &str = r#"
[[cache]]
name = "label"
key = "item:{id}:label"
value = "string"
table = "items"
changed_at = "updated_at"
deletes = "scan"
lazy = true
cache_delay = "2s"
order = "source-first"
fields = [{ column = "label" }]
[[cache]]
name = "open"
key = "items:open"
value = "zset"
member = "{id}"
score = { column = "rank", as = "integer" }
table = "items"
where = "is_open = 1"
changed_at = "updated_at"
deletes = "scan"
order = "source-first"
"#;

/// Rows 1 to `ROWS`, their keys and members, all in agreement.
async fn shop() -> World {
    let mut world = World::start(Flavor::MariaDb).await;
    world
        .sql(&format!(
            "CREATE TABLE items (id BIGINT PRIMARY KEY, label VARCHAR(40), `rank` BIGINT, is_open TINYINT,
                updated_at DATETIME(6), INDEX (updated_at));
             INSERT INTO items SELECT seq, CONCAT('label ', seq), seq, seq % 2, '2025-01-01'
                FROM seq_1_to_{ROWS};"
        ))
        .await;
    let mut pipeline = redis::pipe();
    for id in 1..=ROWS {
        pipeline.set(format!("item:{id}:label"), format!("label {id}"));
        if id % 2 == 1 {
            pipeline.zadd("items:open", id, id);
        }
    }
    pipeline.query_async::<()>(&mut world.cache).await.unwrap();
    world.job(CHECKS);
    world
}

/// Orphans of both checks, and keys that are nobody's; gives the findings that must come of it.
async fn plant(world: &mut World) -> Vec<String> {
    let mut lines = Vec::new();
    for id in (1..=40).map(|n| 1_000_000 + n) {
        let key = format!("item:{id}:label");
        world.redis::<()>(&["SET", &key, "left over"]).await;
        lines.push(format!("orphan-key {key} confirmed"));
    }
    for id in ["2", "11998", "2000000"] {
        world.redis::<()>(&["ZADD", "items:open", "5", id]).await;
        lines.push(format!("orphan-key items:open {id} confirmed"));
    }
    for key in ["item:x:label", "item:007:label", "item::label", "other"] {
        world.redis::<()>(&["SET", key, "not ours"]).await;
    }
    lines.sort();
    lines
}

fn found(world: &World) -> Vec<String> {
    let report = world.scan_full().expect(1).report();
    let mut lines: Vec<String> = report
        .findings
        .iter()
        .filter(|f| f["verdict"] != "transient")
        .map(|f| {
            let member = if f["key"] == "items:open" {
                format!(" {}", f["id"])
            } else {
                String::new()
            };
            format!("{} {}{member} {}", f["rule"], f["key"], f["verdict"])
        })
        .collect();
    lines.sort();
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn every_orphan_is_found_and_nothing_else() {
    let mut world = shop().await;
    let planted = plant(&mut world).await;
    assert_eq!(found(&world), planted);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_every_row_explains_is_walked_once_and_not_looked_up() {
    let mut world = shop().await;
    world.redis::<()>(&["CONFIG", "RESETSTAT"]).await;
    world.scan_full().expect(0);
    assert_eq!(walks(&mut world).await, 1);
    plant(&mut world).await;
    world.redis::<()>(&["CONFIG", "RESETSTAT"]).await;
    let report = world.scan_full().expect(1).report();
    assert_eq!(
        walks(&mut world).await,
        2,
        "the second for the few left over"
    );
    let label = &report.run["checks"][0]["coverage"];
    assert_eq!(label["foreign"], 3, "{label}");
}

/// How often the keyspace was walked, from the calls of SCAN that Redis counted.
async fn walks(world: &mut World) -> u64 {
    let stats: String = world.redis(&["INFO", "commandstats"]).await;
    let calls = stats
        .lines()
        .find_map(|line| {
            line.strip_prefix("cmdstat_scan:calls=")?
                .split(',')
                .next()?
                .parse()
                .ok()
        })
        .unwrap_or(0_u64);
    // Sixteen thousand slots, a thousand a call.
    calls.div_ceil(20)
}

#[tokio::test(flavor = "multi_thread")]
async fn orphans_are_found_exactly_while_the_application_writes() {
    let mut world = shop().await;
    let planted = plant(&mut world).await;
    let sql = world.mysql.connect(crate::support::DATABASE).await.unwrap();
    let cache = world.redis.connect().await.unwrap();
    let writer = tokio::spawn(write_without_end(sql, cache));
    assert_eq!(found(&world), planted);
    assert!(!writer.is_finished(), "it wrote during the whole scan");
    writer.abort();
}

/// Inserts, refills after a deleted key, and deletions, always the row first.
async fn write_without_end(mut sql: MySqlConnection, mut cache: MultiplexedConnection) {
    for n in 1_u64.. {
        let new = ROWS + n;
        execute(
            &mut sql,
            format!("INSERT INTO items VALUES ({new}, 'label {new}', {new}, 0, UTC_TIMESTAMP(6))"),
        )
        .await;
        let key = |id: u64| format!("item:{id}:label");
        let refilled = n * 7 % ROWS + 1;
        redis::pipe()
            .set(key(new), format!("label {new}"))
            .del(key(refilled))
            .query_async::<()>(&mut cache)
            .await
            .unwrap();
        if !refilled.is_multiple_of(5) {
            redis::pipe()
                .set(key(refilled), format!("label {refilled}"))
                .query_async::<()>(&mut cache)
                .await
                .unwrap();
        }
        // What was inserted a little earlier goes again.
        if let Some(old) = n.checked_sub(20).filter(|&old| old > 0).map(|n| ROWS + n) {
            execute(&mut sql, format!("DELETE FROM items WHERE id = {old}")).await;
            redis::pipe()
                .del(key(old))
                .query_async::<()>(&mut cache)
                .await
                .unwrap();
        }
    }
}

async fn execute(sql: &mut MySqlConnection, statement: String) {
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(sql)
        .await
        .unwrap();
}
