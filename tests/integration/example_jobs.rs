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
        None => text.replacen("[[cache]]", &format!("[limits]\n{quick}[[cache]]"), 1),
    };
    let text = text.replace("cache_delay = \"30s\"", "cache_delay = \"100ms\"");
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
