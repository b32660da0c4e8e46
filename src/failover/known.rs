//! Which histories are no news to a sampler.

use std::collections::{HashMap, HashSet};

use super::{Heartbeat, Remembered, Sample};
use crate::model::slots::SlotSet;

/// What a beat is compared with: the histories that were sampled, and the latest of them for every master.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Run id and replication id.
    histories: HashSet<(String, String)>,
    /// Replication id → the slots of its last sample, and when that was taken.
    latest: HashMap<String, (i64, SlotSet)>,
    /// Histories whose beginning was noticed, by a change, or dealt with, by a run.
    begun: HashSet<(String, String)>,
}

impl Known {
    pub fn of(remembered: &Remembered) -> Self {
        let mut known = Self::default();
        for sample in &remembered.samples {
            known.learn(sample);
        }
        let changes = remembered.changes.iter();
        let changes = changes.map(|c| (c.run_id.clone(), c.replication_id.clone()));
        let handled = remembered.handled.iter();
        let handled = handled.map(|h| (h.run_id.clone(), h.replication_id.clone()));
        known.begun = changes.chain(handled).collect();
        known
    }

    /// A sample was taken and kept.
    pub fn learn(&mut self, sample: &Sample) {
        let beat = &sample.beat;
        self.histories
            .insert((beat.run_id.clone(), beat.replication_id.clone()));
        let at = sample.seen_at.0;
        let latest = self
            .latest
            .entry(beat.replication_id.clone())
            .or_insert_with(|| (at, sample.slots.clone()));
        if latest.0 <= at {
            *latest = (at, sample.slots.clone());
        }
    }

    /// Whether this history was sampled before.
    pub(super) fn has_history(&self, beat: &Heartbeat) -> bool {
        let history = (beat.run_id.clone(), beat.replication_id.clone());
        self.histories.contains(&history)
    }

    /// Whether a master that was sampled for some of the same slots is gone, nobody has said so yet, and the sample is of the
    /// history that stands in its place. `present` are the replication ids of all masters now: to one of them the slots may
    /// have been moved.
    pub(super) fn misses_one(&self, sample: &Sample, present: &HashSet<String>) -> bool {
        let beat = &sample.beat;
        let history = (beat.run_id.clone(), beat.replication_id.clone());
        if self.begun.contains(&history) {
            return false;
        }
        let overlapping = self
            .latest
            .iter()
            .filter(|(_, (_, slots))| !slots.is_disjoint(&sample.slots));
        let last = overlapping.max_by_key(|(_, (at, _))| *at);
        last.is_some_and(|(replication_id, _)| !present.contains(replication_id))
    }
}
