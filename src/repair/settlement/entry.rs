//! The steps that settle an entry.

use std::time::Duration;

use super::plan::SettlementRefusal as Refusal;
use super::plan::{PlannedSettlement, SettlementStep, report_only};
use crate::model::finding::Remedy;
use crate::model::stream::{
    Entry, EntryLook, Identity, OnPersisted, OnSkipped, OnTrimmed, OnUnpersisted, Pending,
    StreamCheck, StreamId,
};
use crate::rules::{Proof, StreamJudge, changed_at};
use crate::store::redis::{Delivery, Held, Settlement};

/// Fields that a move adds: the id the entry had. The scripts write them.
const REQUEUED_FROM: &str = "requeued_from";
const ORIGINAL_ID: &str = "original_id";
/// An entry's row goes in within this time after the entry; a row that was changed later was corrected by somebody, as
/// far as anyone can tell. Where a backlog was longer, a person decides.
const PROCESSED_WITHIN: Duration = Duration::from_secs(3600);

/// One look at an entry and what it proves.
pub(super) struct EntryPlanner<'a> {
    judge: &'a StreamJudge,
    check: &'a StreamCheck,
    look: &'a EntryLook,
    proof: Proof,
}

impl<'a> EntryPlanner<'a> {
    pub(super) fn new(judge: &'a StreamJudge, look: &'a EntryLook) -> Self {
        Self {
            judge,
            check: &judge.mapping().check,
            look,
            proof: judge.proof(look.id, look.entry.as_ref(), &look.evidence),
        }
    }

    pub(super) fn acknowledge_proven(&self) -> Result<PlannedSettlement, Refusal> {
        let pending = self.pending()?;
        if !self.proof.settles() || self.look.entry.is_none() {
            return Err(Refusal::NotAsJudged);
        }
        match self.check.on_persisted {
            OnPersisted::Report => Err(report_only("on_persisted")),
            // Whoever owns it: there is nothing left to be done for it.
            OnPersisted::Ack => Ok(PlannedSettlement::write(
                Remedy::Ack,
                self.ack(pending, OwnerMay::BeAlive, false),
            )),
        }
    }

    pub(super) fn acknowledge_trimmed(&self) -> Result<PlannedSettlement, Refusal> {
        let pending = self.pending()?;
        if self.look.entry.is_some() {
            return Err(Refusal::NotAsJudged);
        }
        if self.proof.settles() && self.check.on_persisted == OnPersisted::Ack {
            let ack = self.ack(pending, OwnerMay::BeAlive, true);
            return Ok(PlannedSettlement::write(Remedy::Ack, ack));
        }
        match self.check.on_trimmed {
            OnTrimmed::Report => Err(report_only("on_trimmed")),
            OnTrimmed::Ack => {
                let pending = self.orphan()?;
                Ok(PlannedSettlement::write(
                    Remedy::Ack,
                    self.ack(pending, OwnerMay::BeGoneOnly, true),
                ))
            }
        }
    }

    pub(super) fn dead_letter(&self) -> Result<PlannedSettlement, Refusal> {
        let entry = self.unproven_entry()?;
        let dead_letter = self.check.dead_letter.as_ref();
        let dead_letter = dead_letter.ok_or(Refusal::NoDeadLetter)?;
        self.is_nowhere_else()?;
        self.is_not_named_alone()?;
        leaves_mark_free(entry, ORIGINAL_ID)?;
        let settlement = Settlement::DeadLetter {
            key: self.check.key.clone(),
            group: self.check.group.clone(),
            held: self.held(self.orphan()?, OwnerMay::BeGoneOnly),
            dead_letter: dead_letter.clone(),
            fields: entry.fields.clone(),
        };
        Ok(PlannedSettlement::write(Remedy::DeadLetter, settlement))
    }

    pub(super) fn settle_orphan(&self) -> Result<PlannedSettlement, Refusal> {
        let entry = self.unproven_entry()?;
        if self.check.on_unpersisted == OnUnpersisted::Report {
            return Err(report_only("on_unpersisted"));
        }
        let pending = self.orphan()?;
        self.is_nowhere_else()?;
        match &self.check.on_unpersisted {
            OnUnpersisted::Report => Err(report_only("on_unpersisted")),
            OnUnpersisted::Insert => {
                let ack = self.ack(pending, OwnerMay::BeGoneOnly, false);
                self.insert(entry, Some(ack))
            }
            OnUnpersisted::Requeue => {
                self.may_be_done_again(entry)?;
                let held = self.held(pending, OwnerMay::BeGoneOnly);
                self.requeue(entry, Delivery::Pending(held))
            }
            OnUnpersisted::Claim(consumer) if *consumer == pending.row.consumer => {
                Err(Refusal::ClaimedAlready)
            }
            OnUnpersisted::Claim(consumer) => {
                let settlement = Settlement::Claim {
                    key: self.check.key.clone(),
                    group: self.check.group.clone(),
                    held: self.held(pending, OwnerMay::BeGoneOnly),
                    consumer: consumer.clone(),
                };
                Ok(PlannedSettlement::write(Remedy::Claim, settlement))
            }
        }
    }

