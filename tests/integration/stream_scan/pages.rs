//! A merged pass meets every id once, whatever falls between two pages.

use std::collections::BTreeMap;

use auditor::model::stream::{EntryLook, IdRange, StreamId};
use auditor::rules::StreamJudge;
use auditor::scan::ScanError;
use auditor::scan::streams::{EntryPage, entry_page, pending_page};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{Bids, entry, id, none};

/// What was made of one id.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Made {
    bid: u64,
    is_bid: bool,
    is_there: bool,
    is_pending: bool,
}

/// Several hundred entries, some of another type; delivered up to a point, then acknowledged and deleted at
/// random, with stretches where everything is pending and nothing is there, and others where nothing is
/// pending.
async fn random_stream(bids: &mut Bids, seed: u64) -> BTreeMap<StreamId, Made> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut made = BTreeMap::new();
    let mut pipeline = redis::pipe();
    let mut at = StreamId::new(1_000, 0);
    let mut kept = 0.5;
    let mut acknowledged = 0.5;
    for bid in 0..700 {
        at = match random.random_bool(0.4) {
            true => at.next().unwrap(),
            false => StreamId::new(at.millis + random.random_range(1..50), 0),
        };
        if bid % 60 == 0 {
            kept = [0.0, 0.5, 1.0][random.random_range(0..3)];
            acknowledged = [0.0, 0.5, 1.0][random.random_range(0..3)];
        }
        let is_bid = random.random_bool(0.8);
        let words = entry(&at.to_string(), bid, if is_bid { "BID" } else { "VIEW" });
        let mut command = redis::cmd(&words[0]);
        words[1..].iter().for_each(|word| {
            command.arg(word);
        });
        pipeline.add_command(command);
        made.insert(
            at,
            Made {
                bid,
                is_bid,
                is_there: random.random_bool(kept),
                is_pending: !random.random_bool(acknowledged),
            },
        );
        if bid == 600 {
            let words = "GROUP g c COUNT 10000 STREAMS bids >".split(' ');
            pipeline.cmd("XREADGROUP").arg(words.collect::<Vec<_>>());
        }
    }
    for (id, one) in &mut made {
        let id = id.to_string();
        one.is_pending &= one.bid <= 600;
        if !one.is_pending {
            pipeline.cmd("XACK").arg("bids").arg("g").arg(&id);
        }
        if !one.is_there {
            pipeline.cmd("XDEL").arg("bids").arg(&id);
        }
    }
    bids.create_group().await;
    pipeline
        .query_async::<()>(&mut bids.world.cache)
        .await
        .unwrap();
    made
}

/// What an [`EntryPage`] pass must bring, in order.
fn expected(made: &BTreeMap<StreamId, Made>, range: IdRange) -> Vec<(StreamId, bool, bool)> {
    made.range(range.first..=range.last)
        .filter(|(_, one)| (one.is_there && one.is_bid) || (one.is_pending && !one.is_there))
        .map(|(id, one)| (*id, one.is_there, one.is_pending))
        .collect()
}

#[derive(Default)]
struct Pass {
    looks: Vec<EntryLook>,
    foreign: u64,
    undelivered: u64,
    entries_read: u64,
    pending_read: u64,
    pages: usize,
}

impl Pass {
    fn take(&mut self, page: EntryPage) -> Option<StreamId> {
        self.looks.extend(page.looks);
        self.foreign += page.foreign;
        self.undelivered += page.undelivered;
        self.entries_read += page.entries_read;
        self.pending_read += page.pending_read;
        self.pages += 1;
        page.next
    }

    fn ids(&self) -> Vec<(StreamId, bool, bool)> {
        let looks = self.looks.iter();
        looks
            .map(|look| (look.id, look.entry.is_some(), look.before.is_some()))
            .collect()
    }
}

async fn all_entries(bids: &Bids, judge: &StreamJudge, range: IdRange, limit: usize) -> Pass {
    let dead = none(judge);
    let mut pass = Pass::default();
    let mut next = Some(range.first);
    while let Some(first) = next {
        let rest = IdRange { first, ..range };
        let page = entry_page(&bids.source, &bids.cache, judge, &dead, rest, limit)
            .await
            .unwrap();
        next = pass.take(page);
    }
    pass
}

