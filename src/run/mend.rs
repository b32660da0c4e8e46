//! From verdicts to written findings: repair what was confirmed, verify it, write it down.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::RunError;
use super::check::CheckRun;
use super::findings::{Mended, findings_of};
use super::settle::Settled;
use super::show::Shown;
use super::sink::Sink;
use super::sweep::still_the_same_node;
use crate::model::finding::{OutcomeKind, Verdict};
use crate::model::time::Micros;
use crate::repair::{Applier, Repairable, plan_step};
use crate::scan::{Target, look};

/// What is done with confirmed findings.
#[derive(Clone)]
pub(super) enum Mending {
    /// `scan` and `--dry-run`: the plan is made and printed, nothing else.
    PlanOnly,
    Apply(Arc<Mutex<Applier>>),
}

/// Handles one batch of verdicts, in order.
pub(super) async fn mend(
    check: &Arc<CheckRun>,
    settled: Vec<Settled>,
    mending: &Mending,
    sink: &Arc<Mutex<Sink>>,
) -> Result<(), RunError> {
    // SCAN may bring a key up twice; two writes of one key would race each other.
    let mut met = HashSet::new();
    let settled: Vec<Settled> = settled
        .into_iter()
        .filter(|s| met.insert(s.target.subject.clone()))
        .collect();
    let (mended, fault) = match mending {
        Mending::PlanOnly => (settled.iter().map(|s| planned(check, s)).collect(), None),
        Mending::Apply(applier) => repair(check, &settled, applier).await,
    };
    // What was written is told even if it could not be verified any more.
    let mut sink = sink.lock().await;
    for (settled, mended) in settled.iter().zip(&mended) {
        let findings = findings_of(check, settled, mended);
        sink.show(|| Shown::of(check, settled, &findings));
        sink.write(&check.mapping.check, settled, &findings)?;
    }
    sink.flush()?;
    fault.map_or(Ok(()), Err)
}

fn planned(check: &CheckRun, settled: &Settled) -> Mended {
    match (&settled.verdict, &settled.look) {
        (Verdict::Confirmed, Some(look)) => {
            let plan = plan_step(
                &check.judge,
                &settled.target.subject,
                look,
                &settled.suspects,
                None,
            );
            Mended::Planned(Box::new(plan))
        }
        _ => Mended::Nothing,
    }
}

/// What was done about each, and what kept it from being verified.
async fn repair(
    check: &Arc<CheckRun>,
    settled: &[Settled],
    applier: &Arc<Mutex<Applier>>,
) -> (Vec<Mended>, Option<RunError>) {
    let mut places = Vec::new();
    let mut items = Vec::new();
    for (at, s) in settled.iter().enumerate() {
        if let (Verdict::Confirmed, Some(look)) = (s.verdict, &s.look) {
            places.push(at);
            items.push(Repairable {
                target: s.target.clone(),
                look: look.clone(),
                suspects: s.suspects.clone(),
            });
        }
    }
    let mut mended: Vec<Mended> = settled.iter().map(|_| Mended::Nothing).collect();
    if items.is_empty() {
        return (mended, None);
    }
    let outcomes = applier
        .lock()
        .await
        .apply(&check.mapping, &check.judge, &items)
        .await;
    let is_to_be_right = |kind| {
        matches!(
            kind,
            OutcomeKind::Applied | OutcomeKind::LostRace | OutcomeKind::AlreadyRight
        )
    };
    let verified_places: Vec<usize> = (0..items.len())
        .filter(|&i| is_to_be_right(outcomes[i].kind))
        .collect();
    let targets: Vec<&Target> = verified_places.iter().map(|&i| &items[i].target).collect();
    let (verified, fault) = match verify(check, &targets).await {
        Ok(verified) => (verified, None),
        Err(fault) => (vec![None; targets.len()], Some(fault)),
    };
    let mut settled_at: Vec<Option<Micros>> = vec![None; items.len()];
    for (place, at) in verified_places.into_iter().zip(verified) {
        settled_at[place] = at;
    }
    for ((place, outcome), settled_at) in places.into_iter().zip(outcomes).zip(settled_at) {
        mended[place] = Mended::Done {
            outcome,
            settled_at,
        };
    }
    (mended, fault)
}

/// Looks at everything that should be right now; what is not gets one more look after `cache_delay`, since
/// the application may be on its way. When it was seen right, or `None`.
async fn verify(
    check: &Arc<CheckRun>,
    targets: &[&Target],
) -> Result<Vec<Option<Micros>>, RunError> {
    let mut right: Vec<Option<Micros>> = vec![None; targets.len()];
    for round in 0..2 {
        let open: Vec<usize> = (0..targets.len()).filter(|&i| right[i].is_none()).collect();
        if open.is_empty() {
            break;
        }
        if round > 0 && !check.stop.sleep(check.timing.cache_delay).await {
            break;
        }
        let refs: Vec<&Target> = open.iter().map(|&i| targets[i]).collect();
        let stores = &check.stores;
        let looks = look(&stores.source, &stores.cache, &check.mapping, &refs).await?;
        // A master that was demoted since still shows what was written to it.
        still_the_same_node(check).await?;
        for (&at, look) in open.iter().zip(looks) {
            let row = look.row.as_ref().map(|r| r.as_ref());
            let is_ours = look.counts() && look.source == stores.source_identity;
            if is_ours && check.judge.suspects(row, &look.after).is_empty() {
                right[at] = Some(look.at);
            }
        }
    }
    Ok(right)
}
