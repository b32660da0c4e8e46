//! What every write shares, whatever it writes: the fence, what a reply means, lost answers, WAIT.

use std::time::Duration;

use tokio::time::Instant;

use super::apply::{Applier, StepOutcome};
use crate::model::finding::{OutcomeKind, Remedy};
use crate::model::time::Micros;
use crate::report::UndoOutcome;
use crate::store::redis::{Fence, WriteReply, Writer};

/// A compare-and-set script that arrives later than this was stalled; its judgement is stale.
pub(super) const CAS_DEADLINE: Duration = Duration::from_secs(5);
/// Once to learn what is left, once to see that it is over, once more for clocks of another pace.
const CLOCK_TRIES: usize = 3;
/// What the deadline is waited past by; the server's clock has microseconds.
const DEADLINE_GRAIN: Duration = Duration::from_millis(1);
/// A replica acknowledges a batch within milliseconds; after this it is taken for lost.
const WAIT_TIME: Duration = Duration::from_secs(2);

impl Applier {
    /// A fence whose deadline, by each server's clock, lies no later than `deadline` by ours; `None` when
    /// the server did not give its time before `patience`, and when the connection is gone (then stopped).
    /// The server read its clock before we had the answer, so what is left until `deadline` is counted from
    /// the answer: a server that took its time to answer gets a shorter one, never a later one.
    pub(super) async fn fence(&mut self, deadline: Instant, patience: Instant) -> Option<Fence> {
        let now = match tokio::time::timeout_at(patience, self.writer.time()).await {
            Ok(Ok(now)) => now,
            Ok(Err(fault)) => {
                self.stop(&fault.to_string());
                return None;
            }
            Err(_) => return None,
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let deadline = now.map(|now| now.plus(left));
        self.last_deadline = deadline.zip(&self.last_deadline, |new, last| *new.max(last));
        Some(Fence {
            min_replicas: self.limits.min_replicas.clone(),
            deadline,
        })
    }

    /// What a reply says became of a write; `None`: there was no answer, and it has to be read again. A fence that did
    /// not hold stops repairing.
    pub(super) fn outcome_of(&mut self, remedy: Remedy, reply: WriteReply) -> Option<StepOutcome> {
        Some(match reply {
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
                return None;
            }
        })
    }

    /// A connection of its own in place of one that lost an answer.
    pub(super) async fn reconnect(&mut self) {
        // A connection that lost an answer is not used again, and a new one cannot say what replicas have of
        // the old one's writes: to Redis it has written nothing, and WAIT returns at once.
        self.lost_connection = true;
        match Writer::connect(&self.spec, &self.pinned).await {
            Ok(writer) => self.writer = writer,
            Err(fault) => {
                self.stop(&fault.to_string());
            }
        }
    }

    /// Waits until the clock of every server is past every deadline that was given; false if one cannot be read, or
    /// was put back.
    pub(super) async fn outlast_deadlines(&mut self) -> bool {
        for _ in 0..CLOCK_TRIES {
            let Ok(now) = self.writer.time().await else {
                return false;
            };
            let left = now.zip(&self.last_deadline, |now, last| last.0 - now.0);
            let left = left.iter().copied().max().unwrap_or_default();
            if left < 0 {
                return true;
            }
            let left = Duration::from_micros(u64::try_from(left).unwrap_or(0)).min(CAS_DEADLINE);
            tokio::time::sleep(left + DEADLINE_GRAIN).await;
        }
        false
    }

    /// One WAIT for the batch, on each connection that wrote some of it.
    pub(super) async fn await_replicas(&mut self, outcomes: &[Option<StepOutcome>]) {
        let wrote = outcomes
            .iter()
            .flatten()
            .any(|o| o.kind == OutcomeKind::Applied);
        let needed = self.limits.min_replicas.clone();
        if !wrote || needed.iter().all(|needed| *needed == 0) || self.stopped().is_some() {
            return;
        }
        if self.lost_connection {
            self.stop(
                "the connection to Redis was lost with a batch on it, so no replica could be asked for it",
            );
            return;
        }
        match self.writer.wait(&needed, WAIT_TIME).await {
            Ok(counts) => {
                let too_few = counts.into_iter().enumerate().find_map(|(at, count)| {
                    count
                        .filter(|count| count < needed.of(at))
                        .map(|count| (at, count))
                });
                if let Some((at, acknowledged)) = too_few {
                    self.stop(&format!(
                        "{acknowledged} of {} replica(s){} acknowledged the last batch within {} s",
                        needed.of(at),
                        self.named(at),
                        WAIT_TIME.as_secs()
                    ));
                }
            }
            Err(fault) => {
                self.stop(&fault.to_string());
            }
        }
    }

    /// What became of the steps with these records. A line that cannot be written stops repairing.
    pub(super) fn journal_outcomes<'o>(
        &mut self,
        outcomes: impl Iterator<Item = (u64, Option<&'o StepOutcome>)>,
    ) {
        let at = Micros::now();
        let lines: Vec<UndoOutcome> = outcomes
            .map(|(sequence, outcome)| {
                // What got no answer and is not right now may have been written all the same.
                let is_known = |o: &&StepOutcome| {
                    o.kind == OutcomeKind::Applied || !self.unanswered.contains(&sequence)
                };
                UndoOutcome {
                    sequence,
                    outcome: outcome.filter(is_known).map(|o| o.kind),
                    reason: outcome.map(|o| o.reason.clone()).unwrap_or_default(),
                    at,
                }
            })
            .collect();
        if let Err(fault) = self.journal.append_outcomes(&lines) {
            self.stop(&fault.to_string());
        }
    }
}
