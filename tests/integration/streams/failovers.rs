//! A failover, and a stop, in the middle of a run over a stream.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command};

use auditor::lab::proxy::Proxy;

use crate::support::bids::{ALIVE, GROUP, STREAM, id};
use crate::support::{Run, World};

const SLOW: &str = "on_persisted = \"ack\"\nsettle = \"3s\"\n";

/// Five that are done, 6 pending though saved; the replicas know it all.
async fn damaged(replicas: usize) -> World {
    let mut world = World::open_bids_with(replicas, SLOW).await;
    world.group().await;
    world.done(1..=5).await;
    world.add(6).await;
    world.read(ALIVE, 1).await;
    world.save(6).await;
    let wanted = replicas.to_string();
    let acknowledged: usize = world.redis(&["WAIT", &wanted, "20000"]).await;
    assert_eq!(acknowledged, replicas);
    world
}

/// Reads what the program says until it waits for a second look; the rest is read and dropped.
/// Not on the thread on which the proxy works.
async fn waits_for_its_second_look(child: &mut Child) {
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let waits = tokio::task::spawn_blocking(move || {
        let mut all = String::new();
        let mut read = 0;
        while !all[read..].contains("second look at 1 suspect") {
            read = all.len();
            assert_ne!(said.read_line(&mut all).unwrap(), 0, "it ended\n{all}");
        }
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
    });
    waits.await.unwrap();
}

#[tokio::test]
async fn what_was_suspected_on_the_old_master_is_dropped() {
    let mut world = damaged(1).await;
    world.save(7).await;
    let proxy = Proxy::start(world.redis.port()).await.unwrap();
    let mut command = world.command(&["repair", "job.toml", "--full", "--yes"]);
    command.env("REDIS_URL", format!("redis://127.0.0.1:{}", proxy.port()));
    let piped = std::process::Stdio::piped;
    let mut child = command.stdout(piped()).stderr(piped()).spawn().unwrap();
    waits_for_its_second_look(&mut child).await;
    let promoted = &world.replicas[0];
    let (sixth, seventh) = (id(6), id(7));
    for words in [
        &["REPLICAOF", "NO", "ONE"][..],
        &["XACK", STREAM, GROUP, &sixth],
        &[
            "XADD",
            STREAM,
            &seventh,
            "type",
            "BID_SAVE",
            "bidId",
            "b7",
            "auctionId",
            "7",
            "bidderId",
            "11",
            "amount",
            "100.50",
        ],
        &["XREADGROUP", "GROUP", GROUP, ALIVE, "STREAMS", STREAM, ">"],
    ] {
        promoted.command(words).await.unwrap();
    }
    proxy.set_target(promoted.port());
    proxy.cut_connections();
    world.redis.kill().unwrap();
    let output = tokio::task::spawn_blocking(move || child.wait_with_output());
    let output = output.await.unwrap().unwrap();
    // The hands that write belong to the old master; what is found on the new one is left to the next repair.
    let run = Run::of(output, world.folder.path()).expect(4);
    let refused = format!("unacked-persisted {seventh} none refused");
    assert_eq!(run.report().settled(), [refused]);
    let mut again = world.command(&["repair", "job.toml", "--full", "--yes"]);
    again.env("REDIS_URL", promoted.url());
    let run = Run::of(again.output().unwrap(), world.folder.path()).expect(0);
    let settled = format!("unacked-persisted {seventh} ack applied");
    assert_eq!(run.report().settled(), [settled]);
    let left = promoted
        .command(&["XPENDING", STREAM, GROUP, "-", "+", "10"])
        .await
        .unwrap();
    assert_eq!(left, redis::Value::Array(Vec::new()));
}

#[tokio::test]
async fn a_stop_leaves_what_was_not_confirmed_alone() {
    let mut world = damaged(0).await;
    let mut child = world.spawn(&["repair", "job.toml", "--since", "10m", "--yes"]);
    waits_for_its_second_look(&mut child).await;
    let sent = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
    let run = Run::of(child.wait_with_output().unwrap(), world.folder.path()).expect(4);
    let check = &run.report().run["checks"][0];
    assert_eq!(check["coverage"]["unknown"], 1, "{check}");
    assert!(
        check["not_searched"].to_string().contains("stopped"),
        "{check}"
    );
    assert_eq!(world.pending().await, [(id(6), ALIVE.to_owned())]);
}
