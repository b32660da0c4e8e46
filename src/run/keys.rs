//! Keys and members of a cache, as what is examined.

use super::RunError;
use super::check::CheckRun;
use super::examine::{Examined, Placed};
use super::findings::findings_of;
use super::ground::Ground;
use super::mend::Mended;
use super::settle::Settled;
use super::show::Shown;
use super::sink::{Reported, Sink};
use crate::model::finding::{Remedy, Suspect};
use crate::model::identity::SourceIdentity;
use crate::model::observation::{Look, Position, Subject};
use crate::model::time::Micros;
use crate::repair::{Applier, Repairable, StepOutcome, plan_step};
use crate::rules::{Decision, decide};
use crate::scan::{ScanError, Target, look};

impl Placed for Target {
    type Name = Subject;

    fn position(&self) -> Position {
        self.position
    }

    fn name(&self) -> Subject {
        self.subject.clone()
    }
}

impl Examined for CheckRun {
    type Target = Target;
    type Look = Look;
    const RESTLESS: (&'static str, &'static str) = ("the row", "the key");

    fn check_name(&self) -> &str {
        self.name()
    }

    fn ground(&self) -> &Ground {
        &self.ground
    }

    async fn look(&self, targets: &[&Target]) -> Result<Vec<Look>, ScanError> {
        let stores = &self.ground.stores;
        look(&stores.source, &stores.cache, &self.mapping, targets).await
    }

    fn decide(&self, looks: &[Look]) -> Decision {
        let pinned = &self.ground.stores.source_identity;
        decide(&self.judge, looks, pinned, self.ground.timing)
    }

    fn objections(&self, look: &Look) -> Vec<Suspect> {
        let row = look.row.as_ref().map(|r| r.as_ref());
        self.judge.suspects(row, &look.after)
    }

    fn counts(&self, look: &Look) -> bool {
        look.counts()
    }

    fn source(look: &Look) -> &SourceIdentity {
        &look.source
    }

    fn at(look: &Look) -> Micros {
        look.at
    }

    fn is_right(&self, _settled: &Settled<Self>, look: &Look) -> bool {
        self.objections(look).is_empty()
    }

    fn plan(&self, settled: &Settled<Self>, look: &Look) -> Result<Remedy, String> {
        let subject = &settled.target.subject;
        plan_step(&self.judge, subject, look, &settled.suspects, None)
            .map(|step| step.remedy)
            .map_err(|refusal| refusal.to_string())
    }

    async fn apply(&self, applier: &mut Applier, items: &[Settled<Self>]) -> Vec<StepOutcome> {
        let items: Vec<Repairable> = items.iter().map(repairable).collect();
        applier.apply(&self.mapping, &self.judge, &items).await
    }

    fn write(
        &self,
        sink: &mut Sink,
        settled: &Settled<Self>,
        mended: &Mended,
    ) -> Result<(), RunError> {
        let findings = findings_of(self, settled, mended);
        sink.show(|| Shown::of(self, settled, &findings));
        let reported = Reported {
            check: &self.mapping.check,
            subject: &settled.target.subject,
            entry: None,
            aspect: "",
            verdict: settled.verdict,
            was_suspect: !settled.suspects.is_empty(),
        };
        sink.write(&reported, &findings)
    }
}

fn repairable(settled: &Settled<CheckRun>) -> Repairable {
    Repairable {
        target: settled.target.clone(),
        look: settled.look.clone().expect("what is applied was looked at"),
        suspects: settled.suspects.clone(),
    }
}
