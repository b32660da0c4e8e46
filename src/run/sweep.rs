//! The sweep of one check: slices worked side by side, suspects handed on in sweep order.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use tokio::sync::mpsc;

use super::RunError;
use super::check::CheckRun;
use super::examine::Placed;
use super::task::Task;
use crate::model::observation::{Cached, Position};
use crate::model::outcome::Coverage;
use crate::model::rows::RowRef;
use crate::plan::{is_integer_key, slices};
use crate::scan::{PairedPage, Rowless, Tally, Target, has_place, page, target_of};
use crate::store::mysql::{KeyRange, Selection};

/// Rows of a page at most: MGET of 1000 in five commands, and about a megabyte of small rows.
const PAGE_ROWS_MAX: usize = 5_000;
/// Rows of a check's first pages, and of pages of very large values at least.
const PAGE_ROWS_FIRST: usize = 500;
const PAGE_ROWS_MIN: usize = 50;
/// What a page may weigh on both sides together; the rows of the next one follow from the last one's.
const PAGE_BYTES: usize = 8 << 20;
/// Pages in the works at once for one check. Two cores on our side and one thread on Redis's are kept
/// busy by this many; more only add to other clients' latency.
const PAGES_SIDE_BY_SIDE: usize = 4;
/// Rows that were right and are looked at again after a repair, for each check.
const CLEAN_SAMPLE: usize = 200;
/// Suspects handed on together. Each batch waits for its second look once, whatever its size.
pub(super) const BATCH_TARGETS: usize = 1_000;
/// What looks at them may weigh together, about; each is looked at up to five times, and several batches wait at once.
const BATCH_BYTES: usize = 2 << 20;

/// Suspects in sweep order, and the lengths of the slices that ended among them.
#[derive(Debug)]
pub(super) struct Batch<T> {
    pub targets: Vec<T>,
    /// (slice, observed ids)
    pub slices_done: Vec<(u32, u64)>,
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            slices_done: Vec::new(),
        }
    }
}

/// A part of a slice that is still to be read.
struct Part {
    slice: u32,
    ordinal: u64,
    range: KeyRange,
}

struct PartDone {
    part: Part,
    /// Places of the page, other shards' included.
    length: u64,
    counts: Coverage,
    targets: Vec<Target>,
    next: Option<Part>,
}

/// Sweeps the source's rows and sends suspects to `batches`; what they led to in Redis goes into `tally`,
/// where there is one. Returns what was counted, also when it was stopped early.
pub(super) async fn sweep_source(
    check: &Arc<CheckRun>,
    selection: Selection,
    first_slice: u32,
    tally: Option<&Arc<Tally>>,
    batches: &mpsc::Sender<Batch<Target>>,
) -> Result<Coverage, RunError> {
    let bounds = match selection {
        Selection::All if is_integer_key(&check.mapping) => {
            check
                .ground
                .stores
                .reading
                .source
                .key_bounds(&check.mapping)
                .await?
        }
        _ => None,
    };
    let shard = check.ground.shard;
    let mut waiting = slices(shard, bounds.as_ref(), check.mapping.rows_estimated)
        .into_iter()
        .map(|slice| slice.range)
        .zip(first_slice..);
    let mut running = FuturesOrdered::new();
    let mut counts = Coverage::default();
    let mut batch = Batch::default();
    loop {
        while running.len() < PAGES_SIDE_BY_SIDE && !check.ground.stop.is_requested() {
            let Some((range, slice)) = waiting.next() else {
                break;
            };
            running.push_back(spawn(
                check,
                Part {
                    slice,
                    ordinal: 0,
                    range,
                },
                selection,
                tally,
            ));
        }
        let Some(done) = running.next().await else {
            break;
        };
        let done = done?;
        add(&mut counts, &done.counts);
        check
            .ground
            .progress
            .advance(done.counts.observed + done.counts.keyless);
        let ordinal = done.part.ordinal + done.length;
        batch.targets.extend(done.targets);
        match done.next {
            Some(next) if !check.ground.stop.is_requested() => {
                running.push_front(spawn(check, next, selection, tally));
            }
            Some(_) => {}
            None => batch.slices_done.push((done.part.slice, ordinal)),
        }
        if !send_full(&mut batch, batches).await {
            return Ok(counts);
        }
    }
    // A closed channel means the receiver failed and reports the fault itself.
    let _ = batches.send(batch).await;
    Ok(counts)
}

