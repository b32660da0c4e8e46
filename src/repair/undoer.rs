//! The hand that takes writes back, with the same care with which they were made.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::apply::StepOutcome;
use super::lookout::Lookout;
use super::undo::{Present, has_expired, is_as_before, undo_write};
use crate::failover::{Drift, drift};
use crate::job::RedisSpec;
use crate::model::check::Layout;
use crate::model::finding::{OutcomeKind, Remedy};
use crate::model::identity::Pinned;
use crate::model::mapping::Mapping;
use crate::model::observation::{Cached, CachedState, Subject};
use crate::model::time::Micros;
use crate::report::{
    Journal, Previous, ReportError, UndoEntry, UndoOutcome, UndoRecord, digest_of_value,
};
use crate::rules::fingerprint;
use crate::scan::{ScanError, subject_of};
use crate::store::mysql::{Lease, Mysql};
use crate::store::redis::{Fence, PerNode, Redis, RedisError, Write, WriteReply, Writer};

/// A script that arrives later than this was stalled.
const DEADLINE: Duration = Duration::from_secs(5);
/// A replica acknowledges a batch within milliseconds; after this it is taken for lost.
const WAIT_TIME: Duration = Duration::from_secs(2);

pub struct Undoer {
    source: Mysql,
    cache: Redis,
    pinned: Pinned,
    writer: Writer,
    journal: Journal,
    lease: Lease,
    min_replicas: PerNode<u32>,
    lookout: Lookout,
}

impl Undoer {
    pub async fn new(
        source: Mysql,
        cache: Redis,
        spec: &RedisSpec,
        pinned: Pinned,
        journal: Journal,
        lease: Lease,
        min_replicas: PerNode<u32>,
    ) -> Result<Self, RedisError> {
        let writer = Writer::connect(spec, &pinned).await?;
        Ok(Self {
            source,
            cache,
            pinned,
            writer,
            journal,
            lease,
            min_replicas,
            lookout: Lookout::new(spec.clone()),
        })
    }

    /// Takes back the writes of one check; one outcome for each entry.
    pub async fn undo(
        &mut self,
        mapping: &Arc<Mapping>,
        entries: &[UndoEntry],
    ) -> Vec<StepOutcome> {
        match self.undo_batch(mapping, entries).await {
            Ok(outcomes) => outcomes,
            Err(why) => entries.iter().map(|_| refused(why.clone())).collect(),
        }
    }

    /// Everything on the disk.
    pub fn finish(mut self) -> Result<u64, ReportError> {
        self.journal.sync()?;
        Ok(self.journal.records())
    }

    async fn undo_batch(
        &mut self,
        mapping: &Arc<Mapping>,
        entries: &[UndoEntry],
    ) -> Result<Vec<StepOutcome>, String> {
        if !self.lease.is_held().await.unwrap_or(false) {
            return Err("the advisory lock was lost".to_owned());
        }
        let nodes = self.cache.facts_of_all().await.map_err(|e| e.to_string())?;
        match drift(&self.pinned, &nodes) {
            Drift::Same => {}
            Drift::Renewed(pinned) => {
                self.writer.repin(&pinned);
                self.pinned = pinned;
            }
            Drift::Changed(why) => return Err(why),
        }
        self.lookout.clear(&self.pinned).await?;
        // The furthest clock: what has expired by it is left alone, whichever node it lies on.
        let now = nodes
            .iter()
            .map(|node| node.time)
            .max()
            .unwrap_or_else(Micros::now);
        let writes = self
            .plan(mapping, entries, now)
            .await
            .map_err(|fault| format!("it could not be looked at: {fault}"))?;
        let mut outcomes: Vec<Option<StepOutcome>> = vec![None; entries.len()];
        let mut ready = Vec::new();
        for (at, write) in writes.into_iter().enumerate() {
            match write {
                Ok((write, record)) => ready.push((at, write, record)),
                Err(outcome) => outcomes[at] = Some(outcome),
            }
        }
        self.write(&ready, &mut outcomes).await?;
        Ok(outcomes
            .into_iter()
            .map(|o| o.expect("every entry got its outcome"))
            .collect())
    }

