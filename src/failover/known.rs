//! Which histories are no news to a sampler.

use std::collections::{HashMap, HashSet};

use super::{Change, Heartbeat, Remembered, Sample};
use crate::model::slots::SlotSet;
use crate::model::time::Micros;

/// What a beat is compared with: when every history was sampled, and whose beginning is known.
#[derive(Debug, Clone, Default)]
pub struct Known {
    sampled: HashMap<History, Span>,
    /// Histories whose beginning was noticed, by a change, or dealt with, by a run.
    begun: HashSet<History>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct History {
    run_id: String,
    replication_id: String,
}

/// From the first to the last sample of a history, by the clocks of those who took them.
#[derive(Debug, Clone)]
struct Span {
    first: Micros,
    last: Micros,
    /// Of the last one.
    slots: SlotSet,
}

impl Known {
    pub fn of(remembered: &Remembered) -> Self {
        let mut known = Self::default();
        for sample in &remembered.samples {
            known.learn(sample);
        }
        for change in &remembered.changes {
            known.learn_change(change);
        }
        for handled in &remembered.handled {
            known
                .begun
                .insert(History::new(&handled.run_id, &handled.replication_id));
        }
        known
    }

    /// A sample was taken.
    pub fn learn(&mut self, sample: &Sample) {
        let at = sample.seen_at;
        let span = self
            .sampled
            .entry(History::of(&sample.beat))
            .or_insert_with(|| Span {
                first: at,
                last: at,
                slots: sample.slots.clone(),
            });
        span.first = span.first.min(at);
        if span.last < at {
            span.last = at;
            span.slots.clone_from(&sample.slots);
        }
    }

    /// A change was noticed.
    pub fn learn_change(&mut self, change: &Change) {
        self.begun
            .insert(History::new(&change.run_id, &change.replication_id));
    }

    /// Whether this history was sampled before.
    pub(super) fn has_history(&self, beat: &Heartbeat) -> bool {
        self.sampled.contains_key(&History::of(beat))
    }

    /// Whether the history of `sample` took the place of one that is gone, and nobody has said so yet. `present` are the
    /// replication ids of all masters now.
    ///
    /// The history before it is the one that answered last for some of its slots, of those that were there first. One
    /// that is still present, or went on being sampled, gave slots away and is not gone.
    pub(super) fn misses_one(&self, sample: &Sample, present: &HashSet<String>) -> bool {
        let own = History::of(&sample.beat);
        if self.begun.contains(&own) {
            return false;
        }
        let began = self
            .sampled
            .get(&own)
            .map_or(sample.seen_at, |span| span.first);
        let before = self
            .sampled
            .iter()
            .filter(|(history, span)| {
                **history != own && span.first < began && !span.slots.is_disjoint(&sample.slots)
            })
            .max_by_key(|(_, span)| span.last);
        before.is_some_and(|(history, span)| {
            span.last < began && !present.contains(&history.replication_id)
        })
    }
}

impl History {
    fn new(run_id: &str, replication_id: &str) -> Self {
        Self {
            run_id: run_id.to_owned(),
            replication_id: replication_id.to_owned(),
        }
    }

    fn of(beat: &Heartbeat) -> Self {
        Self::new(&beat.run_id, &beat.replication_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failover::Handled;
    use crate::model::slots::Slot;

    fn sample(at: i64, history: &str, slots: std::ops::Range<u16>) -> Sample {
        Sample {
            seen_at: Micros(at),
            address: "h:1".into(),
            slots: slots.filter_map(Slot::new).collect(),
            beat: Heartbeat {
                beat_at: Micros(at),
                run_id: "r".into(),
                replication_id: history.into(),
                offset: at,
            },
        }
    }

    fn known(samples: &[Sample]) -> Known {
        Known::of(&Remembered {
            samples: samples.to_vec(),
            ..Remembered::default()
        })
    }

    fn misses(known: &Known, sample: &Sample, present: &[&str]) -> bool {
        let present = present.iter().map(|id| (*id).to_owned()).collect();
        known.misses_one(sample, &present)
    }

    #[test]
    fn a_history_that_is_gone_is_missed_once() {
        let now = sample(9, "b", 0..9);
        assert!(!misses(&known(&[]), &now, &["b"]), "nobody was before it");
        let mut known = known(&[sample(1, "a", 0..9)]);
        assert!(misses(&known, &now, &["b"]));
        // Sampled by somebody else who did not know of the former one.
        known.learn(&sample(8, "b", 0..9));
        assert!(misses(&known, &now, &["b"]));
        let handled = Handled {
            replication_id: "b".into(),
            run_id: "r".into(),
            slots: SlotSet::all(),
            handled_at: Micros(9),
        };
        let dealt_with = Known::of(&Remembered {
            samples: vec![sample(1, "a", 0..9)],
            handled: vec![handled],
            ..Remembered::default()
        });
        assert!(!misses(&dealt_with, &now, &["b"]));
    }

    #[test]
    fn slots_that_moved_are_no_failover() {
        let moved = sample(9, "b", 5..9);
        let giver = known(&[sample(1, "a", 0..9)]);
        assert!(!misses(&giver, &moved, &["a", "b"]), "it is still there");
        assert!(
            !misses(&known(&[sample(1, "a", 0..5)]), &moved, &["b"]),
            "it never had these slots"
        );
        // The giver failed over later on: that is its own change, not this one's.
        let later = known(&[
            sample(1, "z", 0..9),
            sample(2, "a", 0..9),
            sample(4, "b", 5..9),
            sample(5, "a", 0..9),
        ]);
        assert!(!misses(&later, &moved, &["c", "b"]));
    }
}
