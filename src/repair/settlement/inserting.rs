//! Rows first, then the proof, then the acknowledgement.

use tokio::time::Instant;

use super::apply::{Ready, StreamGround, refused};
use super::plan::SettlementStep;
use crate::model::finding::{OutcomeKind, Remedy};
use crate::model::stream::{Evidence, NewRow};
use crate::repair::StepOutcome;
use crate::repair::apply::Applier;
use crate::rules::Proof;
use crate::store::mysql::Inserted;
use crate::store::redis::{Delivery, Settlement};

impl Applier {
    /// Inserts the rows of the steps that have one, and lets those of them that are proven go on to their
    /// acknowledgement; the others get their outcome here. A judgement older than `until` is not acted upon.
    pub(super) async fn insert_rows(
        &mut self,
        ground: &StreamGround<'_>,
        ready: &mut [Ready],
        until: Instant,
        outcomes: &mut [Option<StepOutcome>],
    ) {
        self.drop_moved(ground, ready, until, outcomes).await;
        let mut answered: Vec<(usize, Inserted)> = Vec::new();
        let mut broken: Option<String> = None;
        for (nth, ready) in ready.iter().enumerate() {
            let SettlementStep::Insert { row, .. } = &ready.planned.step else {
                continue;
            };
            if outcomes[ready.at].is_some() {
                continue;
            }
            let inserted = match (&broken, Instant::now() < until) {
                (Some(why), _) => Err(why.clone()),
                (None, false) => {
                    Err("the rows before it took too long to insert; run again".to_owned())
                }
                (None, true) => self.insert_row(ground, row).await,
            };
            match inserted {
                Ok(Inserted::Refused(why)) => {
                    outcomes[ready.at] = Some(refused(
                        Remedy::Insert,
                        format!("MySQL does not take the row: {why}"),
                    ));
                }
                Ok(inserted) => answered.push((nth, inserted)),
                Err(why) => {
                    outcomes[ready.at] = Some(refused(Remedy::Insert, why.clone()));
                    broken.get_or_insert(why);
                }
            }
        }
        self.prove_rows(ground, ready, answered, outcomes).await;
    }

    /// Asks the master once more, behind the fence: a consumer may have claimed the message since the look, and be about
    /// to insert the row itself, or not to. What is not as judged gets its outcome here.
    async fn drop_moved(
        &mut self,
        ground: &StreamGround<'_>,
        ready: &[Ready],
        until: Instant,
        outcomes: &mut [Option<StepOutcome>],
    ) {
        let (places, questions): (Vec<usize>, Vec<Settlement>) = ready
            .iter()
            .filter_map(|r| Some((r.at, still_held(ground, r)?)))
            .unzip();
        if questions.is_empty() {
            return;
        }
        let Some(fence) = self.fence(until, until).await else {
            let why = self.stopped().unwrap_or("Redis did not answer in time");
            let why = why.to_owned();
            for at in places {
                outcomes[at] = Some(refused(Remedy::Insert, why.clone()));
            }
            return;
        };
        let replies = self.writer.settle(&fence, &questions).await;
        for (at, reply) in places.into_iter().zip(replies) {
            let answer = match self.outcome_of(Remedy::Insert, reply) {
                Some(outcome) if outcome.kind == OutcomeKind::Applied => continue,
                Some(outcome) => outcome,
                // Nothing was asked for but an answer.
                None => refused(
                    Remedy::Insert,
                    "Redis did not say whether it still is an orphan",
                ),
            };
            outcomes[at] = Some(answer);
        }
    }

    /// An error: nothing was sent.
    async fn insert_row(
        &mut self,
        ground: &StreamGround<'_>,
        row: &NewRow,
    ) -> Result<Inserted, String> {
        if self.inserter.is_none() {
            let inserter = self.source.inserter(ground.pinned).await;
            self.inserter = Some(inserter.map_err(|fault| fault.to_string())?);
        }
        let inserter = self
            .inserter
            .as_mut()
            .expect("an inserter was opened just now");
        let inserted = inserter.insert(ground.judge.mapping(), row).await;
        inserted.map_err(|fault| fault.to_string())
    }

