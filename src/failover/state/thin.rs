//! Fewer samples the older they are. What matters is how close a sample is to the end of its history, not to now: a failover
//! of last night is dated by the beats before it.

use std::collections::{HashMap, HashSet};

use crate::failover::Sample;

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Up to this long before the end of its history a sample is kept if it is the last one of so long a span. A span of 0: every
/// sample. With a beat a second a week of one history is some 1200 samples.
const STEPS: [(i64, i64); 4] = [
    (3 * MINUTE, 0),
    (HOUR / 2, 10 * SECOND),
    (3 * HOUR, MINUTE),
    (8 * DAY, 15 * MINUTE),
];

/// The samples that are kept, oldest first. Whatever is older than the last step, counted from the newest sample of all,
/// goes.
pub(super) fn thinned(samples: Vec<Sample>) -> Vec<Sample> {
    thinned_by(samples, &STEPS)
}

/// The few that go into the copy in Redis, which is written again and again: the last of each history, and some before it.
pub(super) fn sparse(samples: Vec<Sample>) -> Vec<Sample> {
    const COPIED: [(i64, i64); 3] = [
        (MINUTE, 10 * SECOND),
        (HOUR, 5 * MINUTE),
        (8 * DAY, 4 * HOUR),
    ];
    const COUNT: usize = 120;
    let mut kept = thinned_by(samples, &COPIED);
    let surplus = kept.len().saturating_sub(COUNT);
    kept.drain(..surplus);
    kept
}

fn thinned_by(mut samples: Vec<Sample>, steps: &[(i64, i64)]) -> Vec<Sample> {
    samples.sort_by_key(|sample| sample.seen_at);
    let Some(newest) = samples.last().map(|sample| sample.seen_at.0) else {
        return samples;
    };
    let oldest = newest - steps.last().map_or(0, |(age, _)| *age);
    let mut ends: HashMap<(String, String), i64> = HashMap::new();
    let mut taken = HashSet::new();
    let mut kept: Vec<Sample> = Vec::new();
    for sample in samples.into_iter().rev() {
        let at = sample.seen_at.0;
        let history = (
            sample.beat.run_id.clone(),
            sample.beat.replication_id.clone(),
        );
        let is_last = !ends.contains_key(&history);
        let end = *ends.entry(history.clone()).or_insert(at);
        let step = steps.iter().find(|(age, _)| end - at <= *age);
        let is_kept = match step {
            _ if at < oldest => false,
            None => false,
            Some((_, 0)) => true,
            Some((_, span)) => is_last || taken.insert((history, *span, at.div_euclid(*span))),
        };
        if is_kept {
            kept.push(sample);
        }
    }
    kept.reverse();
    kept
}
