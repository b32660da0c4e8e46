//! What the work on any check holds, whatever its kind.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::Semaphore;

use super::RunError;
use super::open::Opened;
use super::pace::Pacer;
use super::reading::Reading;
use super::request::Console;
use super::stop::Stop;
use crate::failover::{Drift, drift};
use crate::job::Job;
use crate::model::identity::{Pinned, SourceIdentity};
use crate::model::progress::ProgressSink;
use crate::model::shard::Shard;
use crate::model::slots::SlotSet;
use crate::model::time::{Micros, TimeWindow};
use crate::rules::ConfirmTiming;
use crate::scan::{Portion, ScanError};
use crate::store::mysql::Mysql;
use crate::store::redis::Redis;

/// Pages of all checks in the works at once: what bounds the memory of the sweeps.
const PAGES_AT_ONCE: usize = 4;
/// Batches of all checks that wait for their looks at once; a wrong mapping must not wait for every batch in
/// turn, nor hold everything it suspects.
const BATCHES_AT_ONCE: usize = 16;

/// Both stores, and who they were when the run began (or began again).
#[derive(Clone)]
pub(super) struct Stores {
    pub source: Mysql,
    pub source_identity: SourceIdentity,
    pub cache: Redis,
    /// Where sweeps read; everything that decides reads `source` and `cache`.
    pub reading: Reading,
    pub pinned: Pinned,
    /// When, by this host's clock, every node is known to have served as a master.
    pub serving_since: Micros,
}

impl Stores {
    /// The servers whose rows are read: the primary, and the replica of sweeps.
    fn read_sources(&self) -> Vec<Mysql> {
        let replica = self.reading.source_facts.is_some();
        let replica = replica.then(|| self.reading.source.clone());
        std::iter::once(self.source.clone())
            .chain(replica)
            .collect()
    }
}

/// A check's stores and margins, and what it shares with the others.
#[derive(Clone)]
pub(super) struct Ground {
    /// Which part of everything is this process's.
    pub shard: Shard,
    /// Which slots of a Cluster the run is about: all of them, unless only some shards failed over.
    pub slots: Arc<SlotSet>,
    pub timing: ConfirmTiming,
    pub window: Option<TimeWindow>,
    pub stores: Stores,
    pub pacer: Pacer,
    /// Pages in the works over all checks: what bounds the memory of the sweeps.
    pub pages: Arc<Semaphore>,
    /// Keys or entries looked at so far, whatever becomes of the sweep.
    pub observed: Arc<AtomicU64>,
    /// Batches that wait for their looks, over all checks: what bounds the memory of the suspects.
    pub settling: Arc<Semaphore>,
    pub stop: Stop,
    pub progress: Arc<dyn ProgressSink>,
}

/// What all checks of a run share.
pub(super) struct Shared<'a> {
    pub job: &'a Job,
    pub shard: Shard,
    slots: Arc<SlotSet>,
    pub opened: &'a Opened,
    pub window: Option<TimeWindow>,
    pacer: Pacer,
    pages: Arc<Semaphore>,
    settling: Arc<Semaphore>,
    stop: Stop,
    progress: Arc<dyn ProgressSink>,
}

impl<'a> Shared<'a> {
    pub(super) fn new(
        job: &'a Job,
        shard: Shard,
        opened: &'a Opened,
        window: Option<TimeWindow>,
        stop: &Stop,
        console: &Console,
    ) -> Self {
        let pacer = Pacer::new(
            job.limits.max_keys_per_second,
            opened.stores.read_sources(),
            job.limits.max_threads_running,
            Arc::clone(&console.progress),
            stop.clone(),
        );
        Self {
            job,
            shard,
            slots: Arc::new(SlotSet::all()),
            opened,
            window,
            pacer,
            pages: Arc::new(Semaphore::new(PAGES_AT_ONCE)),
            settling: Arc::new(Semaphore::new(BATCHES_AT_ONCE)),
            stop: stop.clone(),
            progress: Arc::clone(&console.progress),
        }
    }

    /// The same, about nothing but the keys in `slots`.
    pub(super) fn within(self, slots: SlotSet) -> Self {
        let slots = Arc::new(slots);
        Self { slots, ..self }
    }

    /// The ground of one check.
    pub(super) fn ground(&self, timing: ConfirmTiming) -> Ground {
        Ground {
            shard: self.shard,
            slots: Arc::clone(&self.slots),
            timing,
            window: self.window,
            stores: self.opened.stores.clone(),
            pacer: self.pacer.clone(),
            pages: Arc::clone(&self.pages),
            observed: Arc::default(),
            settling: Arc::clone(&self.settling),
            stop: self.stop.clone(),
            progress: Arc::clone(&self.progress),
        }
    }
}

impl Ground {
    /// The rows and keys that a sweep is about.
    pub(super) fn portion(&self) -> Portion {
        Portion::of(self.shard).within(&self.slots)
    }

    /// What was read counts only if it came from the pinned processes and histories.
    pub(super) async fn still_the_same_nodes(&self) -> Result<(), RunError> {
        let cache = &self.stores.cache;
        let nodes = cache.facts_of_all().await.map_err(ScanError::from)?;
        match drift(&self.stores.pinned, &nodes) {
            Drift::Same | Drift::Renewed(_) => Ok(()),
            Drift::Changed(why) => Err(RunError::TopologyChanged(why)),
        }
    }
}
