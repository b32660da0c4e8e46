//! `[redis].read_url`: keys read at replicas.

use auditor::lab::proxy::Proxy;
use auditor::lab::servers::{Flavor, RedisOptions, RedisServer};

use super::{job, keys_at, remarks};
use crate::support::monitor::Monitor;
use crate::support::shop::{balance_key, profile, profile_key};
use crate::support::{Run, World};

const SCAN: [&str; 3] = ["scan", "job.toml", "--full"];
const FOUND: [&str; 2] = [
    "negative-balance user:4:balance confirmed",
    "version-regression user:3:profile confirmed",
];

/// A shop with two losses and a key that no row explains; all of it at the replicas.
async fn damaged(count: u32, replicas: usize) -> World {
    let mut world = World::with_replicas(Flavor::MariaDb, replicas).await;
    world.open_shop(count).await;
    plant(&mut world).await;
    replicas_have_it(&mut world, replicas).await;
    world
}

async fn plant(world: &mut World) {
    world.set(&profile_key(3), &profile(3, 4)).await;
    world.set(&balance_key(4), "-7").await;
}

async fn replicas_have_it(world: &mut World, replicas: usize) {
    let wanted = replicas.to_string();
    let have: usize = world.redis(&["WAIT", &wanted, "30000"]).await;
    assert_eq!(have, replicas);
}

fn ports(world: &World) -> Vec<u16> {
    world.replicas.iter().map(RedisServer::port).collect()
}

/// Commands of the program that name `word`.
fn heard(monitor: &Monitor, word: &str) -> Vec<String> {
    let quoted = format!("\"{word}\"");
    let lines = monitor.lines();
    lines.into_iter().filter(|l| l.contains(&quoted)).collect()
}

#[tokio::test]
async fn sweeps_read_the_replica_and_verdicts_the_master() {
    let mut world = damaged(3_000, 1).await;
    world.set("user:9001:profile", &profile(9_001, 5)).await;
    replicas_have_it(&mut world, 1).await;
    job(&world, "", &keys_at(&ports(&world)), "control_sample = 30");
    let (master, replica) = (
        Monitor::start(world.redis.port()),
        Monitor::start(world.replicas[0].port()),
    );
    let run = world.auditor(&SCAN).expect(1);
    let mut found = FOUND.map(str::to_owned).to_vec();
    found.insert(1, "orphan-key user:9001:profile confirmed".to_owned());
    assert_eq!(run.report().lines(), found);
    assert!(
        !master.commands().contains("scan"),
        "{:?}",
        master.commands()
    );
    assert!(replica.commands().contains("scan"));
    assert_eq!(
        heard(&replica, "user:3:profile").len(),
        1,
        "the sweep alone: {:?}",
        heard(&replica, "user:3:profile")
    );
    let looks = heard(&master, "user:3:profile").len();
    assert!(looks >= 4, "two looks of two reads each: {looks}");
    // A page of the sweep names a thousand keys, a look or a pair of the control sample few.
    let longest = |monitor: &Monitor| monitor.lines().iter().map(String::len).max();
    assert!(longest(&master) < longest(&replica));
    let topology = &run.report().run["topology_before"];
    assert_eq!(topology["sweep_redis"]["role"], "replica", "{topology}");
    let listed: Vec<String> = world
        .redis(&["COMMAND", "LIST", "FILTERBY", "ACLCAT", "write"])
        .await;
    for told in [master.commands(), replica.commands()] {
        assert!(
            told.iter().all(|command| !listed.contains(command)),
            "{told:?}"
        );
    }
    world
        .auditor(&["repair", "job.toml", "--full", "--yes", "--accept-control"])
        .expect(1);
    assert_eq!(world.get(&profile_key(3)).await.unwrap(), profile(3, 5));
    assert_eq!(world.get(&balance_key(4)).await.unwrap(), "100");
}

