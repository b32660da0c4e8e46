//! What every worker of one check holds.

use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex};

use tokio::sync::Semaphore;

use super::open::Opened;
use super::pace::Pacer;
use super::request::Console;
use super::stop::Stop;
use super::sweep::first_page_rows;
use crate::job::Job;
use crate::model::identity::{NodeIdentity, SourceIdentity};
use crate::model::mapping::Mapping;
use crate::model::progress::ProgressSink;
use crate::model::template::Template;
use crate::model::time::TimeWindow;
use crate::plan::timing_of;
use crate::rules::{ConfirmTiming, Judge, JudgeContext};
use crate::scan::Target;
use crate::store::mysql::Mysql;
use crate::store::redis::{NodeFacts, Redis};

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
    pub pinned: NodeIdentity,
}

/// One check of a run.
#[derive(Clone)]
pub(super) struct CheckRun {
    pub mapping: Arc<Mapping>,
    pub judge: Judge,
    pub timing: ConfirmTiming,
    pub window: Option<TimeWindow>,
    pub stores: Stores,
    pub pacer: Pacer,
    /// Pages in the works over all checks: what bounds the memory of the sweeps.
    pub pages: Arc<Semaphore>,
    /// Rows whose key was read so far, whatever becomes of the sweep.
    pub observed: Arc<AtomicU64>,
    /// Some of what both sides agreed on, to be looked at again after a repair.
    pub clean: Arc<Mutex<Vec<Target>>>,
    /// Rows of the next page: fewer where values are large.
    pub page_rows: Arc<AtomicUsize>,
    /// Batches that wait for their looks, over all checks: what bounds the memory of the suspects.
    pub settling: Arc<Semaphore>,
    /// Key templates of the job's other checks that say more about a key than this one's.
    pub siblings: Arc<[Template]>,
    pub stop: Stop,
    pub progress: Arc<dyn ProgressSink>,
}

impl CheckRun {
    pub(super) fn name(&self) -> &str {
        &self.mapping.check.name.text
    }
}

/// The workers' things for every check of a run.
pub(super) fn check_runs(
    job: &Job,
    opened: &Opened,
    mappings: &[Arc<Mapping>],
    window: Option<TimeWindow>,
    stop: &Stop,
    console: &Console,
) -> Vec<CheckRun> {
    let pacer = Pacer::new(
        job.limits.max_keys_per_second,
        opened.stores.source.clone(),
        job.limits.max_threads_running,
        Arc::clone(&console.progress),
        stop.clone(),
    );
    let pages = Arc::new(Semaphore::new(PAGES_AT_ONCE));
    let settling = Arc::new(Semaphore::new(BATCHES_AT_ONCE));
    let context = judge_context(&opened.node);
    mappings
        .iter()
        .map(|mapping| CheckRun {
            mapping: Arc::clone(mapping),
            judge: Judge::new(Arc::clone(mapping), context),
            timing: timing_of(&mapping.check, job.limits.commit_margin + opened.skew),
            window,
            stores: opened.stores.clone(),
            pacer: pacer.clone(),
            pages: Arc::clone(&pages),
            observed: Arc::default(),
            clean: Arc::default(),
            page_rows: Arc::new(AtomicUsize::new(first_page_rows())),
            settling: Arc::clone(&settling),
            siblings: siblings(job, mapping),
            stop: stop.clone(),
            progress: Arc::clone(&console.progress),
        })
        .collect()
}

/// Templates of other checks that say more about a key than this check's does.
fn siblings(job: &Job, mapping: &Mapping) -> Arc<[Template]> {
    let own = mapping.check.key.literal_bytes();
    job.caches
        .iter()
        .map(|check| &check.key)
        .filter(|template| template.literal_bytes() > own)
        .cloned()
        .collect()
}

/// What judging depends on of the node. A policy that the ACL hides may evict anything.
pub(super) fn judge_context(node: &NodeFacts) -> JudgeContext {
    let policy = node.eviction_policy.as_deref();
    JudgeContext {
        evicts_unexpiring: policy.is_none_or(|p| p.starts_with("allkeys")),
    }
}
