//! What a repair needs besides a scan: the lease, the writer, the limits.

use sha2::{Digest, Sha256};

use super::RunError;
use super::open::Opened;
use crate::job::{Endpoint, Job, RedisSpec};
use crate::repair::{Applier, ApplyLimits};
use crate::report::RunFolder;
use crate::store::mysql::{Lease, Mysql};
use crate::store::redis::{PerNode, Writer};

/// Takes the advisory lock of this job on this Redis, or says that another run has it.
pub(super) async fn take_lease(job: &Job, source: &Mysql) -> Result<Lease, RunError> {
    match source.take_lease(&lease_name(job)).await {
        Ok(Some(lease)) => Ok(lease),
        Ok(None) => Err(RunError::LeaseTaken(format!(
            "another repair of job {} holds the lease; wait for it, or stop it, and run again",
            job.name
        ))),
        Err(fault) => Err(RunError::NothingJudged(fault.to_string())),
    }
}

/// At most 64 characters, as GET_LOCK asks: a hash of the job's name and of where its Redis is.
fn lease_name(job: &Job) -> String {
    let place = place(&job.redis);
    let digest = Sha256::digest(format!("{}\n{place}\n{}", job.name, job.redis.database));
    format!("auditor:{}", hex::encode(&digest[..20]))
}

/// Names the Redis, not the process that is its master today.
fn place(redis: &RedisSpec) -> String {
    match &redis.endpoint {
        Endpoint::Tcp { host, port } => format!("{host}:{port}"),
        Endpoint::Unix(path) => path.display().to_string(),
        Endpoint::Sentinel { master, .. } => format!("sentinel/{master}"),
        Endpoint::Cluster { nodes } => {
            let mut nodes: Vec<String> = nodes.iter().map(|(h, p)| format!("{h}:{p}")).collect();
            nodes.sort();
            format!("cluster/{}", nodes.join(","))
        }
    }
}

/// Opens the writing connection and hands everything that may write to the one who may.
pub(super) async fn start_applier(
    job: &Job,
    opened: &Opened,
    lease: Lease,
    folder: &RunFolder,
    max_repairs: Option<u64>,
) -> Result<Applier, RunError> {
    let limits = ApplyLimits {
        min_replicas: fence_replicas(job, opened),
        is_multi_primary: opened.source.is_multi_primary,
        max_repairs: max_repairs.unwrap_or(job.limits.max_repairs),
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
