//! All checks side by side; what a topology change interrupts begins again, a bounded number of times.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::sync::Mutex;

use super::RunError;
use super::audit::audit_check;
use super::check::judge_context;
use super::control::{Control, control_sample};
use super::ground::Stores;
use super::ledger::{CheckLedger, Ledger};
use super::mend::Mending;
use super::open::{open_cache, serving_since};
use super::patience::Patience;
use super::plan::Plan;
use super::replicas::Gate;
use super::resume::Resumed;
use super::scope::control_selection;
use super::sink::Sink;
use super::stop::Stop;
use super::streams;
use crate::failover::{Drift, drift};
use crate::job::Job;
use crate::model::identity::Pinned;
use crate::model::node::NodeFacts;
use crate::model::outcome::Coverage;
use crate::model::progress::ProgressSink;
use crate::rules::JudgeContext;
use crate::scan::ScanError;
use crate::store::redis::RedisError;

/// A check begins again after a topology change this often; then the run is partial.
const ATTEMPTS: u32 = 3;

/// Everything the rounds need besides the checks.
pub(super) struct Rounds<'a> {
    pub job: &'a Job,
    pub options_accept_control: bool,
    pub mending: &'a Mending,
    /// How far an earlier run came that is gone on with.
    pub resumed: Option<&'a Resumed>,
    pub sink: &'a Arc<Mutex<Sink>>,
    pub stop: &'a Stop,
    pub patience: &'a Patience,
    pub ledger: &'a mut Ledger,
    pub progress: &'a Arc<dyn ProgressSink>,
    /// Of the present nodes.
    pub context: JudgeContext,
}

/// How one check's round ended.
struct Round {
    plan: Plan,
    ledger: CheckLedger,
    result: Result<Coverage, RunError>,
}

/// What becomes of a plan after its round.
enum After {
    Done(Plan),
    Again(Plan),
    Failed,
}

impl Rounds<'_> {
    /// Runs every plan to its end or its last attempt; gives the stores as they were in the end. When a
    /// node turned out to be another one, what was finished before begins again too: it was seen on a
    /// history that is no more.
    pub(super) async fn run(mut self, plans: Vec<Plan>, stores: Stores) -> Stores {
        let mut stores = stores;
        let mut open = plans;
        let mut done = Vec::new();
        for attempt in 0..ATTEMPTS {
            let rounds = open.drain(..).map(|plan| self.round(plan, attempt));
            let ended = futures_util::future::join_all(rounds).await;
            let mut again = Vec::new();
            for round in ended {
                match self.take(round, attempt) {
                    After::Done(plan) => done.push(plan),
                    After::Again(plan) => again.push(plan),
                    After::Failed => {}
                }
            }
            let moved = has_moved(&stores).await;
            if self.stop.is_requested() {
                let why = "it was to begin again, and the run was stopped";
                again.iter().for_each(|plan| self.leave(plan, why));
                break;
            }
            if again.is_empty() && moved.is_none() {
                break;
            }
            if attempt + 1 == ATTEMPTS {
                let why = moved.unwrap_or_default();
                self.ledger
                    .partial
                    .push(format!("the topology did not come to rest: {why}"));
                break;
            }
            match self.reopen(&mut stores).await {
                Ok(is_another) if is_another => again.append(&mut done),
                Ok(_) => {}
                Err(fault) => {
                    let why = format!("the stores did not come back: {fault}");
                    again.iter().for_each(|plan| self.leave(plan, &why));
                    self.ledger.partial.push(why);
                    break;
                }
            }
            self.refit(&mut again, &stores);
            open = again;
        }
        for (name, check) in &mut self.ledger.checks {
            check.coverage = self.sink.lock().await.counted(name, check.coverage);
        }
        stores
    }

    /// Connects again; true if it is another process or history than before.
    async fn reopen(&mut self, stores: &mut Stores) -> Result<bool, RunError> {
        let (cache, nodes) = open_cache(self.job, self.patience).await?;
        let is_another = matches!(drift(&stores.pinned, &nodes), Drift::Changed(_));
        if is_another {
            stores.serving_since = serving_since(&nodes);
        }
        self.reopen_reading(stores, &nodes).await?;
        self.context = judge_context(&nodes);
        stores.cache = cache;
        stores.pinned = Pinned::of(&nodes);
        self.sink.lock().await.pinned(&stores.pinned)?;
        Ok(is_another)
    }

    /// What another failover lost was committed before it, so that replicas have to prove anew what they have. One
    /// that broke a sweep is not asked again.
    async fn reopen_reading(
        &mut self,
        stores: &mut Stores,
        nodes: &[NodeFacts],
    ) -> Result<(), RunError> {
        let reading = &stores.reading;
        if reading.source_facts.is_none() && reading.replica.is_none() {
            return Ok(());
        }
        self.ledger.remarks.extend(reading.remarks());
        let mut job = self.job.clone();
        if reading.given_up().is_some() {
            job.redis_replicas.clear();
        }
        let gate = Gate {
            job: &job,
            source: &stores.source,
            masters: nodes,
            progress: self.progress,
            stop: self.stop,
        };
        stores.reading = gate.open().await?;
        Ok(())
    }

    /// Another node may evict otherwise, so the judges are made anew too.
    fn refit(&self, plans: &mut [Plan], stores: &Stores) {
        for plan in plans {
            plan.refit(stores, self.context);
        }
    }
}

