//! From verdicts to written findings: repair what was confirmed, verify it, write it down.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::RunError;
use super::batch::Passed;
use super::examine::{Examined, Placed};
use super::ground::Stores;
use super::settle::{Settled, settle};
use super::sink::Sink;
use crate::model::finding::{OutcomeKind, Remedy, Verdict};
use crate::model::time::Micros;
use crate::repair::{Applier, StepOutcome};
use crate::scan::ScanError;

/// Who loses a race this often is left to the next run.
const REPAIR_ROUNDS: u32 = 3;

/// What is done with confirmed findings.
#[derive(Clone)]
pub(super) enum Mending {
    /// `scan` and `--dry-run`: the plan is made and printed, nothing else.
    PlanOnly,
    Apply(Arc<Mutex<Applier>>),
}

impl Mending {
    /// Repairs over the connections of `stores` from now on, which lead to the same nodes and histories as before. True if
    /// something was refused meanwhile that can be repaired now.
    pub(super) async fn go_on(&self, stores: &Stores) -> Result<bool, RunError> {
        let Mending::Apply(applier) = self else {
            return Ok(false);
        };
        let mut applier = applier.lock().await;
        let cache = stores.cache.clone();
        let went_on = applier.go_on(cache, &stores.pinned).await;
        went_on.map_err(|fault| RunError::Lost(ScanError::Cache(fault)))
    }

    /// Whether nothing more is repaired: a limit was reached, or a condition is no longer met.
    pub(super) async fn has_stopped(&self) -> bool {
        match self {
            Mending::PlanOnly => false,
            Mending::Apply(applier) => applier.lock().await.stopped().is_some(),
        }
    }
}

/// What repair had to say about a target: what would be done, and what was.
pub(super) enum Mended {
    /// A scan or a dry run: the remedy, or why there is none.
    Planned(Result<Remedy, String>),
    Done {
        outcome: StepOutcome,
        settled_at: Option<Micros>,
    },
    /// Nothing is ever done about this verdict.
    Nothing,
}

/// What a finding says of what was done about it.
pub(super) struct Told {
    pub remedy: Remedy,
    pub outcome: Option<OutcomeKind>,
    pub reason: String,
    /// When it was verified to be right again.
    pub repaired_at: Option<Micros>,
}

impl Mended {
    /// `reason` is what stood in the way of a verdict.
    pub(super) fn told(&self, reason: &str) -> Told {
        let (remedy, outcome, reason, repaired_at) = match self {
            Mended::Planned(Ok(remedy)) => (*remedy, None, "", None),
            Mended::Planned(Err(refusal)) => (Remedy::None, None, refusal.as_str(), None),
            Mended::Done {
                outcome,
                settled_at,
            } => (
                outcome.remedy,
                Some(outcome.kind),
                outcome.reason.as_str(),
                *settled_at,
            ),
            Mended::Nothing => (Remedy::None, None, reason, None),
        };
        Told {
            remedy,
            outcome,
            reason: reason.to_owned(),
            repaired_at,
        }
    }
}

/// Handles one batch of verdicts, in order; what of the sweep `passed` among them is noted at its place.
pub(super) async fn mend<E: Examined>(
    check: &Arc<E>,
    settled: Vec<Settled<E>>,
    passed: &Passed,
    mending: &Mending,
    sink: &Arc<Mutex<Sink>>,
) -> Result<(), RunError> {
    // SCAN may bring a key up twice; two writes of one key would race each other.
    let mut met = HashSet::new();
    let settled: Vec<Settled<E>> = settled
        .into_iter()
        .filter(|s| met.insert(s.target.name()))
        .collect();
    let (mended, fault) = match mending {
        Mending::PlanOnly => {
            let plans = settled.iter().map(|s| planned(check.as_ref(), s));
            (plans.collect(), None)
        }
        Mending::Apply(applier) => repair(check, &settled, applier).await,
    };
    // What was written is told even if it could not be verified any more.
    let mut sink = sink.lock().await;
    sink.slices_begun(check.check_name(), &passed.begun);
    let mut ended = passed.slices_done.as_slice();
    for (settled, mended) in settled.iter().zip(&mended) {
        // A slice ends behind its last finding and before the first one of the next.
        let position = settled.target.position();
        let before = ended.partition_point(|(slice, _)| *slice < position.slice);
        sink.slices_done(check.check_name(), &ended[..before])?;
        ended = &ended[before..];
        check.write(&mut sink, settled, mended)?;
    }
    sink.slices_done(check.check_name(), ended)?;
    sink.flush()?;
    fault.map_or(Ok(()), Err)
}

