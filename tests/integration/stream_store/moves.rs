//! Entries that are put elsewhere: to the end of their stream, or among the dead letters.

use auditor::lab::servers::{RedisOptions, RedisProgram, RedisServer};
use auditor::lab::wait;
use auditor::model::stream::{Entry, StreamId};
use auditor::store::redis::{Delivery, Held, Settlement, WriteReply};
use bytes::Bytes;
use redis::Value;

use super::{G, HUGE, S, Stand, fields, id, on_each};

const DEAD: &[u8] = b"{s}:dead";

fn requeue(id: StreamId, delivery: Delivery, fields: Vec<(Bytes, Bytes)>) -> Settlement {
    Settlement::Requeue {
        key: S.to_vec(),
        group: G.to_vec(),
        id,
        delivery,
        fields,
    }
}

fn dead_letter(held: Held, fields: Vec<(Bytes, Bytes)>) -> Settlement {
    Settlement::DeadLetter {
        key: S.to_vec(),
        group: G.to_vec(),
        held,
        dead_letter: DEAD.to_vec(),
        fields,
    }
}

/// What an entry holds, as text.
fn shown(entry: &Entry) -> Vec<(&str, &str)> {
    let text = |bytes| std::str::from_utf8(bytes).unwrap();
    let fields = entry.fields.iter();
    fields
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}

#[tokio::test]
async fn a_pending_entry_is_requeued_once() {
    on_each(async |mut stand| {
        stand.run("XGROUP CREATE s g 0 MKSTREAM").await;
        stand.run("XADD s 1-1 a 1 requeued_from 0-7 b 2").await;
        stand.run("XADD s 2-1 a 3").await;
        stand.deliver("c", 2).await;
        let judged = fields(&[("a", "1"), ("requeued_from", "0-7"), ("b", "2")]);
        let step = requeue(id(1), Delivery::Pending(stand.held(id(1)).await), judged);
        assert_eq!(stand.settle(step.clone()).await, WriteReply::Applied);

        let entries = stand.entries(S).await;
        assert_eq!(entries.len(), 2, "moved, not copied");
        assert_eq!(entries[0].id, id(2));
        assert_eq!(
            shown(&entries[1]),
            [("a", "1"), ("b", "2"), ("requeued_from", "1-1")]
        );
        let pending: Vec<StreamId> = stand.pending().await.iter().map(|p| p.id).collect();
        assert_eq!(pending, [id(2)]);
        stand.is_changed(step).await;
        stand.deliver("d", 9).await;
        assert_eq!(
            stand.pending().await[1].id,
            entries[1].id,
            "it is delivered anew"
        );
    })
    .await;
}

