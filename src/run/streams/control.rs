//! The control sample of a stream: entries from before the window that were delivered and are not pending. If many
//! of them have no row, or another one, the mapping is wrong and not Redis.

use std::collections::HashSet;
use std::sync::Arc;

use rand::Rng;

use super::check::StreamRun;
use super::entries::EntryTarget;
use super::scope::StreamScope;
use crate::model::finding::Verdict;
use crate::model::observation::Position;
use crate::model::stream::{EntryLook, IdRange, StreamId};
use crate::rules::stream::acked_unpersisted;
use crate::run::RunError;
use crate::run::batch::batches_of;
use crate::run::control::Control;
use crate::run::settle::{Settled, settle};
use crate::scan::streams::entry_page;

/// Places of the stream the sample is drawn from; each gives an equal share of neighbours.
const PLACES: usize = 40;
/// Fewer entries than this say little about a mapping, so all that can be had are taken.
const ENTRIES_MIN: usize = 30;
/// Where most entries are other checks', or pending, this many are read for each one wanted, at most.
const READ_PER_ENTRY: u64 = 20;

/// Draws `wanted` entries at random and compares them; what is wrong is looked at again, so that lag does not
/// count. `None`: there is nothing to draw from, or a missing row proves nothing.
pub(in crate::run) async fn control_sample(
    run: &Arc<StreamRun>,
    scope: &StreamScope,
    wanted: usize,
) -> Result<Option<Control>, RunError> {
    let StreamScope::Sweep { since, .. } = scope else {
        return Ok(None);
    };
    if run.check().may_leave_no_row || !run.ground.slots.has_key(&run.check().key) {
        return Ok(None);
    }
    let state = run
        .ground
        .stores
        .cache
        .stream_state(&run.check().key)
        .await?;
    let Some(first) = state.facts().and_then(|facts| facts.first) else {
        return Ok(None);
    };
    let end = match *since {
        StreamId::MIN => state.facts().map(|facts| facts.last_generated),
        since => since.previous(),
    };
    let Some(last) = end.filter(|end| *end >= first) else {
        return Ok(None);
    };
    let range = IdRange { first, last };
    let mut sample = Sample {
        wanted,
        reads_left: wanted as u64 * READ_PER_ENTRY,
        drawn: HashSet::new(),
        suspects: Vec::new(),
    };
    for range in random_ranges(range) {
        sample.draw(run, range, wanted.div_ceil(PLACES)).await?;
    }
    if sample.drawn.len() < ENTRIES_MIN {
        // Few entries, or many that are none of this check's: from the beginning, on and on.
        let mut next = Some(range);
        while let Some(range) = next.filter(|_| !sample.is_full()) {
            next = sample.draw(run, range, wanted).await?;
        }
    }
    run.ground.still_the_same_nodes().await?;
    let pairs = sample.drawn.len() as u64;
    let mut settled = Vec::new();
    for batch in batches_of(sample.suspects) {
        settled.extend(settle(run, batch).await?.into_iter().map(without_look));
    }
    let is_wrong = |v: Verdict| matches!(v, Verdict::Confirmed | Verdict::Hot);
    let wrong: Vec<_> = settled.iter().filter(|s| is_wrong(s.verdict)).collect();
    let is_missing = |s: &&&Settled<StreamRun>| {
        let mut rules = s.suspects.iter().map(|suspect| suspect.rule);
        rules.any(|rule| rule == acked_unpersisted::RULE.id)
    };
    let missing = wrong.iter().filter(is_missing).count() as u64;
    let mut mismatched = wrong.len() as u64;
    // Drawn from what is audited, the sample shows the losses themselves: rows that are missing speak against the
    // mapping only where most of them are.
    if *since == StreamId::MIN && 2 * missing <= pairs {
        mismatched -= missing;
    }
    Ok((pairs > 0).then_some(Control { pairs, mismatched }))
}

/// What was drawn so far.
struct Sample {
    wanted: usize,
    reads_left: u64,
    drawn: HashSet<StreamId>,
    suspects: Vec<EntryTarget>,
}

impl Sample {
    fn is_full(&self) -> bool {
        self.drawn.len() >= self.wanted || self.reads_left == 0
    }

    /// Takes at most `limit` entries from the beginning of `range`; gives what is left of it.
    async fn draw(
        &mut self,
        run: &StreamRun,
        range: IdRange,
        limit: usize,
    ) -> Result<Option<IdRange>, RunError> {
        if limit == 0 || self.is_full() || run.ground.stop.is_requested() {
            return Ok(None);
        }
        let stores = &run.ground.stores;
        let (judge, dead) = (&*run.judge, &*run.dead);
        let page = entry_page(&stores.source, &stores.cache, judge, dead, range, limit).await?;
        let read = page.entries_read + page.pending_read;
        self.reads_left = self.reads_left.saturating_sub(read.max(1));
        let cost = usize::try_from(read).unwrap_or(usize::MAX);
        run.ground.pacer.take(cost).await;
        for look in page.looks.iter().filter(|look| is_done_with(look)) {
            if self.drawn.insert(look.id) && run.objection(look).is_some() {
                self.suspects.push(EntryTarget {
                    id: look.id,
                    position: Position::default(),
                    weight: look.weight(),
                });
            }
        }
        Ok(page.next.map(|first| IdRange { first, ..range }))
    }
}

/// Only the verdicts are counted.
fn without_look(settled: Settled<StreamRun>) -> Settled<StreamRun> {
    Settled {
        look: None,
        ..settled
    }
}

/// Delivered, and not pending: the group is done with it, so that its effect should be there.
fn is_done_with(look: &EntryLook) -> bool {
    let is_delivered = look.cursor_before.is_some_and(|cursor| look.id <= cursor);
    is_delivered && look.before.is_none() && look.entry.is_some()
}

/// Ranges that begin at random places and together cover the ids once, the beginning too.
fn random_ranges(range: IdRange) -> Vec<IdRange> {
    let mut starts: Vec<StreamId> = {
        let mut random = rand::rng();
        (1..PLACES)
            .map(|_| random.random_range(range.first.millis..=range.last.millis))
            .map(|millis| StreamId::new(millis, 0))
            .filter(|start| *start > range.first)
            .collect()
    };
    starts.push(range.first);
    starts.sort_unstable();
    starts.dedup();
    let ends = starts[1..]
        .iter()
        .filter_map(|next| next.previous())
        .chain([range.last]);
    let ranges = starts.iter().zip(ends);
    ranges
        .map(|(&first, last)| IdRange { first, last })
        .collect()
}
