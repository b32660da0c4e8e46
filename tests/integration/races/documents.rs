//! Documents are written whole or not at all, and what may legally be ahead is never pulled back.

use std::collections::BTreeMap;

use auditor::lab::servers::Flavor;

use crate::support::World;

fn profile(more: &str) -> String {
    format!(
        r#"
[[cache]]
name = "profile"
key = "user:{{id}}:profile"
value = "json"
table = "users"
changed_at = "updated_at"
deletes = "never"
order = "source-first"
version = {{ cache = "/version", column = "version" }}
fields = [{{ cache = "/name", column = "name" }}]
ignore = ["/lastSeen"]
repair = "overwrite"
{more}
"#
    )
}

async fn world_of_users() -> World {
    let mut world = World::start(Flavor::MariaDb).await;
    world
        .sql(
            "CREATE TABLE users (id BIGINT PRIMARY KEY, name VARCHAR(40), version BIGINT NOT NULL,
               updated_at DATETIME(6) NOT NULL);
             INSERT INTO users VALUES (1, 'new', 2, '2026-01-01'), (2, 'new', 2, '2026-01-01')",
        )
        .await;
    let half = r#"{"version":1,"name":"old","email":"old@example.org"}"#;
    world.redis::<()>(&["SET", "user:1:profile", half]).await;
    let whole = r#"{"lastSeen":7,"version":1,"name":"old"}"#;
    world.redis::<()>(&["SET", "user:2:profile", whole]).await;
    world
}

#[tokio::test]
async fn a_document_with_members_nobody_mapped_never_gets_a_new_version() {
    let mut world = world_of_users().await;
    world.job(&profile(""));
    let report = world.repair_full().expect(1).report();
    let refused = &report.findings[0];
    assert_eq!(
        (refused["key"].as_str(), refused["outcome"].as_str()),
        ("user:1:profile", "refused")
    );
    let half: String = world.redis(&["GET", "user:1:profile"]).await;
    assert_eq!(
        half,
        r#"{"version":1,"name":"old","email":"old@example.org"}"#
    );
    let whole: String = world.redis(&["GET", "user:2:profile"]).await;
    assert_eq!(whole, r#"{"lastSeen":7,"version":2,"name":"new"}"#);
}

#[tokio::test]
async fn where_the_application_fills_it_again_such_a_document_is_taken_away() {
    let mut world = world_of_users().await;
    world.job(&profile("lazy = true"));
    let report = world.repair_full().expect(0).report();
    assert_eq!(report.findings[0]["remedy"], "invalidate");
    let half: Option<String> = world.redis(&["GET", "user:1:profile"]).await;
    assert_eq!(half, None);
}

const TOP_BID: &str = r#"
[[cache]]
name = "top-bid"
key = "auction:{id}"
value = "hash"
table = "auction"
changed_at = "updated_at"
deletes = "never"
order = "source-first"
ahead_ok = true
fields = [
  { cache = "price", column = "price", compare = "at-least" },
  { cache = "bids", column = "bids", compare = "at-least" },
  { cache = "bidder", column = "bidder", follows = "price" },
]
repair = "overwrite"
"#;

#[tokio::test]
async fn a_price_that_is_legally_ahead_keeps_its_bidder() {
    let mut world = World::start(Flavor::MariaDb).await;
    world
        .sql(
            "CREATE TABLE auction (id BIGINT PRIMARY KEY, price BIGINT NOT NULL, bids BIGINT NOT NULL,
               bidder BIGINT NOT NULL, updated_at DATETIME(6) NOT NULL);
             INSERT INTO auction VALUES (1, 100, 3, 5, '2026-01-01'), (2, 100, 3, 5, '2026-01-01'),
               (3, 100, 3, 5, '2026-01-01')",
        )
        .await;
    // 1: a bid that MySQL does not know yet. 2: the same, and a lost count. 3: a bid that Redis lost.
    for (key, price, bids) in [
        ("auction:1", "120", "4"),
        ("auction:2", "120", "2"),
        ("auction:3", "90", "3"),
    ] {
        let set = ["HSET", key, "price", price, "bids", bids, "bidder", "7"];
        world.redis::<()>(&set).await;
    }
    world.job(TOP_BID);
    let report = world.repair_full().expect(1).report();
    assert_eq!(
        report.lines(),
        [
            "value-mismatch auction:2 bids confirmed refused",
            "value-mismatch auction:3 bidder confirmed applied",
            "value-mismatch auction:3 price confirmed applied",
        ]
    );
    let mut found = Vec::new();
    for key in ["auction:1", "auction:2", "auction:3"] {
        let hash: BTreeMap<String, String> = world.redis(&["HGETALL", key]).await;
        found.push((hash["price"].clone(), hash["bidder"].clone()));
    }
    let pair = |price: &str, bidder: &str| (price.to_owned(), bidder.to_owned());
    assert_eq!(
        found,
        [pair("120", "7"), pair("120", "7"), pair("100", "5")]
    );
}