async fn all_pending(bids: &Bids, judge: &StreamJudge, range: IdRange, limit: usize) -> Pass {
    let dead = none(judge);
    let mut pass = Pass::default();
    let mut next = Some(range.first);
    while let Some(first) = next {
        let rest = IdRange { first, ..range };
        let page = pending_page(&bids.source, &bids.cache, judge, &dead, rest, limit)
            .await
            .unwrap();
        next = pass.take(page);
    }
    pass
}

#[tokio::test]
async fn every_id_comes_once_whatever_the_limit_of_a_page() {
    for seed in 1..=3 {
        let mut bids = Bids::start().await;
        let made = random_stream(&mut bids, seed).await;
        let judge = bids.judge(|_| {}).await;
        let ids: Vec<StreamId> = made.keys().copied().collect();
        let part = IdRange {
            first: ids[50],
            last: ids[650],
        };
        for range in [IdRange::ALL, part] {
            let there = made.range(range.first..=range.last);
            let foreign = there.filter(|(_, one)| one.is_there && !one.is_bid).count();
            for limit in [1, 2, 7, 64, 101, 150, 1_000] {
                let pass = all_entries(&bids, &judge, range, limit).await;
                assert_eq!(
                    pass.ids(),
                    expected(&made, range),
                    "seed {seed}, limit {limit}"
                );
                assert_eq!(pass.foreign, foreign as u64, "seed {seed}, limit {limit}");
            }
        }
        let undelivered = made
            .values()
            .filter(|one| one.bid > 600 && one.is_bid && one.is_there);
        let pass = all_entries(&bids, &judge, IdRange::ALL, 90).await;
        assert_eq!(pass.undelivered, undelivered.count() as u64);
    }
}

#[tokio::test]
async fn every_pending_id_comes_once_and_nothing_else() {
    for seed in 11..=13 {
        let mut bids = Bids::start().await;
        let made = random_stream(&mut bids, seed).await;
        let judge = bids.judge(|_| {}).await;
        let ids: Vec<StreamId> = made.keys().copied().collect();
        let part = IdRange {
            first: ids[20],
            last: ids[500],
        };
        for range in [IdRange::ALL, part] {
            let pending: Vec<_> = expected(&made, range)
                .into_iter()
                .filter(|(_, _, is_pending)| *is_pending)
                .collect();
            for limit in [1, 3, 50, 1_000] {
                let pass = all_pending(&bids, &judge, range, limit).await;
                assert_eq!(pass.ids(), pending, "seed {seed}, limit {limit}");
            }
        }
    }
}

#[tokio::test]
async fn a_pass_reads_each_side_about_once() {
    let mut bids = Bids::start().await;
    bids.create_group().await;
    let mut pipeline = redis::pipe();
    for bid in 0..4_000 {
        let words = entry(&format!("{}-1", bid + 1), bid, "BID");
        pipeline.cmd(&words[0]).arg(&words[1..]);
    }
    let words = "GROUP g c COUNT 10000 STREAMS bids >".split(' ');
    pipeline.cmd("XREADGROUP").arg(words.collect::<Vec<_>>());
    // A tenth of the stream is pending, evenly.
    for bid in (0..4_000).filter(|bid| bid % 10 != 0) {
        pipeline.cmd("XACK").arg("bids").arg("g");
        pipeline.arg(format!("{}-1", bid + 1));
    }
    pipeline
        .query_async::<()>(&mut bids.world.cache)
        .await
        .unwrap();
    let judge = bids.judge(|_| {}).await;
    let pass = all_entries(&bids, &judge, IdRange::ALL, 1_000).await;
    assert_eq!(pass.looks.len(), 4_000);
    assert!(pass.entries_read <= 4_000 + 100, "{}", pass.entries_read);
    assert!(pass.pending_read <= 2 * 400, "{}", pass.pending_read);
    assert!(pass.pages <= 5, "{}", pass.pages);
    let pass = all_pending(&bids, &judge, IdRange::ALL, 100).await;
    assert_eq!((pass.looks.len(), pass.pending_read), (400, 400));
    assert!(pass.entries_read <= 3 * 400, "{}", pass.entries_read);
}

