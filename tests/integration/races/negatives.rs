//! Keys by which the application remembers that there is no such row.

use auditor::lab::servers::Flavor;

use crate::support::World;

const PROFILE: &str = r#"
[[cache]]
name = "profile"
key = "user:{id}:profile"
value = "json"
table = "users"
changed_at = "updated_at"
deletes = "never"
order = "source-first"
fields = [{ cache = "/name", column = "name" }]
absent = ["", "__NULL__"]
lazy = true
repair = "overwrite"
repair_orphans = "invalidate"
"#;

#[tokio::test]
async fn a_key_cached_as_absent_is_right_until_its_row_exists() {
    let mut world = World::start(Flavor::MariaDb).await;
    world
        .sql("CREATE TABLE users (id BIGINT PRIMARY KEY, name VARCHAR(40), updated_at DATETIME(6) NOT NULL)")
        .await;
    world
        .redis::<()>(&["SET", "user:1:profile", "__NULL__"])
        .await;
    world.redis::<()>(&["SET", "user:2:profile", ""]).await;
    world.job(PROFILE);
    world.scan_full().expect(0);

    world
        .sql("INSERT INTO users VALUES (1, 'somebody', '2026-01-01')")
        .await;
    let report = world.repair_full().expect(0).report();
    assert_eq!(
        report.lines(),
        ["stale-negative user:1:profile confirmed applied"]
    );
    let values: Vec<Option<String>> = world
        .redis(&["MGET", "user:1:profile", "user:2:profile"])
        .await;
    assert_eq!(values, [None, Some(String::new())]);
}
