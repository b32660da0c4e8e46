//! A failover, and masters that are none any more, between the look and the script.

use auditor::lab::wait;

use super::{Held, INSERT, LIMIT, line, owned};
use crate::support::World;
use crate::support::bids::{GONE, GROUP, STREAM, id};

async fn replicated() -> World {
    let mut world = World::damaged(INSERT, 1).await;
    // WAIT counts from the last write of its own connection.
    world.redis::<()>(&["SET", "fence", "1"]).await;
    let level: usize = world.redis(&["WAIT", "1", "20000"]).await;
    assert_eq!(level, 1);
    world
}

/// The row is in; the message whose acknowledgement is lost waits on the new master, and is proven there.
#[tokio::test]
async fn a_failover_between_the_insert_and_the_acknowledgement_leaves_one_row() {
    let mut world = replicated().await;
    let held = Held::repair(&world).await;
    assert_eq!(world.rows_of(7).await, "1");
    let port = world.replicas[0].port();
    world.replicas[0]
        .command(&["REPLICAOF", "NO", "ONE"])
        .await
        .unwrap();
    world.redis.kill().unwrap();
    let run = held.finds(&world, port).await.expect(4);
    let report = run.report();
    assert!(
        report.findings.iter().all(|f| f["settled_at"].is_empty()
            && (f["outcome"] == "applied") == (f["remedy"] == "insert")),
        "{report:?}"
    );
    world.redis = world.replicas.remove(0);
    world.cache = world.redis.connect().await.unwrap();
    assert_eq!(world.pending().await, owned(&[6, 7, 8], GONE));
    let again = world.repair_full().expect(0);
    assert_eq!(
        again.report().settled(),
        [
            line("poison-pending", 8, "dead-letter applied"),
            line("unacked-persisted", 6, "ack applied"),
            line("unacked-persisted", 7, "ack applied"),
        ]
    );
    assert_eq!(world.rows_of(7).await, "1");
    assert!(world.pending().await.is_empty());
}

/// Nothing of what a demoted or lonely master holds was changed, and the run stops; the row that went in before is told.
#[track_caller]
fn is_fenced(run: &crate::support::Run, why: &str) {
    let report = run.report();
    assert_eq!(
        report.settled(),
        [
            line("orphan-pending", 7, "insert applied"),
            line("poison-pending", 8, "dead-letter refused"),
            line("unacked-persisted", 6, "ack refused"),
        ]
    );
    let said = report.findings.iter().map(|f| f["reason"].as_str());
    for reason in said {
        assert!(reason.contains(why), "{reason:?}");
    }
}

#[tokio::test]
async fn a_demoted_master_is_not_written_to() {
    let mut world = replicated().await;
    let held = Held::repair(&world).await;
    let port = world.replicas[0].port().to_string();
    world.replicas[0]
        .command(&["REPLICAOF", "NO", "ONE"])
        .await
        .unwrap();
    world.redis::<()>(&["REPLICAOF", "127.0.0.1", &port]).await;
    let run = held.goes_on(&world).await.expect(4);
    is_fenced(&run, "no master");
    let pending = world.replicas[0]
        .command(&["XPENDING", STREAM, GROUP, "-", "+", "10"])
        .await
        .unwrap();
    let redis::Value::Array(pending) = pending else {
        panic!("{pending:?}")
    };
    assert_eq!(pending.len(), 3);
}

#[tokio::test]
async fn a_master_without_its_replica_acknowledges_nothing() {
    let mut world = replicated().await;
    let held = Held::repair(&world).await;
    world.replicas[0].kill().unwrap();
    wait::until("the master is alone", LIMIT, async || {
        let count = world.redis.info("connected_slaves").await;
        count.is_ok_and(|count| count.as_deref() == Some("0"))
    })
    .await
    .unwrap();
    let run = held.goes_on(&world).await.expect(4);
    is_fenced(&run, "0 of 1 replicas");
    assert_eq!(world.pending().await, owned(&[6, 7, 8], GONE));
    assert_eq!(world.entries(STREAM).await.len(), 6);
    assert_eq!(world.cursor().await, id(8));
}