#[tokio::test]
async fn a_page_carries_what_the_primary_says_of_each_entry() {
    let mut bids = Bids::start().await;
    bids.create_group().await;
    for bid in 1..=6 {
        bids.add(&format!("{bid}-0"), bid).await;
    }
    bids.deliver("c").await;
    bids.add("7-0", 7).await;
    for bid in [2, 5, 7] {
        bids.persist(bid).await;
    }
    bids.persist(5).await;
    let judge = bids.judge(|_| {}).await;
    let pass = all_entries(&bids, &judge, IdRange::ALL, 4).await;
    let rows: Vec<usize> = pass.looks.iter().map(|l| l.evidence.rows.len()).collect();
    assert_eq!(rows, [0, 1, 0, 0, 2, 0, 1]);
    for look in &pass.looks {
        assert_eq!(look.cursor_before, Some(id("6-0")));
        let pending = look.before.as_ref().map(|p| p.row.consumer.as_slice());
        assert_eq!(pending, (look.id < id("7-0")).then_some(&b"c"[..]));
        let owner = look.before.as_ref().and_then(|p| p.owner.as_ref());
        assert_eq!(owner.is_some(), look.before.is_some());
    }
}

#[tokio::test]
async fn large_entries_make_short_pages() {
    let mut bids = Bids::start().await;
    let large = "x".repeat(200_000);
    for bid in 1..=260 {
        let mut words = entry(&format!("{bid}-0"), bid, "BID");
        words.extend(["note".to_owned(), large.clone()]);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        bids.world.redis::<String>(&words).await;
    }
    bids.create_group().await;
    bids.deliver("c").await;
    let judge = bids.judge(|_| {}).await;
    let all: Vec<StreamId> = (1..=260).map(|bid| StreamId::new(bid, 0)).collect();
    let pass = all_entries(&bids, &judge, IdRange::ALL, 1_000).await;
    let ids: Vec<StreamId> = pass.looks.iter().map(|look| look.id).collect();
    assert_eq!(ids, all);
    assert!(pass.pages >= 5, "{} pages of 52 megabytes", pass.pages);

    // Pending ones lie apart, so that they are asked for by their ids.
    for bid in (1..=260).filter(|bid| bid % 4 != 0) {
        let id = format!("{bid}-0");
        bids.world.redis::<()>(&["XACK", "bids", "g", &id]).await;
    }
    let pass = all_pending(&bids, &judge, IdRange::ALL, 1_000).await;
    let ids: Vec<u64> = pass.looks.iter().map(|look| look.id.millis).collect();
    assert_eq!(ids, (1..=65).map(|nth| 4 * nth).collect::<Vec<_>>());
    assert!(pass.looks.iter().all(|look| look.entry.is_some()));
    assert!(pass.pages >= 2, "{} pages of 13 megabytes", pass.pages);
}

#[tokio::test]
async fn without_a_group_or_a_stream_nothing_is_pending_and_nothing_delivered() {
    let mut bids = Bids::start().await;
    let judge = bids.judge(|_| {}).await;
    let pass = all_entries(&bids, &judge, IdRange::ALL, 10).await;
    assert!(pass.looks.is_empty());
    bids.add("5-0", 5).await;
    let pass = all_entries(&bids, &judge, IdRange::ALL, 10).await;
    assert_eq!(pass.ids(), [(id("5-0"), true, false)]);
    assert_eq!(pass.looks[0].cursor_before, None);
    assert_eq!(pass.undelivered, 1);
    let pass = all_pending(&bids, &judge, IdRange::ALL, 10).await;
    assert!(pass.looks.is_empty());
}

#[tokio::test]
async fn a_key_of_another_type_is_said_to_be_one() {
    let mut bids = Bids::start().await;
    bids.world.redis::<()>(&["SET", "bids", "x"]).await;
    let judge = bids.judge(|_| {}).await;
    let dead = none(&judge);
    let range = IdRange::ALL;
    let fault = entry_page(&bids.source, &bids.cache, &judge, &dead, range, 10)
        .await
        .unwrap_err();
    assert!(
        matches!(&fault, ScanError::NotAStream { key, kind } if key == "bids" && kind == "string"),
        "{fault}"
    );
}
