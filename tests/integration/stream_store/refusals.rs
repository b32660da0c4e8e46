//! What the server or the fence forbids leaves everything as it was.

use std::time::Duration;

use auditor::lab::proxy::{Mode, Proxy};
use auditor::lab::wait;
use auditor::model::stream::StreamId;
use auditor::model::time::Micros;
use auditor::store::redis::{Delivery, Held, PerNode, Settlement, WriteReply, Writer};

use super::{G, LIMIT, S, Stand, ack, fields, id, on_each, spec, spec_of_user};

/// Every step, each of which would be done if nothing forbade it: `fill`ed with 3 entries, of which 1 is pending.
async fn ready(stand: &Stand) -> Vec<Settlement> {
    stand.fill(3).await;
    stand.deliver("c", 1).await;
    steps(stand.held(id(1)).await)
}

fn steps(held: Held) -> Vec<Settlement> {
    let (key, group) = (|| S.to_vec(), || G.to_vec());
    vec![
        ack(held.clone()),
        Settlement::Claim {
            key: key(),
            group: group(),
            held: held.clone(),
            consumer: b"d".to_vec(),
        },
        Settlement::Requeue {
            key: key(),
            group: group(),
            id: id(1),
            delivery: Delivery::Pending(held.clone()),
            fields: fields(&[("f", "1")]),
        },
        Settlement::DeadLetter {
            key: key(),
            group: group(),
            held,
            dead_letter: b"dead".to_vec(),
            fields: fields(&[("f", "1")]),
        },
        Settlement::RecreateGroup {
            key: key(),
            group: b"lost".to_vec(),
            at: id(1),
            makes_stream: false,
        },
        Settlement::Advance {
            key: key(),
            group: group(),
            from: id(1),
            to: id(2),
            passed: 1,
        },
        Settlement::RaiseLastId {
            key: key(),
            to: StreamId::new(3, 9),
            skew_millis: 0,
        },
    ]
}

/// What none of a step's replies may have done.
async fn untouched(
    stand: &mut Stand,
    steps: &[Settlement],
    is_right: impl Fn(&WriteReply) -> bool,
) {
    let before = stand.changes().await;
    let replies = stand.writer.settle(&stand.fence, steps).await;
    assert_eq!(replies.len(), steps.len());
    for (step, reply) in steps.iter().zip(&replies) {
        assert!(is_right(reply), "{step:?}: {reply:?}");
    }
    assert_eq!(stand.changes().await, before, "something was written");
}

#[tokio::test]
async fn every_step_stands_behind_the_fence() {
    on_each(async |mut stand| {
        let steps = ready(&stand).await;
        let right = stand.fence.clone();
        let pinned = stand.pinned().await;
        let mut other = pinned.clone();
        other.nodes[0].identity.replication_id = "0".repeat(40);
        stand.writer.repin(&other);
        untouched(
            &mut stand,
            &steps,
            |reply| matches!(reply, WriteReply::Fenced(why) if why.contains("replication id")),
        )
        .await;
        stand.writer.repin(&pinned);
        stand.fence.min_replicas = PerNode::all(1);
        untouched(
            &mut stand,
            &steps,
            |reply| matches!(reply, WriteReply::Fenced(why) if why.contains("0 of 1")),
        )
        .await;
        stand.fence = right.clone();
        stand.fence.deadline = PerNode::all(Micros(stand.redis.time_of(S).await.unwrap().0 - 1));
        untouched(&mut stand, &steps, |reply| *reply == WriteReply::Late).await;

        stand.fence = right;
        for step in [0, 4, 5, 6] {
            let reply = stand.settle(steps[step].clone()).await;
            assert_eq!(reply, WriteReply::Applied, "{:?}", steps[step]);
        }
    })
    .await;
}

#[tokio::test]
async fn a_full_server_moves_nothing_but_still_acknowledges() {
    on_each(async |mut stand| {
        let steps = ready(&stand).await;
        stand.run("CONFIG SET maxmemory 1").await;
        stand.is_refused(steps[2].clone(), "OOM").await;
        stand.is_refused(steps[3].clone(), "OOM").await;
        assert_eq!(stand.entries(S).await.len(), 3);
        assert_eq!(stand.settle(steps[0].clone()).await, WriteReply::Applied);
    })
    .await;
}