    /// Reads the primary again for what was inserted, or perhaps was, or was there: only what is proven now may be
    /// acknowledged.
    async fn prove_rows(
        &mut self,
        ground: &StreamGround<'_>,
        ready: &mut [Ready],
        answered: Vec<(usize, Inserted)>,
        outcomes: &mut [Option<StepOutcome>],
    ) {
        if answered.is_empty() {
            return;
        }
        // By the entries as they were judged: one that was trimmed since would name no identity any more.
        let identities: Vec<Vec<u8>> = answered
            .iter()
            .map(|(nth, _)| {
                let look = &ready[*nth].look;
                let identity = ground.judge.identity_of(look.id, look.entry.as_ref());
                identity.expect("a row is made of an entry that names its effect")
            })
            .collect();
        let read = self.source.evidence(ground.judge.mapping(), &identities);
        let read = read.await.ok().filter(|read| read.source == *ground.pinned);
        for (at, (nth, inserted)) in answered.into_iter().enumerate() {
            let ready = &mut ready[nth];
            let evidence = read.as_ref().map(|read| &read.evidence[at]);
            if matches!(inserted, Inserted::Unknown(_)) {
                self.unanswered.insert(ready.sequence);
            }
            match proven(ground, ready, evidence, &inserted) {
                Err(outcome) => outcomes[ready.at] = Some(outcome),
                Ok(()) => {
                    let SettlementStep::Insert { then, .. } = &ready.planned.step else {
                        continue;
                    };
                    ready.write.clone_from(then);
                    if then.is_none() {
                        let applied = StepOutcome::new(Remedy::Insert, OutcomeKind::Applied, "");
                        outcomes[ready.at] = Some(applied);
                    }
                    ready.inserted = Some(inserted);
                }
            }
        }
    }
}

/// The question whether an insert's entry is still where the look found it; `None` for other steps.
fn still_held(ground: &StreamGround<'_>, ready: &Ready) -> Option<Settlement> {
    let SettlementStep::Insert { then, .. } = &ready.planned.step else {
        return None;
    };
    let delivery = match then {
        Some(Settlement::Ack { held, .. }) => Delivery::Pending(held.clone()),
        _ => Delivery::Settled,
    };
    let check = &ground.judge.mapping().check;
    Some(Settlement::StillHeld {
        key: check.key.clone(),
        group: check.group.clone(),
        id: ready.look.id,
        delivery,
    })
}

/// Whether the effect of the entry is in the table now; else what became of the insert.
fn proven(
    ground: &StreamGround<'_>,
    ready: &Ready,
    evidence: Option<&Evidence>,
    inserted: &Inserted,
) -> Result<(), StepOutcome> {
    let failed = |why: &str| Err(StepOutcome::new(Remedy::Insert, OutcomeKind::Failed, why));
    let Some(evidence) = evidence else {
        return failed(match inserted {
            Inserted::Inserted => {
                "the row is in, but could not be read again; the message was not acknowledged"
            }
            Inserted::AlreadyThere => {
                "somebody else's row is there, but could not be read again; the message was not acknowledged"
            }
            _ => {
                "the row could not be read again: it may or may not be in; the message was not acknowledged"
            }
        });
    };
    let entry = ready.look.entry.as_ref();
    match (ground.judge.proof(ready.look.id, entry, evidence), inserted) {
        (Proof::Proven | Proof::Rejected, _) => Ok(()),
        (Proof::Conflict { .. } | Proof::Undecodable(_), Inserted::AlreadyThere) => {
            Err(StepOutcome::new(
                Remedy::Insert,
                OutcomeKind::LostRace,
                "somebody else inserted a row with its identity, which says something else",
            ))
        }
        (Proof::Conflict { .. } | Proof::Undecodable(_), Inserted::Unknown(_)) => failed(
            "no answer, and the row that is there does not say what the entry says; the message was not acknowledged",
        ),
        (Proof::Conflict { .. } | Proof::Undecodable(_), _) => failed(
            "the row is in, but does not say what the entry says; the message was not acknowledged",
        ),
        (Proof::Absent | Proof::Unprovable, Inserted::Inserted) => {
            failed("the row is in, but its whole effect is not; the message was not acknowledged")
        }
        (Proof::Absent | Proof::Unprovable, Inserted::AlreadyThere) => Err(refused(
            Remedy::Insert,
            "a row with another identity and the same unique key stands in its way",
        )),
        (Proof::Absent | Proof::Unprovable, _) => failed("no answer, and the row is not there"),
    }
}
