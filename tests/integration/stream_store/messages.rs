//! One pending message: acknowledged, or handed to another consumer.

use auditor::model::stream::StreamId;
use auditor::store::redis::{Held, Settlement, WriteReply};

use super::{G, HUGE, S, Stand, ack, id, on_each};

/// Longer than any test takes.
const HOUR: u64 = 3_600_000;

fn claim(held: Held, consumer: &str) -> Settlement {
    Settlement::Claim {
        key: S.to_vec(),
        group: G.to_vec(),
        held,
        consumer: consumer.as_bytes().to_vec(),
    }
}

fn ack_trimmed(held: Held) -> Settlement {
    Settlement::Ack {
        key: S.to_vec(),
        group: G.to_vec(),
        held,
        is_trimmed: true,
    }
}

async fn pending_ids(stand: &Stand) -> Vec<u64> {
    stand.pending().await.iter().map(|p| p.id.millis).collect()
}

#[tokio::test]
async fn a_message_is_acknowledged_once_and_alone() {
    on_each(async |mut stand| {
        stand.fill(3).await;
        stand.deliver("c", 3).await;
        let held = stand.held(id(2)).await;
        assert_eq!(stand.settle(ack(held.clone())).await, WriteReply::Applied);
        assert_eq!(pending_ids(&stand).await, [1, 3]);
        assert_eq!(stand.entries(S).await.len(), 3, "the entry stays");
        stand.is_changed(ack(held)).await;
    })
    .await;
}

#[tokio::test]
async fn many_steps_of_one_call_are_answered_in_order() {
    on_each(async |mut stand| {
        stand.fill(300).await;
        stand.deliver("c", 300).await;
        let mut steps = Vec::new();
        for row in stand.pending().await {
            let deliveries = row.deliveries + u64::from(row.id.millis % 3 == 0);
            steps.push(ack(Held {
                id: row.id,
                consumer: row.consumer,
                deliveries,
                idle_millis: row.idle_millis,
                owner_idle_min_millis: None,
            }));
        }
        stand.run("SCRIPT FLUSH").await;
        let replies = stand.writer.settle(&stand.fence, &steps).await;
        assert_eq!(replies.len(), 300);
        for (number, reply) in (1..).zip(&replies) {
            let expected = if number % 3 == 0 {
                WriteReply::Changed
            } else {
                WriteReply::Applied
            };
            assert_eq!(*reply, expected, "{number}");
        }
        assert_eq!(stand.pending().await.len(), 100);
        assert!(stand.writer.settle(&stand.fence, &[]).await.is_empty());
    })
    .await;
}

/// Every way a message can differ from what was judged, for the step that `step` makes of it.
async fn refuses_what_moved(mut stand: Stand, step: impl Fn(Held) -> Settlement) {
    stand.fill(1).await;
    stand.deliver("c", 1).await;
    stand
        .run("XCLAIM s g c 0 1-1 IDLE 70000 RETRYCOUNT 3 JUSTID")
        .await;
    let held = stand.held(id(1)).await;
    let with = |change: &dyn Fn(&mut Held)| {
        let mut other = held.clone();
        change(&mut other);
        step(other)
    };
    stand
        .is_changed(with(&|h| h.consumer = b"C".to_vec()))
        .await;
    stand.is_changed(with(&|h| h.consumer = Vec::new())).await;
    stand.is_changed(with(&|h| h.deliveries = 2)).await;
    stand.is_changed(with(&|h| h.deliveries = 4)).await;
    stand.is_changed(with(&|h| h.idle_millis += HOUR)).await;
    stand.is_changed(with(&|h| h.id = id(2))).await;

    // Claimed by another, and by its own owner again without a delivery counted.
    stand.run("XCLAIM s g d 0 1-1 IDLE 80000 JUSTID").await;
    stand.is_changed(step(held.clone())).await;
    stand.run("XCLAIM s g c 0 1-1 JUSTID").await;
    assert_eq!(stand.held(id(1)).await.deliveries, 3);
    stand.is_changed(step(held.clone())).await;

    stand.run("XGROUP DESTROY s g").await;
    stand.is_changed(step(held.clone())).await;
    stand.run("DEL s").await;
    stand.is_changed(step(held.clone())).await;
    stand.run("RPUSH s x").await;
    stand.is_refused(step(held), "WRONGTYPE").await;
}

