//! Applying plans: the only writer of values.
//!
//! Order of one batch: lease and topology → a fresh look → judged again → planned → journal on disk →
//! (row lock) → guarded scripts on one connection → WAIT on that connection → what got no answer is read
//! again. Nothing is ever written twice without a new judgement.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::lookout::Lookout;
use super::plan::{GuardKind, PlannedStep};
use super::prepare::prepare;
use super::record::record_of;
use crate::job::{Rate, RedisSpec};
use crate::model::check::{Layout, ValueKind};
use crate::model::finding::{OutcomeKind, Remedy, Suspect};
use crate::model::identity::Pinned;
use crate::model::mapping::Mapping;
use crate::model::observation::{CachedState, Look};
use crate::model::time::Micros;
use crate::report::Journal;
use crate::rules::{Judge, TopologyObjection, fingerprint};
use crate::scan::{ScanError, Target, lockable_keys, look_once};
use crate::store::mysql::{Inserter, Lease, Mysql, SweepKey};
use crate::store::redis::{PerNode, Redis, RedisError, Writer};

/// Steps of one batch: one fsync, one pipeline, one WAIT.
const BATCH_STEPS: usize = 500;
/// Row locks are short, so they take few rows.
const LOCKED_ROWS: usize = 50;

/// Fields of a hash, each with its value.
type WholeHash = Vec<(Bytes, Bytes)>;

/// What the applier needs to know of a run.
#[derive(Debug, Clone)]
pub struct ApplyLimits {
    /// Replicas of each node that must be online before, and acknowledge after, every batch.
    pub min_replicas: PerNode<u32>,
    pub max_repairs: u64,
    /// A lock on one of several primaries holds back no writer on the others.
    pub is_multi_primary: bool,
    pub max_invalidations_per_second: Rate,
}

/// One confirmed subject, as it was judged.
#[derive(Debug, Clone)]
pub struct Repairable {
    pub target: Target,
    pub look: Look,
    pub suspects: Vec<Suspect>,
}

/// What became of one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepOutcome {
    pub remedy: Remedy,
    pub kind: OutcomeKind,
    /// Empty for `applied`.
    pub reason: String,
}

impl StepOutcome {
    pub(super) fn new(remedy: Remedy, kind: OutcomeKind, reason: impl Into<String>) -> Self {
        Self {
            remedy,
            kind,
            reason: reason.into(),
        }
    }
}

/// Holds the writing connections, the journal and the lease.
pub struct Applier {
    pub(super) source: Mysql,
    pub(super) cache: Redis,
    pub(super) spec: RedisSpec,
    pub(super) pinned: Pinned,
    pub(super) writer: Writer,
    pub(super) journal: Journal,
    pub(super) lease: Lease,
    /// The writing session of the source, once a stream needed one.
    pub(super) inserter: Option<Inserter>,
    pub(super) limits: ApplyLimits,
    written: u64,
    next_invalidation: Instant,
    /// The latest deadline any script of a node was given: past it, by that server's clock, none that is still under
    /// way can write.
    pub(super) last_deadline: PerNode<Micros>,
    /// The connection was lost with a batch on it, whose WAIT can no longer be asked for.
    pub(super) lost_connection: bool,
    /// Journal records of writes that got no answer.
    pub(super) unanswered: HashSet<u64>,
    stopped: Option<Stopped>,
    pub(super) lookout: Lookout,
}

/// Why repairing stopped.
struct Stopped {
    why: String,
    /// Redis could not be asked before a batch, with nothing of it under way: over a new connection it may go on.
    is_link_lost: bool,
}

/// A step that was planned and is about to be written.
pub(super) struct Ready<'a> {
    pub(super) at: usize,
    pub(super) item: &'a Repairable,
    pub(super) step: PlannedStep,
    pub(super) fingerprint: Option<[u8; 32]>,
    /// Rows to lock for it; empty: none can be named.
    pub(super) rows: Vec<SweepKey>,
    state: CachedState,
    whole: Option<WholeHash>,
    pub(super) sequence: u64,
}

