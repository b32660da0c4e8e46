//! Looks at single ids: what they see, and when they do not count.

use std::time::Duration;

use auditor::model::stream::{EntryLook, StreamId};
use auditor::rules::StreamJudge;
use auditor::scan::ScanError;
use auditor::scan::streams::{DeadLetters, look_at_entries};

use super::{Bids, id, none};
use crate::support::DATABASE;

async fn look(bids: &Bids, judge: &StreamJudge, ids: &[&str]) -> Vec<EntryLook> {
    let ids: Vec<StreamId> = ids.iter().map(|text| id(text)).collect();
    look_at_entries(&bids.source, &bids.cache, judge, &none(judge), &ids)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_look_sees_both_sides_of_every_id_in_the_order_asked() {
    let mut bids = Bids::start().await;
    bids.create_group().await;
    for bid in 1..=3 {
        bids.add(&format!("{bid}-0"), bid).await;
    }
    bids.deliver("c").await;
    bids.add("4-0", 4).await;
    bids.world.redis::<()>(&["XDEL", "bids", "2-0"]).await;
    bids.world.redis::<()>(&["XACK", "bids", "g", "3-0"]).await;
    bids.persist(3).await;
    let judge = bids.judge(|_| {}).await;
    let looks = look(&bids, &judge, &["4-0", "2-0", "9-9", "1-0", "3-0"]).await;
    let seen: Vec<_> = looks
        .iter()
        .map(|l| {
            assert!(l.counts());
            assert_eq!(l.cursor_before, Some(id("3-0")));
            assert_eq!(l.cursor_after, Some(id("3-0")));
            assert_eq!(l.before.is_some(), l.after.is_some());
            (
                l.id,
                l.entry.is_some(),
                l.before.is_some(),
                l.evidence.rows.len(),
            )
        })
        .collect();
    let expected = [
        (id("4-0"), true, false, 0),
        (id("2-0"), false, true, 0),
        (id("9-9"), false, false, 0),
        (id("1-0"), true, true, 0),
        (id("3-0"), true, false, 1),
    ];
    assert_eq!(seen, expected);
    assert!(!looks[0].source.read_only);
}

#[tokio::test]
async fn an_owner_is_named_with_what_it_last_did() {
    let mut bids = Bids::start().await;
    bids.create_group().await;
    bids.add("1-0", 1).await;
    bids.deliver("here").await;
    let judge = bids.judge(|_| {}).await;
    let looks = look(&bids, &judge, &["1-0"]).await;
    let pending = looks[0].before.as_ref().unwrap();
    assert_eq!(pending.row.consumer, b"here");
    assert_eq!(pending.owner.as_ref().unwrap().name, b"here");
    assert_eq!(pending.row.deliveries, 1);
}

#[tokio::test]
async fn more_ids_than_one_look_takes_are_all_looked_at() {
    let mut bids = Bids::start().await;
    bids.create_group().await;
    let mut pipeline = redis::pipe();
    for bid in 1..=1_203 {
        let words = super::entry(&format!("{bid}-0"), bid, "BID");
        pipeline.cmd(&words[0]).arg(&words[1..]);
    }
    pipeline
        .query_async::<()>(&mut bids.world.cache)
        .await
        .unwrap();
    bids.persist(1_203).await;
    let judge = bids.judge(|_| {}).await;
    let ids: Vec<StreamId> = (1..=1_203).map(|n| StreamId::new(n, 0)).collect();
    let looks = look_at_entries(&bids.source, &bids.cache, &judge, &none(&judge), &ids)
        .await
        .unwrap();
    assert!(looks.iter().map(|l| l.id).eq(ids));
    assert!(looks.iter().all(|l| l.entry.is_some()));
    let proven: Vec<StreamId> = looks
        .iter()
        .filter(|l| !l.evidence.rows.is_empty())
        .map(|l| l.id)
        .collect();
    assert_eq!(proven, [id("1203-0")]);
}

/// Holds the table locked, so that a look waits between its two halves on Redis; then lets it go on.
async fn look_around(
    bids: &mut Bids,
    judge: &StreamJudge,
    ids: &[&str],
    meanwhile: &[&str],
) -> EntryLook {
    let mut locker = bids.world.mysql.connect(DATABASE).await.unwrap();
    let run = async |sql: &str, connection: &mut sqlx::MySqlConnection| {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))
            .execute(connection)
            .await
            .unwrap();
    };
    run("LOCK TABLES bid WRITE", &mut locker).await;
    let (source, cache) = (bids.source.clone(), bids.cache.clone());
    let (looking, dead) = (judge.clone(), none(judge));
    let ids: Vec<StreamId> = ids.iter().map(|text| id(text)).collect();
    let task = tokio::spawn(async move {
        look_at_entries(&source, &cache, &looking, &dead, &ids)
            .await
            .unwrap()
    });
    let watched = &mut bids.world;
    let waits =
        "SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE 'Waiting for table%'";
    let start = std::time::Instant::now();
    while watched.sql_text(waits).await.as_deref() != Some("1") {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "the look never asked"
        );
        tokio::task::yield_now().await;
    }
    watched.redis::<redis::Value>(meanwhile).await;
    run("UNLOCK TABLES", &mut locker).await;
    task.await.unwrap().remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_changes_hands_while_the_primary_is_asked_does_not_count() {
    let mut bids = Bids::start().await;
    bids.create_group().await;
    for bid in 1..=2 {
        bids.add(&format!("{bid}-0"), bid).await;
    }
    bids.deliver("c").await;
    let judge = bids.judge(|_| {}).await;
    let claim = ["XCLAIM", "bids", "g", "other", "0", "1-0", "JUSTID"];
    let looked = look_around(&mut bids, &judge, &["1-0"], &claim).await;
    assert!(!looked.counts());
    assert_eq!(looked.before.unwrap().row.consumer, b"c");
    let after = looked.after.unwrap();
    assert_eq!(after.row.consumer, b"other");
    assert_eq!(after.owner.unwrap().name, b"other");

    let ack = ["XACK", "bids", "g", "2-0"];
    let looked = look_around(&mut bids, &judge, &["2-0"], &ack).await;
    assert!(!looked.counts());
    assert_eq!(looked.after, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_goes_away_takes_its_cursor_along() {
    let mut bids = Bids::start().await;
    bids.create_group().await;
    bids.add("1-0", 1).await;
    bids.deliver("c").await;
    let judge = bids.judge(|_| {}).await;
    let destroy = ["XGROUP", "DESTROY", "bids", "g"];
    let looked = look_around(&mut bids, &judge, &["1-0"], &destroy).await;
    assert_eq!(looked.cursor_before, Some(id("1-0")));
    assert_eq!((looked.cursor_after, looked.after.clone()), (None, None));
    assert!(!looked.counts());
    let looked = look(&bids, &judge, &["1-0"]).await.remove(0);
    assert_eq!((looked.cursor_before, looked.before), (None, None));
}

#[tokio::test]
async fn dead_letters_are_known_by_their_original_id_and_by_their_identity() {
    let mut bids = Bids::start().await;
    bids.create_group().await;
    for bid in 1..=5 {
        bids.add(&format!("{bid}-0"), bid).await;
    }
    bids.deliver("c").await;
    bids.world
        .redis::<()>(&["XACK", "bids", "g", "1-0", "2-0", "3-0", "4-0"])
        .await;
    let letters: [&[&str]; 4] = [
        &["type", "BID", "original_id", "1-0"],
        // The application's own wrapping.
        &["bidId", "2", "reason", "broken"],
        // Another stream's, which shares the dead letters.
        &["type", "VIEW", "original_id", "3-0", "bidId", "3"],
        &["original_id", "no id"],
    ];
    for letter in letters {
        let words = [&["XADD", "dead", "*"], letter].concat();
        bids.world.redis::<String>(&words).await;
    }
    let judge = bids
        .judge(|check| check.dead_letter = Some(b"dead".to_vec()))
        .await;
    let dead = DeadLetters::new(&judge);
    let ids = ["1-0", "2-0", "3-0", "4-0", "5-0"].map(id);
    let (source, cache) = (bids.source.clone(), bids.cache.clone());
    let held = async |dead: &DeadLetters| -> Vec<bool> {
        look_at_entries(&source, &cache, &judge, dead, &ids)
            .await
            .unwrap()
            .iter()
            .map(|l| l.is_dead_lettered)
            .collect()
    };
    assert_eq!(held(&dead).await, [true, true, false, false, false]);
    let mut connection = bids.world.redis.connect().await.unwrap();
    // More than one page of them, and the one that matters last.
    let mut pipeline = redis::pipe();
    for n in 0..2_500 {
        pipeline
            .cmd("XADD")
            .arg(&["dead", "*", "bidId"])
            .arg(9_000 + n);
    }
    pipeline
        .cmd("XADD")
        .arg(&["dead", "*", "original_id", "4-0"]);
    pipeline.query_async::<()>(&mut connection).await.unwrap();
    assert_eq!(
        held(&dead).await,
        [true, true, false, true, false],
        "what was added since is read, too"
    );
    let letter = ["XADD", "dead", "*", "original_id", "5-0"];
    bids.world.redis::<String>(&letter).await;
    assert_eq!(
        held(&dead).await,
        [true, true, false, true, true],
        "whoever moved it may have died before the acknowledgement"
    );
    let back = ["XGROUP", "SETID", "bids", "g", "0"];
    bids.world.redis::<()>(&back).await;
    assert_eq!(
        held(&dead).await,
        [false, false, false, false, true],
        "it is pending wherever the cursor is; the others will be delivered anew"
    );
}

#[tokio::test]
async fn a_letter_is_about_its_own_entry_alone() {
    let mut bids = Bids::start().await;
    bids.create_group().await;
    for bid in 1..=7 {
        bids.add(&format!("{bid}-0"), bid).await;
    }
    bids.deliver("c").await;
    bids.world
        .redis::<()>(&[
            "XACK", "bids", "g", "1-0", "2-0", "3-0", "4-0", "5-0", "6-0", "7-0",
        ])
        .await;
    let letters: [&[&str]; 6] = [
        &["8-0", "bidId", "1", "original_id", "1-0"],
        // Another stream's entry of the same id, and this one's of an older delivery.
        &["8-1", "bidId", "99", "original_id", "2-0"],
        &["8-2", "bidId", "3", "original_id", "2-5"],
        &["8-3", "original_id", "4-0", "original_stream", "others"],
        &["8-4", "original_id", "5-0", "original_stream", "bids"],
        // The application's own, of what was there before it.
        &["8-5", "bidId", "6"],
    ];
    for letter in letters {
        let words = [&["XADD", "dead"], letter].concat();
        bids.world.redis::<String>(&words).await;
    }
    // Driven again: the same bid under a newer id.
    bids.add("9-0", 6).await;
    bids.deliver("c").await;
    bids.world.redis::<()>(&["XACK", "bids", "g", "9-0"]).await;
    let judge = bids
        .judge(|check| check.dead_letter = Some(b"dead".to_vec()))
        .await;
    let dead = DeadLetters::new(&judge);
    let ids = ["1-0", "2-0", "3-0", "4-0", "5-0", "6-0", "9-0"].map(id);
    let looks = look_at_entries(&bids.source, &bids.cache, &judge, &dead, &ids).await;
    let looks = looks.unwrap();
    let held: Vec<bool> = looks.iter().map(|l| l.is_dead_lettered).collect();
    assert_eq!(held, [true, false, false, false, true, true, false]);
}

#[tokio::test]
async fn dead_letters_that_are_no_stream_are_a_fault() {
    let mut bids = Bids::start().await;
    bids.create_group().await;
    bids.add("1-0", 1).await;
    bids.deliver("c").await;
    bids.world.redis::<()>(&["SET", "dead", "x"]).await;
    let judge = bids
        .judge(|check| check.dead_letter = Some(b"dead".to_vec()))
        .await;
    let dead = DeadLetters::new(&judge);
    let looked = look_at_entries(&bids.source, &bids.cache, &judge, &dead, &[id("1-0")]).await;
    assert!(matches!(looked, Err(ScanError::Cache(_))));
    // Nobody asks for them where they cannot matter.
    bids.persist(1).await;
    look_at_entries(&bids.source, &bids.cache, &judge, &dead, &[id("1-0")])
        .await
        .unwrap();
}
