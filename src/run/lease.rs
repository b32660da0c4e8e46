//! The advisory locks by which repairs of one job exclude each other.
//!
//! Each shard has a lock of its own. Two splits into other numbers of shards would write the same keys, so whoever has
//! its lock asks for all locks of other splits, and backs out if one is taken: of two that begin at once at least one
//! sees the other.

use sha2::{Digest, Sha256};

use super::RunError;
use crate::job::{Endpoint, Job, RedisSpec};
use crate::model::shard::Shard;
use crate::store::mysql::{Lease, Mysql};

/// Takes the lock of this shard, or says that another run has it or one that overlaps.
pub(super) async fn take_lease(job: &Job, shard: Shard, source: &Mysql) -> Result<Lease, RunError> {
    let failed =
        |fault: crate::store::mysql::MysqlError| RunError::NothingJudged(fault.to_string());
    let Some(lease) = source
        .take_lease(&lease_name(job, shard))
        .await
        .map_err(failed)?
    else {
        return Err(taken(job, shard));
    };
    let others = Shard::all().filter(|other| other.count() != shard.count());
    match holders(job, others, source).await.map_err(failed)?.first() {
        None => Ok(lease),
        Some((other, _)) => {
            // Freed at once, so that whoever is to go on does not meet it.
            lease.release().await.map_err(failed)?;
            Err(taken(job, *other))
        }
    }
}

/// Which of `shards` are at work, with the ids of the connections that hold their locks.
pub(super) async fn holders(
    job: &Job,
    shards: impl Iterator<Item = Shard>,
    source: &Mysql,
) -> Result<Vec<(Shard, u64)>, crate::store::mysql::MysqlError> {
    let shards: Vec<Shard> = shards.collect();
    let names: Vec<String> = shards.iter().map(|s| lease_name(job, *s)).collect();
    let holders = source.lease_holders(&names).await?;
    let held = shards.into_iter().zip(holders);
    Ok(held
        .filter_map(|(shard, holder)| Some((shard, holder?)))
        .collect())
}

fn taken(job: &Job, shard: Shard) -> RunError {
    let part = match shard.is_whole() {
        true => String::new(),
        false => format!(", shard {shard},"),
    };
    RunError::LeaseTaken(format!(
        "another repair of job {}{part} holds the lease; wait for it, or stop it, and run again",
        job.name
    ))
}

/// At most 64 characters, as GET_LOCK asks: a hash of the job's name and of where its Redis is, and the shard.
fn lease_name(job: &Job, shard: Shard) -> String {
    let place = place(&job.redis);
    let digest = Sha256::digest(format!("{}\n{place}\n{}", job.name, job.redis.database));
    format!("auditor:{}:{shard}", hex::encode(&digest[..20]))
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
