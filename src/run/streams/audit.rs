//! One check of a stream, from its group to its written findings.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{Mutex, mpsc};

use super::check::StreamRun;
use super::duplicates::Aftermath;
use super::entries::EntryTarget;
use super::group::audit_group;
use super::rows::Wanted;
use super::scope::StreamScope;
use super::sweep::{Pass, Sweep};
use crate::model::finding::Verdict;
use crate::model::observation::Position;
use crate::model::outcome::Coverage;
use crate::model::slice::{Section, SliceOrder};
use crate::model::stream::{IdRange, StreamFacts, StreamId, StreamState};
use crate::run::RunError;
use crate::run::audit::{SLICES_PER_ATTEMPT, settle_all};
use crate::run::batch::{BATCH_TARGETS, Batch, Passed};
use crate::run::mend::{Mending, mend};
use crate::run::settle::settle;
use crate::run::sink::Sink;
use crate::run::sweep::add;
use crate::scan::ScanError;
use crate::store::redis::Redis;

/// Entries that were right and are looked at again together.
const CLEAN_AT_ONCE: usize = 50;

/// Audits one check. `attempt` counts from 0; what could not be searched goes to `left_out`, each as a sentence.
pub(in crate::run) async fn audit(
    run: &Arc<StreamRun>,
    scope: &StreamScope,
    attempt: u32,
    mending: &Mending,
    sink: &Arc<Mutex<Sink>>,
    left_out: &mut Vec<String>,
) -> Result<Coverage, RunError> {
    let first_slice = attempt * SLICES_PER_ATTEMPT;
    if !run.ground.slots.has_key(&run.judge.mapping().check.key) {
        return Ok(Coverage {
            other_shards: 1,
            ..Coverage::default()
        });
    }
    let mut counts = Coverage::default();
    if let StreamScope::Entries {
        left_out: named, ..
    } = scope
    {
        left_out.extend_from_slice(named);
    }
    let mut wanted = Wanted::of(run, scope, left_out).await?;
    wanted.read_rows(run).await?;
    // Before anything else is settled: entries of a group that is gone belong to nobody.
    if scope.is_about_the_group() && run.ground.shard.is_first() {
        let carried = wanted.carried();
        counts.suspect += audit_group(run, scope, carried, first_slice, mending, sink).await?;
    }
    let (batches, inbox) = mpsc::channel(1);
    let sweeping = async {
        // Moved in, so that the channel closes when the sweep ends.
        let batches = batches;
        sweep(run, scope, first_slice + 1, &batches, &mut wanted).await
    };
    // The first fault ends both: what the other stage still held does not count after it.
    let settling = settle_all(run, inbox, mending, sink);
    let (swept, ()) = tokio::try_join!(sweeping, settling)?;
    add(&mut counts, &swept);
    let last_slice = first_slice + SLICES_PER_ATTEMPT - 1;
    let aftermath = Aftermath::new(run, last_slice - 1, sink, left_out);
    add(&mut counts, &aftermath.judge(wanted, scope).await?);
    if matches!(mending, Mending::Apply(_)) {
        verify_clean(run, last_slice, mending, sink).await?;
    }
    Ok(counts)
}

/// A sample of what was right must still be right after the repairs; what is not is a finding like any other.
async fn verify_clean(
    run: &Arc<StreamRun>,
    slice: u32,
    mending: &Mending,
    sink: &Arc<Mutex<Sink>>,
) -> Result<(), RunError> {
    let clean = std::mem::take(&mut *run.clean.lock().expect("nobody panics while holding it"));
    let mut settled = Vec::new();
    // What they weigh is not known; most need one look alone, and no wait.
    for some in targets(&clean, slice).chunks(CLEAN_AT_ONCE) {
        let looked = settle(run, some.to_vec()).await?;
        settled.extend(
            looked
                .into_iter()
                .filter(|s| s.verdict != Verdict::Transient),
        );
    }
    let order = SliceOrder::new(slice / SLICES_PER_ATTEMPT, Section::Clean, &[]);
    let passed = Passed::one(slice, order, clean.len() as u64);
    mend(run, settled, &passed, mending, sink).await
}

fn targets(ids: &[StreamId], slice: u32) -> Vec<EntryTarget> {
    let ids = ids.iter().zip(0..);
    ids.map(|(&id, ordinal)| EntryTarget {
        id,
        position: Position { slice, ordinal },
        weight: 0,
    })
    .collect()
}

