//! The group of a stream, as what is examined: is it there, does its cursor lag behind what is proven, and
//! could an id be given out twice?

use std::sync::Arc;

use tokio::sync::Mutex;

use super::check::StreamRun;
use super::findings::group_finding;
use super::scope::StreamScope;
use super::show::shown_group;
use crate::model::finding::{Remedy, RuleId, Suspect, Verdict};
use crate::model::identity::SourceIdentity;
use crate::model::observation::{Position, Subject};
use crate::model::slice::{Section, SliceOrder};
use crate::model::stream::{GroupLook, StreamId};
use crate::model::time::Micros;
use crate::repair::{Applier, GroupGround, GroupItem, StepOutcome, plan_group};
use crate::rules::Decision;
use crate::rules::stream::decide_group;
use crate::run::RunError;
use crate::run::audit::SLICES_PER_ATTEMPT;
use crate::run::batch::Passed;
use crate::run::examine::{Examined, Placed};
use crate::run::ground::Ground;
use crate::run::mend::{Mended, Mending, mend};
use crate::run::settle::{Settled, settle};
use crate::run::sink::{Reported, Sink};
use crate::scan::ScanError;
use crate::scan::streams::look_at_group;

/// The rules that speak about a group and not about one check's entries.
const ABOUT_THE_GROUP: [&str; 3] = ["group-missing", "group-rewound", "wrong-type"];

/// A group, or what one rule says of it.
#[derive(Debug, Clone)]
pub(super) struct GroupTarget {
    pub rule: Option<RuleId>,
    pub position: Position,
}

/// The group of one check.
pub(super) struct GroupRun {
    pub run: Arc<StreamRun>,
    /// Entry ids that rows were seen to carry.
    carried: Vec<StreamId>,
}

impl Placed for GroupTarget {
    type Name = Option<RuleId>;

    fn position(&self) -> Position {
        self.position
    }

    fn name(&self) -> Option<RuleId> {
        self.rule
    }
}

/// Looks at the group, and mends it; gives how many objections there were.
pub(super) async fn audit_group(
    run: &Arc<StreamRun>,
    scope: &StreamScope,
    carried: Vec<StreamId>,
    slice: u32,
    mending: &Mending,
    sink: &Arc<Mutex<Sink>>,
) -> Result<u64, RunError> {
    let group = Arc::new(GroupRun {
        run: Arc::clone(run),
        carried,
    });
    let is_asked_for = matches!(scope, StreamScope::Pending);
    let whole = GroupTarget {
        rule: None,
        position: Position { slice, ordinal: 0 },
    };
    let mut each = Vec::new();
    for settled in settle(&group, vec![whole]).await? {
        each.extend(one_by_one(settled, is_asked_for));
    }
    let objections = each.len() as u64;
    let order = SliceOrder::new(slice / SLICES_PER_ATTEMPT, Section::Group, &[]);
    let passed = Passed::one(slice, order, objections);
    mend(&group, each, &passed, mending, sink).await?;
    Ok(objections)
}

/// What several rules say is mended and written apart; a group that is right is only told of where it was asked for.
fn one_by_one(settled: Settled<GroupRun>, is_asked_for: bool) -> Vec<Settled<GroupRun>> {
    let alone = |rule: Option<RuleId>, ordinal: usize, suspects: Vec<Suspect>| Settled {
        target: GroupTarget {
            rule,
            position: Position {
                ordinal: ordinal as u64,
                ..settled.target.position
            },
        },
        suspects,
        verdict: settled.verdict,
        look: settled.look.clone(),
        reason: settled.reason.clone(),
    };
    if settled.suspects.is_empty() && (is_asked_for || settled.verdict != Verdict::Transient) {
        return vec![alone(None, 0, Vec::new())];
    }
    let suspects = settled.suspects.iter().enumerate();
    suspects
        .map(|(at, suspect)| alone(Some(suspect.rule), at, vec![suspect.clone()]))
        .collect()
}

impl GroupRun {
    /// Those that this check is to speak about.
    fn own(&self, suspects: Vec<Suspect>) -> Vec<Suspect> {
        let is_own =
            |s: &Suspect| self.run.speaks_for_group || !ABOUT_THE_GROUP.contains(&s.rule.0);
        suspects.into_iter().filter(is_own).collect()
    }

    fn suspect<'a>(&self, settled: &'a Settled<Self>) -> Option<&'a Suspect> {
        let mut suspects = settled.suspects.iter();
        suspects.find(|s| settled.target.rule.is_none_or(|rule| s.rule == rule))
    }
}