impl Applier {
    #[expect(
        clippy::too_many_arguments,
        reason = "each is another thing that only this type holds"
    )]
    pub fn new(
        source: Mysql,
        cache: Redis,
        spec: RedisSpec,
        pinned: Pinned,
        writer: Writer,
        journal: Journal,
        lease: Lease,
        limits: ApplyLimits,
    ) -> Self {
        Self {
            lookout: Lookout::new(spec.clone()),
            source,
            cache,
            spec,
            pinned,
            writer,
            journal,
            lease,
            inserter: None,
            limits,
            written: 0,
            next_invalidation: Instant::now(),
            last_deadline: PerNode::all(Micros(0)),
            lost_connection: false,
            unanswered: HashSet::new(),
            stopped: None,
        }
    }

    /// Why repairing stopped for the rest of the run, if it did.
    pub fn stopped(&self) -> Option<&str> {
        self.stopped.as_ref().map(|stopped| stopped.why.as_str())
    }

    /// Goes on over new connections to the nodes and histories of before: `cache` and `pinned` are those a run reads by
    /// now. True if a lost connection had stopped it, so that what was refused since may be repaired after all; any other
    /// stop stays.
    pub async fn go_on(&mut self, cache: Redis, pinned: &Pinned) -> Result<bool, RedisError> {
        self.writer = Writer::connect(&self.spec, pinned).await?;
        self.cache = cache;
        self.pinned = pinned.clone();
        Ok(self
            .stopped
            .take_if(|stopped| stopped.is_link_lost)
            .is_some())
    }

    /// Two masters at once, as they were seen between batches.
    pub fn split_brains(&self) -> &[(Micros, TopologyObjection)] {
        self.lookout.seen()
    }

    /// Repairs what still is wrong, in order; one outcome for each item.
    pub async fn apply(
        &mut self,
        mapping: &Arc<Mapping>,
        judge: &Judge,
        items: &[Repairable],
    ) -> Vec<StepOutcome> {
        let mut outcomes = Vec::with_capacity(items.len());
        for batch in items.chunks(BATCH_STEPS) {
            match self.apply_batch(mapping, judge, batch).await {
                Ok(done) => outcomes.extend(done),
                Err(why) => {
                    let done = batch
                        .iter()
                        .map(|_| StepOutcome::new(Remedy::None, OutcomeKind::Refused, why.clone()));
                    outcomes.extend(done);
                }
            }
        }
        outcomes
    }

    async fn apply_batch(
        &mut self,
        mapping: &Arc<Mapping>,
        judge: &Judge,
        items: &[Repairable],
    ) -> Result<Vec<StepOutcome>, String> {
        if let Some(why) = self.stopped() {
            return Err(format!("repairing had stopped: {why}"));
        }
        let keys = items.iter().map(|item| item.target.subject.key.as_slice());
        self.check_ground(keys).await?;
        let mut outcomes: Vec<Option<StepOutcome>> = vec![None; items.len()];
        let mut ready = self
            .plan_batch(mapping, judge, items, &mut outcomes)
            .await
            .map_err(|fault| format!("could not be looked at again: {fault}"))?;
        let used_up = self.spend_limits(&mut ready, &mut outcomes).await;
        self.journal_batch(mapping, &mut ready)?;
        let (locked, free): (Vec<_>, Vec<_>) = ready
            .into_iter()
            .partition(|r| r.step.guard == GuardKind::RowLock);
        self.write_free(&free, &mut outcomes).await;
        for group in locked.chunks(LOCKED_ROWS) {
            self.write_locked(mapping, group, &mut outcomes).await;
        }
        let all: Vec<&Ready<'_>> = free.iter().chain(&locked).collect();
        self.resolve_unknown(mapping, judge, &all, &mut outcomes)
            .await;
        self.await_replicas(&outcomes).await;
        // Only now: what is still allowed is written, and a stop would refuse it.
        if let Some(why) = used_up {
            self.stop(&why);
        }
        let known = all.iter().map(|r| (r.sequence, outcomes[r.at].as_ref()));
        self.journal_outcomes(known);
        Ok(outcomes
            .into_iter()
            .map(|o| o.expect("every item got its outcome"))
            .collect())
    }

    pub(super) fn stop(&mut self, why: &str) -> String {
        self.stop_as(why, false)
    }

    /// The same where Redis cannot be asked, and no write is under way.
    pub(super) fn stop_without_link(&mut self, why: &str) -> String {
        self.stop_as(why, true)
    }

    fn stop_as(&mut self, why: &str, is_link_lost: bool) -> String {
        self.stopped.get_or_insert_with(|| Stopped {
            why: why.to_owned(),
            is_link_lost,
        });
        format!("repairing stopped: {why}")
    }

    /// Looks once more, judges once more, plans. What needs no write gets its outcome here.
    async fn plan_batch<'a>(
        &self,
        mapping: &Arc<Mapping>,
        judge: &Judge,
        items: &'a [Repairable],
        outcomes: &mut [Option<StepOutcome>],
    ) -> Result<Vec<Ready<'a>>, ScanError> {
        let targets: Vec<&Target> = items.iter().map(|i| &i.target).collect();
        let looks = look_once(&self.source, &self.cache, mapping, &targets).await?;
        let subjects: Vec<_> = targets.iter().map(|t| t.subject.clone()).collect();
        let states = self.cache.read(mapping, &subjects, true).await?;
        let keys: Vec<Vec<u8>> = subjects.iter().map(|s| s.key.clone()).collect();
        let whole = self.whole_hashes(mapping, &keys).await?;
        let mut whole = whole.map(Vec::into_iter);
        let mut ready = Vec::new();
        for (at, ((item, look), state)) in items.iter().zip(&looks).zip(states).enumerate() {
            let whole = whole.as_mut().and_then(Iterator::next);
            let judged = Look {
                before: state.clone(),
                after: state.clone(),
                ..look.clone()
            };
            match prepare(mapping, judge, item, look, &judged, whole.as_deref()) {
                Ok(step) => {
                    let row = look.row.as_ref().map(|r| r.as_ref());
                    let fingerprint = row.map(|row| fingerprint(mapping, row));
                    let rows = lockable_keys(mapping, &item.target, row);
                    ready.push(Ready {
                        at,
                        item,
                        step,
                        fingerprint,
                        rows,
                        state,
                        whole,
                        sequence: 0,
                    });
                }
                Err(outcome) => outcomes[at] = Some(outcome),
            }
        }
        Ok(ready)
    }

    async fn whole_hashes(
        &self,
        mapping: &Mapping,
        keys: &[Vec<u8>],
    ) -> Result<Option<Vec<WholeHash>>, ScanError> {
        let check = &mapping.check;
        if check.value != ValueKind::Hash || check.layout != Layout::KeyPerRow {
            return Ok(None);
        }
        Ok(Some(self.cache.whole_hashes(keys).await?))
    }

    /// How many of `wanted` repairs are still allowed; these count as done. Says why not all are, if so.
    pub(super) fn spend(&mut self, wanted: usize) -> (usize, Option<String>) {
        let left = self.limits.max_repairs.saturating_sub(self.written);
        let allowed = usize::try_from(left).unwrap_or(usize::MAX).min(wanted);
        self.written += allowed as u64;
        let used_up = (allowed < wanted).then(|| {
            format!(
                "max_repairs = {} is used up; raise it in [limits] or by --max-repairs",
                self.limits.max_repairs
            )
        });
        (allowed, used_up)
    }

    /// The blast radius, and the pace of invalidations (each sends a reader to MySQL). Says why nothing
    /// more may be repaired after these, if so.
    async fn spend_limits(
        &mut self,
        ready: &mut Vec<Ready<'_>>,
        outcomes: &mut [Option<StepOutcome>],
    ) -> Option<String> {
        let (allowed, used_up) = self.spend(ready.len());
        if let Some(why) = &used_up {
            for over in ready.drain(allowed..) {
                let outcome = StepOutcome::new(over.step.remedy, OutcomeKind::Refused, why.clone());
                outcomes[over.at] = Some(outcome);
            }
        }
        let invalidations = ready
            .iter()
            .filter(|r| r.step.remedy == Remedy::Invalidate)
            .count();
        if let Rate::PerSecond(rate) = self.limits.max_invalidations_per_second
            && invalidations > 0
        {
            tokio::time::sleep_until(self.next_invalidation).await;
            let cost = Duration::from_secs_f64(invalidations as f64 / f64::from(rate.max(1)));
            self.next_invalidation = Instant::now() + cost;
        }
        used_up
    }

    /// No record, no write: a journal that cannot be written stops repairing.
    fn journal_batch(&mut self, mapping: &Mapping, ready: &mut [Ready<'_>]) -> Result<(), String> {
        let records: Vec<_> = ready
            .iter()
            .map(|r| {
                record_of(
                    mapping,
                    &r.item.target,
                    &r.step,
                    &r.state,
                    r.whole.as_ref(),
                    r.fingerprint,
                )
            })
            .collect();
        match self.journal.append_batch(&records) {
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

    /// Everything on the disk; called at the end of a run.
    pub fn finish(mut self) -> Result<u64, crate::report::ReportError> {
        self.journal.sync()?;
        Ok(self.journal.records())
    }
}
