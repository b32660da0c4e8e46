//! What a repair needs besides a scan and the lease: the writer, the limits.

use super::RunError;
use super::open::Opened;
use crate::job::Job;
use crate::repair::{Applier, ApplyLimits};
use crate::report::RunFolder;
use crate::store::mysql::Lease;
use crate::store::redis::{PerNode, Writer};

/// Opens the writing connection and hands everything that may write to the one who may.
pub(super) async fn start_applier(
    job: &Job,
    opened: &Opened,
    lease: Lease,
    folder: &RunFolder,
) -> Result<Applier, RunError> {
    let limits = ApplyLimits {
        min_replicas: fence_replicas(job, opened),
        is_multi_primary: opened.source.is_multi_primary,
        max_repairs: job.limits.max_repairs,
        max_invalidations_per_second: job.limits.max_invalidations_per_second,
    };
    let stores = &opened.stores;
    let writer = Writer::connect(&job.redis, &stores.pinned).await?;
    Ok(Applier::new(
        stores.source.clone(),
        stores.cache.clone(),
        job.redis.clone(),
        stores.pinned.clone(),
        writer,
        folder.journal(&job.config_hash),
        lease,
        limits,
    ))
}

/// Replicas a write on each node needs: as the job says, else those online at the run's start, at most one.
pub(super) fn fence_replicas(job: &Job, opened: &Opened) -> PerNode<u32> {
    let needed = opened.nodes.iter().map(|node| {
        let online = u32::try_from(node.replicas_online.len()).unwrap_or(u32::MAX);
        job.limits.min_replicas.unwrap_or(online.min(1))
    });
    PerNode::each(needed.collect())
}