impl Examined for GroupRun {
    type Target = GroupTarget;
    type Look = GroupLook;
    const RESTLESS: (&'static str, &'static str) = ("what the rows prove", "the group's cursor");

    fn check_name(&self) -> &str {
        self.run.name()
    }

    fn ground(&self) -> &Ground {
        &self.run.ground
    }

    async fn look(&self, targets: &[&GroupTarget]) -> Result<Vec<GroupLook>, ScanError> {
        let run = &self.run;
        let stores = &run.ground.stores;
        let look = look_at_group(
            &stores.source,
            &stores.cache,
            &run.claimants(),
            &self.carried,
            run.raise_skew,
            &run.ground.pacer,
        )
        .await?;
        Ok(vec![look; targets.len()])
    }

    fn decide(&self, looks: &[GroupLook]) -> Decision {
        let ground = &self.run.ground;
        let pinned = &ground.stores.source_identity;
        match decide_group(&self.run.judge, looks, pinned, ground.timing) {
            Decision::Settled {
                verdict,
                suspects,
                look,
            } => {
                let was_suspect = !suspects.is_empty();
                let suspects = self.own(suspects);
                // Whatever another check is to say of it, for this one nothing is wrong.
                let is_anothers = was_suspect && suspects.is_empty();
                Decision::Settled {
                    verdict: if is_anothers {
                        Verdict::Transient
                    } else {
                        verdict
                    },
                    suspects,
                    look,
                }
            }
            again => again,
        }
    }

    fn objections(&self, look: &GroupLook) -> Vec<Suspect> {
        self.own(self.run.judge.judge_group(look))
    }

    fn counts(&self, look: &GroupLook) -> bool {
        look.counts()
    }

    fn source(look: &GroupLook) -> &SourceIdentity {
        &look.source
    }

    fn at(look: &GroupLook) -> Micros {
        look.at
    }

    fn is_right(&self, settled: &Settled<Self>, look: &GroupLook) -> bool {
        let is_raised = || self.run.judge.needs_no_raise(look);
        if self
            .suspect(settled)
            .is_some_and(|s| s.rule.0 == "lost-entry")
            && is_raised()
        {
            return true;
        }
        let objections = self.objections(look);
        !objections
            .iter()
            .any(|s| settled.target.rule.is_none_or(|rule| s.rule == rule))
    }

    fn plan(&self, settled: &Settled<Self>, look: &GroupLook) -> Result<Remedy, String> {
        let Some(suspect) = self.suspect(settled) else {
            return Err("nothing to repair".to_owned());
        };
        plan_group(&self.run.judge, look, suspect, self.run.raise_skew)
            .map(|planned| planned.remedy)
            .map_err(|refusal| refusal.to_string())
    }

    async fn apply(&self, applier: &mut Applier, items: &[Settled<Self>]) -> Vec<StepOutcome> {
        let run = &self.run;
        let ground = GroupGround {
            claimants: &run.claimants(),
            carried: &self.carried,
            skew: run.raise_skew,
            pinned: &run.ground.stores.source_identity,
            pace: &run.ground.pacer,
        };
        let mut outcomes = Vec::with_capacity(items.len());
        for item in items {
            let look = item.look.clone();
            let item = GroupItem {
                look: look.expect("what is applied was looked at"),
                suspect: self
                    .suspect(item)
                    .cloned()
                    .expect("what was confirmed has a rule"),
            };
            outcomes.push(applier.settle_group(&ground, &item).await);
        }
        outcomes
    }

    fn write(
        &self,
        sink: &mut Sink,
        settled: &Settled<Self>,
        mended: &Mended,
    ) -> Result<(), RunError> {
        let suspect = self.suspect(settled);
        let findings: Vec<_> = suspect
            .map(|suspect| group_finding(self, settled, suspect, mended))
            .into_iter()
            .collect();
        sink.show(|| shown_group(self, settled, &findings));
        let reported = Reported {
            check: &self.run.check().rows,
            subject: &self.subject(),
            entry: None,
            aspect: suspect.map_or("group", |s| s.rule.0),
            verdict: settled.verdict,
            was_suspect: suspect.is_some(),
        };
        sink.write(&reported, &findings)
    }
}

impl GroupRun {
    /// The group, as findings name it.
    pub(super) fn subject(&self) -> Subject {
        let check = self.run.check();
        Subject {
            key: check.key.clone(),
            member: None,
            id: vec![check.group.clone()],
        }
    }
}
