//! A group that is made again, a cursor that moves, a last id that is raised.

use auditor::model::stream::{StreamId, StreamState};
use auditor::model::time::Micros;
use auditor::store::redis::{Settlement, WriteReply};

use super::{G, HUGE, S, id, on_each};

fn recreate(at: StreamId, makes_stream: bool) -> Settlement {
    Settlement::RecreateGroup {
        key: S.to_vec(),
        group: G.to_vec(),
        at,
        makes_stream,
    }
}

fn advance(from: StreamId, to: StreamId, passed: u64) -> Settlement {
    Settlement::Advance {
        key: S.to_vec(),
        group: G.to_vec(),
        from,
        to,
        passed,
    }
}

fn raise(to: StreamId, skew_millis: u64) -> Settlement {
    Settlement::RaiseLastId {
        key: S.to_vec(),
        to,
        skew_millis,
    }
}

#[tokio::test]
async fn a_lost_group_is_recreated_where_it_was_judged_to_begin() {
    on_each(async |mut stand| {
        for number in 1..=3 {
            stand.run(&format!("XADD s {number}-1 f v")).await;
        }
        stand.is_changed(recreate(id(4), false)).await;
        stand.is_changed(recreate(id(2), true)).await;
        assert_eq!(
            stand.settle(recreate(id(2), false)).await,
            WriteReply::Applied
        );
        assert_eq!(stand.cursor().await, id(2));
        stand.deliver("c", 9).await;
        assert_eq!(stand.pending().await[0].id, id(3));
        stand.is_changed(recreate(id(1), false)).await;
        assert_eq!(stand.cursor().await, id(3), "the group that is there stays");
    })
    .await;
}

#[tokio::test]
async fn a_lost_stream_is_made_only_where_it_still_is_lost() {
    on_each(async |mut stand| {
        stand.is_changed(recreate(StreamId::MIN, false)).await;
        assert_eq!(
            stand.settle(recreate(StreamId::MIN, true)).await,
            WriteReply::Applied
        );
        let facts = stand.facts().await;
        assert_eq!((facts.length, facts.groups.len()), (0, 1));
        stand.is_changed(recreate(StreamId::MIN, true)).await;
        stand.run("XGROUP DESTROY s g").await;
        stand.is_changed(recreate(StreamId::MIN, true)).await;
        assert_eq!(
            stand.settle(recreate(StreamId::MIN, false)).await,
            WriteReply::Applied
        );

        stand.run("DEL s").await;
        stand.run("SET s x").await;
        stand
            .is_refused(recreate(StreamId::MIN, true), "WRONGTYPE")
            .await;
        stand
            .is_refused(recreate(StreamId::MIN, false), "WRONGTYPE")
            .await;
    })
    .await;
}

#[tokio::test]
async fn a_cursor_moves_forward_from_where_it_was_judged() {
    on_each(async |mut stand| {
        let ids = [9, 10, HUGE, HUGE + 1].map(|sequence| StreamId::new(7, sequence));
        stand.run("XGROUP CREATE s g 0 MKSTREAM").await;
        for id in ids {
            stand.run(&format!("XADD s {id} f v")).await;
        }
        stand.deliver("c", 1).await;
        let read = async || stand.facts().await.group(G).unwrap().entries_read;
        assert_eq!(read().await, Some(1));
        stand.is_changed(advance(StreamId::MIN, ids[1], 1)).await;
        stand.is_changed(advance(ids[1], ids[2], 1)).await;
        stand
            .is_changed(advance(ids[0], StreamId::new(8, 0), 4))
            .await;
        assert_eq!(
            stand.settle(advance(ids[0], ids[2], 2)).await,
            WriteReply::Applied
        );
        assert_eq!(stand.cursor().await, ids[2]);
        assert_eq!(stand.facts().await.group(G).unwrap().entries_read, Some(3));
        stand
            .is_refused(advance(ids[2], ids[1], 1), "forward")
            .await;
        assert_eq!(
            stand.settle(advance(ids[2], ids[3], 1)).await,
            WriteReply::Applied
        );
        assert_eq!(stand.cursor().await, ids[3]);
        assert_eq!(stand.pending().await.len(), 1, "what is pending stays so");

        stand.run("XGROUP DESTROY s g").await;
        stand.is_changed(advance(ids[2], ids[3], 1)).await;
        stand.run("DEL s").await;
        stand.is_changed(advance(ids[2], ids[3], 1)).await;
    })
    .await;
}

#[tokio::test]
async fn milliseconds_at_the_end_of_64_bits_are_told_apart() {
    on_each(async |mut stand| {
        let ids = [StreamId::new(HUGE, 5), StreamId::new(HUGE + 1, 1)];
        stand.run("XGROUP CREATE s g 0 MKSTREAM").await;
        for id in ids {
            stand.run(&format!("XADD s {id} f v")).await;
        }
        stand.deliver("c", 1).await;
        assert_eq!(
            stand.settle(advance(ids[0], ids[1], 1)).await,
            WriteReply::Applied
        );
        assert_eq!(stand.cursor().await, ids[1]);
    })
    .await;
}

#[tokio::test]
async fn a_server_that_does_not_count_what_was_read_is_not_told() {
    on_each(async |mut stand| {
        stand.fill(5).await;
        stand.run("XDEL s 2-1").await;
        stand.run("XGROUP SETID s g 3-1").await;
        let read = stand.facts().await.group(G).unwrap().entries_read;
        assert_eq!(read, None);
        assert_eq!(
            stand.settle(advance(id(3), id(4), 1)).await,
            WriteReply::Applied
        );
        let facts = stand.facts().await;
        let group = facts.group(G).unwrap();
        assert_eq!((group.last_delivered, group.entries_read), (id(4), None));
    })
    .await;
}

#[tokio::test]
async fn a_last_id_is_raised_never_lowered_and_never_into_the_future() {
    on_each(async |mut stand| {
        let step = |sequence, skew| raise(StreamId::new(1_000, sequence), skew);
        stand.is_changed(step(1, 0)).await;
        stand.run(&format!("XADD s 1000-{} f v", HUGE)).await;
        stand.is_changed(step(HUGE, 0)).await;
        stand.is_changed(step(HUGE - 1, 0)).await;
        stand
            .is_changed(raise(StreamId::new(999, u64::MAX), 0))
            .await;
        assert_eq!(stand.settle(step(HUGE + 1, 0)).await, WriteReply::Applied);
        let facts = stand.facts().await;
        assert_eq!(facts.last_generated, StreamId::new(1_000, HUGE + 1));
        assert_eq!(facts.length, 1);

        // By the number, not by the text: 999-… before 1000-….
        let now = stand.redis.time_of(S).await.unwrap();
        let soon = StreamId::at(now.plus(std::time::Duration::from_secs(600)));
        stand.is_refused(raise(soon, 0), "future").await;
        stand.is_refused(raise(soon, 500_000), "future").await;
        stand.is_refused(raise(StreamId::MAX, 0), "future").await;
        assert_eq!(
            stand.settle(raise(soon, 700_000)).await,
            WriteReply::Applied
        );
        assert_eq!(stand.facts().await.last_generated, soon);
        assert!(soon.instant().unwrap() > Micros::now());

        stand.run("DEL s").await;
        stand.is_changed(raise(id(1), 0)).await;
        assert_eq!(
            stand.redis.stream_state(S).await.unwrap(),
            StreamState::Missing
        );
        stand.run("SET s x").await;
        stand.is_refused(raise(id(1), 0), "WRONGTYPE").await;
    })
    .await;
}
