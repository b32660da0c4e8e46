//! What every worker of one check of a stream holds.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::job::Job;
use crate::model::stream::{StreamCheck, StreamId, StreamMapping};
use crate::plan::timing_of;
use crate::rules::stream::StreamJudge;
use crate::run::ground::{Ground, Shared, Stores};
use crate::run::pace::Pacer;
use crate::scan::streams::{Claimant, DeadLetters};

/// Hosts whose clocks are further apart than this have no clock service.
const RAISE_SKEW_MAX: Duration = Duration::from_secs(5);

/// One check of a run.
#[derive(Clone)]
pub(in crate::run) struct StreamRun {
    pub judge: Arc<StreamJudge>,
    /// The job's other checks of this stream and group, whether they were asked for or not: an entry that
    /// one of them proves does not stop the walk over a group's proven entries.
    pub siblings: Arc<[Sibling]>,
    pub dead: Arc<DeadLetters>,
    pub ground: Ground,
    /// How far Redis's clock and this host's are apart: ids are given by the one.
    pub skew: Duration,
    /// How far an id may lie after Redis's clock, and the last id still be raised to it: a clock that is further off is
    /// wrong, and ids by it are nobody's measure.
    pub raise_skew: Duration,
    /// Some of what was right, to be looked at again after a repair.
    pub clean: Arc<Mutex<Vec<StreamId>>>,
    /// Where partitions may be spilled to: the run's folder.
    pub scratch: PathBuf,
    /// Of several checks of one group the first says what is wrong with the group itself.
    pub speaks_for_group: bool,
}

/// Another check of the same stream and group.
#[derive(Clone)]
pub(in crate::run) struct Sibling {
    judge: Arc<StreamJudge>,
    dead: Arc<DeadLetters>,
}

impl Sibling {
    fn of(judge: &Arc<StreamJudge>, pacer: &Pacer) -> Self {
        Self {
            judge: Arc::clone(judge),
            dead: dead_letters(judge, pacer),
        }
    }
}

impl StreamRun {
    pub(in crate::run) fn name(&self) -> &str {
        self.judge.mapping().name()
    }

    pub(super) fn check(&self) -> &StreamCheck {
        &self.judge.mapping().check
    }

    /// This check, then its siblings, as those who may say of an entry what became of it.
    pub(super) fn claimants(&self) -> Vec<Claimant<'_>> {
        let own = Claimant {
            judge: &self.judge,
            dead: &self.dead,
        };
        let siblings = self.siblings.iter().map(|sibling| Claimant {
            judge: &sibling.judge,
            dead: &sibling.dead,
        });
        std::iter::once(own).chain(siblings).collect()
    }

    /// The same check on other stores. What the dead letters hold is read anew.
    pub(in crate::run) fn on(&self, stores: &Stores) -> Self {
        let mut other = self.clone();
        other.ground.stores = stores.clone();
        other.dead = dead_letters(&other.judge, &self.ground.pacer);
        other.siblings = self
            .siblings
            .iter()
            .map(|s| Sibling::of(&s.judge, &self.ground.pacer))
            .collect();
        other
    }
}

/// The checks asked for, and those that share a stream and a group with one of them.
pub(in crate::run) fn with_siblings(
    job: &Job,
    selected: &[Arc<StreamCheck>],
) -> Vec<Arc<StreamCheck>> {
    let is_needed = |check: &&Arc<StreamCheck>| selected.iter().any(|s| share_group(s, check));
    job.streams.iter().filter(is_needed).cloned().collect()
}

/// The workers' things for every selected check; `mappings` holds their siblings too.
pub(in crate::run) fn stream_runs(
    shared: &Shared<'_>,
    mappings: &[Arc<StreamMapping>],
    selected: &[Arc<StreamCheck>],
    scratch: &Path,
) -> Vec<StreamRun> {
    let judges: Vec<Arc<StreamJudge>> = mappings
        .iter()
        .map(|mapping| Arc::new(StreamJudge::new(Arc::clone(mapping))))
        .collect();
    let is_selected = |judge: &StreamJudge| {
        let name = judge.mapping().name();
        selected.iter().any(|check| check.name.text == name)
    };
    let margin = shared.job.limits.commit_margin + shared.opened.skew;
    let mut runs: Vec<StreamRun> = Vec::new();
    for judge in judges.iter().filter(|judge| is_selected(judge)) {
        let check = &judge.mapping().check;
        let siblings = judges
            .iter()
            .filter(|other| !Arc::ptr_eq(other, judge))
            .filter(|other| share_group(&other.mapping().check, check));
        let ground = shared.ground(timing_of(&check.rows, margin));
        let pacer = &ground.pacer;
        runs.push(StreamRun {
            judge: Arc::clone(judge),
            siblings: siblings.map(|judge| Sibling::of(judge, pacer)).collect(),
            dead: dead_letters(judge, pacer),
            ground,
            skew: shared.opened.cache_skew,
            raise_skew: shared.opened.cache_skew.min(RAISE_SKEW_MAX),
            clean: Arc::default(),
            scratch: scratch.to_owned(),
            speaks_for_group: !runs.iter().any(|r| share_group(r.check(), check)),
        });
    }
    runs
}

fn share_group(one: &StreamCheck, other: &StreamCheck) -> bool {
    one.key == other.key && one.group == other.group
}

fn dead_letters(judge: &StreamJudge, pacer: &Pacer) -> Arc<DeadLetters> {
    Arc::new(DeadLetters::new(judge).paced(Arc::new(pacer.clone())))
}
