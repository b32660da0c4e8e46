//! Whoever reads many pages asks the pace for each of them, and waits for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use auditor::model::stream::{IdRange, StreamId};
use auditor::rules::StreamJudge;
use auditor::scan::streams::{
    Claimant, DeadLetters, LostCandidates, LostSearch, Pace, Unpaced, look_at_entries,
    look_at_group,
};
use auditor::store::mysql::{KeyRange, Selection};
use futures_util::future::BoxFuture;
use tokio::sync::Notify;

use super::walks::SKEW;
use super::{Bids, entry, id};

/// Writes down what is asked of it.
#[derive(Default)]
pub(super) struct Slow {
    taken: Mutex<Vec<usize>>,
    /// From this question on nobody is let go on.
    holds_at: Option<usize>,
    stops_after: Option<usize>,
    stops: AtomicBool,
    held: Notify,
}

impl Slow {
    /// Tells to stop once it was asked more often than this.
    pub(super) fn stopping_after(questions: usize) -> Self {
        Self {
            stops_after: Some(questions),
            ..Self::default()
        }
    }

    fn holding_at(question: usize) -> Self {
        Self {
            holds_at: Some(question),
            ..Self::default()
        }
    }

    fn taken(&self) -> Vec<usize> {
        self.taken.lock().unwrap().clone()
    }
}

impl Pace for Slow {
    fn take(&self, keys: usize) -> BoxFuture<'_, ()> {
        let questions = {
            let mut taken = self.taken.lock().unwrap();
            taken.push(keys);
            taken.len()
        };
        let stops = self.stops_after.is_some_and(|most| questions > most);
        self.stops.fetch_or(stops, Ordering::Relaxed);
        Box::pin(async move {
            if self.holds_at.is_some_and(|at| questions >= at) {
                self.held.notify_one();
                std::future::pending::<()>().await;
            }
        })
    }

    fn should_stop(&self) -> bool {
        self.stops.load(Ordering::Relaxed)
    }
}

/// How often Redis was asked for entries so far.
async fn ranges_asked(bids: &mut Bids) -> u64 {
    let stats: String = bids.world.redis(&["INFO", "commandstats"]).await;
    let calls = stats.split_once("cmdstat_xrange:calls=");
    calls.map_or(0, |(_, rest)| {
        rest.split(',').next().unwrap().parse().unwrap()
    })
}

/// Runs `work` until `pace` holds it; panics if it never does.
async fn until_held<T>(pace: &Slow, work: impl Future<Output = T>) {
    tokio::select! {
        _ = work => panic!("nobody was made to wait: {:?}", pace.taken()),
        () = pace.held.notified() => {}
    }
}

/// `count` entries from `1-0` on.
async fn fill(bids: &mut Bids, key: &str, count: u64) {
    let mut pipeline = redis::pipe();
    for bid in 1..=count {
        let words = entry(&format!("{bid}-0"), bid, "BID");
        pipeline.cmd(&words[0]).arg(key).arg(&words[2..]);
    }
    let cache = &mut bids.world.cache;
    pipeline.query_async::<()>(cache).await.unwrap();
}

#[tokio::test]
async fn the_walk_over_a_group_pays_for_every_page_before_it_reads_on() {
    let mut bids = Bids::start().await;
    fill(&mut bids, "bids", 3_300).await;
    bids.world
        .sql(
            "INSERT INTO bid (bid_id, bidder_id, amount)
             SELECT seq, seq % 7, seq + 0.5 FROM seq_1_to_3300",
        )
        .await;
    let judge = bids.judge(|_| {}).await;
    let dead = DeadLetters::new(&judge);
    let claimants = [Claimant {
        judge: &judge,
        dead: &dead,
    }];
    let walk = |pace| look_at_group(&bids.source, &bids.cache, &claimants, &[], SKEW, pace);

    let pace = Slow::default();
    assert_eq!(walk(&pace).await.unwrap().proven_count, 3_300);
    assert_eq!(pace.taken(), [50, 1_000, 1_000, 1_000, 250]);

    let pace = Slow::holding_at(1);
    until_held(&pace, walk(&pace)).await;
    assert_eq!(pace.taken(), [50]);
    let before = ranges_asked(&mut bids).await;
    let pace = Slow::holding_at(1);
    let walk = look_at_group(&bids.source, &bids.cache, &claimants, &[], SKEW, &pace);
    until_held(&pace, walk).await;
    assert_eq!(
        ranges_asked(&mut bids).await - before,
        1,
        "the first page alone was read before it was paid for"
    );
}

#[tokio::test]
async fn dead_letters_are_paid_for_page_by_page() {
    let mut bids = Bids::start().await;
    bids.create_group().await;
    bids.add("0-5", 1).await;
    bids.deliver("c").await;
    fill(&mut bids, "dead", 2_500).await;
    let judge = bids
        .judge(|check| check.dead_letter = Some(b"dead".into()))
        .await;
    let look = |dead: Arc<DeadLetters>| {
        let (bids, judge) = (&bids, &judge);
        async move { look_at_entries(&bids.source, &bids.cache, judge, &dead, &[id("0-5")]).await }
    };

    let pace = Arc::new(Slow::default());
    let dead = Arc::new(DeadLetters::new(&judge).paced(pace.clone()));
    let looks = look(Arc::clone(&dead)).await.unwrap();
    assert_eq!(pace.taken(), [1_000, 1_000, 500]);
    assert!(looks[0].is_dead_lettered);
    look(dead).await.unwrap();
    assert_eq!(pace.taken().iter().sum::<usize>(), 2_500, "each once");

    let pace = Arc::new(Slow::holding_at(2));
    let dead = Arc::new(DeadLetters::new(&judge).paced(pace.clone()));
    until_held(&pace, look(dead)).await;
    assert_eq!(pace.taken(), [1_000, 1_000], "the third page was not read");
}

/// Rows of which no entry was pushed.
async fn without_entries(bids: &Bids, judge: &StreamJudge) -> LostCandidates {
    let folder = tempfile::tempdir().unwrap();
    let mut search = LostSearch::create(folder.path());
    let all = KeyRange::default();
    let rows = &judge.mapping().rows;
    let page = bids.source.page(rows, &all, Selection::All, 9_000).await;
    for row in page.unwrap().rows.iter() {
        search.push_row(judge, row).unwrap();
    }
    search.finish(judge).unwrap()
}

#[tokio::test]
async fn the_search_for_lost_entries_is_paid_for_page_by_page() {
    let mut bids = Bids::start().await;
    fill(&mut bids, "bids", 2_500).await;
    bids.world
        .sql("INSERT INTO bid (bid_id, bidder_id, amount) VALUES ('2400', 6, 2400.5), ('none', 1, 1)")
        .await;
    let judge = bids.judge(|_| {}).await;
    let older = IdRange {
        first: StreamId::MIN,
        last: id("9999-0"),
    };
    let search = async |pace: &dyn Pace| {
        let mut candidates = without_entries(&bids, &judge).await;
        let searched = candidates.search(&bids.source, &bids.cache, &judge, older, pace);
        searched.await.unwrap();
        candidates.into_rows().len()
    };
    assert_eq!(search(&Unpaced).await, 1);
    let pace = Slow::default();
    assert_eq!(search(&pace).await, 1);
    assert_eq!(pace.taken(), [1_000, 1_000, 500]);
    let pace = Slow::holding_at(2);
    until_held(&pace, search(&pace)).await;
    assert_eq!(pace.taken(), [1_000, 1_000]);
}
