//! The writing half of a batch: scripts with and without row locks, WAIT, and what got no answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::apply::{Applier, Ready, StepOutcome};
use super::writing::CAS_DEADLINE;
use crate::model::check::Source;
use crate::model::finding::OutcomeKind;
use crate::model::mapping::Mapping;
use crate::model::observation::Look;
use crate::rules::Judge;
use crate::rules::fingerprint;
use crate::scan::{Target, look_once, subject_of};
use crate::store::mysql::{MysqlError, RowLock};
use crate::store::redis::{RedisError, Write, WriteReply};

/// Row locks are at most this long, so that no application transaction waits noticeably.
const LOCK_TIME: Duration = Duration::from_millis(100);
/// The scripts' deadline lies before the lock's end by this much, for the reply's way and clock steps.
const LOCK_RESERVE: Duration = Duration::from_millis(20);
/// A row that another transaction holds is asked for again this often before it is left.
const LOCK_TRIES: u32 = 3;
const LOCK_PAUSE: Duration = Duration::from_millis(50);
/// Scripts that came after the lock's end are sent this often at most; then the row is left.
const LATE_TRIES: u32 = 4;

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
        let until = Instant::now() + CAS_DEADLINE;
        let Some(fence) = self.fence(until, until).await else {
            let refs: Vec<&Ready<'_>> = group.iter().collect();
            return self.refuse_unset(&refs, outcomes);
        };
        let writes: Vec<Write> = group.iter().map(|r| r.step.write.clone()).collect();
        let replies = self.writer.apply(&fence, &writes).await;
        let refs: Vec<&Ready<'_>> = group.iter().collect();
        self.note(&refs, replies, outcomes);
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
        let group: Vec<&Ready<'_>> = group.iter().collect();
        let (group, rowless): (Vec<&Ready<'_>>, Vec<&Ready<'_>>) =
            group.into_iter().partition(|r| !r.rows.is_empty());
        self.refuse(&rowless, outcomes, "no row could be locked for it");
        if self.limits.is_multi_primary {
            let why = "it needs a row lock, and this MySQL takes writes on several primaries";
            return self.refuse(&group, outcomes, why);
        }
        // The place of an absent row is locked in its own table only.
        let is_custom = matches!(mapping.check.source, Source::Sql { .. });
        let (absent, group): (Vec<&Ready<'_>>, Vec<&Ready<'_>>) = group
            .into_iter()
            .partition(|r| is_custom && r.fingerprint.is_none());
        let why = "there is no row, and a custom SELECT cannot lock the place of one";
        self.refuse(&absent, outcomes, why);
        self.write_rows(mapping, &group, LATE_TRIES, outcomes).await;
    }

    /// `tries` bounds how often scripts that came too late may be sent again: none of them wrote anything, and
    /// the rows and the judged bytes are compared anew each time.
    async fn write_rows(
        &mut self,
        mapping: &Arc<Mapping>,
        group: &[&Ready<'_>],
        tries: u32,
        outcomes: &mut [Option<StepOutcome>],
    ) {
        if group.is_empty() {
            return;
        }
        if let Some(why) = self.stopped() {
            let why = format!("repairing had stopped: {why}");
            return self.refuse(group, outcomes, &why);
        }
        let lock = match self.lock(mapping, group).await {
            Ok(lock) => lock,
            // One busy row must not keep the others from being repaired.
            Err(MysqlError::Locked) if group.len() > 1 => {
                let (left, right) = group.split_at(group.len() / 2);
                Box::pin(self.write_rows(mapping, left, tries, outcomes)).await;
                return Box::pin(self.write_rows(mapping, right, tries, outcomes)).await;
            }
            Err(MysqlError::Locked) => {
                return self.refuse(group, outcomes, "the application holds the row");
            }
            Err(fault) => return self.refuse(group, outcomes, &fault.to_string()),
        };
        let locked_at = Instant::now();
        if group
            .iter()
            .any(|r| r.item.look.source != lock.witnessed.source)
        {
            let _ = lock.release().await;
            let why =
                "the rows were locked on another MySQL server than the one that was judged by";
            return self.refuse(group, outcomes, why);
        }
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
            let lock_end = locked_at + LOCK_TIME;
            self.fence(lock_end - LOCK_RESERVE, lock_end).await
        };
        let Some(fence) = fence else {
            let _ = lock.release().await;
            if tries > 1 && !still.is_empty() && self.stopped().is_none() {
                return Box::pin(self.write_halves(mapping, &still, tries - 1, outcomes)).await;
            }
            return self.refuse_unset(&still, outcomes);
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
        let mut late = Vec::new();
        if tries > 1 {
            let is_late = |reply: &WriteReply| matches!(reply, WriteReply::Late);
            late.extend(
                still
                    .iter()
                    .zip(&replies)
                    .filter(|(_, r)| is_late(r))
                    .map(|(s, _)| *s),
            );
        }
        self.note(&still, replies, outcomes);
        Box::pin(self.write_halves(mapping, &late, tries - 1, outcomes)).await;
    }

    /// Fewer rows take less time: what a busy server did not get done under one lock is done under two.
    async fn write_halves(
        &mut self,
        mapping: &Arc<Mapping>,
        group: &[&Ready<'_>],
        tries: u32,
        outcomes: &mut [Option<StepOutcome>],
    ) {
        let (left, right) = group.split_at(group.len() / 2);
        self.write_rows(mapping, left, tries, outcomes).await;
        self.write_rows(mapping, right, tries, outcomes).await;
    }

    /// Share-locks the rows of `group`; a row that another transaction holds is asked for a few times.
    async fn lock(&self, mapping: &Mapping, group: &[&Ready<'_>]) -> Result<RowLock, MysqlError> {
        let keys: Vec<_> = group.iter().flat_map(|r| r.rows.iter().cloned()).collect();
        let mut tries = 1;
        loop {
            match self.source.lock_rows(mapping, &keys).await {
                Err(MysqlError::Locked) if tries < LOCK_TRIES => {
                    tries += 1;
                    tokio::time::sleep(LOCK_PAUSE).await;
                }
                result => return result,
            }
        }
    }

    /// Replies become outcomes; `Unknown` stays open until it was read again.
    fn note(
        &mut self,
        group: &[&Ready<'_>],
        replies: Vec<WriteReply>,
        outcomes: &mut [Option<StepOutcome>],
    ) {
        for (ready, reply) in group.iter().zip(replies) {
            outcomes[ready.at] = self.outcome_of(ready.step.remedy, reply);
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
        self.reconnect().await;
        let targets: Vec<&Target> = open.iter().map(|r| &r.item.target).collect();
        let mut looks = look_once(&self.source, &self.cache, mapping, &targets).await;
        let is_untouched = |(look, ready): (&Look, &&&Ready<'_>)| {
            look.after.cached == ready.item.look.after.cached
        };
        if let Ok(first) = &looks
            && first.iter().zip(&open).any(is_untouched)
        {
            // What has not happened yet may be on its way still, until its deadline.
            if self.outlast_deadlines().await {
                looks = look_once(&self.source, &self.cache, mapping, &targets).await;
            } else {
                let why = "the server's clock could not be read";
                looks = Err(RedisError::Unreachable(why.to_owned()).into());
            }
        }
        for (at, ready) in open.iter().enumerate() {
            let look = looks.as_ref().ok().map(|l| &l[at]);
            self.unanswered.insert(ready.sequence);
            outcomes[ready.at] = Some(read_again(judge, ready, look));
        }
    }

    /// Gives every item of `group` a refusal if repairing has stopped.
    fn refuse_rest(&mut self, group: &[Ready<'_>], outcomes: &mut [Option<StepOutcome>]) -> bool {
        let Some(why) = self.stopped().map(str::to_owned) else {
            return false;
        };
        let refs: Vec<&Ready<'_>> = group.iter().collect();
        self.refuse(&refs, outcomes, &format!("repairing had stopped: {why}"));
        true
    }

    fn refuse_unset(&self, group: &[&Ready<'_>], outcomes: &mut [Option<StepOutcome>]) {
        let why = self
            .stopped()
            .unwrap_or("Redis did not answer in time")
            .to_owned();
        for ready in group {
            outcomes[ready.at].get_or_insert_with(|| {
                StepOutcome::new(ready.step.remedy, OutcomeKind::Refused, why.clone())
            });
        }
    }

    fn refuse(&self, group: &[&Ready<'_>], outcomes: &mut [Option<StepOutcome>], why: &str) {
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
