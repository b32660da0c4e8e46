//! The other direction of a sweep: what lies in Redis that no row led to.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::RunError;
use super::audit::SLICES_PER_ATTEMPT;
use super::batch::{BATCH_TARGETS, Batch, Begun, Outbox};
use super::check::CheckRun;
use super::reading::Reader;
use crate::model::mapping::RowMeaning;
use crate::model::observation::Position;
use crate::model::outcome::Coverage;
use crate::model::slice::{Section, SliceOrder};
use crate::scan::{KeyspaceCursor, Place, Tally, Target, look, next_keyspace_page};

/// Pages of a walk between two proofs that it is still the same node: asking costs about as much as a page.
/// Nothing is concluded from a walk before a proof that follows it.
const PAGES_PER_PROOF: u64 = 50;

/// Keys that a page of SCAN walks over, whatever of them fits: what it costs the server.
const WALKED: usize = 1_000;

/// Walks Redis for keys and members that no row explains, as one slice of its own after the rows'.
///
/// With the `tally` of a sweep over all rows one walk usually does: what it brings up is taken out again,
/// and only where something is left over a second walk looks up whose it is. Without, every key is looked
/// up.
pub(super) async fn sweep_keyspace(
    check: &Arc<CheckRun>,
    slice: u32,
    tally: Option<&Tally>,
    batches: &mpsc::Sender<Batch<Target>>,
) -> Result<Coverage, RunError> {
    let mut counts = Coverage::default();
    let timing = &check.ground.timing;
    let mut outbox = Outbox::new(batches, timing.settle.max(timing.cache_delay));
    let attempt = slice / SLICES_PER_ATTEMPT;
    outbox.batch.passed.begun.push(Begun {
        slice,
        order: SliceOrder::new(attempt, Section::Keyspace, &[]),
        is_shared: true,
    });
    let Some(tally) = tally else {
        look_up(check, slice, &mut outbox, &mut counts, |_| true).await?;
        outbox.close().await;
        return Ok(counts);
    };
    if let Some(walked) = reconcile(check, tally, &mut counts).await? {
        if tally.is_even() {
            outbox.batch.passed.slices_done.push((slice, walked));
        } else {
            // The first walk has counted what cannot be looked up.
            let mut recounted = Coverage::default();
            let is_uneven = |p: &Place| tally.is_uneven_at(&p.key, p.member.as_deref());
            look_up(check, slice, &mut outbox, &mut recounted, is_uneven).await?;
            counts.suspect += recounted.suspect;
            counts.foreign = recounted.foreign;
        }
    }
    outbox.close().await;
    Ok(counts)
}

/// Takes all that lies in Redis out of the tally, and says how many places that were. `None`: it was stopped before
/// the end.
async fn reconcile(
    check: &Arc<CheckRun>,
    tally: &Tally,
    counts: &mut Coverage,
) -> Result<Option<u64>, RunError> {
    // A cursor belongs to the node that gave it, so that a whole walk is read at one.
    let reader = check.ground.reader();
    let mut cursor = KeyspaceCursor::of(check.ground.shard);
    let mut pages = 0_u64;
    while !check.ground.stop.is_requested() {
        let found = next_keyspace_page(&reader.cache, &check.mapping, &mut cursor).await;
        let Some(found) = check.ground.read_of_walk(&reader, found)? else {
            check.ground.counted_of_walk(&reader, Ok(())).await?;
            return Ok(Some(cursor.walked()));
        };
        check
            .ground
            .pacer
            .take(found.places.len().max(WALKED))
            .await;
        pages += 1;
        if pages.is_multiple_of(PAGES_PER_PROOF) {
            check.ground.counted_of_walk(&reader, Ok(())).await?;
        }
        counts.foreign += found.foreign;
        counts.skipped += found.skipped;
        for place in &found.places {
            tally.subtract(&place.key, place.member.as_deref());
        }
    }
    Ok(None)
}

