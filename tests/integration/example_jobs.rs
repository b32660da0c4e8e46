//! Every example in `jobs/` does what it says, on the demo's schema and real servers: consistent where both
//! sides agree, and one planted loss is found (and repaired where the job asks for it).

use std::path::PathBuf;

use auditor::lab::servers::{Flavor, MysqlOptions, MysqlServer, RedisOptions, RedisServer};

use crate::support::{DATABASE, World};

const SCHEMA: &str = include_str!("../../sql/demo_schema.sql");
const ROWS: &str = "
INSERT INTO users VALUES
  (1, 'Ann', 'VIP', 4.50, 3, 100, 10, '2026-01-01', NULL),
  (2, 'Bo', 'BASIC', 3.25, 1, 200, 20, '2026-01-01', NULL),
  (3, 'Cy', 'SILVER', 1.00, 2, 300, 30, '2026-01-01', NULL);
INSERT INTO auction VALUES (1, 'A vase', 'OPEN', '2027-01-01', '2026-01-01');
INSERT INTO bid VALUES
  ('b-1', 1, 2, 50, '2026-01-01'), ('b-2', 1, 3, 70, '2026-01-01 00:00:01');";

fn example(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("jobs");
    std::fs::read_to_string(folder.join(format!("{name}.toml"))).unwrap()
}

/// A world with the demo's rows, the job in its folder and the statement beside it.
async fn world(name: &str) -> World {
    let mut world = World::start(Flavor::MariaDb).await;
    world.sql(SCHEMA).await;
    world.sql(ROWS).await;
    lay(&world, &example(name));
    world
}

/// Production's waits are seconds; these servers are alone.
fn lay(world: &World, text: &str) {
    let quick = "settle = \"50ms\"\ncache_delay = \"100ms\"\ncommit_margin = \"1s\"\n";
    let text = match text.split_once("[limits]\n") {
        Some((before, after)) => format!("{before}[limits]\n{quick}{after}"),
        None => {
            let first = text.find("\n[[").unwrap() + 1;
            let (before, checks) = text.split_at(first);
            format!("{before}[limits]\n{quick}{checks}")
        }
    };
    let text = text
        .replace("cache_delay = \"30s\"", "cache_delay = \"100ms\"")
        .replace("orphan_after = \"60s\"", "orphan_after = \"300ms\"");
    std::fs::write(world.folder.path().join("job.toml"), text).unwrap();
    let statements = world.folder.path().join("sql");
    std::fs::create_dir_all(&statements).unwrap();
    let top_bid = include_str!("../../sql/top_bid.sql");
    std::fs::write(statements.join("top_bid.sql"), top_bid).unwrap();
}

async fn keys(world: &mut World, commands: &[&str]) {
    for command in commands {
        let words: Vec<&str> = command.split(' ').collect();
        world.redis::<redis::Value>(&words).await;
    }
}

#[tokio::test]
async fn minimal() {
    let mut world = world("minimal").await;
    keys(
        &mut world,
        &["SET user:1:balance 100", "SET user:3:balance 300"],
    )
    .await;
    world.scan_full().expect(0);
    keys(&mut world, &["SET user:3:balance 299"]).await;
    let report = world.auditor(&[
        "repair",
        "job.toml",
        "--full",
        "--dry-run",
        "--accept-control",
    ]);
    assert_eq!(
        report.expect(1).report().lines(),
        ["value-mismatch user:3:balance confirmed"]
    );
}

#[tokio::test]
async fn composite_keys() {
    let mut world = world("composite-keys").await;
    let right = [
        "SET auction:1:bid:b-1 50 EX 3000",
        "SET auction:1:bid:b-2 70 EX 3000",
        "SET auction:1:best:2 50",
        "SET auction:1:best:3 70",
    ];
    keys(&mut world, &right).await;
    world.scan_full().expect(0);
    keys(
        &mut world,
        &["SET auction:1:best:3 60", "PERSIST auction:1:bid:b-1"],
    )
    .await;
    let report = world.repair_full().expect(0).report();
    assert_eq!(
        report.lines(),
        [
            "lost-expiry auction:1:bid:b-1 confirmed applied",
            "value-mismatch auction:1:best:3 confirmed applied",
        ]
    );
    assert_eq!(
        world.redis::<String>(&["GET", "auction:1:best:3"]).await,
        "70"
    );
}

