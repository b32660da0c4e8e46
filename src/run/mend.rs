//! From verdicts to written findings: repair what was confirmed, verify it, write it down.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::RunError;
use super::check::CheckRun;
use super::findings::{Mended, findings_of};
use super::settle::{Settled, settle};
use super::show::Shown;
use super::sink::{Reported, Sink};
use super::sweep::still_the_same_node;
use crate::model::finding::{OutcomeKind, Verdict};
use crate::model::time::Micros;
use crate::repair::{Applier, Repairable, StepOutcome, plan_step};
use crate::scan::{Target, look};

/// Who loses a race this often is left to the next run.
const REPAIR_ROUNDS: u32 = 3;

/// What is done with confirmed findings.
#[derive(Clone)]
pub(super) enum Mending {
    /// `scan` and `--dry-run`: the plan is made and printed, nothing else.
    PlanOnly,
    Apply(Arc<Mutex<Applier>>),
}

/// Handles one batch of verdicts, in order. `slices` ended among them, each with the ids it observed.
pub(super) async fn mend(
    check: &Arc<CheckRun>,
    settled: Vec<Settled>,
    slices: &[(u32, u64)],
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
    let mut ended = slices;
    for (settled, mended) in settled.iter().zip(&mended) {
        // A slice ends behind its last finding and before the first one of the next.
        let before = ended.partition_point(|(slice, _)| *slice < settled.target.position.slice);
        sink.slices_done(check.name(), &ended[..before])?;
        ended = &ended[before..];
        let findings = findings_of(check, settled, mended);
        sink.show(|| Shown::of(check, settled, &findings));
        let reported = Reported {
            check: &check.mapping.check,
            subject: &settled.target.subject,
            entry: None,
            aspect: "",
            verdict: settled.verdict,
            was_suspect: !settled.suspects.is_empty(),
        };
        sink.write(&reported, &findings)?;
    }
    sink.slices_done(check.name(), ended)?;
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

/// What was done about each, and what kept it from being verified. Who lost a race to a value that is wrong
/// too (a counter moved while its gap stayed) is confirmed anew and tried again, a few times.
async fn repair(
    check: &Arc<CheckRun>,
    settled: &[Settled],
    applier: &Arc<Mutex<Applier>>,
) -> (Vec<Mended>, Option<RunError>) {
    let mut mended: Vec<Mended> = settled.iter().map(|_| Mended::Nothing).collect();
    let mut open: Vec<(usize, Repairable)> = settled
        .iter()
        .enumerate()
        .filter_map(|(at, s)| Some((at, repairable(s)?)))
        .collect();
    for round in 1..=REPAIR_ROUNDS {
        if open.is_empty() {
            break;
        }
        let (done, fault) = repair_once(check, &open, applier).await;
        let mut wrong_still = Vec::new();
        for ((at, item), (outcome, settled_at)) in open.drain(..).zip(done) {
            if settled_at.is_none() && should_be_right(outcome.kind) {
                wrong_still.push((at, item.target));
            }
            // What was once written stays written, whatever a later round could not do.
            let outcome = match &mended[at] {
                Mended::Done {
                    outcome: before, ..
                } if before.kind == OutcomeKind::Applied => before.clone(),
                _ => outcome,
            };
            mended[at] = Mended::Done {
                outcome,
                settled_at,
            };
        }
        if fault.is_some() || round == REPAIR_ROUNDS || check.stop.is_requested() {
            return (mended, fault);
        }
        let (places, targets): (Vec<usize>, Vec<Target>) = wrong_still.into_iter().unzip();
        let again = match settle(check, targets).await {
            Ok(again) => again,
            Err(fault) => return (mended, Some(fault)),
        };
        for (at, settled) in places.into_iter().zip(again) {
            if let (Verdict::Transient, Some(look), Mended::Done { settled_at, .. }) =
                (settled.verdict, &settled.look, &mut mended[at])
            {
                *settled_at = Some(look.at);
            }
            open.extend(repairable(&settled).map(|item| (at, item)));
        }
    }
    (mended, None)
}

fn repairable(settled: &Settled) -> Option<Repairable> {
    match (settled.verdict, &settled.look) {
        (Verdict::Confirmed, Some(look)) => Some(Repairable {
            target: settled.target.clone(),
            look: look.clone(),
            suspects: settled.suspects.clone(),
        }),
        _ => None,
    }
}

fn should_be_right(kind: OutcomeKind) -> bool {
    matches!(
        kind,
        OutcomeKind::Applied | OutcomeKind::LostRace | OutcomeKind::AlreadyRight
    )
}

type Done = (StepOutcome, Option<Micros>);

/// Applies once, and looks whether it is right then.
async fn repair_once(
    check: &Arc<CheckRun>,
    open: &[(usize, Repairable)],
    applier: &Arc<Mutex<Applier>>,
) -> (Vec<Done>, Option<RunError>) {
    let items: Vec<Repairable> = open.iter().map(|(_, item)| item.clone()).collect();
    let outcomes = applier
        .lock()
        .await
        .apply(&check.mapping, &check.judge, &items)
        .await;
    let places: Vec<usize> = (0..items.len())
        .filter(|&i| should_be_right(outcomes[i].kind))
        .collect();
    let targets: Vec<&Target> = places.iter().map(|&i| &items[i].target).collect();
    let (verified, fault) = match verify(check, &targets).await {
        Ok(verified) => (verified, None),
        Err(fault) => (vec![None; targets.len()], Some(fault)),
    };
    let mut settled_at: Vec<Option<Micros>> = vec![None; items.len()];
    for (place, at) in places.into_iter().zip(verified) {
        settled_at[place] = at;
    }
    (outcomes.into_iter().zip(settled_at).collect(), fault)
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
