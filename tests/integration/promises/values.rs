//! Values that a float, a C string or a careless comparison would get wrong.

use std::collections::BTreeSet;

use auditor::lab::servers::Flavor;

use crate::support::World;

const CHECK: &str = r#"
[[cache]]
name = "doc"
key = "doc:{id}"
value = "json"
table = "docs"
changed_at = "t"
deletes = "never"
version = { cache = "/v", column = "version" }
fields = [
  { cache = "/amount", column = "amount" },
  { cache = "/note", column = "note", null = "" },
]
order = "source-first"
repair = "overwrite"
"#;

/// (id, version, amount, note) of the rows.
const ROWS: &str = "
  (X'FF00', 9007199254740993, 1, 'a'), ('max', 18446744073709551615, 1, 'é\\n\"'),
  ('below', 18446744073709551615, 1, 'a'), ('sign', 9223372036854775808, 1, 'a'),
  ('tiny', 1, 0.000000000000000000000000000001, 'a'), ('scale', 1, 1.5, 'a'),
  ('wide', 1, 12345678901234567890123456789012345.123456789012345678901234567891, 'a'),
  ('null', 1, 1, NULL), ('nulled', 1, 1, NULL), ('list', 1, 1, 'a'),
  ('huge', 1, 1, REPEAT('x', 5000000)), ('vast', 1, 1, REPEAT('x', 5000000)), ('broken', 1, 1, 'a')";

fn document(version: &str, amount: &str, note: &str) -> String {
    format!(r#"{{"v":{version},"amount":{amount},"note":"{note}"}}"#)
}

async fn set(world: &mut World, id: &[u8], value: &str) {
    let key = [b"doc:", id].concat();
    redis::cmd("SET")
        .arg(key)
        .arg(value)
        .exec_async(&mut world.cache)
        .await
        .unwrap();
}

async fn get(world: &mut World, id: &[u8]) -> Vec<u8> {
    let key = [b"doc:", id].concat();
    redis::cmd("GET")
        .arg(key)
        .query_async(&mut world.cache)
        .await
        .unwrap()
}

async fn exact_values(flavor: Flavor) {
    let mut world = World::start(flavor).await;
    world.job_with_limits("max_control_mismatch = 1.0", CHECK);
    world
        .sql(&format!(
            "CREATE TABLE docs (id VARBINARY(16) PRIMARY KEY, version BIGINT UNSIGNED NOT NULL,
               amount DECIMAL(65,30) NOT NULL, note LONGTEXT CHARACTER SET utf8mb4 NULL,
               t DATETIME(6) NOT NULL DEFAULT '2024-01-01');
             INSERT INTO docs (id, version, amount, note) VALUES {ROWS}"
        ))
        .await;
    let huge = "x".repeat(5_000_000);
    let vast = format!("{}y", "x".repeat(4_999_999));
    set(
        &mut world,
        b"\xff\x00",
        &document("9007199254740992", "1", "a"),
    )
    .await;
    // Reordered, spaced and escaped: the same document.
    set(
        &mut world,
        b"max",
        r#"{ "note":"\u00e9\n\u0022", "amount" : 1.0 ,"v":18446744073709551615}"#,
    )
    .await;
    set(
        &mut world,
        b"below",
        &document("18446744073709551614", "1", "a"),
    )
    .await;
    set(
        &mut world,
        b"sign",
        &document("9223372036854775807", "1", "a"),
    )
    .await;
    set(
        &mut world,
        b"tiny",
        &document("1", "0.000000000000000000000000000002", "a"),
    )
    .await;
    set(&mut world, b"scale", &document("1", "1.50", "a")).await;
    set(
        &mut world,
        b"wide",
        &document(
            "1",
            "12345678901234567890123456789012345.123456789012345678901234567890",
            "a",
        ),
    )
    .await;
    set(&mut world, b"null", &document("1", "1", "")).await;
    set(&mut world, b"nulled", &document("1", "1", "x")).await;
    set(&mut world, b"huge", &document("1", "1", &huge)).await;
    set(&mut world, b"vast", &document("1", "1", &vast)).await;
    set(&mut world, b"broken", r#"{"v":1,"amount":1,"note":"a""#).await;
    world.redis::<()>(&["RPUSH", "doc:list", "x"]).await;

    let expected: BTreeSet<String> = [
        r"version-regression doc:\xFF\x00",
        "version-regression doc:below",
        "version-regression doc:sign",
        "value-mismatch doc:tiny /amount",
        "value-mismatch doc:wide /amount",
        "value-mismatch doc:nulled /note",
        "value-mismatch doc:vast /note",
        "wrong-type doc:list",
        "undecodable-value doc:broken",
    ]
    .map(|line| format!("{line} confirmed"))
    .into();
    let scan = world.scan_full().expect(1);
    assert_eq!(BTreeSet::from_iter(scan.report().lines()), expected);

    let repaired = world.repair_full().expect(1);
    let report = repaired.report();
    let wrong_type = report
        .findings
        .iter()
        .find(|f| f["rule"] == "wrong-type")
        .unwrap();
    assert_eq!(wrong_type["remedy"], "none");
    let text = |value: Vec<u8>| String::from_utf8(value).unwrap();
    assert!(text(get(&mut world, b"\xff\x00").await).contains(r#""v":9007199254740993"#));
    assert!(text(get(&mut world, b"below").await).contains(r#""v":18446744073709551615"#));
    assert!(text(get(&mut world, b"sign").await).contains(r#""v":9223372036854775808"#));
    assert!(text(get(&mut world, b"tiny").await).contains("0.000000000000000000000000000001"));
    assert!(
        text(get(&mut world, b"wide").await)
            .contains("12345678901234567890123456789012345.123456789012345678901234567891")
    );
    assert!(text(get(&mut world, b"nulled").await).contains(r#""note":"""#));
    assert_eq!(
        text(get(&mut world, b"vast").await),
        document("1", "1", &huge)
    );
    assert_eq!(
        text(get(&mut world, b"max").await).len(),
        68,
        "what was right is as it was"
    );
    // What remains is what nobody may touch.
    let left = world.scan_full().expect(1).report().lines();
    assert!(
        left.iter()
            .all(|l| l.contains("doc:list") || l.contains("doc:broken")),
        "{left:?}"
    );
}

#[tokio::test]
async fn exact_on_mariadb() {
    exact_values(Flavor::MariaDb).await;
}

#[tokio::test]
async fn exact_on_mysql() {
    exact_values(Flavor::MySql).await;
}
