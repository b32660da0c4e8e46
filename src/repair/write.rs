//! The writing half of a batch: scripts with and without row locks, WAIT, and what got no answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::apply::{Applier, Ready, StepOutcome};
use crate::model::finding::OutcomeKind;
use crate::model::mapping::Mapping;
use crate::model::observation::Look;
use crate::rules::Judge;
use crate::rules::fingerprint;
use crate::scan::{Target, look_once, subject_of};
use crate::store::mysql::MysqlError;
use crate::store::redis::{Fence, Write, WriteReply, Writer};

/// Row locks are at most this long, so that no application transaction waits noticeably.
const LOCK_TIME: Duration = Duration::from_millis(100);
/// The scripts' deadline lies before the lock's end by this much, for the reply's way and clock steps.
const LOCK_RESERVE: Duration = Duration::from_millis(20);
/// A compare-and-set script that arrives later than this was stalled; its judgement is stale.
const CAS_DEADLINE: Duration = Duration::from_secs(5);
/// A replica acknowledges a batch within milliseconds; after this it is taken for lost.
const WAIT_TIME: Duration = Duration::from_secs(2);
/// A row that another transaction holds is asked for again this often before it is left.
const LOCK_TRIES: u32 = 3;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

impl Applier {
    /// Steps whose bytes guard themselves.
    pub(super) async fn write_free(
        &mut self,
        group: &[Ready<'_>],
        outcomes: &mut [Option<StepOutcome>],
    ) {
        if group.is_empty() || self.refuse_rest(group, outcomes) {
            return;
        }
        let Some(fence) = self.fence(CAS_DEADLINE).await else {
            self.refuse_rest(group, outcomes);
            return;
        };
        let writes: Vec<Write> = group.iter().map(|r| r.step.write.clone()).collect();
        let replies = self.writer.apply(&fence, &writes).await;
        self.note(group, replies, outcomes);
    }

    /// Steps that need the row to stand still. The lock is taken, the rows are compared with what was
    /// judged, the scripts get a deadline before the lock's end, and the lock goes when they have answered
    /// or its time is up; a script that reaches a stalled server later than that refuses by itself.
    pub(super) async fn write_locked(
        &mut self,
        mapping: &Arc<Mapping>,
        group: &[Ready<'_>],
        outcomes: &mut [Option<StepOutcome>],
    ) {
        if group.is_empty() || self.refuse_rest(group, outcomes) {
            return;
        }
        let keys: Vec<_> = group
            .iter()
            .filter_map(|r| r.item.target.sweep_key.clone())
            .collect();
        if keys.len() < group.len() {
            return self.refuse(group, outcomes, "no row could be locked for it");
        }
        let mut tries = 1;
        let lock = loop {
            match self.source.lock_rows(mapping, &keys).await {
                Ok(lock) => break lock,
                Err(MysqlError::Locked) if tries < LOCK_TRIES => {
                    tries += 1;
                    tokio::time::sleep(LOCK_PAUSE).await;
                }
                // One busy row must not keep the others from being repaired.
                Err(MysqlError::Locked) if group.len() > 1 => {
                    let (left, right) = group.split_at(group.len() / 2);
                    Box::pin(self.write_locked(mapping, left, outcomes)).await;
                    return Box::pin(self.write_locked(mapping, right, outcomes)).await;
                }
                Err(MysqlError::Locked) => {
                    return self.refuse(group, outcomes, "the application holds the row");
                }
                Err(fault) => return self.refuse(group, outcomes, &fault.to_string()),
            }
        };
        let locked_at = Instant::now();
        let mut prints = std::collections::HashMap::new();
        for row in lock.witnessed.rows.iter() {
            if let Some(subject) = subject_of(mapping, row) {
                prints.insert((subject.key, subject.member), fingerprint(mapping, row));
            }
        }
        let (still, changed): (Vec<&Ready<'_>>, Vec<&Ready<'_>>) = group.iter().partition(|r| {
            let subject = &r.item.target.subject;
            r.fingerprint
                == prints
                    .get(&(subject.key.clone(), subject.member.clone()))
                    .copied()
        });
        for ready in changed {
            outcomes[ready.at] = Some(StepOutcome::new(
                ready.step.remedy,
                OutcomeKind::LostRace,
                "the row changed before it was locked",
            ));
        }
        let fence = if still.is_empty() {
            None
        } else {
            self.fence(LOCK_TIME - LOCK_RESERVE).await
        };
        let Some(fence) = fence else {
            let _ = lock.release().await;
            self.refuse_unset(group, outcomes);
            return;
        };
        let writes: Vec<Write> = still.iter().map(|r| r.step.write.clone()).collect();
        let mut lock = Some(lock);
        let replies = {
            let writing = self.writer.apply(&fence, &writes);
            tokio::pin!(writing);
            tokio::select! {
                replies = &mut writing => replies,
                () = tokio::time::sleep_until(locked_at + LOCK_TIME) => {
                    if let Some(lock) = lock.take() {
                        let _ = lock.release().await;
                    }
                    writing.await
                }
            }
        };
        if let Some(lock) = lock {
            // The lock protected the write, which has answered; a failed release ends with the connection.
            let _ = lock.release().await;
        }
        self.note_refs(&still, replies, outcomes);
    }

    /// A fence whose deadline is `patience` from the server's own clock; `None` (and stopped) when the
    /// connection is gone.
    async fn fence(&mut self, patience: Duration) -> Option<Fence> {
        match self.writer.time().await {
            Ok(now) => Some(Fence {
                replication_id: self.pinned.replication_id.clone(),
                min_replicas: self.limits.min_replicas,
                deadline: now.plus(patience),
            }),
            Err(fault) => {
                self.stop(&fault.to_string());
                None
            }
        }
    }

    fn note(
        &mut self,
        group: &[Ready<'_>],
        replies: Vec<WriteReply>,
        outcomes: &mut [Option<StepOutcome>],
    ) {
        let refs: Vec<&Ready<'_>> = group.iter().collect();
        self.note_refs(&refs, replies, outcomes);
    }

    /// Replies become outcomes; `Unknown` stays open until it was read again.
    fn note_refs(
        &mut self,
        group: &[&Ready<'_>],
        replies: Vec<WriteReply>,
        outcomes: &mut [Option<StepOutcome>],
    ) {
        for (ready, reply) in group.iter().zip(replies) {
            let remedy = ready.step.remedy;
            let outcome = match reply {
                WriteReply::Applied => StepOutcome::new(remedy, OutcomeKind::Applied, ""),
                WriteReply::Changed => {
                    StepOutcome::new(remedy, OutcomeKind::LostRace, "Redis changed first")
                }
                WriteReply::Late => StepOutcome::new(
                    remedy,
                    OutcomeKind::Refused,
                    "the script came after its deadline; run again",
                ),
                WriteReply::Refused(why) => StepOutcome::new(remedy, OutcomeKind::Failed, why),
                WriteReply::Fenced(why) => {
                    self.stop(&why);
                    StepOutcome::new(remedy, OutcomeKind::Refused, why)
                }
                WriteReply::Unknown(why) => {
                    tracing::warn!("a write got no answer ({why}); it will be read again");
                    continue;
                }
            };
            outcomes[ready.at] = Some(outcome);
        }
    }

    /// Writes without an answer are read again: right now, untouched, or somebody else's by now.
    pub(super) async fn resolve_unknown(
        &mut self,
        mapping: &Arc<Mapping>,
        judge: &Judge,
        all: &[&Ready<'_>],
        outcomes: &mut [Option<StepOutcome>],
    ) {
        let open: Vec<&&Ready<'_>> = all.iter().filter(|r| outcomes[r.at].is_none()).collect();
        if open.is_empty() {
            return;
        }
        // A connection that lost an answer is not used again: WAIT on it would count nothing.
        match Writer::connect(&self.spec, &self.pinned).await {
            Ok(writer) => self.writer = writer,
            Err(fault) => {
                self.stop(&fault.to_string());
            }
        }
        let targets: Vec<&Target> = open.iter().map(|r| &r.item.target).collect();
        let looks = look_once(&self.source, &self.cache, mapping, &targets).await;
        for (at, ready) in open.iter().enumerate() {
            let look = looks.as_ref().ok().map(|l| &l[at]);
            outcomes[ready.at] = Some(read_again(judge, ready, look));
        }
    }

    /// One WAIT for the batch, on the connection that wrote it.
    pub(super) async fn await_replicas(&mut self, outcomes: &[Option<StepOutcome>]) {
        let wrote = outcomes
            .iter()
            .flatten()
            .any(|o| o.kind == OutcomeKind::Applied);
        if !wrote || self.limits.min_replicas == 0 || self.stopped().is_some() {
            return;
        }
        let needed = self.limits.min_replicas;
        match self.writer.wait(needed, WAIT_TIME).await {
            Ok(acknowledged) if acknowledged >= needed => {}
            Ok(acknowledged) => {
                self.stop(&format!(
                    "{acknowledged} of {needed} replica(s) acknowledged the last batch within {} s",
                    WAIT_TIME.as_secs()
                ));
            }
            Err(fault) => {
                self.stop(&fault.to_string());
            }
        }
    }

    /// Gives every item of `group` a refusal if repairing has stopped.
    fn refuse_rest(&mut self, group: &[Ready<'_>], outcomes: &mut [Option<StepOutcome>]) -> bool {
        let Some(why) = self.stopped().map(str::to_owned) else {
            return false;
        };
        self.refuse(group, outcomes, &format!("repairing had stopped: {why}"));
        true
    }

    fn refuse_unset(&mut self, group: &[Ready<'_>], outcomes: &mut [Option<StepOutcome>]) {
        let why = self.stopped().unwrap_or("the row changed").to_owned();
        for ready in group {
            outcomes[ready.at].get_or_insert_with(|| {
                StepOutcome::new(ready.step.remedy, OutcomeKind::Refused, why.clone())
            });
        }
    }

    fn refuse(&self, group: &[Ready<'_>], outcomes: &mut [Option<StepOutcome>], why: &str) {
        for ready in group {
            outcomes[ready.at] = Some(StepOutcome::new(
                ready.step.remedy,
                OutcomeKind::Refused,
                why,
            ));
        }
    }
}

fn read_again(judge: &Judge, ready: &Ready<'_>, look: Option<&Look>) -> StepOutcome {
    let remedy = ready.step.remedy;
    let Some(look) = look.filter(|l| l.counts()) else {
        return StepOutcome::new(
            remedy,
            OutcomeKind::Failed,
            "no answer, and it could not be read again: it may or may not have been written",
        );
    };
    if judge
        .suspects(look.row.as_ref().map(|r| r.as_ref()), &look.after)
        .is_empty()
    {
        StepOutcome::new(remedy, OutcomeKind::Applied, "")
    } else if look.after.cached == ready.item.look.after.cached {
        StepOutcome::new(
            remedy,
            OutcomeKind::Failed,
            "no answer; the value is untouched",
        )
    } else {
        StepOutcome::new(
            remedy,
            OutcomeKind::LostRace,
            "no answer; Redis has another value now",
        )
    }
}
