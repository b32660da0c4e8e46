//! Which checks a run looks at, and what of each.

use std::sync::Arc;

use super::RunError;
use super::audit::Scope;
use super::check::CheckRun;
use super::ground::{Ground, Stores};
use super::ledger::Ledger;
use super::request::{ScanRequest, Scope as Asked};
use super::scope::scope_of;
use super::streams::{StreamRun, StreamScope, stream_scope};
use super::targets::{earlier_targets, one_target};
use crate::report::EarlierRun;
use crate::rules::{Judge, JudgeContext};

/// One check and what of it is looked at.
pub(super) enum Plan {
    Cache {
        check: Box<CheckRun>,
        scope: Scope,
    },
    Stream {
        check: Arc<StreamRun>,
        scope: StreamScope,
    },
}

impl Plan {
    pub(super) fn name(&self) -> &str {
        match self {
            Plan::Cache { check, .. } => check.name(),
            Plan::Stream { check, .. } => check.name(),
        }
    }

    pub(super) fn ground(&self) -> &Ground {
        match self {
            Plan::Cache { check, .. } => &check.ground,
            Plan::Stream { check, .. } => &check.ground,
        }
    }

    /// About how much there is to look at, where that is known.
    pub(super) fn estimated(&self) -> Option<u64> {
        match self {
            Plan::Cache { check, .. } => Some(check.mapping.rows_estimated),
            Plan::Stream { .. } => None,
        }
    }

    /// Goes on with other stores. Another node may evict otherwise, so the judges of keys are made anew too.
    pub(super) fn refit(&mut self, stores: &Stores, context: JudgeContext) {
        match self {
            Plan::Cache { check, .. } => {
                check.ground.stores = stores.clone();
                check.judge = Judge::new(Arc::clone(&check.mapping), context);
            }
            Plan::Stream { check, .. } => *check = Arc::new(check.on(stores)),
        }
    }
}

/// What of every check is looked at; what cannot be is left out and said in `ledger`.
pub(super) fn plans_of(
    request: &ScanRequest,
    earlier: Option<&EarlierRun>,
    caches: Vec<CheckRun>,
    streams: Vec<StreamRun>,
    ledger: &mut Ledger,
) -> Result<Vec<Plan>, RunError> {
    let mut plans = Vec::new();
    for check in caches {
        match cache_scope(request, earlier, &check)? {
            Some(Ok(scope)) => plans.push(Plan::Cache {
                check: Box::new(check),
                scope,
            }),
            Some(Err(why)) => ledger.check(check.name()).not_searched.push(why),
            None => {}
        }
    }
    for check in streams {
        if let Some(scope) = stream_scope(request, earlier, &check)? {
            ledger.remarks.extend(scope.remarks(&check));
            let check = Arc::new(check);
            plans.push(Plan::Stream { check, scope });
        }
    }
    if plans.is_empty() && ledger.checks.is_empty() {
        return Err(RunError::BadRequest(
            "no check of this job has such a key; `--only` and the key templates decide".into(),
        ));
    }
    Ok(plans)
}

/// `None`: what was asked for is not this check's; `Err`: why nothing of it can be searched.
fn cache_scope(
    request: &ScanRequest,
    earlier: Option<&EarlierRun>,
    check: &CheckRun,
) -> Result<Option<Result<Scope, String>>, RunError> {
    let (timing, window) = (&check.ground.timing, check.ground.window);
    Ok(match &request.scope {
        Asked::Window(_) => Some(scope_of(&check.mapping, timing, window, false)),
        Asked::Full(_) => Some(scope_of(&check.mapping, timing, window, true)),
        Asked::One(target, _) => {
            let target = one_target(&check.mapping, target)?;
            target.map(|target| Ok(Scope::Targets(vec![target])))
        }
        Asked::Rest(_) => unreachable!("it was replaced by what the interrupted run was asked for"),
        Asked::EarlierRun(..) => {
            let earlier = earlier.expect("it was read before the checks");
            Some(Ok(Scope::Targets(earlier_targets(earlier, check)?)))
        }
    })
}
