//! A failover in the middle of a run: of a scan, and of a repair.

use std::path::PathBuf;

use auditor::lab::proxy::Proxy;
use auditor::lab::servers::{Flavor, RedisServer};
use auditor::lab::wait;

use super::hands::{LIMIT, is_held_back};
use crate::support::profiles::{NEW, OLD, PROFILE};
use crate::support::{DATABASE, Run, World};

/// Two users at version 2; a master and a replica that hold version 1 of the first and 2 of the other.
async fn world_of_profiles() -> World {
    let mut world = World::with_replicas(Flavor::MariaDb, 1).await;
    world
        .sql(
            "CREATE TABLE users (id BIGINT PRIMARY KEY, name VARCHAR(40), version BIGINT NOT NULL,
               updated_at DATETIME(6) NOT NULL);
             INSERT INTO users VALUES (1, 'new', 2, '2026-01-01'), (2, 'new', 2, '2026-01-01')",
        )
        .await;
    world.redis::<()>(&["SET", "user:1:profile", OLD]).await;
    world.redis::<()>(&["SET", "user:2:profile", NEW]).await;
    let acknowledged: i64 = world.redis(&["WAIT", "1", "20000"]).await;
    assert_eq!(acknowledged, 1);
    world
}

async fn get(server: &RedisServer, key: &str) -> String {
    match server.command(&["GET", key]).await.unwrap() {
        redis::Value::BulkString(bytes) => String::from_utf8(bytes).unwrap(),
        other => panic!("{key}: {other:?}"),
    }
}

/// Starts the program against the Redis at `port`.
fn start(world: &World, port: u16, arguments: &[&str]) -> std::process::Child {
    let mut command = world.command(arguments);
    command
        .env("MYSQL_URL", world.mysql.url(DATABASE))
        .env("REDIS_URL", format!("redis://127.0.0.1:{port}"))
        .stdout(std::process::Stdio::piped())
        .stderr(std::fs::File::create(said(world)).unwrap());
    command.spawn().unwrap()
}

async fn ended(world: &World, child: std::process::Child) -> Run {
    let output = tokio::task::spawn_blocking(move || child.wait_with_output());
    let mut output = output.await.unwrap().unwrap();
    output.stderr = std::fs::read(said(world)).unwrap();
    Run::of(output, world.folder.path())
}

/// The file that the program's standard error goes to.
fn said(world: &World) -> PathBuf {
    world.folder.path().join("stderr")
}