#[tokio::test]
async fn a_dead_letter_that_cannot_be_written_is_not_acknowledged() {
    on_each(async |mut stand| {
        let steps = ready(&stand).await;
        stand.run("RPUSH dead x").await;
        stand.is_refused(steps[3].clone(), "WRONGTYPE").await;
        assert_eq!(stand.pending().await.len(), 1);
    })
    .await;
}

/// A move is two or three commands: lacking the right to any of them forbids all.
#[tokio::test]
async fn a_user_without_one_of_the_commands_writes_nothing() {
    on_each(async |mut stand| {
        let steps = ready(&stand).await;
        let pinned = stand.pinned().await;
        for (lacking, forbidden) in [
            ("xadd", &[2, 3][..]),
            ("xdel", &[2]),
            ("xack", &[0, 2, 3]),
            ("xclaim", &[1]),
            ("xpending", &[0, 1, 2, 3]),
            ("xinfo", &[2, 4, 5, 6]),
            ("xrange", &[1, 2, 3]),
            ("xgroup", &[4, 5]),
            ("xsetid", &[6]),
        ] {
            stand
                .run(&format!(
                    "ACL SETUSER lean reset on >secret ~* +@all -{lacking}"
                ))
                .await;
            let spec = spec_of_user(stand.server.port(), "lean");
            stand.writer = Writer::connect(&spec, &pinned).await.unwrap();
            for step in forbidden {
                stand
                    .is_refused(steps[*step].clone(), "grant the repairing user")
                    .await;
            }
        }
        let after = stand.held(id(1)).await;
        assert_eq!(
            (after.consumer.as_slice(), after.deliveries),
            (&b"c"[..], 1)
        );
        // The dead letters lie under a key of their own, which wants a right of its own.
        stand
            .run("ACL SETUSER lean reset on >secret ~s +@all")
            .await;
        stand
            .is_refused(steps[3].clone(), "grant the repairing user")
            .await;
    })
    .await;
}

#[tokio::test]
async fn a_step_whose_reply_was_lost_is_unknown_and_happened_once() {
    on_each(async |stand| {
        let steps = ready(&stand).await;
        let pinned = stand.pinned().await;
        let proxy = Proxy::start(stand.server.port()).await.unwrap();
        let mut writer = Writer::connect(&spec(proxy.port()), &pinned).await.unwrap();
        proxy.set_mode(Mode::DropReplies);
        let dropped = async {
            wait::until("the entry was moved", LIMIT, async || {
                stand.pending().await.is_empty() && proxy.dropped_reply_bytes() > 0
            })
            .await
            .unwrap();
            proxy.set_mode(Mode::Pass);
            proxy.cut_connections();
        };
        let (replies, ()) = tokio::join!(writer.settle(&stand.fence, &steps[2..3]), dropped);
        assert!(
            matches!(replies[..], [WriteReply::Unknown(_)]),
            "{replies:?}"
        );
        let entries = stand.entries(S).await;
        let moved = entries
            .iter()
            .filter(|e| e.field(b"requeued_from").is_some());
        assert_eq!((moved.count(), entries.len()), (1, 3));
        let again = writer.settle(&stand.fence, &steps[2..3]).await;
        assert!(
            matches!(again[..], [WriteReply::Unknown(_)]),
            "it does not reconnect"
        );
    })
    .await;
}

#[tokio::test]
async fn a_step_that_reaches_a_stalled_server_too_late_is_not_done() {
    on_each(async |mut stand| {
        let steps = ready(&stand).await;
        let soon = stand.redis.time_of(S).await.unwrap();
        stand.fence.deadline = PerNode::all(soon.plus(Duration::from_millis(300)));
        let before = stand.changes().await;
        stand.server.pause().await.unwrap();
        let Stand {
            server,
            writer,
            fence,
            ..
        } = &mut stand;
        let resumed = async {
            let deadline = *fence.deadline.of(0);
            wait::until("the deadline has passed", LIMIT, async || {
                Micros::now() > deadline
            })
            .await
            .unwrap();
            server.resume().unwrap();
        };
        let (replies, ()) = tokio::join!(writer.settle(fence, &steps), resumed);
        assert!(
            replies.iter().all(|reply| *reply == WriteReply::Late),
            "{replies:?}"
        );
        assert_eq!(stand.changes().await, before);
    })
    .await;
}
