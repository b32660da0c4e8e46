//! Settling a stream: the only writer of groups, pending lists and missing rows.
//!
//! Order of one batch: lease and topology → a fresh look → judged again → planned → journal on disk → rows
//! inserted, and proven by another look → guarded scripts on one connection → WAIT on that connection → what got
//! no answer is looked at again. Nothing is ever sent twice without a new judgement.

use std::time::Duration;

use tokio::time::Instant;

use super::batch::{BATCH_ENTRIES, batch_of};
use super::plan::{PlannedSettlement, SettlementStep};
use super::prepare::prepare_entry;
use super::record::entry_record;
use crate::model::finding::{OutcomeKind, Remedy, Suspect};
use crate::model::identity::SourceIdentity;
use crate::model::stream::{EntryLook, GroupLook, StreamId, StreamState};
use crate::repair::StepOutcome;
use crate::repair::apply::Applier;
use crate::repair::writing::CAS_DEADLINE;
use crate::rules::StreamJudge;
use crate::scan::ScanError;
use crate::scan::streams::{Claimant, DeadLetters, Pace, look_at_entries};
use crate::store::mysql::Inserted;
use crate::store::redis::Settlement;

/// Rows are inserted one after the other, and each may wait for a lock, so a batch has few.
const BATCH_INSERTS: usize = 50;
/// Consumers that the scripts of one pipeline read in all: some hundred milliseconds of the server's time.
const PIPELINE_CONSUMERS: u64 = 100_000;

/// What settling entries of a check stands on.
#[derive(Clone, Copy)]
pub struct StreamGround<'a> {
    pub judge: &'a StreamJudge,
    pub dead: &'a DeadLetters,
    /// The MySQL server that the findings were judged by.
    pub pinned: &'a SourceIdentity,
}

/// What settling a group stands on.
#[derive(Clone, Copy)]
pub struct GroupGround<'a> {
    /// The checks of this key and group, the one that found it first.
    pub claimants: &'a [Claimant<'a>],
    /// Entry ids that rows were seen to carry.
    pub carried: &'a [StreamId],
    /// How far an id may lie after Redis's clock.
    pub skew: Duration,
    pub pinned: &'a SourceIdentity,
    pub pace: &'a dyn Pace,
}

/// One confirmed entry, as it was judged.
#[derive(Debug, Clone)]
pub struct SettleItem {
    pub look: EntryLook,
    pub suspect: Suspect,
}

/// One confirmed objection to a group.
#[derive(Debug, Clone)]
pub struct GroupItem {
    pub look: GroupLook,
    pub suspect: Suspect,
}

/// A step that was planned and journaled.
pub(super) struct Ready {
    /// Its place in the batch.
    pub(super) at: usize,
    pub(super) look: EntryLook,
    pub(super) planned: PlannedSettlement,
    pub(super) sequence: u64,
    /// What is still to be sent to Redis; an insert's only once its row is proven.
    pub(super) write: Option<Settlement>,
    /// What came of an insert whose row is proven.
    pub(super) inserted: Option<Inserted>,
}

impl Applier {
    /// Settles what still is wrong, in order; one outcome for each item.
    pub async fn settle_entries(
        &mut self,
        ground: &StreamGround<'_>,
        items: &[SettleItem],
    ) -> Vec<StepOutcome> {
        let mut outcomes: Vec<Option<StepOutcome>> = vec![None; items.len()];
        let mut open: Vec<usize> = (0..items.len()).collect();
        while !open.is_empty() {
            let places: Vec<usize> = open.drain(..batch_of(items, &open)).collect();
            let batch: Vec<&SettleItem> = places.iter().map(|&at| &items[at]).collect();
            let done = match self.settle_batch(ground, &batch).await {
                Ok(done) => done,
                Err(why) => vec![Some(refused(Remedy::None, why)); batch.len()],
            };
            let mut postponed = Vec::new();
            for (at, outcome) in places.into_iter().zip(done) {
                match outcome {
                    Some(outcome) => outcomes[at] = Some(outcome),
                    None => postponed.push(at),
                }
            }
            postponed.append(&mut open);
            open = postponed;
        }
        outcomes
            .into_iter()
            .map(|o| o.expect("every item got its outcome"))
            .collect()
    }