#[tokio::test]
async fn an_entry_is_requeued_only_from_the_side_of_the_cursor_it_was_judged_on() {
    on_each(async |mut stand| {
        stand.run("XGROUP CREATE s g 0 MKSTREAM").await;
        let ids = [HUGE - 1, HUGE, HUGE + 1].map(|sequence| StreamId::new(HUGE, sequence));
        for id in &ids[..2] {
            stand.run(&format!("XADD s {id} f v")).await;
        }
        stand.deliver("c", 1).await;
        let judged = || fields(&[("f", "v")]);
        stand
            .is_changed(requeue(ids[0], Delivery::Settled, judged()))
            .await;
        stand.run(&format!("XACK s g {}", ids[0])).await;
        stand
            .is_changed(requeue(ids[0], Delivery::Undelivered, judged()))
            .await;
        stand
            .is_changed(requeue(ids[1], Delivery::Settled, judged()))
            .await;
        stand
            .is_changed(requeue(ids[2], Delivery::Undelivered, judged()))
            .await;
        assert_eq!(stand.cursor().await, ids[0]);

        let step = requeue(ids[1], Delivery::Undelivered, judged());
        assert_eq!(stand.settle(step).await, WriteReply::Applied);
        let entries = stand.entries(S).await;
        assert_eq!((entries.len(), entries[1].id), (2, ids[2]));
        // The last id that there is was given: nothing can be added, so nothing is deleted.
        stand.run("DEL s").await;
        stand.run("XGROUP CREATE s g 0 MKSTREAM").await;
        stand.run("XADD s 1-1 f v").await;
        stand.deliver("c", 1).await;
        stand.run("XACK s g 1-1").await;
        stand.run(&format!("XADD s {} f v", StreamId::MAX)).await;
        stand
            .is_refused(requeue(id(1), Delivery::Settled, judged()), "")
            .await;
        stand.run(&format!("XDEL s {}", StreamId::MAX)).await;
        assert_eq!(stand.entries(S).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_settled_entry_is_requeued_and_the_cursor_stays() {
    on_each(async |mut stand| {
        stand.fill(2).await;
        stand.deliver("c", 2).await;
        stand.run("XACK s g 1-1 2-1").await;
        let step = requeue(id(2), Delivery::Settled, fields(&[("f", "2")]));
        assert_eq!(stand.settle(step.clone()).await, WriteReply::Applied);
        assert_eq!(stand.cursor().await, id(2));
        let entries = stand.entries(S).await;
        assert_eq!(shown(&entries[1]), [("f", "2"), ("requeued_from", "2-1")]);
        stand.is_changed(step).await;
        stand.run("XGROUP DESTROY s g").await;
        stand
            .is_changed(requeue(id(1), Delivery::Settled, fields(&[("f", "1")])))
            .await;
    })
    .await;
}

/// Other content than was judged, whatever the step that would move it.
async fn refuses_other_content(
    mut stand: Stand,
    step: impl Fn(Held, Vec<(Bytes, Bytes)>) -> Settlement,
) {
    stand.run("XGROUP CREATE s g 0 MKSTREAM").await;
    stand.run("XADD s 1-1 a 1 b 2").await;
    stand.deliver("c", 1).await;
    let held = stand.held(id(1)).await;
    for other in [
        &[("a", "1")][..],
        &[("a", "1"), ("b", "3")],
        &[("a", "1"), ("B", "2")],
        &[("b", "2"), ("a", "1")],
        &[("a", "1"), ("b", "2"), ("c", "3")],
    ] {
        stand.is_changed(step(held.clone(), fields(other))).await;
    }
    let judged = fields(&[("a", "1"), ("b", "2")]);
    let mut moved = held.clone();
    moved.deliveries = 2;
    stand.is_changed(step(moved, judged.clone())).await;
    let mut alive = held.clone();
    alive.owner_idle_min_millis = Some(3_600_000);
    stand.is_changed(step(alive, judged.clone())).await;

    // The stream was lost, and its ids were given again.
    stand.run("DEL s").await;
    stand.run("XGROUP CREATE s g 0 MKSTREAM").await;
    stand.run("XADD s 1-1 a 1 b OTHER").await;
    stand.deliver("c", 1).await;
    stand
        .run("XCLAIM s g c 0 1-1 IDLE 90000 RETRYCOUNT 1 JUSTID")
        .await;
    stand.is_changed(step(held.clone(), judged.clone())).await;
    stand.run("XDEL s 1-1").await;
    stand.is_changed(step(held, judged)).await;
    assert_eq!(stand.run("EXISTS {s}:dead").await, Value::Int(0));
}

#[tokio::test]
async fn other_content_than_judged_is_not_moved() {
    on_each(async |stand| {
        let step = |held: Held, judged| requeue(held.id, Delivery::Pending(held), judged);
        refuses_other_content(stand, step).await;
    })
    .await;
    on_each(async |stand| refuses_other_content(stand, dead_letter).await).await;
}

#[tokio::test]
async fn nothing_is_requeued_where_another_group_would_get_it_twice() {
    on_each(async |mut stand| {
        stand.fill(1).await;
        stand.deliver("c", 1).await;
        stand.run("XGROUP CREATE s other $").await;
        let held = stand.held(id(1)).await;
        let step = requeue(id(1), Delivery::Pending(held), fields(&[("f", "1")]));
        stand.is_refused(step.clone(), "another group").await;
        stand.run("XGROUP DESTROY s other").await;
        assert_eq!(stand.settle(step).await, WriteReply::Applied);
    })
    .await;
}

#[tokio::test]
async fn a_dead_letter_carries_its_id_and_is_written_once() {
    on_each(async |mut stand| {
        stand.run("XGROUP CREATE s g 0 MKSTREAM").await;
        stand.run("XADD s 1-1 a 1 original_id x").await;
        stand.deliver("c", 1).await;
        let held = stand.held(id(1)).await;
        let step = dead_letter(held, fields(&[("a", "1"), ("original_id", "x")]));
        assert_eq!(stand.settle(step.clone()).await, WriteReply::Applied);
        let letters = stand.entries(DEAD).await;
        assert_eq!(letters.len(), 1);
        let marked = [("a", "1"), ("original_stream", "s"), ("original_id", "1-1")];
        assert_eq!(shown(&letters[0]), marked);
        assert_eq!(stand.pending().await, []);
        assert_eq!(stand.entries(S).await.len(), 1, "the entry itself stays");
        stand.is_changed(step).await;
    })
    .await;
}

#[tokio::test]
async fn entries_of_any_bytes_and_many_fields_are_moved_whole() {
    on_each(async |mut stand| {
        stand.run("XGROUP CREATE s g 0 MKSTREAM").await;
        let every_byte = Bytes::from((0..=255).collect::<Vec<u8>>());
        let mut many = vec![(every_byte.clone(), Bytes::new())];
        many.extend((1..3_500).map(|n| (Bytes::from(format!("f{n}")), every_byte.clone())));
        let mut words: Vec<&[u8]> = vec![b"XADD", S, b"1-1"];
        words.extend(
            many.iter()
                .flat_map(|(name, value)| [&name[..], &value[..]]),
        );
        stand.run_bytes(&words).await;
        stand.deliver("c", 1).await;
        let held = stand.held(id(1)).await;
        let mut more = many.clone();
        more.push(many[1].clone());
        stand
            .is_refused(dead_letter(held.clone(), more), "fields")
            .await;
        let step = requeue(id(1), Delivery::Pending(held), many.clone());
        assert_eq!(stand.settle(step).await, WriteReply::Applied);
        let entries = stand.entries(S).await;
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].fields[..3_500], many);
        assert_eq!(entries[0].fields.len(), 3_501);
    })
    .await;
}

#[tokio::test]
async fn a_dead_letter_stays_in_its_slot_of_a_cluster() {
    for program in RedisProgram::present().unwrap() {
        let options = RedisOptions {
            lines: vec!["cluster-enabled yes".into()],
            program: Some(program.path.clone()),
            ..RedisOptions::default()
        };
        let server = RedisServer::start(options).await.unwrap();
        server
            .command(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"])
            .await
            .unwrap();
        wait::until("the cluster is whole", super::LIMIT, async || {
            let state = server.command(&["CLUSTER", "INFO"]).await;
            matches!(state, Ok(Value::BulkString(text)) if text.starts_with(b"cluster_state:ok"))
        })
        .await
        .unwrap();
        let mut stand = Stand::on(program.flavor, server).await;
        stand.fill(1).await;
        stand.deliver("c", 1).await;
        let step = |to: &[u8], held| Settlement::DeadLetter {
            key: S.to_vec(),
            group: G.to_vec(),
            held,
            dead_letter: to.to_vec(),
            fields: fields(&[("f", "1")]),
        };
        let held = stand.held(id(1)).await;
        stand
            .is_refused(step(b"elsewhere", held.clone()), "dead_letter must share")
            .await;
        assert_eq!(stand.settle(step(DEAD, held)).await, WriteReply::Applied);
        assert_eq!(stand.entries(DEAD).await.len(), 1);
    }
}
