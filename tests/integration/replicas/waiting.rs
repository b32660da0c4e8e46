//! Replicas of rows that are not fit: waited for, then refused, before anything is judged.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use auditor::lab::proxy::Proxy;
use auditor::lab::servers::Flavor;

use super::{ended, job, replicated, rows_at};
use crate::support::shop::{profile, profile_key};
use crate::support::{Run, World};

const SCAN: [&str; 3] = ["scan", "job.toml", "--full"];

#[tokio::test]
async fn a_late_replica_is_waited_for() {
    let (mut world, replica) = replicated(Flavor::MariaDb, 0).await;
    world.open_shop(40).await;
    replica.catches_up_with(&world.mysql).await.unwrap();
    replica.stop_applying().await.unwrap();
    // On the replica the profile of user 3 is still what Redis says.
    world
        .sql("UPDATE users SET version = 6, name = 'newest' WHERE id = 3")
        .await;
    job(&world, &rows_at(replica.port()), "", "");
    let mut child = world
        .command(&SCAN)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("the MySQL replica is behind") {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "it did not wait");
    }
    assert!(
        !world.folder.path().join("output").exists(),
        "nothing is judged yet"
    );
    replica.resume_applying().await.unwrap();
    // Read to its end, so that nobody blocks on a full pipe.
    for rest in said.lines() {
        rest.unwrap();
    }
    let run = Run::of(child.wait_with_output().unwrap(), world.folder.path()).expect(1);
    assert_eq!(
        run.report().lines(),
        ["version-regression user:3:profile confirmed"]
    );
}

#[tokio::test]
async fn a_replica_that_stays_late_is_refused_and_one_key_needs_none() {
    let (mut world, replica) = replicated(Flavor::MySql, 0).await;
    world.open_shop(5).await;
    replica.catches_up_with(&world.mysql).await.unwrap();
    replica.stop_applying().await.unwrap();
    world.sql("UPDATE users SET balance = 7 WHERE id = 5").await;
    job(
        &world,
        &rows_at(replica.port()),
        "",
        "time_budget = \"1500ms\"",
    );
    let run = world.auditor(&SCAN).expect(3);
    assert!(run.stderr.contains("did not catch up"), "{}", run.stderr);
    assert!(run.stderr.contains("replica_url"), "{}", run.stderr);
    assert!(!world.folder.path().join("output").exists());
    world
        .auditor(&["scan", "job.toml", "--key", "user:3:profile"])
        .expect(0);
}

#[tokio::test]
async fn without_gtids_or_a_replica_there_is_no_sweep() {
    let mut world = World::start(Flavor::MariaDb).await;
    world.open_shop(5).await;
    job(&world, &rows_at(world.mysql.port()), "", "");
    let run = world.auditor(&SCAN).expect(3);
    assert!(run.stderr.contains("log_bin"), "{}", run.stderr);
    let (mut world, _replica) = replicated(Flavor::MariaDb, 0).await;
    world.open_shop(5).await;
    job(&world, &rows_at(world.mysql.port()), "", "");
    let run = world.auditor(&SCAN).expect(3);
    assert!(run.stderr.contains("the primary itself"), "{}", run.stderr);
    let secret = format!(
        "replica_url = \"mysql://nobody:geheim@127.0.0.1:{}/shop\"",
        world.mysql.port()
    );
    job(&world, &secret, "", "");
    let run = world.auditor(&SCAN).expect(3);
    assert!(run.stderr.contains("replica_url"), "{}", run.stderr);
    assert!(!format!("{}{}", run.stdout, run.stderr).contains("geheim"));
}

/// Pages that come from elsewhere do not count, and the run does not say that it looked at everything.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_leads_elsewhere_in_the_middle_is_noticed() {
    let (mut world, replica) = replicated(Flavor::MariaDb, 0).await;
    world.open_shop(3_000).await;
    world.set(&profile_key(2_999), &profile(2_999, 4)).await;
    replica.catches_up_with(&world.mysql).await.unwrap();
    let proxy = Proxy::start(replica.port()).await.unwrap();
    // Slow enough that pages are left when the proxy changes its mind.
    let slow = "max_keys_per_second = 1000\ncontrol_sample = 40";
    job(&world, &rows_at(proxy.port()), "", slow);
    let child = world.spawn(&SCAN);
    world.has_begun().await;
    proxy.set_target(world.mysql.port());
    proxy.cut_connections();
    let run = Run::of(child.wait_with_output().unwrap(), world.folder.path());
    assert!(matches!(run.code, Some(3 | 4)), "{run:?}");
    assert!(run.stdout.contains("a proxy"), "{}", run.stdout);
    assert!(run.stdout.contains("not searched"), "{}", run.stdout);
}

/// What is read by name is what the job named: the environment may leave it empty.
#[tokio::test]
async fn an_empty_name_is_none() {
    let mut world = World::start(Flavor::MariaDb).await;
    world.open_shop(5).await;
    let mysql = "replica_url = \"${MYSQL_REPLICA_URL:-}\"";
    job(&world, mysql, "read_url = \"${REDIS_READ_URL:-}\"", "");
    let mut command = world.command(&SCAN);
    command.env_remove("MYSQL_REPLICA_URL");
    let run = ended(command, world.folder.path()).expect(0);
    assert_eq!(
        run.report().run["topology_before"]["sweep_source"],
        serde_json::Value::Null
    );
}
