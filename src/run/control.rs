//! The control sample: pairs from outside the window, where nothing should be wrong. If many are, the
//! mapping is wrong and not Redis.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rand::Rng;

use super::RunError;
use super::check::CheckRun;
use super::settle::settle;
use crate::model::check::Source;
use crate::model::finding::Verdict;
use crate::model::observation::{Cached, Position};
use crate::plan::is_integer_key;
use crate::scan::{Portion, Target, page, target_of};
use crate::store::mysql::{KeyRange, Selection, SweepKey};

/// Places of the id space the sample is drawn from; each gives an equal share of neighbours.
const PLACES: usize = 40;
const PLACES_OF_A_SELECT: usize = 4;
/// Where only some rows are cached one round of places gives too few pairs.
const ROUNDS: usize = 10;
/// Rows read for each pair wanted, at most.
const ROWS_PER_PAIR: usize = 20;
/// Fewer pairs than this say little about a mapping, so all that can be had are taken.
const PAIRS_MIN: usize = 30;

/// What the control sample showed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Control {
    /// Pairs compared: rows whose key was there, or had to be.
    pub pairs: u64,
    pub mismatched: u64,
}

impl Control {
    /// Share of mismatches, 0 to 1; `None` when there was no pair to compare.
    pub(super) fn rate(&self) -> Option<f64> {
        (self.pairs > 0).then(|| self.mismatched as f64 / self.pairs as f64)
    }
}

/// Draws `wanted` pairs at random (all of them where there are few) and compares them; what is wrong is
/// looked at again, so that lag does not count.
pub(super) async fn control_sample(
    check: &Arc<CheckRun>,
    selection: Selection,
    wanted: usize,
) -> Result<Control, RunError> {
    let mut sample = Sample {
        wanted,
        rows_left: wanted.saturating_mul(ROWS_PER_PAIR),
        drawn: HashSet::new(),
        suspects: Vec::new(),
    };
    if let Some(ends) = integer_ends(check).await? {
        // A page of a custom SELECT can cost as much as all of it, so it gets few large ones.
        let (places, rounds) = match check.mapping.check.source {
            Source::Table { .. } => (PLACES, ROUNDS),
            Source::Sql { .. } => (PLACES_OF_A_SELECT, 1),
        };
        for _ in 0..rounds {
            let before = sample.drawn.len();
            for range in random_ranges(ends, places) {
                sample
                    .draw(check, selection, range, wanted.div_ceil(places))
                    .await?;
            }
            // Where nearly nothing comes any more there is nearly nothing left.
            let brought = sample.drawn.len() - before;
            if sample.is_full() || brought < wanted / 10 {
                break;
            }
        }
    }
    if sample.drawn.len() < PAIRS_MIN {
        // Few pairs, ids with large gaps, or ids that cannot be drawn at random: from the beginning, on and on.
        let mut next = Some(KeyRange::default());
        while let Some(range) = next.filter(|_| !sample.is_full()) {
            next = sample.draw(check, selection, range, wanted).await?;
        }
    }
    check.ground.still_the_same_nodes().await?;
    let pairs = sample.drawn.len() as u64;
    let settled = settle(check, sample.suspects).await?;
    let is_wrong = |v: Verdict| matches!(v, Verdict::Confirmed | Verdict::Hot);
    let mismatched = settled.iter().filter(|s| is_wrong(s.verdict)).count() as u64;
    Ok(Control { pairs, mismatched })
}

/// What was drawn so far.
struct Sample {
    wanted: usize,
    /// Rows without a cached value are no pairs; so many rows are read in vain at most.
    rows_left: usize,
    drawn: HashSet<Vec<u8>>,
    suspects: Vec<Target>,
}

impl Sample {
    fn is_full(&self) -> bool {
        self.drawn.len() >= self.wanted || self.rows_left == 0
    }

    /// Takes at most `limit` rows of `range`; gives what is left of the range.
    async fn draw(
        &mut self,
        check: &Arc<CheckRun>,
        selection: Selection,
        range: KeyRange,
        limit: usize,
    ) -> Result<Option<KeyRange>, RunError> {
        let limit = limit.min(self.rows_left);
        if limit == 0 || self.is_full() || check.ground.stop.is_requested() {
            return Ok(None);
        }
        let (source, cache) = (&check.ground.stores.source, &check.ground.stores.cache);
        // Whichever shard asks: the mapping is the same for all of them.
        let (mapping, all) = (&check.mapping, Portion::default());
        let paired = page(source, cache, mapping, &range, selection, &all, limit).await?;
        check.ground.pacer.take(paired.keyed.len()).await;
        check
            .ground
            .observed
            .fetch_add(paired.keyed.len() as u64, Ordering::Relaxed);
        self.rows_left -= paired.rows.len().min(self.rows_left);
        for (at, &index) in paired.keyed.iter().enumerate() {
            let row = paired.rows.row(index);
            let state = paired.cached.state(at);
            let objects = !check.judge.suspects(Some(row), &state).is_empty();
            let is_pair = objects || !matches!(state.cached, Cached::Missing { .. });
            let Some(target) = target_of(&check.mapping, row, Position::default()) else {
                continue;
            };
            let name = [
                target.subject.key.as_slice(),
                target.subject.member.as_deref().unwrap_or(b""),
            ];
            if is_pair && self.drawn.insert(name.join(&0)) && objects {
                self.suspects.push(target);
            }
        }
        Ok(paired.next)
    }
}

/// The smallest and the largest id, where ids are single integers.
async fn integer_ends(check: &CheckRun) -> Result<Option<(i128, i128)>, RunError> {
    if !is_integer_key(&check.mapping) {
        return Ok(None);
    }
    let integer =
        |key: &SweepKey| -> Option<i128> { std::str::from_utf8(key.first()?).ok()?.parse().ok() };
    let bounds = check
        .ground
        .stores
        .source
        .key_bounds(&check.mapping)
        .await?;
    Ok(bounds.and_then(|(low, high)| Some((integer(&low)?, integer(&high)?))))
}

/// Ranges that begin at random places and together cover the ids once, the beginning too.
fn random_ranges((low, high): (i128, i128), count: usize) -> Vec<KeyRange> {
    let mut starts: Vec<i128> = {
        let mut random = rand::rng();
        (1..count)
            .map(|_| random.random_range(low - 1..=high))
            .collect()
    };
    starts.sort_unstable();
    starts.dedup();
    let key = |n: &i128| vec![n.to_string().into_bytes()];
    let ends = starts.iter().map(key).map(Some).chain([None]);
    let begins = [None].into_iter().chain(starts.iter().map(key).map(Some));
    begins
        .zip(ends)
        .map(|(after, upto)| KeyRange { after, upto })
        .collect()
}