    /// One outcome for each item; `None`: it was not come to, and needs a fresh look. At least one has one.
    async fn settle_batch(
        &mut self,
        ground: &StreamGround<'_>,
        items: &[&SettleItem],
    ) -> Result<Vec<Option<StepOutcome>>, String> {
        if let Some(why) = self.stopped() {
            return Err(format!("repairing had stopped: {why}"));
        }
        self.check_ground(std::iter::once(ground.judge.mapping().check.key.as_slice()))
            .await?;
        let mut outcomes: Vec<Option<StepOutcome>> = vec![None; items.len()];
        let ids: Vec<StreamId> = items.iter().map(|item| item.look.id).collect();
        let looks = self
            .look_at(ground, &ids)
            .await
            .map_err(|fault| format!("could not be looked at again: {fault}"))?;
        let until = Instant::now() + CAS_DEADLINE;
        let mut ready = plan_batch(ground, items, looks, &mut outcomes);
        let (allowed, used_up) = self.spend(ready.len());
        if let Some(why) = &used_up {
            for over in ready.drain(allowed..) {
                outcomes[over.at] = Some(refused(over.planned.remedy, why.clone()));
            }
        }
        self.journal_entries(ground, &mut ready)?;
        self.insert_rows(ground, &mut ready, until, &mut outcomes)
            .await;
        self.write_entries(ground, &ready, &mut outcomes).await;
        self.resolve_entries(ground, &ready, &mut outcomes).await;
        self.await_replicas(&outcomes).await;
        // Only now: what is still allowed is written, and a stop would refuse it.
        if let Some(why) = used_up {
            self.stop(&why);
        }
        let known = ready.iter().map(|r| (r.sequence, outcomes[r.at].as_ref()));
        self.journal_outcomes(known);
        Ok(outcomes)
    }

    pub(super) async fn look_at(
        &self,
        ground: &StreamGround<'_>,
        ids: &[StreamId],
    ) -> Result<Vec<EntryLook>, ScanError> {
        look_at_entries(&self.source, &self.cache, ground.judge, ground.dead, ids).await
    }

    /// No record, no step: a journal that cannot be written stops repairing.
    fn journal_entries(
        &mut self,
        ground: &StreamGround<'_>,
        ready: &mut [Ready],
    ) -> Result<(), String> {
        let mapping = ground.judge.mapping();
        let records: Vec<_> = ready
            .iter()
            .map(|r| entry_record(&mapping.check, &mapping.rows, &r.look, &r.planned))
            .collect();
        match self.journal.append_settlements(&records) {
            Ok(sequences) => {
                ready
                    .iter_mut()
                    .zip(sequences)
                    .for_each(|(r, sequence)| r.sequence = sequence);
                Ok(())
            }
            Err(fault) => Err(self.stop(&fault.to_string())),
        }
    }

    /// The scripts of everything that has one and no outcome yet, pipelined.
    async fn write_entries(
        &mut self,
        ground: &StreamGround<'_>,
        ready: &[Ready],
        outcomes: &mut [Option<StepOutcome>],
    ) {
        let group: Vec<(&Ready, &Settlement)> = ready
            .iter()
            .filter(|r| outcomes[r.at].is_none())
            .filter_map(|r| Some((r, r.write.as_ref()?)))
            .collect();
        if group.is_empty() {
            return;
        }
        let pipeline = self.pipeline_of(ground).await;
        for group in group.chunks(pipeline) {
            let until = Instant::now() + CAS_DEADLINE;
            let fence = match self.stopped() {
                Some(_) => None,
                None => self.fence(until, until).await,
            };
            let Some(fence) = fence else {
                let why = self.stopped().unwrap_or("Redis did not answer in time");
                let why = why.to_owned();
                for (ready, _) in group {
                    outcomes[ready.at] = Some(unsent(ready, &why));
                }
                continue;
            };
            let settlements: Vec<Settlement> = group.iter().map(|(_, s)| (*s).clone()).collect();
            let replies = self.writer.settle(&fence, &settlements).await;
            for ((ready, _), reply) in group.iter().zip(replies) {
                let outcome = self.outcome_of(ready.planned.remedy, reply);
                outcomes[ready.at] = outcome.map(|outcome| told(ready, outcome));
            }
        }
    }

    /// How many scripts one deadline is given to: each that asks whether an owner is gone reads all consumers of the
    /// group, and some applications leave a name behind for every process they ever had.
    async fn pipeline_of(&self, ground: &StreamGround<'_>) -> usize {
        let check = &ground.judge.mapping().check;
        let state = self.cache.stream_state(&check.key).await.ok();
        let facts = state.as_ref().and_then(StreamState::facts);
        let consumers = facts.and_then(|facts| facts.group(&check.group));
        let consumers = consumers.map_or(1, |group| group.consumers);
        usize::try_from(PIPELINE_CONSUMERS / consumers.max(1))
            .unwrap_or(BATCH_ENTRIES)
            .clamp(1, BATCH_ENTRIES)
    }

    /// Steps without an answer are looked at again: right now, untouched, or somebody else's by now.
    async fn resolve_entries(
        &mut self,
        ground: &StreamGround<'_>,
        ready: &[Ready],
        outcomes: &mut [Option<StepOutcome>],
    ) {
        let open: Vec<&Ready> = ready.iter().filter(|r| outcomes[r.at].is_none()).collect();
        if open.is_empty() {
            return;
        }
        self.reconnect().await;
        // What has not happened yet may be on its way still, until its deadline.
        let looks = if self.outlast_deadlines().await {
            let ids: Vec<StreamId> = open.iter().map(|r| r.look.id).collect();
            self.look_at(ground, &ids).await.ok()
        } else {
            None
        };
        for (at, ready) in open.into_iter().enumerate() {
            let look = looks.as_ref().map(|looks| &looks[at]);
            self.unanswered.insert(ready.sequence);
            outcomes[ready.at] = Some(told(ready, read_again(ground, ready, look)));
        }
    }
}

