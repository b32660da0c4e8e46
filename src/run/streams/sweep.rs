//! The sweep of one stream: slices of ids worked side by side, suspects handed on in the order of ids.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use tokio::sync::mpsc;

use super::check::StreamRun;
use super::entries::EntryTarget;
use crate::model::observation::Position;
use crate::model::outcome::Coverage;
use crate::model::stream::{EntryLook, IdRange, StreamId};
use crate::plan::cut_ids;
use crate::run::RunError;
use crate::run::sweep::{Batch, add, send_full};
use crate::run::task::Task;
use crate::scan::ScanError;
use crate::scan::streams::{EntryPage, PageReads, read_entries, read_pending};

/// Entries of a page at most: some hundred kilobytes, and one statement of as many literals.
const PAGE_ENTRIES: usize = 1_000;
/// Pages in the works at once for one stream: Redis answers one while MySQL weighs the others.
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

/// A part of a slice that is still to be looked at.
struct Part {
    slice: u32,
    ordinal: u64,
    range: IdRange,
    /// Redis's half of its next page, where it was read ahead.
    reads: Option<PageReads>,
}

struct PartDone {
    slice: u32,
    /// Ids of the slice looked at so far.
    ordinal: u64,
    counts: Coverage,
    targets: Vec<EntryTarget>,
    looks: Vec<EntryLook>,
    next: Option<Part>,
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
        mut take: impl FnMut(Vec<EntryLook>) -> Result<(), RunError>,
    ) -> Result<(Coverage, u32), RunError> {
        let run = self.run;
        let ranges = cut_ids(range, estimated);
        let next_slice = self.first_slice + u32::try_from(ranges.len()).unwrap_or(u32::MAX);
        let mut waiting = ranges.into_iter().zip(self.first_slice..);
        let mut running = FuturesOrdered::new();
        let mut counts = Coverage::default();
        let mut batch = Batch::default();
        loop {
            while running.len() < PAGES_SIDE_BY_SIDE && !run.ground.stop.is_requested() {
                let Some((range, slice)) = waiting.next() else {
                    break;
                };
                let part = Part {
                    slice,
                    ordinal: 0,
                    range,
                    reads: None,
                };
                running.push_back(spawn(run, pass, part));
            }
            let Some(done) = running.next().await else {
                break;
            };
            let done = done?;
            add(&mut counts, &done.counts);
            run.ground
                .progress
                .advance(done.counts.observed + done.counts.foreign);
            batch.targets.extend(done.targets);
            take(done.looks)?;
            match done.next {
                Some(next) if !run.ground.stop.is_requested() => {
                    running.push_front(spawn(run, pass, next));
                }
                Some(_) => {}
                None => batch.slices_done.push((done.slice, done.ordinal)),
            }
            if !send_full(&mut batch, self.batches).await {
                return Ok((counts, next_slice));
            }
        }
        // A closed channel means the receiver failed and reports the fault itself.
        let _ = self.batches.send(batch).await;
        Ok((counts, next_slice))
    }
}

fn spawn(run: &Arc<StreamRun>, pass: Pass, part: Part) -> Task<Result<PartDone, RunError>> {
    let run = Arc::clone(run);
    Task::spawn(async move { one_page(&run, pass, part).await })
}

/// Weighs one page, and reads Redis's half of the next one meanwhile.
async fn one_page(run: &StreamRun, pass: Pass, part: Part) -> Result<PartDone, RunError> {
    let ground = &run.ground;
    let _permit = ground
        .pages
        .acquire()
        .await
        .expect("the semaphore is never closed");
    let reads = match part.reads {
        Some(reads) => reads,
        None => read(run, pass, part.range).await?,
    };
    let rest = reads.next.map(|first| IdRange {
        first,
        ..part.range
    });
    ground
        .pacer
        .take(cost(reads.entries_read, reads.pending_read))
        .await;
    let ahead = async {
        match rest {
            Some(rest) => read(run, pass, rest).await.map(Some),
            None => Ok(None),
        }
    };
    let stores = &ground.stores;
    let weighed = reads.weigh(&stores.source, &stores.cache, &run.judge, &run.dead);
    let (page, ahead) = tokio::try_join!(weighed, ahead)?;
    ground.still_the_same_node().await?;
    ground
        .observed
        .fetch_add(page.looks.len() as u64, Ordering::Relaxed);
    let ordinal = part.ordinal + page.looks.len() as u64;
    let place = Position {
        slice: part.slice,
        ordinal: part.ordinal,
    };
    let (counts, targets) = judge_page(run, place, &page);
    let looks = match pass {
        Pass::Entries { keeps_looks: true } => page.looks,
        Pass::Entries { .. } | Pass::Pending => Vec::new(),
    };
    Ok(PartDone {
        slice: part.slice,
        ordinal,
        counts,
        targets,
        looks,
        next: rest.map(|range| Part {
            slice: part.slice,
            ordinal,
            range,
            reads: ahead,
        }),
    })
}

async fn read(run: &StreamRun, pass: Pass, range: IdRange) -> Result<PageReads, ScanError> {
    let cache = &run.ground.stores.cache;
    match pass {
        Pass::Entries { .. } => read_entries(cache, &run.judge, range, PAGE_ENTRIES).await,
        Pass::Pending => read_pending(cache, &run.judge, range, PAGE_ENTRIES).await,
    }
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
    for (look, ordinal) in page.looks.iter().zip(first.ordinal..) {
        if run.objection(look).is_none() {
            counts.matched += 1;
            clean.get_or_insert(look.id);
            continue;
        }
        counts.suspect += 1;
        targets.push(EntryTarget {
            id: look.id,
            position: Position { ordinal, ..first },
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