    pub(super) fn settle_skipped(&self) -> Result<PlannedSettlement, Refusal> {
        let entry = self.unproven_entry()?;
        self.is_not_pending()?;
        if self.proof == Proof::Unprovable {
            return Err(Refusal::MayBeRejected);
        }
        if !self.is_delivered() {
            return Err(Refusal::NotAsJudged);
        }
        self.is_nowhere_else()?;
        match self.check.on_skipped {
            OnSkipped::Report => Err(report_only("on_skipped")),
            OnSkipped::Insert => self.insert(entry, None),
            OnSkipped::Requeue => {
                self.may_be_done_again(entry)?;
                self.requeue(entry, Delivery::Settled)
            }
        }
    }

    /// An id that was given twice: the entry gets another one, and its effect with it.
    pub(super) fn requeue_reused(&self) -> Result<PlannedSettlement, Refusal> {
        let entry = self.look.entry.as_ref().ok_or(Refusal::NotAsJudged)?;
        if !matches!(self.proof, Proof::Conflict { .. }) {
            return Err(Refusal::NotAsJudged);
        }
        if self.check.identity != Identity::EntryId {
            return Err(Refusal::IdentityStays);
        }
        if self.check.on_unpersisted != OnUnpersisted::Requeue {
            let setting = "on_unpersisted";
            return Err(match self.check.on_unpersisted {
                OnUnpersisted::Report => report_only(setting),
                _ => Refusal::NoRemedy,
            });
        }
        if self.look.cursor_after.is_none() {
            return Err(Refusal::NoGroup);
        }
        self.is_nowhere_else()?;
        let delivery = match (&self.look.before, &self.look.after) {
            (None, None) if self.is_delivered() => {
                self.is_older_row()?;
                Delivery::Settled
            }
            (None, None) => Delivery::Undelivered,
            _ => Delivery::Pending(self.held(self.orphan()?, OwnerMay::BeGoneOnly)),
        };
        self.requeue(entry, delivery)
    }

    fn insert(
        &self,
        entry: &Entry,
        then: Option<Settlement>,
    ) -> Result<PlannedSettlement, Refusal> {
        let mapping = self.judge.mapping();
        if !mapping.identity_is_unique {
            return Err(Refusal::NotUnique {
                column: self.check.identity_column.text.clone(),
            });
        }
        if self.check.may_leave_no_row || self.proof == Proof::Unprovable {
            return Err(Refusal::MayBeRejected);
        }
        if !self.look.evidence.rows.is_empty() {
            return Err(Refusal::RowIsThere);
        }
        let row = self
            .judge
            .new_row(self.look.id, entry)
            .map_err(Refusal::NoRow)?;
        Ok(PlannedSettlement {
            remedy: Remedy::Insert,
            step: SettlementStep::Insert { row, then },
        })
    }

    fn requeue(&self, entry: &Entry, delivery: Delivery) -> Result<PlannedSettlement, Refusal> {
        leaves_mark_free(entry, REQUEUED_FROM)?;
        let settlement = Settlement::Requeue {
            key: self.check.key.clone(),
            group: self.check.group.clone(),
            id: self.look.id,
            delivery,
            fields: entry.fields.clone(),
        };
        Ok(PlannedSettlement::write(Remedy::Requeue, settlement))
    }

    fn ack(&self, pending: &Pending, owner: OwnerMay, is_trimmed: bool) -> Settlement {
        Settlement::Ack {
            key: self.check.key.clone(),
            group: self.check.group.clone(),
            held: self.held(pending, owner),
            is_trimmed,
        }
    }

    fn held(&self, pending: &Pending, owner: OwnerMay) -> Held {
        let orphan_after = u64::try_from(self.check.orphan_after.as_millis()).unwrap_or(u64::MAX);
        Held {
            id: self.look.id,
            consumer: pending.row.consumer.clone(),
            deliveries: pending.row.deliveries,
            idle_millis: pending.row.idle_millis,
            owner_idle_min_millis: match owner {
                OwnerMay::BeAlive => None,
                OwnerMay::BeGoneOnly => Some(orphan_after),
            },
        }
    }

    /// An entry of this check whose effect is not in the table.
    fn unproven_entry(&self) -> Result<&Entry, Refusal> {
        let entry = self.look.entry.as_ref();
        let entry = entry.filter(|entry| self.judge.belongs(entry));
        match self.proof {
            Proof::Absent | Proof::Unprovable => entry.ok_or(Refusal::NotAsJudged),
            _ => Err(Refusal::NotAsJudged),
        }
    }

