//! How far a group provably came.

use std::time::Duration;

use auditor::model::stream::{GroupLook, Identity, StreamId, StreamState};
use auditor::model::time::Micros;
use auditor::rules::StreamJudge;
use auditor::scan::ScanError;
use auditor::scan::streams::{Claimant, DeadLetters, SourceIds, Unpaced, look_at_group};
use auditor::store::mysql::{KeyRange, Selection};

use super::paces::Slow;
use super::{Bids, entry, id, named};

pub(super) const SKEW: Duration = Duration::from_secs(5);

async fn look_by(bids: &Bids, judges: &[&StreamJudge], carried: &[StreamId]) -> GroupLook {
    let dead: Vec<DeadLetters> = judges.iter().map(|judge| DeadLetters::new(judge)).collect();
    let claimants: Vec<Claimant<'_>> = judges
        .iter()
        .zip(&dead)
        .map(|(judge, dead)| Claimant { judge, dead })
        .collect();
    look_at_group(
        &bids.source,
        &bids.cache,
        &claimants,
        carried,
        SKEW,
        &Unpaced,
    )
    .await
    .unwrap()
}

async fn look(bids: &Bids, judge: &StreamJudge) -> GroupLook {
    look_by(bids, &[judge], &[]).await
}

/// Where the walk ended, and across how many entries.
fn end(look: &GroupLook) -> (Option<StreamId>, u64) {
    assert!(look.counts());
    (look.proven_to, look.proven_count)
}

#[tokio::test]
async fn without_a_group_the_walk_ends_before_the_first_entry_that_is_not_proven() {
    let mut bids = Bids::start().await;
    let judge = bids.judge(|_| {}).await;
    let looked = look(&bids, &judge).await;
    assert_eq!(looked.stream, StreamState::Missing);
    assert_eq!(end(&looked), (Some(StreamId::MIN), 0));

    for bid in 1..=5 {
        bids.add(&format!("{bid}-3"), bid).await;
    }
    assert_eq!(
        end(&look(&bids, &judge).await),
        (Some(StreamId::MIN), 0),
        "the very first is not proven"
    );
    for bid in [1, 2, 4, 5] {
        bids.persist(bid).await;
    }
    let looked = look(&bids, &judge).await;
    assert_eq!(looked.cursor_before, None);
    assert_eq!(
        end(&looked),
        (Some(id("2-3")), 2),
        "what is proven after the gap does not count"
    );
    bids.persist(3).await;
    assert_eq!(end(&look(&bids, &judge).await), (Some(id("5-3")), 5));
}

#[tokio::test]
async fn with_a_group_the_walk_begins_after_its_cursor() {
    let mut bids = Bids::start().await;
    bids.create_group().await;
    let judge = bids.judge(|_| {}).await;
    for bid in 1..=6 {
        bids.add(&format!("{bid}-0"), bid).await;
    }
    for bid in [1, 2, 4, 5] {
        bids.persist(bid).await;
    }
    let looked = look(&bids, &judge).await;
    assert_eq!(looked.cursor_before, Some(StreamId::MIN));
    assert_eq!(end(&looked), (Some(id("2-0")), 2));
    bids.world
        .redis::<()>(&["XGROUP", "SETID", "bids", "g", "2-0"])
        .await;
    assert_eq!(
        end(&look(&bids, &judge).await),
        (None, 0),
        "3 is not proven"
    );
    bids.world
        .redis::<()>(&["XGROUP", "SETID", "bids", "g", "3-0"])
        .await;
    assert_eq!(end(&look(&bids, &judge).await), (Some(id("5-0")), 2));
    bids.deliver("c").await;
    assert_eq!(end(&look(&bids, &judge).await), (None, 0));
}

#[tokio::test]
async fn the_walk_goes_on_over_many_pages() {
    let mut bids = Bids::start().await;
    let mut pipeline = redis::pipe();
    for bid in 1..=3_300 {
        let words = entry(&format!("{bid}-0"), bid, "BID");
        pipeline.cmd(&words[0]).arg(&words[1..]);
    }
    pipeline
        .query_async::<()>(&mut bids.world.cache)
        .await
        .unwrap();
    bids.world
        .sql(
            "INSERT INTO bid (bid_id, bidder_id, amount)
             SELECT seq, seq % 7, seq + 0.5 FROM seq_1_to_3300 WHERE seq <> 2222",
        )
        .await;
    let judge = bids.judge(|_| {}).await;
    assert_eq!(end(&look(&bids, &judge).await), (Some(id("2221-0")), 2_221));
    bids.persist(2_222).await;
    assert_eq!(end(&look(&bids, &judge).await), (Some(id("3300-0")), 3_300));

    // It is asked between any two pages whether it should go on.
    let dead = DeadLetters::new(&judge);
    let claimant = Claimant {
        judge: &judge,
        dead: &dead,
    };
    let pace = Slow::stopping_after(2);
    let stopped = look_at_group(&bids.source, &bids.cache, &[claimant], &[], SKEW, &pace).await;
    assert!(matches!(stopped, Err(ScanError::Stopped)));
}

