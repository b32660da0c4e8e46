//! Settling a group: one step, with the same care as a batch of entries.

use tokio::time::Instant;

use super::apply::{GroupGround, GroupItem, refused};
use super::plan::{PlannedSettlement, SettlementStep};
use super::prepare::prepare_group;
use super::record::group_record;
use crate::model::finding::{OutcomeKind, Remedy};
use crate::model::stream::GroupLook;
use crate::repair::StepOutcome;
use crate::repair::apply::Applier;
use crate::repair::writing::CAS_DEADLINE;
use crate::scan::ScanError;
use crate::scan::streams::look_at_group;
use crate::store::redis::Settlement;

impl Applier {
    /// Recreates a group, moves its cursor or lifts its stream's last id, if that still is wrong.
    pub async fn settle_group(
        &mut self,
        ground: &GroupGround<'_>,
        item: &GroupItem,
    ) -> StepOutcome {
        match self.settle_one(ground, item).await {
            Ok(outcome) => outcome,
            Err(why) => refused(Remedy::None, why),
        }
    }

    async fn settle_one(
        &mut self,
        ground: &GroupGround<'_>,
        item: &GroupItem,
    ) -> Result<StepOutcome, String> {
        if let Some(why) = self.stopped() {
            return Err(format!("repairing had stopped: {why}"));
        }
        let key = &ground.claimants[0].judge.mapping().check.key;
        self.check_ground(std::iter::once(key.as_slice())).await?;
        let look = self
            .look_at_group(ground)
            .await
            .map_err(|fault| format!("could not be looked at again: {fault}"))?;
        let judge = ground.claimants[0].judge;
        let planned = match prepare_group(judge, ground.pinned, item, &look, ground.skew) {
            Ok(planned) => planned,
            Err(outcome) => return Ok(outcome),
        };
        if let (0, Some(why)) = self.spend(1) {
            self.stop(&why);
            return Ok(refused(planned.remedy, why));
        }
        let record = group_record(&judge.mapping().check, &look, &planned);
        let sequence = match self.journal.append_settlements(&[record]) {
            Ok(sequences) => sequences.start,
            Err(fault) => return Err(self.stop(&fault.to_string())),
        };
        let outcome = match self.write_group(&planned).await {
            Some(outcome) => outcome,
            None => self.resolve_group(ground, item, &planned, sequence).await,
        };
        let outcomes = [Some(outcome)];
        self.await_replicas(&outcomes).await;
        self.journal_outcomes(std::iter::once((sequence, outcomes[0].as_ref())));
        let [outcome] = outcomes;
        Ok(outcome.expect("the step got its outcome"))
    }

    async fn look_at_group(&self, ground: &GroupGround<'_>) -> Result<GroupLook, ScanError> {
        look_at_group(
            &self.source,
            &self.cache,
            ground.claimants,
            ground.carried,
            ground.skew,
            ground.pace,
        )
        .await
    }

    /// `None`: there was no answer.
    async fn write_group(&mut self, planned: &PlannedSettlement) -> Option<StepOutcome> {
        let remedy = planned.remedy;
        let SettlementStep::Write(settlement) = &planned.step else {
            return Some(refused(remedy, "a group needs no row"));
        };
        let until = Instant::now() + CAS_DEADLINE;
        let Some(fence) = self.fence(until, until).await else {
            let why = self.stopped().unwrap_or("Redis did not answer in time");
            return Some(refused(remedy, why));
        };
        let settlements = std::slice::from_ref(settlement);
        let mut replies = self.writer.settle(&fence, settlements).await;
        let reply = replies.pop().expect("one step, one reply");
        self.outcome_of(remedy, reply)
    }

    /// A step without an answer: it is right now, or it did not happen before its deadline.
    async fn resolve_group(
        &mut self,
        ground: &GroupGround<'_>,
        item: &GroupItem,
        planned: &PlannedSettlement,
        sequence: u64,
    ) -> StepOutcome {
        self.unanswered.insert(sequence);
        self.reconnect().await;
        let failed = |why: &str| StepOutcome::new(planned.remedy, OutcomeKind::Failed, why);
        let look = match self.outlast_deadlines().await {
            true => self.look_at_group(ground).await.ok(),
            false => None,
        };
        let Some(look) = look.filter(|look| look.source == *ground.pinned) else {
            return failed(
                "no answer, and it could not be read again: it may or may not have happened",
            );
        };
        let judge = ground.claimants[0].judge;
        let is_raised = planned.remedy == Remedy::RaiseLastId && judge.needs_no_raise(&look);
        let objections = judge.judge_group(&look);
        if !is_raised && objections.iter().any(|s| s.rule == item.suspect.rule) {
            return failed("no answer; the group is still as it was");
        }
        if is_elsewhere(planned, &look) {
            let why = "no answer; there is a group, which the application may have made";
            return StepOutcome::new(planned.remedy, OutcomeKind::AlreadyRight, why);
        }
        StepOutcome::new(planned.remedy, OutcomeKind::Applied, "")
    }
}

/// Whether a group that was to be recreated stands at another place than it would have been put.
fn is_elsewhere(planned: &PlannedSettlement, look: &GroupLook) -> bool {
    match &planned.step {
        SettlementStep::Write(Settlement::RecreateGroup { at, .. }) => {
            look.cursor_before != Some(*at)
        }
        _ => false,
    }
}
