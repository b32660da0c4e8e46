//! All checks side by side; what a topology change interrupts begins again, a bounded number of times.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Mutex;

use super::RunError;
use super::audit::{Scope, audit_check};
use super::check::{CheckRun, Stores};
use super::control::{Control, control_sample};
use super::execute::Plan;
use super::ledger::{CheckLedger, Ledger};
use super::mend::Mending;
use super::open::open_cache;
use super::scope::control_selection;
use super::sink::Sink;
use super::stop::Stop;
use crate::job::Job;
use crate::model::outcome::Coverage;
use crate::scan::ScanError;
use crate::store::redis::RedisError;

/// A check begins again after a topology change this often; then the run is partial.
const ATTEMPTS: u32 = 3;

/// Everything the rounds need besides the checks.
pub(super) struct Rounds<'a> {
    pub job: &'a Job,
    pub options_accept_control: bool,
    pub mending: &'a Mending,
    pub sink: &'a Arc<Mutex<Sink>>,
    pub stop: &'a Stop,
    pub ledger: &'a mut Ledger,
}

/// How one check's round ended.
struct Round {
    plan: Plan,
    ledger: CheckLedger,
    result: Result<Coverage, RunError>,
}

/// What a check's round leaves to do.
enum Next {
    /// Nothing, unless another check met a topology change.
    Whole(Plan),
    /// It met one and begins again.
    Interrupted(Plan),
    /// It ended, and says itself why.
    Ended,
}

impl Next {
    fn plan(self) -> Option<Plan> {
        match self {
            Next::Whole(plan) | Next::Interrupted(plan) => Some(plan),
            Next::Ended => None,
        }
    }
}

impl Rounds<'_> {
    /// Runs every plan to its end or its last attempt; gives the stores as they were in the end.
    pub(super) async fn run(mut self, plans: Vec<Plan>, stores: Stores) -> Stores {
        let mut stores = stores;
        let mut open = plans;
        for attempt in 0..ATTEMPTS {
            let rounds = open.into_iter().map(|plan| self.round(plan, attempt));
            let ended = futures_util::future::join_all(rounds).await;
            let (mut again, mut is_interrupted) = (Vec::new(), false);
            for round in ended {
                let next = self.take(round, attempt);
                is_interrupted |= matches!(next, Next::Interrupted(_));
                again.extend(next.plan());
            }
            if !is_interrupted || self.stop.is_requested() {
                break;
            }
            // What was whole before the change was so on a node that is no longer the master.
            for plan in &again {
                self.ledger.check(plan.check.name()).restarts += 1;
            }
            match open_cache(self.job).await {
                Ok((cache, node)) => {
                    stores.cache = cache;
                    stores.pinned = node.identity;
                }
                Err(fault) => {
                    self.ledger
                        .partial
                        .push(format!("Redis did not come back: {fault}"));
                    break;
                }
            }
            for plan in &mut again {
                plan.check.stores = stores.clone();
            }
            open = again;
        }
        for (name, check) in &mut self.ledger.checks {
            let verdicts = self.sink.lock().await.verdicts(name);
            check.coverage = merged(check.coverage, verdicts);
        }
        stores
    }
}

impl Rounds<'_> {
    /// Control sample, then the audit, of one check.
    async fn round(&self, plan: Plan, attempt: u32) -> Round {
        let started = Instant::now();
        let mut ledger = CheckLedger::default();
        let check = Arc::new(plan.check.clone());
        let result = self.audit(&check, &plan.scope, attempt, &mut ledger).await;
        ledger.took = started.elapsed();
        Round {
            plan,
            ledger,
            result,
        }
    }

    async fn audit(
        &self,
        check: &Arc<CheckRun>,
        scope: &Scope,
        attempt: u32,
        ledger: &mut CheckLedger,
    ) -> Result<Coverage, RunError> {
        if let Some(selection) = control_selection(scope) {
            check.progress.begin(check.name(), "control sample", None);
            let wanted = self.job.limits.control_sample as usize;
            let control = control_sample(check, selection, wanted).await?;
            check.progress.done();
            ledger.control = Some(control);
            if self.refuses(control) {
                ledger.is_control_refused = true;
                ledger.not_searched.push(format!(
                    "{} of {} pairs from outside the window differ: that is a wrong mapping and not a \
                     failover; correct check {} (or say --accept-control)",
                    control.mismatched,
                    control.pairs,
                    check.name()
                ));
                return Ok(Coverage::default());
            }
        }
        check
            .progress
            .begin(check.name(), "sweep", Some(check.mapping.rows_estimated));
        let counts = audit_check(check, scope, attempt, self.mending, self.sink).await;
        check.progress.done();
        counts
    }

    fn refuses(&self, control: Control) -> bool {
        let allowed = self.job.limits.max_control_mismatch;
        !self.options_accept_control && control.rate().is_some_and(|rate| rate > allowed)
    }

    /// Enters a round's result.
    fn take(&mut self, round: Round, attempt: u32) -> Next {
        let name = round.plan.check.name().to_owned();
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
                Next::Whole(round.plan)
            }
            Err(fault) if may_begin_again(&fault) && attempt + 1 < ATTEMPTS => {
                tracing::warn!("check {name} begins again: {fault}");
                Next::Interrupted(round.plan)
            }
            Err(fault) => {
                entry
                    .not_searched
                    .push(format!("check {name} was not finished: {fault}"));
                Next::Ended
            }
        }
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

/// What the sweep counted, with the verdicts and outcomes that the findings had.
fn merged(swept: Coverage, verdicts: Coverage) -> Coverage {
    Coverage {
        confirmed: verdicts.confirmed,
        transient: verdicts.transient,
        hot: verdicts.hot,
        unknown: verdicts.unknown,
        applied: verdicts.applied,
        refused: verdicts.refused,
        lost_race: verdicts.lost_race,
        ..swept
    }
}