#[tokio::test]
async fn an_entry_that_no_check_claims_ends_the_walk() {
    let mut bids = Bids::start().await;
    bids.add("1-0", 1).await;
    bids.add_as("2-0", 2, "VIEW").await;
    bids.add("3-0", 3).await;
    bids.add_as("4-0", 4, "CLICK").await;
    bids.add("5-0", 5).await;
    for bid in 1..=5 {
        bids.persist(bid).await;
    }
    let judge = bids.judge(|_| {}).await;
    assert_eq!(end(&look(&bids, &judge).await), (Some(id("1-0")), 1));
    let views = bids
        .judge(|check| check.matches = vec![(b"type".to_vec(), b"VIEW".to_vec())])
        .await;
    let both = look_by(&bids, &[&judge, &views], &[]).await;
    assert_eq!(end(&both), (Some(id("3-0")), 3));
    let both = look_by(&bids, &[&views, &judge], &[]).await;
    assert_eq!(end(&both), (Some(id("3-0")), 3));
    bids.world.sql("DELETE FROM bid WHERE bid_id = '2'").await;
    let both = look_by(&bids, &[&judge, &views], &[]).await;
    assert_eq!(
        end(&both),
        (Some(id("1-0")), 1),
        "what the other check claims, it must also prove"
    );
}

#[tokio::test]
async fn rejected_and_dead_letters_are_settled_and_a_conflict_is_not() {
    let mut bids = Bids::start().await;
    for bid in 1..=5 {
        bids.add(&format!("{bid}-0"), bid).await;
    }
    for bid in [1, 5] {
        bids.persist(bid).await;
    }
    bids.world
        .sql("CREATE TABLE refused (bid_id VARCHAR(60)); INSERT INTO refused VALUES ('2')")
        .await;
    let letter = ["XADD", "dead", "*", "type", "BID", "original_id", "3-0"];
    bids.world.redis::<String>(&letter).await;
    bids.world
        .sql("INSERT INTO bid (bid_id, bidder_id, amount) VALUES ('4', 4, 400)")
        .await;
    let judge = bids
        .judge(|check| {
            check.rejected_sql = Some(named("SELECT bid_id FROM refused WHERE bid_id IN (:ids)"));
            check.dead_letter = Some(b"dead".to_vec());
        })
        .await;
    assert_eq!(end(&look(&bids, &judge).await), (Some(id("3-0")), 3));
    bids.world
        .sql("UPDATE bid SET amount = 4.5 WHERE bid_id = '4'")
        .await;
    assert_eq!(end(&look(&bids, &judge).await), (Some(id("5-0")), 5));
}

#[tokio::test]
async fn another_type_under_the_key_is_no_place_to_make_a_group() {
    let mut bids = Bids::start().await;
    bids.world.redis::<()>(&["SET", "bids", "x"]).await;
    let judge = bids.judge(|_| {}).await;
    let looked = look(&bids, &judge).await;
    assert_eq!(looked.stream, StreamState::WrongType("string".into()));
    assert_eq!(looked.proven_to, None);
}

#[tokio::test]
async fn ids_that_rows_carry_are_gathered_and_read_again() {
    let mut bids = Bids::start().await;
    bids.create_group().await;
    let now = Micros::now();
    let soon = StreamId::at(now.plus(Duration::from_secs(3_600)));
    let past: Vec<String> = (1..=30).map(|n| format!("{n}-{n}")).collect();
    for identity in past
        .iter()
        .map(String::as_str)
        .chain(["no id", "7", "1-007"])
    {
        bids.persist_as(identity, 1).await;
    }
    bids.persist_as(&soon.to_string(), 1).await;
    let judge = bids.judge(|check| check.identity = Identity::EntryId).await;
    let mut ids = SourceIds::default();
    let page = bids
        .source
        .page(
            &judge.mapping().rows,
            &KeyRange::default(),
            Selection::All,
            1_000,
        )
        .await
        .unwrap();
    for row in page.rows.iter() {
        ids.note(&judge, row, now, SKEW);
    }
    let carried = ids.candidates();
    assert!(carried.len() < 12, "{carried:?}");
    let looked = look_by(&bids, &[&judge], &carried).await;
    assert_eq!(looked.highest_in_source, Some(id("30-30")));
    assert_eq!(looked.future_in_source, [soon]);
    bids.world
        .sql("DELETE FROM bid WHERE bid_id = '30-30'")
        .await;
    let looked = look_by(&bids, &[&judge], &carried).await;
    assert_eq!(
        looked.highest_in_source,
        Some(id("29-29")),
        "what is gone by now is no evidence"
    );
    let by_field = bids.judge(|_| {}).await;
    let mut none = SourceIds::default();
    page.rows
        .iter()
        .for_each(|row| none.note(&by_field, row, now, SKEW));
    assert!(none.candidates().is_empty());
    let looked = look_by(&bids, &[&by_field], &carried).await;
    assert_eq!(looked.highest_in_source, None);
}
