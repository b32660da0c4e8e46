//! Rows first, then the proof, then the acknowledgement.

use tokio::time::Instant;

use super::apply::{Ready, StreamGround, refused};
use super::plan::SettlementStep;
use crate::model::finding::{OutcomeKind, Remedy};
use crate::model::stream::{EntryLook, NewRow, StreamId};
use crate::repair::StepOutcome;
use crate::repair::apply::Applier;
use crate::rules::Proof;
use crate::store::mysql::Inserted;

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
        let mut answered: Vec<(usize, Inserted)> = Vec::new();
        let mut broken: Option<String> = None;
        for (nth, ready) in ready.iter().enumerate() {
            let SettlementStep::Insert { row, .. } = &ready.planned.step else {
                continue;
            };
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
        let ids: Vec<StreamId> = answered
            .iter()
            .map(|(nth, _)| ready[*nth].look.id)
            .collect();
        let looks = self.look_at(ground, &ids).await;
        for (at, (nth, inserted)) in answered.into_iter().enumerate() {
            let ready = &mut ready[nth];
            let look = looks.as_ref().ok().map(|looks| &looks[at]);
            if matches!(inserted, Inserted::Unknown(_)) {
                self.unanswered.insert(ready.sequence);
            }
            match proven(ground, ready, look, &inserted) {
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
                }
            }
        }
    }
}

/// Whether the effect of the entry is in the table now; else what became of the insert.
fn proven(
    ground: &StreamGround<'_>,
    ready: &Ready,
    look: Option<&EntryLook>,
    inserted: &Inserted,
) -> Result<(), StepOutcome> {
    let failed = |why: &str| Err(StepOutcome::new(Remedy::Insert, OutcomeKind::Failed, why));
    let Some(look) = look.filter(|look| look.source == *ground.pinned) else {
        return failed(match inserted {
            Inserted::Inserted => {
                "the row is in, but could not be read again; the message was not acknowledged"
            }
            _ => {
                "the row could not be read again: it may or may not be in; the message was not acknowledged"
            }
        });
    };
    // By the entry as it was judged: it may have been trimmed since.
    let entry = ready.look.entry.as_ref();
    match (
        ground.judge.proof(ready.look.id, entry, &look.evidence),
        inserted,
    ) {
        (Proof::Proven | Proof::Rejected, _) => Ok(()),
        (Proof::Conflict { .. } | Proof::Undecodable(_), Inserted::AlreadyThere) => {
            Err(StepOutcome::new(
                Remedy::Insert,
                OutcomeKind::LostRace,
                "somebody else inserted a row with its identity, which says something else",
            ))
        }
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
