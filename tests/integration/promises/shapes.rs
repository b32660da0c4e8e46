//! Shapes of keys and rows: composite ids, rows as fields, expiries, keys that must be there.

use auditor::lab::servers::Flavor;

use crate::support::World;
use crate::support::shop::{balance_key, profile_key};

const CHECKS: &str = r#"
[[cache]]
name = "cart"
key = "cart:{user_id}:{item_id}"
value = "integer"
table = "cart"
changed_at = "t"
deletes = "never"
fields = [{ column = "quantity" }]
expiry = "required"
ttl = "1h"
order = "source-first"
repair = "overwrite"

[[cache]]
name = "stock"
key = "stock"
value = "hash"
field = "{sku}"
table = "stock"
changed_at = "t"
deletes = "scan"
fields = [{ column = "quantity" }]
expiry = "none"
expect = "present"
order = "source-first"
repair = "overwrite"
repair_orphans = "invalidate"

[[cache]]
name = "motto"
key = "motto:{name}"
value = "string"
table = "motto"
changed_at = "t"
deletes = "scan"
fields = [{ column = "words" }]
expiry = "none"
expect = "present"
order = "source-first"
repair = "overwrite"
"#;

async fn house() -> World {
    let mut world = World::start(Flavor::MariaDb).await;
    world.job_with_limits("max_control_mismatch = 1.0", CHECKS);
    world
        .sql(
            "CREATE TABLE cart (user_id INT, item_id VARCHAR(20), quantity INT NOT NULL, t DATETIME(6) NOT NULL, PRIMARY KEY (item_id, user_id));
             CREATE TABLE stock (sku VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY, quantity INT NOT NULL, t DATETIME(6) NOT NULL);
             CREATE TABLE motto (name VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY, words TEXT NOT NULL, t DATETIME(6) NOT NULL)",
        )
        .await;
    world
}

#[tokio::test]
async fn empty_tables_and_an_empty_redis_are_consistent() {
    let world = house().await;
    let report = world.scan_full().expect(0).report();
    assert_eq!(report.lines(), Vec::<String>::new());
    world
        .auditor(&["scan", "job.toml", "--since", "1h"])
        .expect(0);
    world.repair_full().expect(0);
}

#[tokio::test]
async fn every_shape_is_found_and_repaired() {
    let mut world = house().await;
    world
        .sql(
            "INSERT INTO cart VALUES (1, 'a', 5, '2024-01-01'), (1, 'b:c', 6, '2024-01-01'), (12, 'a', 7, '2024-01-01'), (2, 'z', 8, '2024-01-01');
             INSERT INTO stock VALUES ('Ab', 1, '2024-01-01'), ('cd', 2, '2024-01-01'), ('ef', 3, '2024-01-01');
             INSERT INTO motto VALUES ('Anna', 'carpe diem', '2024-01-01'), ('bea', 'per aspera', '2024-01-01')",
        )
        .await;
    world
        .redis::<()>(&["SET", "cart:1:a", "5", "EX", "9000"])
        .await;
    world
        .redis::<()>(&["SET", "cart:1:b:c", "4", "EX", "9000"])
        .await;
    world.redis::<()>(&["SET", "cart:12:a", "7"]).await;
    world
        .redis::<()>(&["SET", "cart:2:z", "8", "EX", "9000"])
        .await;
    world
        .redis::<()>(&["HSET", "stock", "Ab", "1", "aB", "1", "cd", "9"])
        .await;
    world
        .redis::<()>(&["SET", "motto:anna", "carpe diem"])
        .await;
    world.redis::<()>(&["SET", "motto:bea", "per aspera"]).await;
    let scan = world.scan_full().expect(1);
    assert_eq!(
        scan.report().lines(),
        [
            "lost-expiry cart:12:a confirmed",
            "missing-key motto:Anna confirmed",
            "missing-key stock ef confirmed",
            "value-mismatch cart:1:b:c confirmed",
            "value-mismatch stock cd confirmed",
        ]
    );
    // `motto:anna` and `aB` are what the database takes for Anna and Ab: not this check's, and left alone.
    let repaired = world.repair_full().expect(0);
    let unrepaired: Vec<String> = repaired
        .report()
        .lines()
        .into_iter()
        .filter(|l| !l.contains("applied"))
        .collect();
    assert_eq!(unrepaired, Vec::<String>::new());
    assert_eq!(world.get("cart:1:b:c").await.unwrap(), "6");
    let kept: i64 = world.redis(&["TTL", "cart:1:b:c"]).await;
    assert!(
        (8_000..=9_000).contains(&kept),
        "the expiry was kept: {kept}"
    );
    let set: i64 = world.redis(&["TTL", "cart:12:a"]).await;
    assert!((3_000..=3_600).contains(&set), "an hour: {set}");
    assert_eq!(world.redis::<String>(&["HGET", "stock", "cd"]).await, "2");
    assert_eq!(world.redis::<String>(&["HGET", "stock", "ef"]).await, "3");
    assert_eq!(world.redis::<i64>(&["HEXISTS", "stock", "aB"]).await, 1);
    assert_eq!(world.get("motto:Anna").await.unwrap(), "carpe diem");
    assert_eq!(world.redis::<i64>(&["TTL", "motto:Anna"]).await, -1);
    // The expiry that was set is taken off again, and what was created goes.
    let run = repaired.report().run["run_id"].as_str().unwrap().to_owned();
    world
        .auditor(&["undo", "job.toml", &run, "--yes"])
        .expect(0);
    assert_eq!(world.redis::<i64>(&["TTL", "cart:12:a"]).await, -1);
    assert_eq!(world.get("motto:Anna").await, None);
    assert_eq!(world.redis::<i64>(&["HEXISTS", "stock", "aB"]).await, 1);
    assert_eq!(
        world.scan_full().expect(1).report().lines(),
        scan.report().lines()
    );
}

#[tokio::test]
async fn a_negative_balance_at_the_source_too_is_for_people() {
    let mut world = World::start(Flavor::MariaDb).await;
    world.open_shop(40).await;
    world
        .sql("UPDATE users SET balance = -5 WHERE id IN (3, 4)")
        .await;
    world.set(&balance_key(3), "-5").await;
    let report = world.repair_full().expect(1).report();
    let negative = |id: u32| {
        report
            .findings
            .iter()
            .find(|f| f["key"] == balance_key(id))
            .unwrap()
    };
    assert_eq!(negative(3)["severity"], "critical");
    assert_eq!(negative(3)["rule"], "negative-balance");
    assert_eq!(negative(3)["remedy"], "none");
    assert_eq!(world.get(&balance_key(3)).await.unwrap(), "-5");
}

#[tokio::test]
async fn keys_that_only_look_like_ours_are_nobodys() {
    let mut world = World::start(Flavor::MariaDb).await;
    world.open_shop(40).await;
    for key in [
        "user:x:profile",
        "user:007:profile",
        "user:+7:profile",
        "user: 7:profile",
        "user::profile",
        "user:7:profile:x",
        "user:99999999999999999999:profile",
    ] {
        world.set(key, "{}").await;
    }
    let run = world.scan_full().expect(0);
    assert_eq!(run.report().lines(), Vec::<String>::new());
    let profile = run.report().run["checks"][0].clone();
    assert!(
        profile["coverage"]["foreign"].as_u64().unwrap() >= 5,
        "{profile}"
    );
    world.set(&profile_key(77), "{}").await;
    assert_eq!(
        world.scan_full().expect(1).report().lines(),
        ["orphan-key user:77:profile confirmed"]
    );
}
