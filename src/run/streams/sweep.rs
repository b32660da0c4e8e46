//! The sweep of one stream: slices of ids worked side by side, suspects handed on in the order of ids.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::check::StreamRun;
use super::entries::EntryTarget;
use crate::model::observation::Position;
use crate::model::outcome::Coverage;
use crate::model::slice::{Section, SliceOrder};
use crate::model::stream::{Entry, EntryLook, IdRange, StreamId};
use crate::plan::{IdSlice, cut_ids};
use crate::run::RunError;
use crate::run::audit::SLICES_PER_ATTEMPT;
use crate::run::batch::{Batch, Begun, Outbox};
use crate::run::sweep::add;
use crate::run::task::Task;
use crate::scan::streams::{EntryPage, PageReads, read_entries, read_pending};

/// Entries of a page at most: some hundred kilobytes, and one statement of as many literals.
const PAGE_ENTRIES: usize = 1_000;
/// Pages weighed at once for one stream, while Redis answers the next one.
const PAGES_SIDE_BY_SIDE: usize = 4;
/// Entries that were right and are looked at again after a repair, for each check.
const CLEAN_SAMPLE: usize = 200;

/// What a pass over ids brings up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// All entries, and pending ids without one.
    Entries {
        /// Whether somebody wants to see them besides.
        keeps_looks: bool,
    },
    /// Pending ids, and the entries of those.
    Pending,
}

/// Redis's half of a page, on its way to MySQL.
struct PageRead {
    slice: u32,
    /// Ids of the slice that were read before.
    ordinal: u64,
    reads: PageReads,
    /// Kept until the page is weighed.
    permit: OwnedSemaphorePermit,
}

/// What a page brought up, for those who compare it with others.
#[derive(Default)]
pub(super) struct Seen {
    pub looks: Vec<EntryLook>,
    /// Other shards' entries of which this one has the tuple.
    pub others: Vec<Entry>,
}

struct PageDone {
    slice: u32,
    counts: Coverage,
    targets: Vec<EntryTarget>,
    seen: Seen,
    /// How many ids the slice had, if it ends with this page.
    slice_ids: Option<u64>,
}

/// Where the next slice of a check is numbered from, and where suspects go.
pub(super) struct Sweep<'a> {
    pub run: &'a Arc<StreamRun>,
    pub first_slice: u32,
    pub batches: &'a mpsc::Sender<Batch<EntryTarget>>,
}

impl Sweep<'_> {
    /// Looks at the ids of `range`, of which there are about `estimated`; what was looked at
    /// goes to `take` page by page. Returns what was counted, also when it was stopped early, and the number of the next slice.
    pub(super) async fn pass(
        &self,
        pass: Pass,
        range: IdRange,
        estimated: u64,
        mut take: impl FnMut(Seen) -> Result<(), RunError>,
    ) -> Result<(Coverage, u32), RunError> {
        let run = self.run;
        let cut = cut_ids(range, estimated, run.ground.shard);
        let next_slice = self.first_slice + u32::try_from(cut.len()).unwrap_or(u32::MAX);
        let begun = self.begun(pass, &cut);
        let slices = cut.into_iter().map(|slice| slice.range);
        let slices: Vec<(IdRange, u32)> = slices.zip(self.first_slice..).collect();
        let (sender, mut pages) = mpsc::channel(1);
        // One reader, because Redis answers one at a time; dropped with this pass.
        let _reading = Task::spawn(read_pages(Arc::clone(run), pass, slices, sender));
        let mut is_reading = true;
        let mut weighing = FuturesOrdered::new();
        let mut counts = Coverage::default();
        let timing = &run.ground.timing;
        let mut outbox = Outbox::new(self.batches, timing.settle.max(timing.cache_delay));
        outbox.batch.passed.begun = begun;
        loop {
            let done = tokio::select! {
                read = pages.recv(), if is_reading && weighing.len() < PAGES_SIDE_BY_SIDE => {
                    match read {
                        Some(page) => weighing.push_back(spawn(run, pass, page?)),
                        None => is_reading = false,
                    }
                    continue;
                }
                Some(done) = weighing.next() => done?,
                else => break,
            };
            add(&mut counts, &done.counts);
            run.ground
                .progress
                .advance(done.counts.observed + done.counts.foreign);
            outbox.batch.targets.extend(done.targets);
            take(done.seen)?;
            let ended = done.slice_ids.map(|ids| (done.slice, ids));
            outbox.batch.passed.slices_done.extend(ended);
            if !outbox.send().await {
                return Ok((counts, next_slice));
            }
        }
        outbox.close().await;
        Ok((counts, next_slice))
    }

    fn begun(&self, pass: Pass, cut: &[IdSlice]) -> Vec<Begun> {
        let section = match pass {
            Pass::Entries { .. } => Section::Entries,
            Pass::Pending => Section::Pending,
        };
        let attempt = self.first_slice / SLICES_PER_ATTEMPT;
        let numbered = cut.iter().zip(self.first_slice..);
        numbered
            .map(|(cut, slice)| Begun {
                slice,
                order: SliceOrder::of_entry(attempt, section, cut.begins_at),
                is_shared: !self.run.ground.shard.is_whole(),
            })
            .collect()
    }
}

