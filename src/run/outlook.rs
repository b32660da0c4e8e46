//! What happened since a run last dealt with this job's Redis: everything the finder wants to see, read without a write.

use std::time::Duration;

use futures_util::future::join;

use super::RunError;
use crate::failover::sampler::{SamplerError, heartbeat_of, remembered_in_redis};
use crate::failover::state::StateFolder;
use crate::failover::{FoundBeat, Outlook, PresentMaster, Remembered, Seen, find};
use crate::job::Job;
use crate::model::node::NodeFacts;
use crate::model::topology::Topology;
use crate::store::redis::{Redis, RedisError, read_topology};

/// A node that takes longer counts as unreachable: it is a witness at most.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// What was found out, and on what it rests.
pub(super) struct Found {
    pub outlook: Outlook,
    /// The state folder and the copies in Redis.
    pub remembered: Remembered,
    pub masters: Vec<NodeFacts>,
    pub topology: Topology,
}

/// Reads the state folder, its copy, the heartbeats and every node, and works out what happened.
pub(super) async fn look_back(
    job: &Job,
    cache: &Redis,
    masters: Vec<NodeFacts>,
) -> Result<Found, RunError> {
    let topology = read_topology(&job.redis, ANSWER_LIMIT);
    let (topology, evidence) = join(topology, evidence(job, cache, &masters)).await;
    let (remembered, present) = evidence?;
    let outlook = find(&Seen {
        remembered: &remembered,
        masters: &present,
        topology: &topology,
    });
    Ok(Found {
        outlook,
        remembered,
        masters,
        topology,
    })
}

async fn evidence(
    job: &Job,
    cache: &Redis,
    masters: &[NodeFacts],
) -> Result<(Remembered, Vec<PresentMaster>), RunError> {
    let mut remembered = remembered_in_folder(job)?;
    let mut present = Vec::new();
    for facts in masters {
        let copy = remembered_in_redis(cache, facts, job).await;
        remembered = remembered.united(copy.map_err(of_sampler)?);
        let beat = heartbeat_of(cache, facts, job).await.map_err(of_redis)?;
        let heartbeat = match beat.found {
            FoundBeat::Nothing => None,
            FoundBeat::Beat(beat) => Some(beat),
            FoundBeat::Unreadable(bytes) => {
                return Err(RunError::NothingJudged(format!(
                    "what lies under the heartbeat's key on {} is no heartbeat of a version known here: \"{}\"; use the \
                     program that wrote it, or choose another [checkpoint] prefix",
                    facts.address,
                    bytes.escape_ascii()
                )));
            }
        };
        present.push(PresentMaster {
            facts: facts.clone(),
            heartbeat,
        });
    }
    Ok((remembered, present))
}

/// What the state folder alone remembers.
pub(super) fn remembered_in_folder(job: &Job) -> Result<Remembered, RunError> {
    let read = StateFolder::open(job).read();
    read.map_err(|fault| RunError::NothingJudged(fault.to_string()))
}

fn of_sampler(fault: SamplerError) -> RunError {
    match fault {
        SamplerError::Redis(fault) => of_redis(fault),
        SamplerError::State(fault) => RunError::NothingJudged(fault.to_string()),
    }
}

fn of_redis(fault: RedisError) -> RunError {
    match fault {
        RedisError::TopologyChanged(why) => RunError::TopologyChanged(why),
        other => RunError::NothingJudged(other.to_string()),
    }
}