#[tokio::test]
async fn leaderboard() {
    let mut world = world("leaderboard").await;
    let right = [
        "ZADD ranking 10 1 30 3",
        "SADD grade:VIP:members 1",
        "SADD grade:SILVER:members 3",
        "HSET ratings 1 4.5 2 3.25 3 1",
    ];
    keys(&mut world, &right).await;
    world.scan_full().expect(0);
    // User 2 never was in the ranking, user 3 fell out of it, and a rating went back.
    keys(
        &mut world,
        &["ZADD ranking 20 2", "ZREM ranking 3", "HSET ratings 1 4.4"],
    )
    .await;
    let report = world.repair_full().expect(0).report();
    assert_eq!(
        report.lines(),
        [
            "missing-key ranking 3 confirmed applied",
            "orphan-key ranking 2 confirmed applied",
            "value-mismatch ratings 1 confirmed applied",
        ]
    );
    let ranking: Vec<String> = world.redis(&["ZRANGE", "ranking", "0", "-1"]).await;
    assert_eq!(ranking, ["1", "3"]);
}

#[tokio::test]
async fn custom_sql() {
    let mut world = world("custom-sql").await;
    let hash = "HSET auction:1 currentPrice 70 totalBidCount 2 topBidderId 3";
    keys(&mut world, &[hash, "SET auction:1:bidders 2"]).await;
    world.scan_full().expect(0);
    // Behind in price and count, and a bid that MySQL has not seen yet is legal.
    keys(
        &mut world,
        &["HSET auction:1 currentPrice 50 totalBidCount 1 topBidderId 2"],
    )
    .await;
    let report = world.repair_full().expect(0).report();
    assert!(
        report
            .lines()
            .iter()
            .all(|line| line.ends_with("confirmed applied"))
    );
    let price: Vec<String> = world
        .redis(&[
            "HMGET",
            "auction:1",
            "currentPrice",
            "totalBidCount",
            "topBidderId",
        ])
        .await;
    assert_eq!(price, ["70", "2", "3"]);
    keys(
        &mut world,
        &["HSET auction:1 currentPrice 90 totalBidCount 3 topBidderId 2"],
    )
    .await;
    world.scan_full().expect(0);
}

/// A bid of the first second of 2026 and later ones, as the producers of `jobs/stream.toml` write them.
fn bid_entry(second: u32, bid: &str, bidder: u32, amount: u32) -> String {
    let at = entry_millis(second);
    format!(
        "XADD bid-stream {at}-0 type BID_SAVE bidId {bid} auctionId 1 bidderId {bidder} amount {amount} at {at}"
    )
}

fn entry_millis(second: u32) -> u64 {
    1_767_225_600_000 + u64::from(second) * 1_000
}

#[tokio::test]
async fn stream() {
    let mut world = world("stream").await;
    let right = [
        "XGROUP CREATE bid-stream bid-group 0 MKSTREAM",
        &bid_entry(0, "b-1", 2, 50),
        &bid_entry(1, "b-2", 3, 70),
        "XREADGROUP GROUP bid-group worker STREAMS bid-stream >",
        "XACK bid-stream bid-group 1767225600000-0 1767225601000-0",
    ];
    keys(&mut world, &right).await;
    world.scan_full().expect(0);
    // One was inserted and not acknowledged, one neither; a view is nobody's.
    let wrong = [
        &bid_entry(2, "b-3", 1, 80),
        &bid_entry(3, "b-4", 2, 90),
        "XADD bid-stream 1767225604000-0 type AUCTION_VIEW auctionId 1",
        "XREADGROUP GROUP bid-group gone STREAMS bid-stream >",
    ];
    keys(&mut world, &wrong).await;
    world
        .sql("INSERT INTO bid VALUES ('b-3', 1, 1, 80, '2026-01-01 00:00:02')")
        .await;
    world.wait_until_gone("gone").await;
    assert_eq!(
        world.repair_full().expect(0).report().settled(),
        [
            "orphan-pending 1767225603000-0 insert applied",
            "unacked-persisted 1767225602000-0 ack applied",
        ]
    );
    let inserted =
        "SELECT CONCAT_WS(' ', bidder_id, amount, created_at) FROM bid WHERE bid_id = 'b-4'";
    let inserted = world.sql_text(inserted).await.unwrap();
    assert_eq!(inserted, "2 90 2026-01-01 00:00:03.000000");
    let view = ("1767225604000-0".to_owned(), "gone".to_owned());
    assert_eq!(world.pending().await, [view]);
}