    async fn write(
        &mut self,
        ready: &[(usize, Write, UndoRecord)],
        outcomes: &mut [Option<StepOutcome>],
    ) -> Result<(), String> {
        if ready.is_empty() {
            return Ok(());
        }
        let records: Vec<UndoRecord> = ready.iter().map(|(.., record)| record.clone()).collect();
        let sequences = self
            .journal
            .append_batch(&records)
            .map_err(|e| e.to_string())?;
        let now = self.writer.time().await.map_err(|e| e.to_string())?;
        let fence = Fence {
            min_replicas: self.min_replicas.clone(),
            deadline: now.map(|now| now.plus(DEADLINE)),
        };
        let writes: Vec<Write> = ready.iter().map(|(_, write, _)| write.clone()).collect();
        let replies = self.writer.apply(&fence, &writes).await;
        let mut lines = Vec::new();
        for (((at, ..), reply), sequence) in ready.iter().zip(replies).zip(sequences) {
            let outcome = outcome_of(reply);
            lines.push(UndoOutcome {
                sequence,
                outcome: Some(outcome.kind),
                reason: outcome.reason.clone(),
                at: Micros::now(),
            });
            outcomes[*at] = Some(outcome);
        }
        self.journal
            .append_outcomes(&lines)
            .map_err(|e| e.to_string())?;
        if self.min_replicas.iter().any(|needed| *needed > 0) {
            let counts = self.writer.wait(&self.min_replicas, WAIT_TIME).await;
            let is_enough = |(at, count): (usize, Option<u32>)| {
                count.is_none_or(|count| count >= *self.min_replicas.of(at))
            };
            if !counts.is_ok_and(|counts| counts.into_iter().enumerate().all(is_enough)) {
                tracing::warn!("the replicas did not acknowledge the undo; it may be lost again");
            }
        }
        Ok(())
    }

    /// The write that takes each entry back, and the record of what that replaces; or the outcome where
    /// nothing is to be written.
    async fn plan(
        &self,
        mapping: &Arc<Mapping>,
        entries: &[UndoEntry],
        now: Micros,
    ) -> Result<Vec<Result<(Write, UndoRecord), StepOutcome>>, ScanError> {
        let ids: Vec<_> = entries.iter().map(|e| e.record.id.clone()).collect();
        let witnessed = self.source.rows_by_id(mapping, &ids).await?;
        let mut prints = std::collections::HashMap::new();
        for row in witnessed.rows.iter() {
            if let Some(subject) = subject_of(mapping, row) {
                prints.insert(
                    (subject.key, subject.member),
                    fingerprint(mapping, row).to_vec(),
                );
            }
        }
        let mut planned = Vec::with_capacity(entries.len());
        for entry in entries {
            let record = &entry.record;
            let (present, state) = self.present(mapping, record).await?;
            if is_as_before(record, &present, state.expiry) {
                planned.push(Err(StepOutcome::new(
                    Remedy::None,
                    OutcomeKind::AlreadyRight,
                    "it is as it was before the run",
                )));
                continue;
            }
            let print = prints.get(&(record.key.clone(), record.member.clone()));
            if print.cloned().unwrap_or_default() != record.row_fingerprint {
                planned.push(Err(refused("the row changed after the repair")));
                continue;
            }
            if has_expired(record.expiry, now.0 / 1_000) {
                planned.push(Err(refused("its old expiry has passed")));
                continue;
            }
            planned.push(
                undo_write(record, &present)
                    .map(|write| (write, reverse(record, &present, &state)))
                    .map_err(refused),
            );
        }
        Ok(planned)
    }

