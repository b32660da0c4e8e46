//! Beats: one through each master, what they found, and what of it is a change of history.

use std::collections::HashSet;

use futures_util::future::join_all;

use super::known::Known;
use super::state::{StateError, decode_copy, encode_copy};
use super::{Change, FoundBeat, Remembered, Sample};
use crate::job::Job;
use crate::model::node::NodeFacts;
use crate::model::slots::SlotSet;
use crate::model::time::Micros;
use crate::store::redis::{
    BeatAnswer, CheckpointKeys, Evidence, Kept, Redis, RedisError, Sampler, Standing,
};

/// As many changes as the state folder keeps.
const EVIDENCE_READ: usize = 100;

/// How often a copy that others write meanwhile is tried again.
const COPY_ATTEMPTS_MAX: usize = 5;

/// One beat that was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beaten {
    pub sample: Sample,
    /// The history under the beat is another one than before.
    pub change: Option<Change>,
    /// What else is worth a warning, in one sentence.
    pub warning: Option<String>,
}

/// Why what Redis keeps of a checkpoint could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SamplerError {
    #[error(transparent)]
    Redis(#[from] RedisError),
    #[error(transparent)]
    State(#[from] StateError),
}

/// What one master holds of its heartbeat, read without writing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterBeat {
    pub address: String,
    pub slots: SlotSet,
    pub found: FoundBeat,
}

/// Connects to every master of the job.
pub async fn connect(job: &Job) -> Result<Vec<Sampler>, RedisError> {
    Sampler::connect_all(&job.redis, &job.checkpoint.prefix).await
}

/// Connects to those masters of a Cluster that can be reached, and says why the others cannot.
pub async fn connect_living(job: &Job) -> Result<(Vec<Sampler>, Vec<RedisError>), RedisError> {
    Sampler::connect_living(&job.redis, &job.checkpoint.prefix).await
}

/// One beat through each of `masters`, in their order. `known` says which histories are no news.
pub async fn beat(
    masters: &[Sampler],
    job: &Job,
    known: &Known,
) -> Vec<Result<Beaten, RedisError>> {
    let beats = masters.iter().enumerate().map(async |(at, master)| {
        let others = masters.iter().enumerate().filter(|(other, _)| *other != at);
        let others: Vec<String> = others.flat_map(|(_, other)| histories(other)).collect();
        let answer = master.beat(&others, job.checkpoint.evidence_max).await;
        (Micros::now(), answer)
    });
    let answers = join_all(beats).await;
    let answered = answers
        .iter()
        .filter_map(|(_, answer)| answer.as_ref().ok());
    let present: HashSet<String> = answered
        .map(|answer| answer.said.replication_id.clone())
        .collect();
    let pairs = masters.iter().zip(answers);
    pairs
        .map(|(master, (seen_at, answer))| Ok(beaten(master, seen_at, answer?, known, &present)))
        .collect()
}

/// What the masters' own evidence says of changes: also of those whose beat was answered to nobody.
pub async fn changes_in_evidence(masters: &[Sampler]) -> Result<Vec<Change>, RedisError> {
    let mut changes = Vec::new();
    for master in masters {
        for evidence in master.evidence(EVIDENCE_READ).await? {
            changes.push(change(evidence, master.address(), master.slots(), None));
        }
    }
    Ok(changes)
}

/// The copies of the state that `masters` hold, put together.
pub async fn copies(masters: &[Sampler], job: &Job) -> Result<Remembered, SamplerError> {
    let mut remembered = Remembered::default();
    for master in masters {
        if let Some(text) = master.state_copy().await? {
            let place = place(&master.keys().state, master.address());
            remembered = remembered.united(decode_copy(&text, &job.name, &place)?);
        }
    }
    Ok(remembered)
}

/// Writes `remembered` into the copy that each master holds, together with what others wrote there. *Audited until* becomes that
/// of `remembered`, if it has one.
pub async fn keep_copies(
    masters: &[Sampler],
    job: &Job,
    remembered: &Remembered,
) -> Result<(), SamplerError> {
    for master in masters {
        keep_copy(master, job, remembered).await?;
    }
    Ok(())
}

/// What `node` holds of the state and of earlier changes. For whoever must not write.
pub async fn remembered_in_redis(
    redis: &Redis,
    node: &NodeFacts,
    job: &Job,
) -> Result<Remembered, SamplerError> {
    let Some(keys) = CheckpointKeys::of(&job.checkpoint.prefix, node) else {
        return Ok(Remembered::default());
    };
    let copy = match redis.state_copy(&keys.state).await? {
        Some(text) => decode_copy(&text, &job.name, &place(&keys.state, &node.address))?,
        None => Remembered::default(),
    };
    let evidence = redis.evidence(&keys.evidence, EVIDENCE_READ).await?;
    let changes = evidence
        .into_iter()
        .map(|evidence| change(evidence, &node.address, &node.slots, None))
        .collect();
    Ok(copy.united(Remembered {
        changes,
        ..Remembered::default()
    }))
}

