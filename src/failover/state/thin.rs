//! Fewer samples the older they are. What matters is how close a sample is to the end of its history, not to now: a failover
//! of last night is dated by the beats before it.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use crate::failover::Sample;
use crate::model::time::Micros;

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

/// Samples of the copy.
const COPIED_COUNT: usize = 120;

/// The samples that are kept, oldest first. Whatever is older than the last step, counted from the newest sample of all,
/// goes. A sample that claims to be of later than `now` makes no other one old.
pub(super) fn thinned(samples: Vec<Sample>, now: Micros) -> Vec<Sample> {
    thinned_by(samples, &STEPS, now)
}

/// The few that go into the copy in Redis, which is written again and again: the last of each history, and some before it.
pub(super) fn sparse(samples: Vec<Sample>, now: Micros) -> Vec<Sample> {
    const COPIED: [(i64, i64); 3] = [
        (MINUTE, 10 * SECOND),
        (HOUR, 5 * MINUTE),
        (8 * DAY, 4 * HOUR),
    ];
    let kept = thinned_by(samples, &COPIED, now);
    let mut left = COPIED_COUNT;
    fitting(kept, |_| {
        let has_room = left > 0;
        left = left.saturating_sub(1);
        has_room
    })
}

/// How many histories `samples` are of.
pub(super) fn histories_in(samples: &[Sample]) -> usize {
    let all: HashSet<_> = samples.iter().map(history).collect();
    all.len()
}

/// As many of `samples` as there is room for, oldest first: of every history its last one, then of every history the one
/// before, and so on, because a failover is dated by the last samples of its own history. `has_room` is asked for each
/// in this order, until it says no.
pub(super) fn fitting(
    mut samples: Vec<Sample>,
    mut has_room: impl FnMut(&Sample) -> bool,
) -> Vec<Sample> {
    samples.sort_by_key(|sample| Reverse(sample.seen_at));
    let mut ranks: HashMap<(String, String), usize> = HashMap::new();
    let mut ranked: Vec<(usize, Sample)> = Vec::with_capacity(samples.len());
    for sample in samples {
        let (run_id, replication_id) = history(&sample);
        let rank = ranks.entry((run_id.to_owned(), replication_id.to_owned()));
        let rank = rank.and_modify(|rank| *rank += 1).or_insert(0);
        ranked.push((*rank, sample));
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    let kept = ranked.into_iter().map(|(_, sample)| sample);
    let mut kept: Vec<Sample> = kept.take_while(|sample| has_room(sample)).collect();
    kept.sort_by_key(|sample| sample.seen_at);
    kept
}

fn history(sample: &Sample) -> (&str, &str) {
    (&sample.beat.run_id, &sample.beat.replication_id)
}

fn thinned_by(mut samples: Vec<Sample>, steps: &[(i64, i64)], now: Micros) -> Vec<Sample> {
    samples.sort_by_key(|sample| sample.seen_at);
    let Some(newest) = samples.last().map(|sample| sample.seen_at.min(now).0) else {
        return samples;
    };
    let oldest = newest - steps.last().map_or(0, |(age, _)| *age);
    let mut ends: HashMap<(String, String), i64> = HashMap::new();
    let mut taken = HashSet::new();
    let mut kept: Vec<Sample> = Vec::new();
    for sample in samples.into_iter().rev() {
        let at = sample.seen_at.0;
        let (run_id, replication_id) = history(&sample);
        let history = (run_id.to_owned(), replication_id.to_owned());
        let is_last = !ends.contains_key(&history);
        let end = *ends.entry(history.clone()).or_insert(at.min(now.0));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failover::Heartbeat;
    use crate::model::slots::SlotSet;

    fn sample(history: &str, second: i64) -> Sample {
        Sample {
            seen_at: Micros(second * SECOND),
            address: "h:1".into(),
            slots: SlotSet::all(),
            beat: Heartbeat {
                beat_at: Micros(second * SECOND),
                run_id: "r".into(),
                replication_id: history.into(),
                offset: second,
            },
        }
    }

    fn of<'a>(kept: &'a [Sample], history: &str) -> Vec<&'a Sample> {
        let all = kept.iter();
        all.filter(|s| s.beat.replication_id == history).collect()
    }

    #[test]
    fn every_history_keeps_its_last_samples_however_many_there_are() {
        // One ended an hour before the others, which go on.
        let mut all: Vec<Sample> = (0..100).map(|second| sample("ended", second)).collect();
        for number in 0..50 {
            let name = format!("present {number}");
            all.extend((3_600..3_700).map(|second| sample(&name, second)));
        }
        let mut room = 150;
        let kept = fitting(all.clone(), |_| {
            room -= 1;
            room >= 0
        });
        assert_eq!(kept.len(), 150);
        assert_eq!(histories_in(&kept), 51);
        let ended = of(&kept, "ended");
        assert!(ended.len() >= 2, "{ended:?}");
        assert_eq!(ended.last(), Some(&&sample("ended", 99)));
        assert!(kept.is_sorted_by_key(|s| s.seen_at));
        let copied = sparse(all, Micros(3_700 * SECOND));
        assert_eq!(histories_in(&copied), 51);
        assert_eq!(of(&copied, "ended").last(), Some(&&sample("ended", 99)));
    }

    #[test]
    fn a_clock_that_was_ahead_makes_nothing_old() {
        let now = 1_000_000;
        let mut all: Vec<Sample> = (now - 60..=now).map(|second| sample("a", second)).collect();
        let right = thinned(all.clone(), Micros(now * SECOND));
        assert_eq!(right, all);
        // A year, and of another history too.
        let ahead = [sample("a", now + 31_536_000), sample("b", now + 31_536_000)];
        all.extend(ahead.clone());
        let kept = thinned(all.clone(), Micros(now * SECOND));
        assert_eq!(kept, all);
        let few = sparse(all, Micros(now * SECOND));
        assert!(of(&few, "a").contains(&&sample("a", now)), "{few:?}");
    }
}