#[tokio::test]
async fn a_replica_that_stands_still_is_not_read() {
    let mut world = World::with_replicas(Flavor::MariaDb, 1).await;
    world.open_shop(20).await;
    replicas_have_it(&mut world, 1).await;
    let pause = ["CLIENT", "PAUSE", "600000", "WRITE"];
    world.replicas[0].command(&pause).await.unwrap();
    // At the replica everything is still right.
    plant(&mut world).await;
    job(&world, "", &keys_at(&ports(&world)), "");
    let run = world.auditor(&SCAN).expect(1);
    assert_eq!(run.report().lines(), FOUND);
    let said = remarks(&run);
    assert!(said.contains("sweeps read the Redis master"), "{said}");
    assert!(said.contains("has applied"), "{said}");
}

#[tokio::test]
async fn the_first_fit_one_of_several_is_read() {
    let world = damaged(20, 2).await;
    // The first has lost its link, and nobody listens where the last one should be.
    let cut = ["REPLICAOF", "127.0.0.1", "1"];
    world.replicas[0].command(&cut).await.unwrap();
    let mut ports = ports(&world);
    ports.push(1);
    job(&world, "", &keys_at(&ports), "");
    let run = world.auditor(&SCAN).expect(1);
    assert_eq!(run.report().lines(), FOUND);
    let address = format!("127.0.0.1:{}", ports[1]);
    let topology = run.report().run["topology_before"].clone();
    assert_eq!(topology["sweep_redis"]["address"], address, "{topology}");
    job(&world, "", &keys_at(&[ports[0], ports[2]]), "");
    let run = world.auditor(&SCAN).expect(1);
    assert_eq!(run.report().lines(), FOUND);
    let said = remarks(&run);
    assert!(
        said.contains("has no link") && said.contains("127.0.0.1:1"),
        "{said}"
    );
}

#[tokio::test]
async fn what_takes_writes_of_its_own_is_not_read() {
    let world = damaged(20, 1).await;
    let own = ["CONFIG", "SET", "replica-read-only", "no"];
    world.replicas[0].command(&own).await.unwrap();
    world.replicas[0]
        .command(&["SET", &profile_key(3), &profile(3, 5)])
        .await
        .unwrap();
    job(
        &world,
        "",
        &keys_at(&[world.replicas[0].port(), world.redis.port()]),
        "",
    );
    let run = world.auditor(&SCAN).expect(1);
    assert_eq!(run.report().lines(), FOUND);
    let said = remarks(&run);
    assert!(said.contains("replica-read-only"), "{said}");
    assert!(said.contains("is the master itself"), "{said}");
}

/// A replica that lacks what the master still shows would make a loss pass for a key that is not cached.
#[tokio::test]
async fn what_evicts_by_itself_is_not_read() {
    let mut world = damaged(20, 1).await;
    let rule = "ACL SETUSER looker on nopass ~* -@all +@read +@connection +info +time +role";
    let rule: Vec<&str> = rule.split(' ').collect();
    world.redis::<()>(&rule).await;
    let replica = &world.replicas[0];
    replica.command(&rule).await.unwrap();
    let port = replica.port();
    let set = async |name, value| {
        let words = ["CONFIG", "SET", name, value];
        replica.command(&words).await.unwrap();
    };
    set("maxmemory", "100mb").await;
    set("maxmemory-policy", "allkeys-lru").await;
    let keys = "read_url = \"${REDIS_READ_URL}\"";
    job(&world, "", keys, "");
    let said_to = |user: &str| {
        let mut command = world.command(&SCAN);
        command.env("REDIS_READ_URL", format!("redis://{user}127.0.0.1:{port}"));
        let run = super::ended(command, world.folder.path()).expect(1);
        assert_eq!(run.report().lines(), FOUND);
        remarks(&run)
    };
    assert_eq!(said_to(""), "[]", "eviction is left to the master");
    assert!(said_to("looker@").contains("CONFIG GET"));
    set("replica-ignore-maxmemory", "no").await;
    assert!(said_to("").contains("replica-ignore-maxmemory no"));
    set("maxmemory", "0").await;
    assert_eq!(said_to("looker@"), "[]", "there is no limit");
}