/// The heartbeat that `node` holds. For whoever must not write.
pub async fn heartbeat_of(
    redis: &Redis,
    node: &NodeFacts,
    job: &Job,
) -> Result<MasterBeat, RedisError> {
    let found = match CheckpointKeys::of(&job.checkpoint.prefix, node) {
        Some(keys) => redis.heartbeat(&keys.heartbeat).await?,
        None => FoundBeat::Nothing,
    };
    Ok(MasterBeat {
        address: node.address.clone(),
        slots: node.slots.clone(),
        found,
    })
}

fn beaten(
    master: &Sampler,
    seen_at: Micros,
    answer: BeatAnswer,
    known: &Known,
    present: &HashSet<String>,
) -> Beaten {
    let sample = Sample {
        seen_at,
        address: master.address().to_owned(),
        slots: master.slots().clone(),
        beat: answer.beat(),
    };
    let is_change = match answer.standing {
        // In a history that was sampled before, a heartbeat of another one is old: the key came back.
        Standing::Other | Standing::Unknown if !known.has_history(&sample.beat) => true,
        _ => known.misses_one(&sample, present),
    };
    let warning = warning(&answer, &sample, known);
    let change = is_change
        .then(|| change(answer.said, master.address(), master.slots(), Some(seen_at)))
        .map(|mut change| {
            // What lies under the key is of this very history, or another master's.
            if matches!(answer.standing, Standing::Same | Standing::Foreign) {
                change.found = None;
            }
            change
        });
    Beaten {
        sample,
        change,
        warning,
    }
}

fn warning(answer: &BeatAnswer, sample: &Sample, known: &Known) -> Option<String> {
    match (answer.standing, &answer.said.found) {
        (Standing::Unknown, FoundBeat::Unreadable(bytes)) => Some(format!(
            "what lay under the heartbeat's key on {} was no heartbeat: \"{}\"; it is kept in the evidence",
            sample.address,
            bytes.escape_ascii()
        )),
        (Standing::None, _) if known.has_history(&sample.beat) => Some(format!(
            "the heartbeat on {} was gone although the server is the same: the key was deleted or evicted, or the \
             database flushed",
            sample.address
        )),
        (Standing::Other, _) if known.has_history(&sample.beat) => Some(format!(
            "the heartbeat on {} was of an earlier history, which had been noticed before; it is kept in the evidence",
            sample.address
        )),
        _ => None,
    }
}

/// Evidence as a change; without `noticed_at` it was noticed by somebody else, and the server's clock has to do.
fn change(
    evidence: Evidence,
    address: &str,
    slots: &SlotSet,
    noticed_at: Option<Micros>,
) -> Change {
    Change {
        noticed_at: noticed_at.unwrap_or(evidence.server_time),
        found: evidence.found.beat().cloned(),
        address: address.to_owned(),
        slots: slots.clone(),
        run_id: evidence.run_id,
        replication_id: evidence.replication_id,
        replication_id2: evidence.replication_id2,
        second_offset: evidence.second_offset,
        uptime_seconds: evidence.uptime_seconds,
        server_time: evidence.server_time,
    }
}

async fn keep_copy(
    master: &Sampler,
    job: &Job,
    remembered: &Remembered,
) -> Result<(), SamplerError> {
    let place = place(&master.keys().state, master.address());
    for _ in 0..COPY_ATTEMPTS_MAX {
        let old = master.state_copy().await?;
        let known = match &old {
            Some(text) => decode_copy(text, &job.name, &place)?,
            None => Remembered::default(),
        };
        let audited_until = remembered.audited_until.or(known.audited_until);
        let now = Micros::now();
        let mut new = known
            .with_marks_until(now)
            .united(remembered.clone().with_marks_until(now));
        new.audited_until = audited_until;
        let text = encode_copy(&job.name, new);
        if old.as_deref() == Some(text.as_slice()) {
            return Ok(());
        }
        match master.keep_copy(old.as_deref(), &text).await? {
            Kept::Written => return Ok(()),
            Kept::Changed => {}
        }
    }
    Err(SamplerError::Redis(RedisError::Protocol(format!(
        "{place} changed at each of {COPY_ATTEMPTS_MAX} attempts to write it"
    ))))
}

/// The replication ids by which a master may have signed a heartbeat.
fn histories(master: &Sampler) -> [String; 2] {
    let facts = master.facts();
    [
        facts.identity.replication_id.clone(),
        facts.replication_id2.clone(),
    ]
}

fn place(key: &[u8], address: &str) -> String {
    format!("{} on {address}", key.escape_ascii())
}