fn spawn(
    check: &Arc<CheckRun>,
    part: Part,
    selection: Selection,
    tally: Option<&Arc<Tally>>,
) -> Task<Result<PartDone, RunError>> {
    let check = Arc::clone(check);
    let tally = tally.cloned();
    Task::spawn(async move { one_page(&check, part, selection, tally.as_deref()).await })
}

async fn one_page(
    check: &Arc<CheckRun>,
    part: Part,
    selection: Selection,
    tally: Option<&Tally>,
) -> Result<PartDone, RunError> {
    let _permit = check
        .ground
        .pages
        .acquire()
        .await
        .expect("the semaphore is never closed");
    let paired = loop {
        let reader = check.ground.reader();
        let paired = page(
            &check.ground.stores.reading.source,
            &reader.cache,
            &check.mapping,
            &part.range,
            selection,
            &check.ground.portion(),
            check.page_rows.load(Ordering::Relaxed),
        )
        .await;
        if let Ok(paired) = &paired {
            let keys = paired.keyed.len();
            check
                .ground
                .observed
                .fetch_add(keys as u64, Ordering::Relaxed);
            let next_rows = rows_of_weight(paired.rows.len(), paired.weight());
            check.page_rows.store(next_rows, Ordering::Relaxed);
            // Keys are paid for once it is known how many they were; the next page waits for it.
            check.ground.pacer.take(keys).await;
        }
        if let Some(paired) = check.ground.counted(&reader, paired).await? {
            break paired;
        }
    };
    let (counts, targets) = judge_page(check, &part, &paired, tally);
    let next = paired.next.map(|range| Part {
        slice: part.slice,
        ordinal: part.ordinal + paired.length,
        range,
    });
    Ok(PartDone {
        part,
        length: paired.length,
        counts,
        targets,
        next,
    })
}

fn judge_page(
    check: &CheckRun,
    part: &Part,
    paired: &PairedPage,
    tally: Option<&Tally>,
) -> (Coverage, Vec<Target>) {
    let mut counts = Coverage {
        keyless: paired.keyless,
        skipped: paired.unnamed,
        other_shards: paired.elsewhere,
        ..Coverage::default()
    };
    let mut targets = Vec::new();
    let position = |place: u64| Position {
        slice: part.slice,
        ordinal: part.ordinal + place,
    };
    // Whatever the rules say of it: a key that a row led to has been judged, and is no orphan.
    let found = |at: usize| {
        if let Some(tally) = tally {
            let (key, member) = paired.looked.place(at);
            // Only what this shard will meet again on its walk through Redis.
            if has_place(check.ground.shard, &check.mapping, key, member) {
                tally.add(key, member);
            }
        }
    };
    for (at, &index) in paired.keyed.iter().enumerate() {
        let row = paired.rows.row(index);
        let here = position(paired.places[at]);
        counts.observed += 1;
        let bytes = paired.cached.bytes(at);
        if bytes.is_some() {
            found(at);
        }
        if bytes.is_some() && check.judge.agrees_bytes(Some(row), bytes) {
            counts.matched += 1;
            if counts.matched == 1 {
                keep_clean(check, row, here);
            }
            continue;
        }
        let state = paired.cached.state(at);
        if matches!(state.cached, Cached::Missing { .. }) {
            counts.absent += 1;
        } else if bytes.is_none() {
            found(at);
        }
        if check.judge.suspects(Some(row), &state).is_empty() {
            counts.matched += 1;
            if counts.matched == 1 && !matches!(state.cached, Cached::Missing { .. }) {
                keep_clean(check, row, here);
            }
            if check.judge.case(Some(row), &state).is_ahead_legal() {
                counts.ahead_legal += 1;
            }
            continue;
        }
        counts.suspect += 1;
        targets.extend(target_of(&check.mapping, row, here));
    }
    for Rowless {
        place,
        subject,
        state,
    } in &paired.rowless
    {
        let here = position(*place);
        counts.observed += 1;
        if check.judge.suspects(None, state).is_empty() {
            counts.matched += 1;
        } else {
            counts.suspect += 1;
            targets.push(Target {
                candidates: vec![subject.id.clone()],
                subject: subject.clone(),
                position: here,
                sweep_key: None,
            });
        }
    }
    (counts, targets)
}