#[tokio::test]
async fn a_stranger_is_refused() {
    let world = damaged(20, 0).await;
    let stranger = RedisServer::start(RedisOptions::default()).await.unwrap();
    let follower = RedisServer::start(RedisOptions {
        replica_of: Some(stranger.port()),
        ..RedisOptions::default()
    })
    .await
    .unwrap();
    stranger.wait_for_replicas(1).await.unwrap();
    for port in [stranger.port(), follower.port()] {
        job(&world, "", &keys_at(&[port]), "time_budget = \"2s\"");
        let run = world.auditor(&SCAN).expect(3);
        assert!(
            run.stderr.contains("is no replica of the master"),
            "{}",
            run.stderr
        );
        assert!(run.stderr.contains(&port.to_string()), "{}", run.stderr);
        assert!(!world.folder.path().join("output").exists());
    }
}

/// A slow run that has begun, its replica behind a proxy.
async fn begun(count: u32, replicas: usize) -> (World, Proxy, std::process::Child) {
    let mut world = damaged(count, replicas).await;
    world
        .set(&profile_key(count - 1), &profile(count - 1, 4))
        .await;
    replicas_have_it(&mut world, replicas).await;
    let proxy = Proxy::start(world.replicas[0].port()).await.unwrap();
    let slow = "max_keys_per_second = 1500\ncontrol_sample = 40";
    job(&world, "", &keys_at(&[proxy.port()]), slow);
    let child = world.spawn(&SCAN);
    world.has_begun().await;
    (world, proxy, child)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_dies_in_the_middle_costs_nothing() {
    let (world, _proxy, child) = begun(4_000, 1).await;
    world.replicas[0].kill().unwrap();
    let run = Run::of(child.wait_with_output().unwrap(), world.folder.path()).expect(1);
    let mut found = FOUND.map(str::to_owned).to_vec();
    found.insert(
        1,
        "version-regression user:3999:profile confirmed".to_owned(),
    );
    assert_eq!(run.report().lines(), found);
    let said = remarks(&run);
    assert!(said.contains("was not read to the end"), "{said}");
}

/// A node that has left its master: what is read there afterwards does not count.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_emptied_in_the_middle_hides_nothing() {
    let (world, _proxy, child) = begun(4_000, 1).await;
    let replica = &world.replicas[0];
    replica.command(&["REPLICAOF", "NO", "ONE"]).await.unwrap();
    replica.command(&["FLUSHALL"]).await.unwrap();
    let run = Run::of(child.wait_with_output().unwrap(), world.folder.path()).expect(1);
    let mut found = FOUND.map(str::to_owned).to_vec();
    found.insert(
        1,
        "version-regression user:3999:profile confirmed".to_owned(),
    );
    assert_eq!(run.report().lines(), found);
    assert!(remarks(&run).contains("a master too"), "{}", remarks(&run));
}

/// The replica that is read becomes the master: what was seen before does not count, and what the old master knew
/// alone is lost too.
#[tokio::test(flavor = "multi_thread")]
async fn a_failover_in_the_middle_begins_again_at_the_new_master() {
    let mut world = damaged(4_000, 1).await;
    let master = Proxy::start(world.redis.port()).await.unwrap();
    let slow = "max_keys_per_second = 1500\ncontrol_sample = 40";
    job(&world, "", &keys_at(&ports(&world)), slow);
    let mut command = world.command(&SCAN);
    let url = format!("redis://127.0.0.1:{}", master.port());
    let child = command
        .env("REDIS_URL", url)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    world.has_begun().await;
    let replica = world.replicas.remove(0);
    let pause = ["CLIENT", "PAUSE", "600000", "WRITE"];
    replica.command(&pause).await.unwrap();
    world
        .sql("UPDATE users SET balance = 55 WHERE id = 3998")
        .await;
    world.set(&balance_key(3_998), "55").await;
    world.redis.kill().unwrap();
    replica.command(&["CLIENT", "UNPAUSE"]).await.unwrap();
    replica.command(&["REPLICAOF", "NO", "ONE"]).await.unwrap();
    master.set_target(replica.port());
    master.cut_connections();
    let run = Run::of(child.wait_with_output().unwrap(), world.folder.path()).expect(1);
    let mut found = FOUND.map(str::to_owned).to_vec();
    found.insert(1, "value-mismatch user:3998:balance confirmed".to_owned());
    assert_eq!(run.report().lines(), found);
    assert!(
        remarks(&run).contains("is the master itself"),
        "{}",
        remarks(&run)
    );
}