fn planned<E: Examined>(check: &E, settled: &Settled<E>) -> Mended {
    match (&settled.verdict, &settled.look) {
        (Verdict::Confirmed, Some(look)) => Mended::Planned(check.plan(settled, look)),
        _ => Mended::Nothing,
    }
}

/// What was done about each, and what kept it from being verified. Who lost a race to a value that is wrong
/// too (a counter moved while its gap stayed) is confirmed anew and tried again, a few times.
async fn repair<E: Examined>(
    check: &Arc<E>,
    first: &[Settled<E>],
    applier: &Arc<Mutex<Applier>>,
) -> (Vec<Mended>, Option<RunError>) {
    let mut mended: Vec<Mended> = first.iter().map(|_| Mended::Nothing).collect();
    let mut open: Vec<(usize, Settled<E>)> = first
        .iter()
        .enumerate()
        .filter(|(_, s)| is_repairable(s))
        .map(|(at, s)| (at, s.clone()))
        .collect();
    for round in 1..=REPAIR_ROUNDS {
        if open.is_empty() {
            break;
        }
        let (places, items): (Vec<usize>, Vec<Settled<E>>) = open.drain(..).unzip();
        let (done, fault) = repair_once(check, &items, applier).await;
        let mut wrong_still = Vec::new();
        for ((at, item), (outcome, settled_at)) in places.into_iter().zip(items).zip(done) {
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
        if fault.is_some() || round == REPAIR_ROUNDS || check.ground().stop.is_requested() {
            return (mended, fault);
        }
        let (places, targets): (Vec<usize>, Vec<E::Target>) = wrong_still.into_iter().unzip();
        let again = match settle(check, targets).await {
            Ok(again) => again,
            Err(fault) => return (mended, Some(fault)),
        };
        for (at, settled) in places.into_iter().zip(again) {
            if let (Verdict::Transient, Some(look), Mended::Done { settled_at, .. }) =
                (settled.verdict, &settled.look, &mut mended[at])
                && check.is_right(&first[at], look)
            {
                *settled_at = Some(E::at(look));
            }
            if is_repairable(&settled) {
                open.push((at, settled));
            }
        }
    }
    (mended, None)
}

fn is_repairable<E: Examined>(settled: &Settled<E>) -> bool {
    settled.verdict == Verdict::Confirmed && settled.look.is_some()
}

fn should_be_right(kind: OutcomeKind) -> bool {
    matches!(
        kind,
        OutcomeKind::Applied | OutcomeKind::LostRace | OutcomeKind::AlreadyRight
    )
}

type Done = (StepOutcome, Option<Micros>);

/// Applies once, and looks whether it is right then.
async fn repair_once<E: Examined>(
    check: &Arc<E>,
    items: &[Settled<E>],
    applier: &Arc<Mutex<Applier>>,
) -> (Vec<Done>, Option<RunError>) {
    let outcomes = {
        let mut applier = applier.lock().await;
        check.apply(&mut applier, items).await
    };
    let places: Vec<usize> = (0..items.len())
        .filter(|&i| should_be_right(outcomes[i].kind))
        .collect();
    let done: Vec<&Settled<E>> = places.iter().map(|&i| &items[i]).collect();
    let (verified, fault) = match verify(check, &done).await {
        Ok(verified) => (verified, None),
        Err(fault) => (vec![None; done.len()], Some(fault)),
    };
    let mut settled_at: Vec<Option<Micros>> = vec![None; items.len()];
    for (place, at) in places.into_iter().zip(verified) {
        settled_at[place] = at;
    }
    (outcomes.into_iter().zip(settled_at).collect(), fault)
}

/// Looks at everything that should be right now; what is not gets one more look after `cache_delay`, since
/// the application may be on its way. When it was seen right, or `None`.
async fn verify<E: Examined>(
    check: &Arc<E>,
    items: &[&Settled<E>],
) -> Result<Vec<Option<Micros>>, RunError> {
    let ground = check.ground();
    let mut right: Vec<Option<Micros>> = vec![None; items.len()];
    for round in 0..2 {
        let open: Vec<usize> = (0..items.len()).filter(|&i| right[i].is_none()).collect();
        if open.is_empty() {
            break;
        }
        if round > 0 && !ground.stop.sleep(ground.timing.cache_delay).await {
            break;
        }
        let refs: Vec<&E::Target> = open.iter().map(|&i| &items[i].target).collect();
        let looks = check.look(&refs).await?;
        // A master that was demoted since still shows what was written to it.
        ground.still_the_same_nodes().await?;
        for (&at, look) in open.iter().zip(looks) {
            let is_ours = check.counts(&look) && *E::source(&look) == ground.stores.source_identity;
            if is_ours && check.is_right(items[at], &look) {
                right[at] = Some(E::at(&look));
            }
        }
    }
    Ok(right)
}
