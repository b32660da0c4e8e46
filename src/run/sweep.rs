//! The sweep of one check: slices worked side by side, suspects handed on in sweep order.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use tokio::sync::mpsc;

use super::RunError;
use super::audit::SLICES_PER_ATTEMPT;
use super::batch::{Batch, Begun, Outbox};
use super::check::CheckRun;
use super::task::Task;
use crate::model::observation::{Cached, Position};
use crate::model::outcome::Coverage;
use crate::model::rows::RowRef;
use crate::model::slice::SliceOrder;
use crate::plan::{is_integer_key, slices, slices_behind};
use crate::report::Mark;
use crate::scan::{PairedPage, Rowless, Tally, Target, has_place, page, target_of};
use crate::store::mysql::{KeyRange, Selection, SweepKey};

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
/// A part of a slice that is still to be read.
struct Part {
    slice: u32,
    order: SliceOrder,
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
///
/// Begins behind `from`, where an earlier run came to it.
pub(super) async fn sweep_source(
    check: &Arc<CheckRun>,
    selection: Selection,
    from: Option<&Mark>,
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
    let attempt = first_slice / SLICES_PER_ATTEMPT;
    let mut waiting = parts(check, bounds.as_ref(), from, attempt)
        .into_iter()
        .zip(first_slice..);
    let mut running = FuturesOrdered::new();
    let mut counts = Coverage::default();
    let timing = &check.ground.timing;
    let mut outbox = Outbox::new(batches, timing.settle.max(timing.cache_delay));
    loop {
        while running.len() < PAGES_SIDE_BY_SIDE && !check.ground.stop.is_requested() {
            let Some(((part, is_shared), slice)) = waiting.next() else {
                break;
            };
            let part = Part { slice, ..part };
            outbox.batch.passed.begun.push(Begun {
                slice,
                order: part.order.clone(),
                is_shared,
            });
            running.push_back(spawn(check, part, selection, tally));
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
        let batch = &mut outbox.batch;
        batch.targets.extend(done.targets);
        // Also where there is none: an earlier one does not speak of these suspects.
        let mark = mark_of(&done.part, done.next.as_ref(), ordinal);
        batch.passed.mark = mark.map(|mark| Mark { counts, ..mark });
        match done.next {
            Some(next) if !check.ground.stop.is_requested() => {
                running.push_front(spawn(check, next, selection, tally));
            }
            Some(_) => {}
            None => batch.passed.slices_done.push((done.part.slice, ordinal)),
        }
        if !outbox.send().await {
            return Ok(counts);
        }
    }
    outbox.close().await;
    Ok(counts)
}

/// Everything to be swept, part by part, and whether all shards sweep it; not numbered yet.
fn parts(
    check: &CheckRun,
    bounds: Option<&(SweepKey, SweepKey)>,
    from: Option<&Mark>,
    attempt: u32,
) -> Vec<(Part, bool)> {
    let (shard, rows) = (check.ground.shard, check.mapping.rows_estimated);
    let part = |order, ordinal, range| Part {
        slice: 0,
        order,
        ordinal,
        range,
    };
    let (begun, rest) = match from {
        None => (None, slices(shard, bounds, rows)),
        Some(mark) => {
            let range = KeyRange {
                after: Some(mark.upto.clone()),
                upto: mark.slice_end.clone(),
            };
            let begun = part(mark.slice.clone(), mark.ordinal, range);
            // What has no end of its own is all there is, and every shard's.
            let is_shared = mark.slice_end.is_none() && !shard.is_whole();
            let end = mark.slice_end.as_ref();
            let rest = end.map(|end| slices_behind(shard, end, bounds, rows));
            (Some((begun, is_shared)), rest.unwrap_or_default())
        }
    };
    let rest = rest.into_iter().map(|slice| {
        let order = SliceOrder::of_id(attempt, slice.begins_at);
        (part(order, 0, slice.range), slice.is_shared)
    });
    begun.into_iter().chain(rest).collect()
}

/// Up to where everything is read after a page of `part`; `None`: to the very end, of which the end of the check
/// speaks.
fn mark_of(part: &Part, next: Option<&Part>, ordinal: u64) -> Option<Mark> {
    let upto = match next {
        Some(next) => next.range.after.clone(),
        None => part.range.upto.clone(),
    };
    Some(Mark {
        slice: part.order.clone(),
        ordinal,
        upto: upto?,
        slice_end: part.range.upto.clone(),
        counts: Coverage::default(),
    })
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
        order: part.order.clone(),
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