    async fn present(
        &self,
        mapping: &Arc<Mapping>,
        record: &UndoRecord,
    ) -> Result<(Present, CachedState), ScanError> {
        let subject = Subject {
            key: record.key.clone(),
            member: record.member.clone(),
            id: Vec::new(),
        };
        let mut states = self
            .cache
            .read(mapping, std::slice::from_ref(&subject), true)
            .await?;
        let state = states.pop().expect("one subject, one answer");
        let value = match &state.cached {
            Cached::Value(bytes) => Some(bytes.clone()),
            _ => None,
        };
        let present = match &record.previous {
            Previous::Text(_) => Present::Text(value),
            Previous::Score(_) => Present::Score(value),
            Previous::SetMember(_) => Present::SetMember(value.is_some()),
            Previous::WholeHash(_) => {
                let exists = !matches!(state.cached, Cached::Missing { key_exists: false });
                Present::WholeHash { exists }
            }
            Previous::HashFields(fields) if mapping.check.layout != Layout::KeyPerRow => {
                let name = fields.first().map(|(n, _)| Bytes::copy_from_slice(n));
                Present::HashFields(name.into_iter().map(|n| (n, value.clone())).collect())
            }
            Previous::HashFields(fields) => {
                let whole = self
                    .cache
                    .whole_hashes(std::slice::from_ref(&record.key))
                    .await?;
                let whole = whole.into_iter().next().unwrap_or_default();
                let now = |name: &[u8]| {
                    whole
                        .iter()
                        .find(|(n, _)| n.as_ref() == name)
                        .map(|(_, v)| v.clone())
                };
                let named = |(name, _): &(Vec<u8>, _)| (Bytes::copy_from_slice(name), now(name));
                Present::HashFields(fields.iter().map(named).collect())
            }
        };
        Ok((present, state))
    }
}

/// The record of the undo itself: what it replaces, and what will be there.
fn reverse(record: &UndoRecord, present: &Present, state: &CachedState) -> UndoRecord {
    let (previous, digest) = match (&record.previous, present) {
        (Previous::Text(old), Present::Text(now)) => (
            Previous::Text(now.as_ref().map(|b| b.to_vec())),
            old.as_deref().map(digest_of_value),
        ),
        (Previous::Score(old), Present::Score(now)) => (
            Previous::Score(now.as_ref().map(|b| b.to_vec())),
            old.as_deref().map(digest_of_value),
        ),
        (Previous::HashFields(old), Present::HashFields(now)) => (
            Previous::HashFields(
                now.iter()
                    .map(|(n, v)| (n.to_vec(), v.as_ref().map(|v| v.to_vec())))
                    .collect(),
            ),
            Some(crate::report::digest_of_fields(
                old.iter().map(|(n, v)| (n.as_slice(), v.as_deref())),
            )),
        ),
        (Previous::SetMember(was), _) => (
            Previous::SetMember(!was),
            was.then(|| digest_of_value(b"1")),
        ),
        (Previous::WholeHash(old), _) => (
            Previous::WholeHash(Vec::new()),
            Some(crate::report::digest_of_fields(
                old.iter().map(|(n, v)| (n.as_slice(), Some(v.as_slice()))),
            )),
        ),
        (other, _) => (other.clone(), None),
    };
    UndoRecord {
        previous,
        digest,
        expiry: state.expiry,
        ttl_millis: None,
        at: Micros::now(),
        ..record.clone()
    }
}

fn refused(why: impl Into<String>) -> StepOutcome {
    StepOutcome::new(Remedy::None, OutcomeKind::Refused, why)
}

fn outcome_of(reply: WriteReply) -> StepOutcome {
    let (kind, reason) = match reply {
        WriteReply::Applied => (OutcomeKind::Applied, String::new()),
        WriteReply::Changed => (OutcomeKind::LostRace, "Redis changed first".to_owned()),
        WriteReply::Late => (
            OutcomeKind::Refused,
            "the script came after its deadline".to_owned(),
        ),
        WriteReply::Fenced(why) => (OutcomeKind::Refused, why),
        WriteReply::Refused(why) => (OutcomeKind::Failed, why),
        WriteReply::Unknown(why) => (
            OutcomeKind::Failed,
            format!("no answer, it may or may not be undone: {why}"),
        ),
    };
    StepOutcome::new(Remedy::None, kind, reason)
}