/// Walks Redis and looks up the rows of all that `is_wanted`; what no row explains is a suspect.
async fn look_up(
    check: &Arc<CheckRun>,
    slice: u32,
    outbox: &mut Outbox<'_, Target>,
    counts: &mut Coverage,
    is_wanted: impl Fn(&Place) -> bool,
) -> Result<(), RunError> {
    // A cursor belongs to the node that gave it, so that a whole walk is read at one.
    let reader = check.ground.reader();
    let mut cursor = KeyspaceCursor::of(check.ground.shard);
    let mut pages = 0_u64;
    while !check.ground.stop.is_requested() {
        let found = next_keyspace_page(&reader.cache, &check.mapping, &mut cursor).await;
        let Some(found) = check.ground.read_of_walk(&reader, found)? else {
            check.ground.counted_of_walk(&reader, Ok(())).await?;
            let done = (slice, cursor.walked());
            outbox.batch.passed.slices_done.push(done);
            break;
        };
        check
            .ground
            .pacer
            .take(found.places.len().max(WALKED))
            .await;
        counts.foreign += found.foreign;
        counts.skipped += found.skipped;
        let wanted: Vec<Target> = found
            .places
            .into_iter()
            .filter(|place| is_wanted(place))
            .filter_map(|place| target_at(check, place, slice))
            .collect();
        pages += 1;
        if !wanted.is_empty() || pages.is_multiple_of(PAGES_PER_PROOF) {
            check.ground.counted_of_walk(&reader, Ok(())).await?;
        }
        let unexplained = unexplained(check, &reader, wanted).await?;
        outbox.batch.targets.extend(unexplained.targets);
        counts.suspect += unexplained.suspect;
        counts.foreign += unexplained.foreign;
        check.ground.progress.advance(unexplained.looked_up);
        if !outbox.send().await {
            return Ok(());
        }
    }
    Ok(())
}

/// What a place is looked up by, at its place in the walk.
fn target_at(check: &CheckRun, place: Place, slice: u32) -> Option<Target> {
    let position = Position {
        slice,
        ordinal: place.number,
    };
    let target = place.target(&check.mapping)?;
    Some(Target { position, ..target })
}

struct Unexplained {
    targets: Vec<Target>,
    looked_up: u64,
    suspect: u64,
    /// Not this check's after all.
    foreign: u64,
}

/// Of the keys SCAN brought up, those to which the rules object once their row is known.
async fn unexplained(
    check: &Arc<CheckRun>,
    reader: &Reader,
    targets: Vec<Target>,
) -> Result<Unexplained, RunError> {
    let mut kept = Vec::new();
    let looked_up = targets.len() as u64;
    let mut foreign = 0;
    for group in targets.chunks(BATCH_TARGETS) {
        let refs: Vec<&Target> = group.iter().collect();
        check.ground.pacer.take(2 * refs.len()).await;
        let source = &check.ground.stores.reading.source;
        let looks = look(source, &reader.cache, &check.mapping, &refs).await;
        let looks = check.ground.read_of_walk(reader, looks)?;
        for (target, look) in group.iter().zip(looks) {
            let row = look.row.as_ref().map(|r| r.as_ref());
            // What a live row explains is judged by the sweep of the rows; here only the rest counts.
            let is_explained = check.mapping.meaning(row) == RowMeaning::Live;
            if is_explained || check.judge.suspects(row, &look.after).is_empty() {
                continue;
            }
            if row.is_none() && is_another_s(check, target).await? {
                foreign += 1;
            } else {
                kept.push(target.clone());
            }
        }
    }
    let suspect = kept.len() as u64;
    Ok(Unexplained {
        targets: kept,
        looked_up,
        suspect,
        foreign,
    })
}

/// Whether a key that no row of this check renders to belongs to somebody else: to a check of this job
/// whose template says more about it (`user:{id}:profile` beside `user:{name}`), or to a row that the
/// database takes for the same id in another spelling (`user:BOB` beside the row `bob`).
async fn is_another_s(check: &CheckRun, target: &Target) -> Result<bool, RunError> {
    let key = &target.subject.key;
    if check
        .siblings
        .iter()
        .any(|t| t.split(key).is_none_or(|splits| !splits.is_empty()))
    {
        return Ok(true);
    }
    let mapping = &check.mapping;
    let mut cells = mapping.key_cells.iter().chain(&mapping.member_cells);
    if !cells.any(|&cell| mapping.columns[cell].collation.is_some()) {
        return Ok(false);
    }
    let witnessed = check
        .ground
        .stores
        .source
        .rows_by_id(mapping, &target.candidates)
        .await?;
    Ok(!witnessed.rows.is_empty())
}