    /// The message as it was seen last, if nobody touched it during the look.
    fn pending(&self) -> Result<&Pending, Refusal> {
        match &self.look.after {
            Some(pending) if self.look.counts() => Ok(pending),
            _ => Err(Refusal::NotAsJudged),
        }
    }

    /// The same, if its owner was gone from the look's beginning to its end.
    fn orphan(&self) -> Result<&Pending, Refusal> {
        let pending = self.pending()?;
        let mut both = self.look.before.iter().chain(&self.look.after);
        match both.all(|pending| self.judge.owner_is_gone(pending)) {
            true => Ok(pending),
            false => Err(Refusal::OwnerAlive),
        }
    }

    fn is_not_pending(&self) -> Result<(), Refusal> {
        match (&self.look.before, &self.look.after) {
            (None, None) => Ok(()),
            _ => Err(Refusal::NotAsJudged),
        }
    }

    /// Whether the cursor had reached it before the list was read.
    fn is_delivered(&self) -> bool {
        self.look.cursor_before.is_some_and(|at| at >= self.look.id)
    }

    /// Under a new id the table would take what a slow consumer still inserts under the old one for another effect,
    /// unless another key stands in the way.
    fn cannot_be_done_twice(&self) -> Result<(), Refusal> {
        let is_named = self.check.identity == Identity::EntryId;
        match is_named && !self.judge.mapping().tuple_is_unique {
            true => Err(Refusal::WouldBeTwice),
            false => Ok(()),
        }
    }

    /// A requeue starts the count of deliveries anew, so whatever fails under its new id, too, would go round for ever
    /// and never be poison.
    fn may_be_done_again(&self, entry: &Entry) -> Result<(), Refusal> {
        self.cannot_be_done_twice()?;
        self.has_no_row_by_id()?;
        self.is_not_named_alone()?;
        let mark = entry.field(REQUEUED_FROM.as_bytes());
        match mark.is_some_and(|mark| StreamId::parse(mark).is_some()) {
            true => Err(Refusal::RequeuedBefore),
            false => Ok(()),
        }
    }

    /// An entry id that `proof_sql` names, and that no row carries, may have been given to another payload.
    fn is_not_named_alone(&self) -> Result<(), Refusal> {
        let evidence = &self.look.evidence;
        let is_named = self.check.identity == Identity::EntryId && evidence.is_proven == Some(true);
        match is_named && evidence.rows.is_empty() {
            true => Err(Refusal::NamedWithoutRow),
            false => Ok(()),
        }
    }

    /// A row that carries the entry's id, and is not its whole effect, would get a sister under the new id.
    fn has_no_row_by_id(&self) -> Result<(), Refusal> {
        let is_named = self.check.identity == Identity::EntryId;
        match is_named && !self.look.evidence.rows.is_empty() {
            true => Err(Refusal::RowHasItsId),
            false => Ok(()),
        }
    }

    /// The row of an id that was given twice went in soon after the first entry of that id. One that was changed
    /// much later may be this entry's own, which somebody corrected since: done once more, it would count twice.
    fn is_older_row(&self) -> Result<(), Refusal> {
        let mapping = &self.judge.mapping().rows;
        let row = self
            .judge
            .row_for(self.look.entry.as_ref(), &self.look.evidence);
        let changed = row.and_then(|row| changed_at(mapping, row));
        let id = Some(self.look.id).filter(|id| id.is_by_a_clock());
        match (changed, id.and_then(StreamId::instant)) {
            (Some(changed), Some(added)) if changed >= added.plus(PROCESSED_WITHIN) => {
                Err(Refusal::RowIsNewer)
            }
            _ => Ok(()),
        }
    }

    /// What somebody put among the dead letters is not done a second time.
    fn is_nowhere_else(&self) -> Result<(), Refusal> {
        match self.look.is_dead_lettered {
            true => Err(Refusal::DeadLettered),
            false => Ok(()),
        }
    }
}

/// Whether the entry has no field where a move writes the id that it comes from, but one that a move wrote.
fn leaves_mark_free(entry: &Entry, name: &'static str) -> Result<(), Refusal> {
    let mut marks = entry.fields.iter().filter(|(n, _)| n == name.as_bytes());
    match marks.all(|(_, value)| StreamId::parse(value).is_some()) {
        true => Ok(()),
        false => Err(Refusal::MarkIsTaken { name }),
    }
}

/// Whether a step may be done while the owner works.
#[derive(Clone, Copy)]
enum OwnerMay {
    BeAlive,
    BeGoneOnly,
}
