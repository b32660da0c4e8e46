//! What every worker of one check holds.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::pace::Pacer;
use super::stop::Stop;
use crate::model::identity::{NodeIdentity, SourceIdentity};
use crate::model::mapping::Mapping;
use crate::model::progress::ProgressSink;
use crate::model::time::TimeWindow;
use crate::rules::{ConfirmTiming, Judge};
use crate::store::mysql::Mysql;
use crate::store::redis::Redis;

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
    pub stop: Stop,
    pub progress: Arc<dyn ProgressSink>,
}

impl CheckRun {
    pub(super) fn name(&self) -> &str {
        &self.mapping.check.name.text
    }
}