/// Keeps one row a page of what was right, a bounded number of them.
fn keep_clean(check: &CheckRun, row: RowRef<'_>, position: Position) {
    let mut clean = check
        .clean
        .lock()
        .expect("nobody panics while holding the sample");
    if clean.len() < CLEAN_SAMPLE {
        clean.extend(target_of(&check.mapping, row, position));
    }
}

/// Rows that weigh as much as a page may, going by a page of `rows` that weighed `bytes`.
fn rows_of_weight(rows: usize, bytes: usize) -> usize {
    let fitting = (rows * PAGE_BYTES)
        .checked_div(bytes)
        .unwrap_or(PAGE_ROWS_MAX);
    fitting.clamp(PAGE_ROWS_MIN, PAGE_ROWS_MAX)
}

/// Sends off what is full of `batch`; false if nobody takes it any more, because the receiver failed and
/// reports the fault itself.
pub(super) async fn send_full<T: Placed>(
    batch: &mut Batch<T>,
    batches: &mpsc::Sender<Batch<T>>,
) -> bool {
    while let Some(full) = full_batch(&batch.targets) {
        let rest = batch.targets.split_off(full);
        // A slice's end goes with its last suspect: whatever is left belongs to this slice or a later one.
        let begun = rest
            .first()
            .map_or(u32::MAX, |target| target.position().slice);
        let ended = batch
            .slices_done
            .partition_point(|(slice, _)| *slice < begun);
        let later = batch.slices_done.split_off(ended);
        let full = Batch {
            targets: std::mem::replace(&mut batch.targets, rest),
            slices_done: std::mem::replace(&mut batch.slices_done, later),
        };
        if batches.send(full).await.is_err() {
            return false;
        }
    }
    true
}

/// How many of `targets` make a batch; `None`: they are too few and too light.
fn full_batch<T: Placed>(targets: &[T]) -> Option<usize> {
    let mut weight = 0_usize;
    for (before, target) in targets.iter().enumerate() {
        weight = weight.saturating_add(target.weight());
        if weight >= BATCH_BYTES || before + 1 >= BATCH_TARGETS {
            return Some(before + 1);
        }
    }
    None
}

/// Cuts `targets` into batches, the last of them not full.
pub(super) fn batches_of<T: Placed>(mut targets: Vec<T>) -> Vec<Vec<T>> {
    let mut batches = Vec::new();
    while let Some(full) = full_batch(&targets) {
        let rest = targets.split_off(full);
        batches.push(std::mem::replace(&mut targets, rest));
    }
    batches.extend((!targets.is_empty()).then_some(targets));
    batches
}

pub(super) fn add(total: &mut Coverage, more: &Coverage) {
    total.observed += more.observed;
    total.matched += more.matched;
    total.absent += more.absent;
    total.suspect += more.suspect;
    total.ahead_legal += more.ahead_legal;
    total.keyless += more.keyless;
    total.foreign += more.foreign;
    total.skipped += more.skipped;
    total.other_shards += more.other_shards;
}

/// How many rows the first pages of a check have.
pub(super) fn first_page_rows() -> usize {
    PAGE_ROWS_FIRST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone)]
    struct Weighing(usize);

    impl Placed for Weighing {
        type Name = usize;

        fn position(&self) -> Position {
            Position::default()
        }

        fn name(&self) -> usize {
            self.0
        }

        fn weight(&self) -> usize {
            self.0
        }
    }

    #[tokio::test]
    async fn batches_are_bounded_by_how_many_they_are_and_by_what_they_weigh() {
        let light = std::iter::repeat_n(200, 2_300);
        let heavy = [300 << 10; 20];
        let targets: Vec<Weighing> = light.chain(heavy).map(Weighing).collect();
        let expected = [1_000, 1_000, 307, 7, 6];
        let cut: Vec<usize> = batches_of(targets.clone()).iter().map(Vec::len).collect();
        assert_eq!(cut, expected);

        let (sender, mut inbox) = mpsc::channel(9);
        let mut batch = Batch {
            targets,
            slices_done: Vec::new(),
        };
        assert!(send_full(&mut batch, &sender).await);
        drop(sender);
        let mut sent = Vec::new();
        while let Some(full) = inbox.recv().await {
            sent.push(full.targets.len());
        }
        assert_eq!(sent, expected[..sent.len()]);
        assert_eq!(batch.targets.len(), 2_320 - sent.iter().sum::<usize>());
        assert!(batch.targets.len() < 7);
    }
}
