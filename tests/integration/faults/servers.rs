//! Servers that refuse, are the wrong ones, or go away in the middle.

use std::time::{Duration, Instant};

use auditor::lab::proxy::{Mode, Proxy};
use auditor::lab::servers::Flavor;

use crate::support::shop::{CHECKS, LIMITS, profile, profile_key};
use crate::support::{Run, World};

const SCAN: [&str; 3] = ["scan", "job.toml", "--full"];
const REPAIR: [&str; 4] = ["repair", "job.toml", "--full", "--yes"];

async fn shop(count: u32) -> World {
    let mut world = World::start(Flavor::MariaDb).await;
    world.open_shop(count).await;
    world
}

fn with(world: &World, arguments: &[&str], name: &str, url: &str) -> Run {
    let mut command = world.command(arguments);
    command.env(name, url);
    Run::of(command.output().unwrap(), world.folder.path())
}

#[tokio::test]
async fn a_refusal_judges_nothing_and_shows_no_password() {
    let mut world = shop(5).await;
    let mysql = format!(
        "mysql://nobody:geheim-1@127.0.0.1:{}/shop",
        world.mysql.port()
    );
    let redis = format!("redis://nobody:geheim-2@127.0.0.1:{}", world.redis.port());
    let before = Instant::now();
    for (name, url) in [("MYSQL_URL", &mysql), ("REDIS_URL", &redis)] {
        for arguments in [&SCAN[..], &REPAIR] {
            let run = with(&world, arguments, name, url).expect(3);
            assert!(
                run.stderr.contains("127.0.0.1"),
                "says where: {}",
                run.stderr
            );
            assert!(
                !format!("{}{}", run.stdout, run.stderr).contains("geheim"),
                "{}",
                run.stderr
            );
        }
    }
    assert!(
        before.elapsed() < Duration::from_secs(10),
        "a refusal is not tried again"
    );
    assert!(!world.folder.path().join("output").exists());
    // A right that is missing is a refusal too: this user may not read the keys.
    world
        .redis::<()>(&[
            "ACL",
            "SETUSER",
            "blind",
            "on",
            ">geheim-3",
            "resetkeys",
            "~other:*",
            "+@all",
        ])
        .await;
    let redis = format!("redis://blind:geheim-3@127.0.0.1:{}", world.redis.port());
    let run = with(&world, &SCAN, "REDIS_URL", &redis);
    assert!(matches!(run.code, Some(3 | 4)), "{run:?}");
    assert!(
        !format!("{}{}", run.stdout, run.stderr).contains("geheim"),
        "{}",
        run.stderr
    );
}

#[tokio::test]
async fn a_replica_is_refused() {
    let mut world = World::with_replicas(Flavor::MariaDb, 1).await;
    world.open_shop(5).await;
    let replica = world.replicas[0].url();
    for arguments in [&SCAN[..], &REPAIR] {
        let run = with(&world, arguments, "REDIS_URL", &replica).expect(3);
        assert!(run.stderr.contains("is a replica"), "{}", run.stderr);
    }
}

#[tokio::test]
async fn an_output_folder_that_cannot_be_made_stops_before_the_first_read() {
    let world = shop(5).await;
    std::fs::write(world.folder.path().join("taken"), "a file").unwrap();
    for arguments in [&SCAN[..], &REPAIR] {
        let all: Vec<&str> = arguments
            .iter()
            .copied()
            .chain(["--output", "taken"])
            .collect();
        let run = world.auditor(&all).expect(2);
        assert!(
            run.stderr.contains("taken") && run.stderr.contains("--output"),
            "{}",
            run.stderr
        );
    }
}