async fn sweep(
    run: &Arc<StreamRun>,
    scope: &StreamScope,
    first_slice: u32,
    batches: &mpsc::Sender<Batch<EntryTarget>>,
    wanted: &mut Wanted,
) -> Result<Coverage, RunError> {
    let sweep = |first_slice| Sweep {
        run,
        first_slice,
        batches,
    };
    match scope {
        StreamScope::Entries { ids, .. } => Ok(named(run, ids, first_slice, batches).await),
        StreamScope::Pending => {
            let Some(bounds) = bounds(run).await? else {
                return Ok(Coverage::default());
            };
            pending_before(&sweep(first_slice), &bounds, StreamId::MAX)
                .await
                .map(|(counts, _)| counts)
        }
        StreamScope::Sweep { since, .. } => {
            let Some(bounds) = bounds(run).await? else {
                return Ok(Coverage::default());
            };
            let since = bounds.from(*since);
            let (mut counts, next) = match since.previous() {
                Some(before) => pending_before(&sweep(first_slice), &bounds, before).await?,
                None => (Coverage::default(), first_slice),
            };
            let range = IdRange {
                first: bounds.first.max(since),
                last: bounds.last,
            };
            let estimated = bounds.entries_in(range);
            let keeps_looks = wanted.needs_looks();
            let pass = Pass::Entries { keeps_looks };
            let entries = sweep(next)
                .pass(pass, range, estimated, |seen| wanted.take(run, &seen))
                .await?;
            add(&mut counts, &entries.0);
            Ok(counts)
        }
    }
}

/// What is pending up to `before`; the first id that is may lie far from the beginning of all ids.
async fn pending_before(
    sweep: &Sweep<'_>,
    bounds: &Bounds,
    before: StreamId,
) -> Result<(Coverage, u32), RunError> {
    let nothing = (Coverage::default(), sweep.first_slice);
    let Some(first) = bounds.first_pending.filter(|first| *first <= before) else {
        return Ok(nothing);
    };
    let range = IdRange {
        first,
        last: before.min(bounds.last),
    };
    sweep
        .pass(Pass::Pending, range, bounds.pending, |_| Ok(()))
        .await
}

/// Where a stream began and ended when it was first looked at.
struct Bounds {
    facts: StreamFacts,
    first: StreamId,
    /// What is added later is no loss of the failover.
    last: StreamId,
    first_pending: Option<StreamId>,
    pending: u64,
}

impl Bounds {
    /// From where on the entries of a window lie: of ids that no clock gave, none tells when it was added, so that all
    /// are looked at.
    fn from(&self, since: StreamId) -> StreamId {
        if self.last.is_by_a_clock() {
            since
        } else {
            StreamId::MIN
        }
    }

    /// About how many entries lie in `range`, if they came evenly.
    fn entries_in(&self, range: IdRange) -> u64 {
        let whole = u128::from(self.last.millis.saturating_sub(self.first.millis)) + 1;
        let part = u128::from(range.last.millis.saturating_sub(range.first.millis)) + 1;
        let entries = u128::from(self.facts.length) * part / whole;
        u64::try_from(entries).unwrap_or(u64::MAX)
    }
}

/// `None`: there is no stream to walk over.
async fn bounds(run: &StreamRun) -> Result<Option<Bounds>, RunError> {
    loop {
        let reader = run.ground.reader();
        let bounds = bounds_at(run, &reader.cache).await;
        if let Some(bounds) = run.ground.counted(&reader, bounds).await? {
            return Ok(bounds);
        }
    }
}

async fn bounds_at(run: &StreamRun, cache: &Redis) -> Result<Option<Bounds>, ScanError> {
    let check = run.check();
    let facts = match cache.stream_state(&check.key).await? {
        StreamState::Stream(facts) => facts,
        // Both are what the group's look is about.
        StreamState::Missing | StreamState::WrongType(_) => return Ok(None),
    };
    let first_pending = cache
        .pending(&check.key, &check.group, IdRange::ALL, 1)
        .await?
        .and_then(|rows| rows.first().map(|row| row.id));
    let first = [facts.first, first_pending].into_iter().flatten().min();
    Ok(Some(Bounds {
        first: first.unwrap_or(StreamId::MIN),
        last: facts.last_generated,
        first_pending,
        pending: facts.group(&check.group).map_or(0, |group| group.pending),
        facts,
    }))
}

async fn named(
    run: &StreamRun,
    ids: &[StreamId],
    slice: u32,
    batches: &mpsc::Sender<Batch<EntryTarget>>,
) -> Coverage {
    let count = ids.len() as u64;
    run.ground.observed.fetch_add(count, Ordering::Relaxed);
    for group in targets(ids, slice).chunks(BATCH_TARGETS) {
        let batch = Batch::of(group.to_vec());
        if batches.send(batch).await.is_err() {
            break;
        }
    }
    Coverage {
        observed: count,
        suspect: count,
        ..Coverage::default()
    }
}