#[tokio::test]
async fn stream_entry_id() {
    let mut world = world("stream-entry-id").await;
    let add = |id: &str, amount: u32| {
        format!(
            "XADD bid2-stream {id} auctionId 1 bidderId 2 amount {amount} at {}",
            entry_millis(0)
        )
    };
    let row = |id: &str, amount: u32| {
        format!("INSERT INTO bid2 VALUES ('{id}', 1, 2, {amount}, '2026-01-01', '2026-01-01')")
    };
    let first = format!("{}-0", entry_millis(0));
    let again = format!("{}-0", entry_millis(1));
    let lost = format!("{}-0", entry_millis(2));
    keys(
        &mut world,
        &[
            "XGROUP CREATE bid2-stream bid2-group 0 MKSTREAM",
            &add(&first, 50),
            "XREADGROUP GROUP bid2-group worker STREAMS bid2-stream >",
            &format!("XACK bid2-stream bid2-group {first}"),
        ],
    )
    .await;
    world.sql(&row(&first, 50)).await;
    world.scan_full().expect(0);
    // The second id was given twice; the third one is about to be.
    world.sql(&row(&again, 60)).await;
    world.sql(&row(&lost, 70)).await;
    keys(
        &mut world,
        &[
            &add(&again, 61),
            "XREADGROUP GROUP bid2-group worker STREAMS bid2-stream >",
            &format!("XACK bid2-stream bid2-group {again}"),
        ],
    )
    .await;
    assert_eq!(
        world.repair_full().expect(0).report().settled(),
        [
            "lost-entry bid2-group raise-last-id applied".to_owned(),
            format!("payload-conflict {again} requeue applied"),
        ]
    );
    let entries = world.entries("bid2-stream").await;
    let ids: Vec<&str> = entries.iter().map(|(id, _)| id.as_str()).collect();
    assert!(
        ids.len() == 2 && ids[0] == first && *ids[1] > *lost,
        "{ids:?}"
    );
    let placed = entry_millis(0).to_string();
    let requeued = [
        "auctionId",
        "1",
        "bidderId",
        "2",
        "amount",
        "61",
        "at",
        &placed,
        "requeued_from",
        &again,
    ];
    assert_eq!(entries[1].1, requeued);
}

/// The lab has no Sentinels with TLS, so this one names the server itself; everything else is as it stands.
#[tokio::test]
async fn sentinel_tls() {
    let world = world("minimal").await;
    let options = MysqlOptions {
        flavor: Flavor::MariaDb,
        arguments: Vec::new(),
        tls: true,
    };
    let mysql = MysqlServer::start_with(options).await.unwrap();
    mysql.create_database(DATABASE).await.unwrap();
    mysql.execute(DATABASE, SCHEMA).await.unwrap();
    mysql.execute(DATABASE, ROWS).await.unwrap();
    let grants =
        "CREATE USER auditor@'%' IDENTIFIED BY 'pass:word/1'; GRANT SELECT ON *.* TO auditor@'%'";
    mysql.execute(DATABASE, grants).await.unwrap();
    let acl = "user auditor on >p@ss ~* +@read +@connection +info +time +role";
    let options = RedisOptions {
        lines: vec![acl.into()],
        tls: true,
        ..RedisOptions::default()
    };
    let redis = RedisServer::start(options).await.unwrap();
    let profile = r#"{"version":3,"name":"Ann","grade":"VIP"}"#;
    redis
        .command(&["SET", "user:1:profile", profile])
        .await
        .unwrap();

    let secrets = world.folder.path().join("secrets");
    std::fs::create_dir(&secrets).unwrap();
    for (name, secret) in [
        ("mysql_password", "pass%3Aword%2F1\n"),
        ("redis_password", "p@ss\n"),
        ("sentinel_password", "x\n"),
    ] {
        std::fs::write(secrets.join(name), secret).unwrap();
    }
    let authority =
        |server: &auditor::lab::servers::Certificates| server.authority().display().to_string();
    let text = example("sentinel-tls")
        .replace("/run/secrets", &secrets.display().to_string())
        .replace(
            "db.internal:3306/auction",
            &format!("127.0.0.1:{}/{DATABASE}", mysql.port()),
        )
        .replace(
            "/etc/ssl/db-ca.pem",
            &authority(mysql.certificates().unwrap()),
        )
        .replace(
            "rediss-sentinel://s1.internal:26379,s2.internal:26379,s3.internal:26379/mymaster",
            &format!("rediss://127.0.0.1:{}", redis.port()),
        )
        .replace(
            "/etc/ssl/redis-ca.pem",
            &authority(redis.certificates().unwrap()),
        );
    // Nobody asks for a client's certificate here, and without Sentinels there is no login for them.
    let is_kept = |line: &&str| {
        !["tls_cert", "tls_key", "sentinel_"]
            .iter()
            .any(|setting| line.starts_with(setting))
    };
    let text: Vec<&str> = text.lines().filter(is_kept).collect();
    lay(&world, &(text.join("\n") + "\n"));
    let run = world.scan_full().expect(0);
    assert!(run.stdout.contains("profile: 3 observed"), "{}", run.stdout);
}
