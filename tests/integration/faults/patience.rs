//! Stores that are away for a moment, and come back: the run waits, says for what, and ends as if nothing had been.

use auditor::lab::cluster::{Cluster, ClusterOptions};
use auditor::lab::proxy::{Mode, Proxy};
use auditor::lab::servers::{Flavor, RedisOptions, RedisServer};
use sqlx::Connection;

use crate::support::{DATABASE, World};

const NAMES: &str = r#"
[[cache]]
name = "name"
key = "user:{id}:name"
value = "string"
table = "users"
changed_at = "updated_at"
deletes = "never"
fields = [{ column = "name" }]
order = "source-first"
repair = "overwrite"
"#;

const SCAN: [&str; 3] = ["scan", "job.toml", "--full"];
const REPAIR: [&str; 5] = ["repair", "job.toml", "--full", "--yes", "--accept-control"];

/// One user, whose cached name is wrong in this world's Redis.
async fn one_user(replicas: usize) -> World {
    let mut world = World::with_replicas(Flavor::MariaDb, replicas).await;
    world
        .sql(
            "CREATE TABLE users (id BIGINT PRIMARY KEY, name VARCHAR(40), updated_at DATETIME(6) NOT NULL);
             INSERT INTO users VALUES (1, 'new', '2026-01-01')",
        )
        .await;
    world.redis::<()>(&["SET", "user:1:name", "old"]).await;
    world.job_with_limits("max_control_mismatch = 1", NAMES);
    world
}

const FOUND: [&str; 1] = ["value-mismatch user:1:name confirmed"];

#[tokio::test]
async fn a_mysql_that_is_away_in_the_middle_is_waited_for() {
    let world = one_user(0).await;
    let path = world.folder.path().join("job.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("settle = \"100ms\"", "settle = \"3s\"")).unwrap();
    let proxy = Proxy::start(world.mysql.port()).await.unwrap();
    let url = format!("mysql://root@127.0.0.1:{}/{DATABASE}", proxy.port());
    let child = world.begin(&SCAN, &[("MYSQL_URL", &url)]);
    world.says("second look at").await;
    proxy.set_mode(Mode::Cut);
    world
        .says("waiting for MySQL: MySQL could not be reached")
        .await;
    proxy.set_mode(Mode::Pass);
    let run = world.ended(child).await.expect(1);
    assert_eq!(run.report().lines(), FOUND);
}

#[tokio::test]
async fn a_mysql_without_a_connection_to_spare_is_waited_for() {
    let mut world = one_user(0).await;
    world.sql("SET GLOBAL max_connections = 10").await;
    world
        .sql("CREATE USER 'some'@'127.0.0.1'; GRANT ALL ON shop.* TO 'some'@'127.0.0.1'")
        .await;
    let url = format!("mysql://some@127.0.0.1:{}/{DATABASE}", world.mysql.port());
    let mut others = Vec::new();
    // The one that is refused shows that there is no room left.
    let full = loop {
        match sqlx::MySqlConnection::connect(&url).await {
            Ok(connection) => others.push(connection),
            Err(full) => break full,
        }
        assert!(others.len() < 20);
    };
    assert!(full.to_string().contains("Too many connections"), "{full}");
    let child = world.begin(&SCAN, &[("MYSQL_URL", &url)]);
    world
        .says("Too many connections (1040); trying again in")
        .await;
    for other in others {
        other.close().await.unwrap();
    }
    let run = world.ended(child).await.expect(1);
    assert_eq!(run.report().lines(), FOUND);
}

#[tokio::test]
async fn a_redis_that_is_loading_is_waited_for() {
    let world = one_user(0).await;
    let slow = RedisServer::start(RedisOptions {
        lines: vec![
            "key-load-delay 2000".into(),
            "loading-process-events-interval-bytes 1024".into(),
        ],
        ..RedisOptions::default()
    })
    .await
    .unwrap();
    slow.command(&["SET", "user:1:name", "old"]).await.unwrap();
    let mut connection = slow.connect().await.unwrap();
    let mut many = redis::pipe();
    for number in 0..2_000 {
        many.cmd("SET")
            .arg(format!("filler:{number}"))
            .arg("x".repeat(100))
            .ignore();
    }
    many.exec_async(&mut connection).await.unwrap();
    slow.command(&["SAVE"]).await.unwrap();
    slow.restart().await.unwrap();
    let child = world.begin(&SCAN, &[("REDIS_URL", &slow.url())]);
    world.says("LOADING").await;
    let run = world.ended(child).await.expect(1);
    assert!(run.stderr.contains("trying again in"), "{}", run.stderr);
    assert_eq!(run.report().lines(), FOUND);
}

#[tokio::test]
async fn a_redis_that_is_busy_with_a_script_is_waited_for() {
    let mut world = one_user(0).await;
    world
        .redis::<()>(&["CONFIG", "SET", "busy-reply-threshold", "50"])
        .await;
    let path = world.folder.path().join("job.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("settle = \"100ms\"", "settle = \"3s\"")).unwrap();
    let child = world.begin(&SCAN, &[]);
    world.says("second look at").await;
    let mut other = world.redis.connect().await.unwrap();
    let script = tokio::spawn(async move {
        let endless = redis::cmd("EVAL")
            .arg("while true do end")
            .arg(0)
            .to_owned();
        endless.query_async::<redis::Value>(&mut other).await
    });
    world.says("is busy running a script").await;
    world.redis.command(&["SCRIPT", "KILL"]).await.unwrap();
    assert!(script.await.unwrap().is_err(), "it was killed");
    let run = world.ended(child).await.expect(1);
    assert!(!run.stderr.contains("begins again"), "{}", run.stderr);
    assert_eq!(run.report().lines(), FOUND);
}

#[tokio::test]
async fn a_run_that_starts_in_the_middle_of_a_failover_waits_for_its_end() {
    let world = one_user(0).await;
    let mut cluster = Cluster::start(ClusterOptions {
        replicas: 1,
        sentinel_name: Some("mymaster".into()),
        ..ClusterOptions::default()
    })
    .await
    .unwrap();
    cluster
        .master()
        .command(&["SET", "user:1:name", "old"])
        .await
        .unwrap();
    cluster.fence().await.unwrap();
    let url = cluster.url();
    cluster.crash_master().await.unwrap();
    let child = world.begin(&REPAIR, &[("REDIS_URL", &url)]);
    world.says("trying again in").await;
    cluster.replace_master().await.unwrap();
    let run = world.ended(child).await.expect(0);
    assert_eq!(
        run.report().lines(),
        ["value-mismatch user:1:name confirmed applied"]
    );
    let now = cluster
        .master()
        .command(&["GET", "user:1:name"])
        .await
        .unwrap();
    assert_eq!(now, redis::Value::BulkString(b"new".to_vec()));
}

#[tokio::test]
async fn a_replica_that_is_away_is_waited_for_before_anything_is_written() {
    let world = one_user(1).await;
    world.job_with_limits("max_control_mismatch = 1\nmin_replicas = 1", NAMES);
    world.replicas[0].kill().unwrap();
    let child = world.begin(&REPAIR, &[]);
    world
        .says("waiting for replicas: 0 replica(s) online and fresh, 1 needed")
        .await;
    world.replicas[0].restart().await.unwrap();
    let run = world.ended(child).await.expect(0);
    assert_eq!(
        run.report().lines(),
        ["value-mismatch user:1:name confirmed applied"]
    );
}
