//! Entries of a stream, as what is examined.

use super::check::StreamRun;
use super::findings::entry_findings;
use super::show::shown_entry;
use crate::model::finding::{Finding, OutcomeKind, Remedy, Suspect, Verdict};
use crate::model::identity::SourceIdentity;
use crate::model::observation::{Position, Subject};
use crate::model::stream::{EntryLook, StreamId};
use crate::model::time::Micros;
use crate::repair::{Applier, SettleItem, StepOutcome, StreamGround, plan_entry};
use crate::rules::Decision;
use crate::rules::stream::decide_entry;
use crate::run::RunError;
use crate::run::examine::{Examined, Placed};
use crate::run::ground::Ground;
use crate::run::mend::Mended;
use crate::run::settle::Settled;
use crate::run::sink::{Reported, Sink};
use crate::scan::ScanError;
use crate::scan::streams::look_at_entries;

/// An entry id, pending or not, whether or not the stream still holds it.
#[derive(Debug, Clone)]
pub(in crate::run) struct EntryTarget {
    pub id: StreamId,
    pub position: Position,
    /// What its entry and rows weighed when it was met, in bytes; 0: it was not looked at yet.
    pub weight: usize,
}

impl Placed for EntryTarget {
    type Name = StreamId;

    fn position(&self) -> Position {
        self.position
    }

    fn name(&self) -> StreamId {
        self.id
    }

    fn weight(&self) -> usize {
        self.weight
    }
}

impl Examined for StreamRun {
    type Target = EntryTarget;
    type Look = EntryLook;
    const RESTLESS: (&'static str, &'static str) = ("the row", "the message");

    fn check_name(&self) -> &str {
        self.name()
    }

    fn ground(&self) -> &Ground {
        &self.ground
    }

    async fn look(&self, targets: &[&EntryTarget]) -> Result<Vec<EntryLook>, ScanError> {
        let ids: Vec<StreamId> = targets.iter().map(|target| target.id).collect();
        let stores = &self.ground.stores;
        look_at_entries(&stores.source, &stores.cache, &self.judge, &self.dead, &ids).await
    }

    fn decide(&self, looks: &[EntryLook]) -> Decision {
        let pinned = &self.ground.stores.source_identity;
        // Also where the entry was named, and no sweep asked whose it is.
        if let Some(look) = looks.len().checked_sub(1)
            && self.is_anothers(&looks[look])
        {
            return Decision::Settled {
                verdict: Verdict::Transient,
                suspects: Vec::new(),
                look,
            };
        }
        let since = self.ground.stores.serving_since;
        decide_entry(&self.judge, looks, pinned, self.ground.timing, since)
    }

    fn objections(&self, look: &EntryLook) -> Vec<Suspect> {
        self.objection(look).into_iter().collect()
    }

    fn counts(&self, look: &EntryLook) -> bool {
        look.counts()
    }

    fn source(look: &EntryLook) -> &SourceIdentity {
        &look.source
    }

    fn at(look: &EntryLook) -> Micros {
        look.at
    }

    /// A message that was acknowledged is gone from the list, one that was requeued is gone, and what was inserted is
    /// proven: no rule objects to any of these. None does either to one that was handed over, but its effect is still
    /// missing until its new owner has done it.
    fn is_right(&self, settled: &Settled<Self>, look: &EntryLook) -> bool {
        let was_missing = settled
            .suspects
            .iter()
            .any(|s| s.rule.0 == "orphan-pending");
        let is_missing = || {
            let proof = self
                .judge
                .proof(look.id, look.entry.as_ref(), &look.evidence);
            look.after.is_some() && !proof.settles()
        };
        self.objections(look).is_empty() && !(was_missing && is_missing())
    }

    fn plan(&self, settled: &Settled<Self>, look: &EntryLook) -> Result<Remedy, String> {
        let suspect = settled
            .suspects
            .first()
            .expect("what was confirmed has a rule");
        plan_entry(&self.judge, look, suspect)
            .map(|planned| planned.remedy)
            .map_err(|refusal| refusal.to_string())
    }

    async fn apply(&self, applier: &mut Applier, items: &[Settled<Self>]) -> Vec<StepOutcome> {
        let items: Vec<SettleItem> = items.iter().map(settle_item).collect();
        applier.settle_entries(&self.stream_ground(), &items).await
    }

    fn write(
        &self,
        sink: &mut Sink,
        settled: &Settled<Self>,
        mended: &Mended,
    ) -> Result<(), RunError> {
        let mut findings = entry_findings(self, settled, mended);
        findings.iter_mut().for_each(tell_of_handover);
        sink.show(|| shown_entry(self, settled, &findings));
        let id = settled.target.id;
        let reported = Reported {
            check: &self.check().rows,
            subject: &self.subject(id),
            entry: Some(id),
            aspect: "entry",
            verdict: settled.verdict,
            was_suspect: !settled.suspects.is_empty(),
        };
        sink.write(&reported, &findings)
    }
}

impl StreamRun {
    /// What this check says to one look. Whose a message was whose entry is gone, nobody can tell: unless a row
    /// says so, the first check of its group speaks for it.
    pub(super) fn objection(&self, look: &EntryLook) -> Option<Suspect> {
        match self.is_anothers(look) {
            true => None,
            false => self.judge.judge_entry(look),
        }
    }

    /// Whether the group's first check speaks for it, and this is another one.
    fn is_anothers(&self, look: &EntryLook) -> bool {
        let is_nobodys = look.entry.is_none() && look.evidence.rows.is_empty();
        is_nobodys && !self.speaks_for_group
    }

    /// What repair needs to look and judge again.
    pub(super) fn stream_ground(&self) -> StreamGround<'_> {
        StreamGround {
            judge: &self.judge,
            dead: &self.dead,
            pinned: &self.ground.stores.source_identity,
        }
    }

    /// An entry, as findings name it.
    pub(super) fn subject(&self, id: StreamId) -> Subject {
        Subject {
            key: self.check().key.clone(),
            member: None,
            id: vec![id.to_string().into_bytes()],
        }
    }
}

fn settle_item(settled: &Settled<StreamRun>) -> SettleItem {
    let look = settled.look.clone();
    let suspect = settled.suspects.first().cloned();
    SettleItem {
        look: look.expect("what is applied was looked at"),
        suspect: suspect.expect("what was confirmed has a rule"),
    }
}

/// A message that was handed over is not repaired by that alone.
fn tell_of_handover(finding: &mut Finding) {
    let is_claimed =
        finding.remedy == Remedy::Claim && finding.outcome == Some(OutcomeKind::Applied);
    if is_claimed && finding.settled_at.is_none() {
        finding.reason.push_str("; not in MySQL yet");
    }
}