/// Why the nodes are no longer the pinned ones, if they are not.
async fn has_moved(stores: &Stores) -> Option<String> {
    match stores.cache.facts_of_all().await {
        Ok(nodes) => match drift(&stores.pinned, &nodes) {
            Drift::Same | Drift::Renewed(_) => None,
            Drift::Changed(why) => Some(why),
        },
        Err(fault) => Some(fault.to_string()),
    }
}

impl Rounds<'_> {
    /// One check's control sample, then its audit.
    async fn round(&self, plan: Plan, attempt: u32) -> Round {
        let started = Instant::now();
        let mut ledger = CheckLedger::default();
        let result = self.audit(&plan, attempt, &mut ledger).await;
        ledger.took = started.elapsed();
        Round {
            plan,
            ledger,
            result,
        }
    }

    async fn audit(
        &self,
        plan: &Plan,
        attempt: u32,
        ledger: &mut CheckLedger,
    ) -> Result<Coverage, RunError> {
        let ground = plan.ground();
        if attempt > 0 {
            self.sink.lock().await.again(plan.name())?;
        }
        let resumed = self.resumed.filter(|_| attempt == 0);
        let before = resumed.and_then(|resumed| resumed.of_check(plan.name()));
        if before.is_some_and(|before| before.done.is_some()) {
            return Ok(Coverage::default());
        }
        let from = before.and_then(|before| before.mark.as_ref());
        ground.progress.begin(plan.name(), "control sample", None);
        let control = self.control(plan).await?;
        ground.progress.done();
        ledger.control = control;
        if let Some(control) = control.filter(|control| self.refuses(*control)) {
            ledger.is_control_refused = true;
            ledger.not_searched.push(format!(
                "{} of {} pairs from outside the window differ: that is a wrong mapping and not a failover; \
                 correct check {} (or say --accept-control)",
                control.mismatched,
                control.pairs,
                plan.name()
            ));
            return Ok(Coverage::default());
        }
        ground
            .progress
            .begin(plan.name(), "sweep", plan.estimated());
        let counts = match plan {
            Plan::Cache { check, scope } => {
                let check = Arc::new(check.as_ref().clone());
                let left_out = &mut ledger.not_searched;
                audit_check(
                    &check,
                    scope,
                    from,
                    attempt,
                    self.mending,
                    self.sink,
                    left_out,
                )
                .await
            }
            Plan::Stream { check, scope } => {
                let left_out = &mut ledger.not_searched;
                streams::audit(check, scope, attempt, self.mending, self.sink, left_out).await
            }
        };
        ground.progress.done();
        let counts = counts?;
        // What was left out, or not repaired because a limit was reached, is for whoever resumes the run.
        let is_whole = ledger.not_searched.is_empty() && !self.stop.is_requested();
        if is_whole && !self.mending.has_stopped().await {
            self.sink.lock().await.done(plan.name(), counts)?;
        }
        Ok(counts)
    }

    /// `None`: there is nothing to draw a sample from, or it would prove nothing.
    async fn control(&self, plan: &Plan) -> Result<Option<Control>, RunError> {
        let wanted = self.job.limits.control_sample as usize;
        if wanted == 0 {
            return Ok(None);
        }
        match plan {
            Plan::Cache { check, scope } => match control_selection(scope) {
                Some(selection) => {
                    let check = Arc::new(check.as_ref().clone());
                    control_sample(&check, selection, wanted).await.map(Some)
                }
                None => Ok(None),
            },
            Plan::Stream { check, scope } => streams::control_sample(check, scope, wanted).await,
        }
    }

    fn refuses(&self, control: Control) -> bool {
        let allowed = self.job.limits.max_control_mismatch;
        !self.options_accept_control && control.rate().is_some_and(|rate| rate > allowed)
    }

    /// Enters a round's result, and says what becomes of its plan.
    fn take(&mut self, round: Round, attempt: u32) -> After {
        let name = round.plan.name().to_owned();
        let entry = self.ledger.check(&name);
        let earlier = std::mem::take(entry);
        *entry = round.ledger;
        entry.restarts = earlier.restarts;
        entry.took += earlier.took;
        match round.result {
            Ok(coverage) => {
                entry.coverage = coverage;
                if self.stop.is_requested() {
                    entry
                        .not_searched
                        .push(format!("check {name} was stopped before its end"));
                }
                After::Done(round.plan)
            }
            Err(fault) if may_begin_again(&fault) && attempt + 1 < ATTEMPTS => {
                tracing::warn!("check {name} begins again: {fault}");
                entry.restarts += 1;
                After::Again(round.plan)
            }
            Err(fault) => {
                self.leave(&round.plan, &fault.to_string());
                After::Failed
            }
        }
    }
}

impl Rounds<'_> {
    /// A check that is not finished: what it had read by then, and why there is no more.
    fn leave(&mut self, plan: &Plan, why: &str) {
        let name = plan.name();
        let observed = plan.ground().observed.load(Ordering::Relaxed);
        let entry = self.ledger.check(name);
        entry.coverage = Coverage {
            observed,
            ..Coverage::default()
        };
        entry.saw_nothing = observed == 0;
        entry
            .not_searched
            .push(format!("check {name} was not finished: {why}"));
    }
}

/// After these the node is looked for again; a refusal, or MySQL gone, is final.
fn may_begin_again(fault: &RunError) -> bool {
    matches!(
        fault,
        RunError::TopologyChanged(_)
            | RunError::Lost(ScanError::Cache(
                RedisError::Unreachable(_) | RedisError::TopologyChanged(_)
            ))
    )
}