/// The program has said all of `words` in one line.
async fn says(world: &World, words: &[&str]) {
    wait::until(format!("it says {words:?}"), LIMIT, async || {
        let text = std::fs::read_to_string(said(world)).unwrap_or_default();
        text.lines()
            .any(|line| words.iter().all(|word| line.contains(word)))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_failover_in_the_middle_of_a_scan_begins_it_again_on_the_new_master() {
    let world = world_of_profiles().await;
    // Half of these few keys are wrong; what is asked here is not whether the mapping is.
    let path = world.job_with_limits("max_control_mismatch = 1", PROFILE);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("settle = \"100ms\"", "settle = \"3s\"")).unwrap();
    let proxy = Proxy::start(world.redis.port()).await.unwrap();
    let arguments = ["scan", "job.toml", "--full"];
    let child = start(&world, proxy.port(), &arguments);
    says(&world, &["second look at"]).await;
    // What the old master had right is lost with it; what it had wrong is right on the new one.
    let promoted = &world.replicas[0];
    for words in [
        &["REPLICAOF", "NO", "ONE"][..],
        &["SET", "user:1:profile", NEW],
        &["SET", "user:2:profile", OLD],
    ] {
        promoted.command(words).await.unwrap();
    }
    proxy.set_target(promoted.port());
    proxy.cut_connections();
    world.redis.kill().unwrap();
    let run = ended(&world, child).await.expect(1);
    assert_eq!(
        run.report().lines(),
        ["version-regression user:2:profile confirmed"]
    );
}

const NAME: &str = r#"
[[cache]]
name = "name"
key = "user:{id}:name"
value = "string"
table = "users"
changed_at = "updated_at"
deletes = "never"
fields = [{ column = "name" }]
"#;

#[tokio::test]
async fn a_check_that_was_whole_before_the_failover_is_looked_at_again() {
    let mut world = world_of_profiles().await;
    for key in ["user:1:name", "user:2:name"] {
        world.redis::<()>(&["SET", key, "new"]).await;
    }
    let path = world.job_with_limits("max_control_mismatch = 1", &format!("{PROFILE}{NAME}"));
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("settle = \"100ms\"", "settle = \"3s\"")).unwrap();
    let proxy = Proxy::start(world.redis.port()).await.unwrap();
    let child = start(&world, proxy.port(), &["scan", "job.toml", "--full"]);
    // The profiles wait within their control sample, so it is the names whose sweep is done.
    says(&world, &[" done ", "stage=\"sweep\""]).await;
    let promoted = &world.replicas[0];
    for words in [
        &["REPLICAOF", "NO", "ONE"][..],
        &["SET", "user:1:name", "old"],
    ] {
        promoted.command(words).await.unwrap();
    }
    proxy.set_target(promoted.port());
    proxy.cut_connections();
    world.redis.kill().unwrap();
    let run = ended(&world, child).await.expect(1);
    assert_eq!(
        run.report().lines(),
        [
            "value-mismatch user:1:name confirmed",
            "version-regression user:1:profile confirmed",
        ]
    );
}

#[tokio::test]
async fn a_master_demoted_in_the_middle_of_a_repair_is_not_written_to() {
    let mut world = world_of_profiles().await;
    world.job(PROFILE);
    world
        .redis::<()>(&["CLIENT", "PAUSE", "60000", "WRITE"])
        .await;
    let arguments = ["repair", "job.toml", "--full", "--yes", "--accept-control"];
    let child = start(&world, world.redis.port(), &arguments);
    is_held_back(&world).await;
    // The replica is the master now and nobody has told the old one, whose script goes on.
    let promoted = &world.replicas[0];
    promoted.command(&["REPLICAOF", "NO", "ONE"]).await.unwrap();
    wait::until("the old master is alone", LIMIT, async || {
        world
            .redis
            .info("connected_slaves")
            .await
            .is_ok_and(|count| count.is_some_and(|count| count == "0"))
    })
    .await
    .unwrap();
    world.redis::<()>(&["CLIENT", "UNPAUSE"]).await;
    let run = ended(&world, child).await.expect(4);
    let report = run.report();
    assert_eq!(
        report.lines(),
        ["version-regression user:1:profile confirmed refused"]
    );
    assert_eq!(get(&world.redis, "user:1:profile").await, OLD);
    assert_eq!(get(&world.replicas[0], "user:1:profile").await, OLD);
}

/// Written and acknowledged, and then the failover comes before it was looked at again.
#[tokio::test]
async fn what_was_written_before_a_failover_is_told_though_it_could_not_be_verified() {
    let mut world = world_of_profiles().await;
    world.job(PROFILE);
    let proxy = Proxy::start(world.redis.port()).await.unwrap();
    world
        .redis::<()>(&["CLIENT", "PAUSE", "60000", "WRITE"])
        .await;
    let arguments = ["repair", "job.toml", "--full", "--yes", "--accept-control"];
    let child = start(&world, proxy.port(), &arguments);
    is_held_back(&world).await;
    // From here on the replica hears nothing, so the batch waits for it after the script has run.
    world.replicas[0].pause().await.unwrap();
    world.redis::<()>(&["CLIENT", "UNPAUSE"]).await;
    wait::until("the value was written", LIMIT, async || {
        get(&world.redis, "user:1:profile").await == NEW
    })
    .await
    .unwrap();
    world.redis.kill().unwrap();
    proxy.cut_connections();
    let promoted = &world.replicas[0];
    promoted.resume().unwrap();
    promoted.command(&["REPLICAOF", "NO", "ONE"]).await.unwrap();
    proxy.set_target(promoted.port());
    let run = ended(&world, child).await.expect(4);
    let report = run.report();
    assert_eq!(report.findings.len(), 1, "{:?}", report.lines());
    assert_eq!(report.findings[0]["settled_at"], "");
}