/// Judges and plans once more. What needs no step gets its outcome here; inserts beyond a batch's share get
/// neither.
fn plan_batch(
    ground: &StreamGround<'_>,
    items: &[&SettleItem],
    looks: Vec<EntryLook>,
    outcomes: &mut [Option<StepOutcome>],
) -> Vec<Ready> {
    let mut ready = Vec::new();
    let mut inserts = 0;
    for (at, (item, look)) in items.iter().zip(looks).enumerate() {
        let planned = match prepare_entry(ground.judge, ground.pinned, item, &look) {
            Ok(planned) => planned,
            Err(outcome) => {
                outcomes[at] = Some(outcome);
                continue;
            }
        };
        let write = match &planned.step {
            SettlementStep::Write(write) => Some(write.clone()),
            SettlementStep::Insert { .. } => {
                inserts += 1;
                None
            }
        };
        if write.is_some() || inserts <= BATCH_INSERTS {
            ready.push(Ready {
                at,
                look,
                planned,
                sequence: 0,
                write,
                inserted: None,
            });
        }
    }
    ready
}

/// What became of a step without an answer, by another look.
fn read_again(ground: &StreamGround<'_>, ready: &Ready, look: Option<&EntryLook>) -> StepOutcome {
    let remedy = ready.planned.remedy;
    let look = look.filter(|look| look.counts() && look.source == *ground.pinned);
    let Some(look) = look else {
        return StepOutcome::new(
            remedy,
            OutcomeKind::Failed,
            "no answer, and it could not be read again: it may or may not have happened",
        );
    };
    let is_untouched = match (&ready.look.after, &look.before) {
        (None, None) => ready.look.entry == look.entry,
        (Some(judged), Some(found)) => judged.row.is_untouched(&found.row),
        _ => false,
    };
    if has_happened(ready, look) {
        StepOutcome::new(remedy, OutcomeKind::Applied, "")
    } else if ground.judge.judge_entry(look).is_none() {
        match look.before {
            Some(_) => StepOutcome::new(
                remedy,
                OutcomeKind::LostRace,
                "no answer; a consumer that is alive has the message",
            ),
            None => StepOutcome::new(
                remedy,
                OutcomeKind::AlreadyRight,
                "no answer; nothing is left to be done, by whomever it was done",
            ),
        }
    } else if is_untouched {
        StepOutcome::new(
            remedy,
            OutcomeKind::Failed,
            "no answer; the message is untouched",
        )
    } else {
        StepOutcome::new(
            remedy,
            OutcomeKind::LostRace,
            "no answer; the message changed hands",
        )
    }
}

/// Whether a step without an answer left what it leaves. No rule to object is no sign of it: somebody alive may
/// have the message; and a claim's heir may be silent by now, which a rule objects to.
fn has_happened(ready: &Ready, look: &EntryLook) -> bool {
    let is_pending = look.before.is_some();
    match &ready.write {
        Some(Settlement::Ack { .. }) => !is_pending,
        Some(Settlement::Claim { consumer, .. }) => {
            let held = look.before.as_ref();
            held.is_some_and(|pending| pending.row.consumer == *consumer)
        }
        Some(Settlement::Requeue { .. }) => !is_pending && look.entry.is_none(),
        Some(Settlement::DeadLetter { .. }) => !is_pending && look.is_dead_lettered,
        _ => false,
    }
}

/// A step that was never sent.
fn unsent(ready: &Ready, why: &str) -> StepOutcome {
    told(ready, refused(ready.planned.remedy, why.to_owned()))
}

/// A row that went in stays, whatever became of the acknowledgement after it: that is a write of ours, and told as one.
/// Where the row was somebody else's, nothing was written.
fn told(ready: &Ready, outcome: StepOutcome) -> StepOutcome {
    if outcome.kind == OutcomeKind::Applied {
        return match &ready.write {
            Some(Settlement::Claim { consumer, .. }) => StepOutcome {
                reason: format!("handed over to {}", consumer.escape_ascii()),
                ..outcome
            },
            _ => outcome,
        };
    }
    let (kind, row) = match &ready.inserted {
        None => return outcome,
        Some(Inserted::Inserted) => (OutcomeKind::Applied, "the row is in"),
        Some(Inserted::AlreadyThere) => (outcome.kind, "somebody else's row is there"),
        Some(_) => (outcome.kind, "the row is there, ours or somebody else's"),
    };
    StepOutcome {
        kind,
        reason: format!(
            "{row}, but the message was not acknowledged: {}",
            outcome.reason
        ),
        ..outcome
    }
}

pub(super) fn refused(remedy: Remedy, why: impl Into<String>) -> StepOutcome {
    StepOutcome::new(remedy, OutcomeKind::Refused, why)
}