/// Reads Redis's half of page after page until all `slices` are read, the run is to stop, or nobody wants more.
async fn read_pages(
    run: Arc<StreamRun>,
    pass: Pass,
    slices: Vec<(IdRange, u32)>,
    pages: mpsc::Sender<Result<PageRead, RunError>>,
) {
    for (slice_range, slice) in slices {
        let (mut next, mut ordinal) = (Some(slice_range), 0);
        while let Some(range) = next.filter(|_| !run.ground.stop.is_requested()) {
            let page = read_page(&run, pass, range).await;
            let page = page.map(|(reads, permit)| PageRead {
                slice,
                ordinal,
                reads,
                permit,
            });
            next = None;
            if let Ok(page) = &page {
                ordinal += page.reads.length();
                next = page.reads.next.map(|first| IdRange { first, ..range });
            }
            let is_fault = page.is_err();
            if pages.send(page).await.is_err() || is_fault {
                return;
            }
        }
    }
}

async fn read_page(
    run: &StreamRun,
    pass: Pass,
    range: IdRange,
) -> Result<(PageReads, OwnedSemaphorePermit), RunError> {
    let ground = &run.ground;
    let permit = Arc::clone(&ground.pages).acquire_owned().await;
    let permit = permit.expect("the semaphore is never closed");
    let judge = &run.judge;
    loop {
        let reader = ground.reader();
        let reads = match pass {
            Pass::Entries { .. } => {
                read_entries(&reader.cache, judge, range, ground.shard, PAGE_ENTRIES).await
            }
            Pass::Pending => {
                read_pending(&reader.cache, judge, range, ground.shard, PAGE_ENTRIES).await
            }
        };
        if let Ok(reads) = &reads {
            // Entries are paid for once it is known how many they were; the next page waits for it.
            let cost = cost(reads.entries_read, reads.pending_read);
            ground.pacer.take(cost).await;
        }
        if let Some(reads) = ground.counted(&reader, reads).await? {
            return Ok((reads, permit));
        }
    }
}

fn spawn(run: &Arc<StreamRun>, pass: Pass, page: PageRead) -> Task<Result<PageDone, RunError>> {
    let run = Arc::clone(run);
    Task::spawn(async move { weigh_page(&run, pass, page).await })
}

/// Asks the primary about one page, and judges it.
async fn weigh_page(run: &StreamRun, pass: Pass, page: PageRead) -> Result<PageDone, RunError> {
    let PageRead {
        slice,
        ordinal,
        reads,
        permit: _permit,
    } = page;
    let ground = &run.ground;
    let stores = &ground.stores;
    let page = reads
        .weigh(&stores.source, &stores.cache, &run.judge, &run.dead)
        .await?;
    ground.still_the_same_nodes().await?;
    ground
        .observed
        .fetch_add(page.looks.len() as u64, Ordering::Relaxed);
    let (counts, targets) = judge_page(run, Position { slice, ordinal }, &page);
    let slice_ids = page.next.is_none().then_some(ordinal + page.length);
    let seen = match pass {
        Pass::Entries { keeps_looks: true } => Seen {
            looks: page.looks,
            others: page.others,
        },
        Pass::Entries { .. } | Pass::Pending => Seen::default(),
    };
    Ok(PageDone {
        slice,
        counts,
        targets,
        seen,
        slice_ids,
    })
}

/// Entries and pending rows count alike.
fn cost(entries: u64, pending: u64) -> usize {
    usize::try_from(entries + pending).unwrap_or(usize::MAX)
}

fn judge_page(run: &StreamRun, first: Position, page: &EntryPage) -> (Coverage, Vec<EntryTarget>) {
    let mut counts = Coverage {
        observed: page.looks.len() as u64,
        foreign: page.foreign,
        ..Coverage::default()
    };
    let mut targets = Vec::new();
    let mut clean: Option<StreamId> = None;
    for (look, place) in page.looks.iter().zip(&page.places) {
        let ordinal = first.ordinal + place;
        if run.objection(look).is_none() {
            counts.matched += 1;
            clean.get_or_insert(look.id);
            continue;
        }
        counts.suspect += 1;
        targets.push(EntryTarget {
            id: look.id,
            position: Position { ordinal, ..first },
            weight: look.weight(),
        });
    }
    if let Some(id) = clean {
        keep_clean(run, id);
    }
    (counts, targets)
}

/// Keeps one id a page of what was right, a bounded number of them.
fn keep_clean(run: &StreamRun, id: StreamId) {
    let mut clean = run
        .clean
        .lock()
        .expect("nobody panics while holding the sample");
    if clean.len() < CLEAN_SAMPLE {
        clean.push(id);
    }
}