#[tokio::test]
async fn a_message_that_moved_is_not_acknowledged() {
    on_each(async |stand| refuses_what_moved(stand, ack).await).await;
}

#[tokio::test]
async fn a_message_that_moved_is_not_claimed() {
    on_each(async |stand| refuses_what_moved(stand, |held| claim(held, "recovery")).await).await;
}

/// The owner must have rested for as long as was asked.
async fn refuses_a_live_owner(mut stand: Stand, step: impl Fn(Held) -> Settlement) {
    stand.fill(1).await;
    stand.deliver("c", 1).await;
    stand.rest("c", 5).await;
    let mut held = stand.held(id(1)).await;
    held.owner_idle_min_millis = Some(HOUR);
    stand.is_changed(step(held.clone())).await;
    held.owner_idle_min_millis = Some(5);
    assert_eq!(stand.settle(step(held)).await, WriteReply::Applied);
}

#[tokio::test]
async fn a_live_owner_keeps_his_message() {
    on_each(async |stand| refuses_a_live_owner(stand, ack).await).await;
    on_each(async |stand| refuses_a_live_owner(stand, |held| claim(held, "recovery")).await).await;
}

#[tokio::test]
async fn a_claim_keeps_the_count_and_changes_hands_once() {
    on_each(async |mut stand| {
        stand.fill(2).await;
        stand.deliver("c", 2).await;
        stand
            .run("XCLAIM s g c 0 1-1 IDLE 70000 RETRYCOUNT 5 JUSTID")
            .await;
        let held = stand.held(id(1)).await;
        stand.is_changed(claim(held.clone(), "c")).await;
        assert_eq!(
            stand.settle(claim(held.clone(), "recovery")).await,
            WriteReply::Applied
        );
        let row = stand.pending_row(id(1)).await.unwrap();
        assert_eq!(
            (row.consumer.as_slice(), row.deliveries),
            (&b"recovery"[..], 5)
        );
        assert!(row.idle_millis < 60_000, "it begins to age anew");
        stand.is_changed(claim(held, "recovery")).await;
        assert_eq!(stand.consumer("c").await.pending, 1);
    })
    .await;
}

#[tokio::test]
async fn a_trimmed_message_is_not_claimed_because_that_would_drop_it() {
    on_each(async |mut stand| {
        stand.fill(2).await;
        stand.deliver("c", 2).await;
        stand.run("XDEL s 1-1").await;
        let held = stand.held(id(1)).await;
        stand.is_changed(claim(held.clone(), "recovery")).await;
        assert_eq!(pending_ids(&stand).await, [1, 2]);

        let present = stand.held(id(2)).await;
        stand.is_changed(ack_trimmed(present)).await;
        assert_eq!(stand.settle(ack_trimmed(held)).await, WriteReply::Applied);
        assert_eq!(pending_ids(&stand).await, [2]);
    })
    .await;
}

#[tokio::test]
async fn neighbours_at_the_end_of_64_bits_are_not_mixed_up() {
    on_each(async |mut stand| {
        stand.run("XGROUP CREATE s g 0 MKSTREAM").await;
        let ids = [HUGE - 1, HUGE, HUGE + 1].map(|sequence| StreamId::new(HUGE, sequence));
        for id in ids {
            stand.run(&format!("XADD s {id} f v")).await;
        }
        stand.deliver("c", 3).await;
        let held = stand.held(ids[1]).await;
        assert_eq!(
            stand.settle(claim(held, "recovery")).await,
            WriteReply::Applied
        );
        let held = stand.held(ids[1]).await;
        assert_eq!(held.consumer, b"recovery");
        assert_eq!(stand.settle(ack(held)).await, WriteReply::Applied);
        let left: Vec<StreamId> = stand.pending().await.iter().map(|p| p.id).collect();
        assert_eq!(left, [ids[0], ids[2]]);
    })
    .await;
}
