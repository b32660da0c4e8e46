//! When nothing is written, whatever the bytes say.

use std::time::Duration;

use auditor::lab::servers::{RedisOptions, RedisServer};
use auditor::lab::wait;
use auditor::model::identity::{NodeIdentity, Pinned};
use auditor::model::time::Micros;
use auditor::store::redis::{PerNode, RedisError, Write, WriteReply, Writer};

use super::bench::{Bench, b, pinned, replace};
use super::{LIMIT, plain_server, reader, spec};

#[tokio::test]
async fn another_history_or_role_is_fenced() {
    let mut bench = Bench::start().await;
    bench.run("SET", &[b"k", b"old"]).await;
    let right = pinned(&bench.server).await;
    bench.pin(&"0".repeat(40)).await;
    let reply = bench.apply(replace(b"k", b"old", b"new")).await;
    assert!(
        matches!(&reply, WriteReply::Fenced(reason) if reason.contains("replication id")),
        "{reply:?}"
    );

    bench.writer.repin(&right);
    let other = plain_server().await;
    let port = other.port().to_string();
    bench
        .server
        .command(&["REPLICAOF", "127.0.0.1", &port])
        .await
        .unwrap();
    let reply = bench.apply(replace(b"k", b"old", b"new")).await;
    assert!(
        matches!(&reply, WriteReply::Fenced(reason) if reason.contains("no master")),
        "{reply:?}"
    );
}

#[tokio::test]
async fn too_few_fresh_replicas_are_fenced() {
    let mut bench = Bench::start().await;
    bench.run("SET", &[b"k", b"old"]).await;
    bench.fence.min_replicas = PerNode::all(1);
    let reply = bench.apply(replace(b"k", b"old", b"new")).await;
    assert!(
        matches!(&reply, WriteReply::Fenced(reason) if reason.contains("0 of 1")),
        "{reply:?}"
    );

    let options = RedisOptions {
        replica_of: Some(bench.server.port()),
        ..RedisOptions::default()
    };
    let replica = RedisServer::start(options).await.unwrap();
    bench.server.wait_for_replicas(1).await.unwrap();
    // The first replica a master ever gets begins a new history.
    bench.writer.repin(&pinned(&bench.server).await);
    assert_eq!(
        bench.apply(replace(b"k", b"old", b"new")).await,
        WriteReply::Applied
    );
    let one = PerNode::all(1);
    assert_eq!(bench.writer.wait(&one, LIMIT).await.unwrap(), [Some(1)]);
    assert_eq!(
        bench.writer.wait(&one, LIMIT).await.unwrap(),
        [None],
        "nothing was written since"
    );

    replica.pause().await.unwrap();
    assert_eq!(
        bench.apply(replace(b"k", b"new", b"newer")).await,
        WriteReply::Applied,
        "not yet noticed"
    );
    assert_eq!(
        bench
            .writer
            .wait(&one, Duration::from_millis(50))
            .await
            .unwrap(),
        [Some(0)]
    );
    let redis = reader(&bench.server).await;
    wait::until(
        "the master counts the replica's silence",
        Duration::from_secs(30),
        async || {
            redis
                .facts()
                .await
                .is_ok_and(|facts| facts.replicas_online.iter().all(|r| r.lag_seconds > 10))
        },
    )
    .await
    .unwrap();
    bench.fence.deadline = PerNode::all(Micros::now().plus(Duration::from_secs(60)));
    let reply = bench.apply(replace(b"k", b"newer", b"newest")).await;
    assert!(
        matches!(&reply, WriteReply::Fenced(reason) if reason.contains("0 of 1")),
        "{reply:?}"
    );
    assert_eq!(bench.get(b"k").await.unwrap(), b"newer");
}

#[tokio::test]
async fn a_script_that_reaches_a_stalled_server_too_late_writes_nothing() {
    let mut bench = Bench::start().await;
    bench.run("SET", &[b"k", b"old"]).await;
    bench.fence.deadline = bench
        .writer
        .time()
        .await
        .unwrap()
        .map(|now| now.plus(Duration::from_millis(300)));
    bench.server.pause().await.unwrap();
    let Bench {
        server,
        writer,
        fence,
    } = &mut bench;
    let write = [replace(b"k", b"old", b"new")];
    let resumed = async {
        let deadline = *fence.deadline.of(0);
        wait::until("the deadline has passed", LIMIT, async || {
            Micros::now() > deadline
        })
        .await
        .unwrap();
        server.resume().unwrap();
    };
    let (replies, ()) = tokio::join!(writer.apply(fence, &write), resumed);
    assert_eq!(replies, [WriteReply::Late]);
    assert_eq!(bench.get(b"k").await.unwrap(), b"old");

    bench.fence.deadline = bench
        .writer
        .time()
        .await
        .unwrap()
        .map(|now| now.plus(Duration::from_secs(60)));
    assert_eq!(
        bench.apply(replace(b"k", b"old", b"new")).await,
        WriteReply::Applied,
        "the connection lives on"
    );
}

#[tokio::test]
async fn scripts_that_the_server_forgot_are_sent_again_once() {
    let mut bench = Bench::start().await;
    bench.run("SET", &[b"n", b"1"]).await;
    bench.run("SCRIPT", &[b"FLUSH"]).await;
    let writes = [
        Write::AddToString {
            key: b"n".to_vec(),
            judged: b("1".as_bytes()),
            gap: 1,
        },
        replace(b"gone", b"x", b"y"),
    ];
    let replies = bench.writer.apply(&bench.fence, &writes).await;
    assert_eq!(replies, [WriteReply::Applied, WriteReply::Changed]);
    assert_eq!(bench.get(b"n").await.unwrap(), b"2");
}

#[tokio::test]
async fn a_full_server_refuses_and_says_so() {
    let mut bench = Bench::start().await;
    bench.run("SET", &[b"k", b"old"]).await;
    bench.run("CONFIG", &[b"SET", b"maxmemory", b"1"]).await;
    bench.is_refused(replace(b"k", b"old", b"new"), "OOM").await;
    bench.run("CONFIG", &[b"SET", b"maxmemory", b"0"]).await;
    bench
        .run("CONFIG", &[b"SET", b"min-replicas-to-write", b"1"])
        .await;
    bench
        .is_refused(replace(b"k", b"old", b"new"), "NOREPLICAS")
        .await;
    assert_eq!(bench.get(b"k").await.unwrap(), b"old");
}

#[tokio::test]
async fn a_writer_is_given_only_for_the_pinned_node() {
    let server = plain_server().await;
    let pinned = pinned(&server).await.nodes.remove(0).identity;
    let connect = async |pinned: &NodeIdentity| {
        let pinned = Pinned::one("here", pinned.clone());
        Writer::connect(&spec(server.port()), &pinned).await.err()
    };
    assert!(connect(&pinned).await.is_none());
    for other in [
        NodeIdentity {
            run_id: "x".into(),
            ..pinned.clone()
        },
        NodeIdentity {
            replication_id: "x".into(),
            ..pinned.clone()
        },
        NodeIdentity {
            is_master: false,
            ..pinned.clone()
        },
    ] {
        let error = connect(&other).await.unwrap();
        assert!(matches!(error, RedisError::TopologyChanged(_)), "{error}");
    }
    server.restart().await.unwrap();
    assert!(matches!(
        connect(&pinned).await,
        Some(RedisError::TopologyChanged(_))
    ));
}