/// A slow enough run through proxies, so that something can be done to the servers in its middle.
async fn slow_shop() -> (World, Proxy, Proxy) {
    let mut world = shop(2_000).await;
    for id in (3..=2_000).step_by(20) {
        world.set(&profile_key(id), &profile(id, 4)).await;
    }
    let slow = CHECKS.replace("value = \"json\"", "value = \"json\"\nsettle = \"3s\"");
    world.job_with_limits(LIMITS, &slow);
    let mysql = Proxy::start(world.mysql.port()).await.unwrap();
    let redis = Proxy::start(world.redis.port()).await.unwrap();
    (world, mysql, redis)
}

/// Starts a run through the proxies and waits until its sweep begins; its second look is seconds away.
async fn begun(
    world: &World,
    arguments: &[&str],
    mysql: &Proxy,
    redis: &Proxy,
) -> std::process::Child {
    let mut command = world.command(arguments);
    let child = command
        .env(
            "MYSQL_URL",
            format!("mysql://root@127.0.0.1:{}/shop", mysql.port()),
        )
        .env("REDIS_URL", format!("redis://127.0.0.1:{}", redis.port()))
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    world.has_begun().await;
    child
}

#[tokio::test(flavor = "multi_thread")]
async fn mysql_gone_in_the_middle_is_never_clean() {
    let (mut world, mysql, redis) = slow_shop().await;
    let child = begun(&world, &REPAIR, &mysql, &redis).await;
    mysql.set_mode(Mode::Cut);
    mysql.cut_connections();
    let run = Run::of(child.wait_with_output().unwrap(), world.folder.path());
    let verdict = run.report().run["verdict"].clone();
    // Nothing judged if not a single page had been read by then.
    match run.code {
        Some(3) => assert_eq!(verdict, "nothing-judged"),
        Some(4) => assert_eq!(verdict, "partial"),
        _ => panic!("{run:?}"),
    }
    assert!(run.stdout.contains("not searched"), "{}", run.stdout);
    assert_eq!(
        world.get(&profile_key(3)).await.unwrap(),
        profile(3, 4),
        "nothing was written"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_cut_in_the_middle_is_read_again() {
    let (mut world, mysql, redis) = slow_shop().await;
    let child = begun(&world, &REPAIR, &mysql, &redis).await;
    redis.cut_connections();
    let run = Run::of(child.wait_with_output().unwrap(), world.folder.path());
    let now = world.get(&profile_key(3)).await.unwrap();
    match run.code {
        Some(0) => assert_eq!(now, profile(3, 5)),
        Some(4) => assert_eq!(run.report().run["verdict"], "partial"),
        // The cut came before the writing connection was made.
        Some(3) => assert_eq!(now, profile(3, 4)),
        _ => panic!("{run:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_killed_and_restarted_in_the_middle_begins_again() {
    let (mut world, mysql, redis) = slow_shop().await;
    let child = begun(&world, &SCAN, &mysql, &redis).await;
    // Without persistence it comes back empty: what was seen before does not count.
    world.redis.restart().await.unwrap();
    world.cache = world.redis.connect().await.unwrap();
    let run = Run::of(child.wait_with_output().unwrap(), world.folder.path());
    assert!(matches!(run.code, Some(0 | 4)), "{run:?}");
    let report = run.report();
    assert!(
        report.findings.iter().all(|f| f["verdict"] != "confirmed"),
        "{:?}",
        report.lines()
    );
    assert!(
        run.stderr.contains("begins again") || run.code == Some(4),
        "{}",
        run.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_gone_for_good_is_partial() {
    let (world, mysql, redis) = slow_shop().await;
    let child = begun(&world, &SCAN, &mysql, &redis).await;
    world.redis.kill().unwrap();
    let run = Run::of(child.wait_with_output().unwrap(), world.folder.path());
    assert!(matches!(run.code, Some(3 | 4)), "{run:?}");
    assert_eq!(run.report().run["exit_code"], run.code.unwrap());
    assert!(run.stderr.contains("trying again"), "{}", run.stderr);
    assert!(run.stdout.contains("not searched"), "{}", run.stdout);
}
