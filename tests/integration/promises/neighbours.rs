//! What is not this check's, and a server that is not the primary.

use auditor::lab::servers::Flavor;

use crate::support::World;

const CHECKS: &str = r#"
[[cache]]
name = "nickname"
key = "user:{name}"
value = "string"
table = "users"
changed_at = "updated_at"
deletes = "never"
fields = [{ column = "motto" }]
order = "source-first"
repair = "report"
repair_orphans = "invalidate"

[[cache]]
name = "motto"
key = "user:{id}:motto"
value = "string"
table = "users"
changed_at = "updated_at"
deletes = "never"
fields = [{ column = "motto" }]
"#;

async fn world() -> World {
    let mut world = World::start(Flavor::MariaDb).await;
    world
        .sql(
            "CREATE TABLE users (id BIGINT PRIMARY KEY, name VARCHAR(40) NOT NULL UNIQUE,
               motto VARCHAR(40) NOT NULL, updated_at DATETIME(6) NOT NULL);
             INSERT INTO users VALUES (7, 'ann', 'carpe diem', '2026-01-01')",
        )
        .await;
    for key in ["user:ann", "user:7:motto"] {
        world.redis::<()>(&["SET", key, "carpe diem"]).await;
    }
    world.job(CHECKS);
    world
}

/// `user:7:motto` also fits `user:{name}`, where no row would explain it.
#[tokio::test]
async fn a_key_of_another_check_is_no_orphan() {
    let mut world = world().await;
    world.redis::<()>(&["SET", "user:nobody", "x"]).await;
    let report = world.repair_full().expect(0).report();
    assert_eq!(report.lines(), ["orphan-key user:nobody confirmed applied"]);
    let mut left: Vec<String> = world.redis(&["KEYS", "*"]).await;
    left.sort();
    assert_eq!(left, ["user:7:motto", "user:ann"]);
}

#[tokio::test]
async fn a_read_only_source_is_no_primary() {
    let mut world = world().await;
    world.scan_full().expect(0);
    world.sql("SET GLOBAL read_only = 1").await;
    let run = world.scan_full().expect(3);
    assert!(run.stderr.contains("read-only"), "{}", run.stderr);
}
