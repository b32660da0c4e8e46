//! From suspects to findings: the second look, and as many as it takes up to five.

use std::sync::Arc;

use tokio::time::Instant;

use super::RunError;
use super::examine::Examined;
use crate::model::finding::{Suspect, Verdict};
use crate::rules::Decision;
use crate::scan::ScanError;
use crate::store::mysql::MysqlError;

/// A target whose verdict is in.
#[derive(Debug)]
pub(super) struct Settled<E: Examined> {
    pub target: E::Target,
    pub verdict: Verdict,
    pub suspects: Vec<Suspect>,
    /// The look that the verdict rests on; `None` where none could be had.
    pub look: Option<E::Look>,
    /// What stood in the way, for `unknown`.
    pub reason: String,
}

// By hand, because a derived one would ask for `E: Clone`.
impl<E: Examined> Clone for Settled<E> {
    fn clone(&self) -> Self {
        Self {
            target: self.target.clone(),
            verdict: self.verdict,
            suspects: self.suspects.clone(),
            look: self.look.clone(),
            reason: self.reason.clone(),
        }
    }
}

struct Pending<E: Examined> {
    at: usize,
    target: E::Target,
    looks: Vec<E::Look>,
    due: Instant,
}

/// Looks at every target until its verdict is in; answers in the order of `targets`. A stop leaves the
/// rest `unknown`.
pub(super) async fn settle<E: Examined>(
    check: &Arc<E>,
    targets: Vec<E::Target>,
) -> Result<Vec<Settled<E>>, RunError> {
    let ground = check.ground();
    let mut settled: Vec<Option<Settled<E>>> = targets.iter().map(|_| None).collect();
    let now = Instant::now();
    let mut pending: Vec<Pending<E>> = targets
        .into_iter()
        .enumerate()
        .map(|(at, target)| Pending {
            at,
            target,
            looks: Vec::new(),
            due: now,
        })
        .collect();
    while !pending.is_empty() {
        let due = pending
            .iter()
            .map(|p| p.due)
            .min()
            .expect("there are pending targets");
        let wait = due.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            tracing::debug!("the next look is due in {:.3} s", wait.as_secs_f64());
            ground.progress.waiting(Some(&format!(
                "second look at {} suspect(s) in {:.1} s",
                pending.len(),
                wait.as_secs_f64()
            )));
            let slept = ground.stop.sleep(wait).await;
            ground.progress.waiting(None);
            if !slept {
                for p in pending.drain(..) {
                    settled[p.at] = Some(unknown(
                        check.as_ref(),
                        p.target,
                        p.looks.into_iter().last(),
                        "stopped",
                    ));
                }
                break;
            }
        }
        let now = Instant::now();
        let (ready, later): (Vec<_>, Vec<_>) = pending.into_iter().partition(|p| p.due <= now);
        pending = later;
        for p in look_again(check, ready).await? {
            match p {
                Step::Settled(at, done) => settled[at] = Some(*done),
                Step::Again(p) => pending.push(*p),
            }
        }
    }
    Ok(settled
        .into_iter()
        .map(|s| s.expect("every target got its verdict"))
        .collect())
}

/// A target after one more look: its verdict, or itself, for another look.
enum Step<E: Examined> {
    Settled(usize, Box<Settled<E>>),
    Again(Box<Pending<E>>),
}

async fn look_again<E: Examined>(
    check: &Arc<E>,
    ready: Vec<Pending<E>>,
) -> Result<Vec<Step<E>>, RunError> {
    let ground = check.ground();
    let refs: Vec<&E::Target> = ready.iter().map(|p| &p.target).collect();
    ground.pacer.take(2 * refs.len()).await;
    let looks = match check.look(&refs).await {
        Ok(looks) => looks,
        // A statement that was stopped or refused leaves these unread, not missing.
        Err(ScanError::Source(fault @ (MysqlError::TimedOut(_) | MysqlError::Statement(_)))) => {
            let reason = fault.to_string();
            return Ok(ready
                .into_iter()
                .map(|p| {
                    let last = p.looks.into_iter().last();
                    Step::Settled(
                        p.at,
                        Box::new(unknown(check.as_ref(), p.target, last, &reason)),
                    )
                })
                .collect());
        }
        Err(fault) => return Err(fault.into()),
    };
    ground.still_the_same_nodes().await?;
    Ok(ready
        .into_iter()
        .zip(looks)
        .map(|(mut p, look)| {
            p.looks.push(look);
            decide_one(check.as_ref(), p)
        })
        .collect())
}

fn decide_one<E: Examined>(check: &E, mut p: Pending<E>) -> Step<E> {
    match check.decide(&p.looks) {
        Decision::LookAgain { after } => {
            p.due = Instant::now() + after;
            Step::Again(Box::new(p))
        }
        Decision::Settled {
            verdict,
            suspects,
            look,
        } => {
            let reason = reason_for(check, verdict, &p.looks);
            let look = p.looks.into_iter().nth(look);
            let settled = Settled {
                target: p.target,
                verdict,
                suspects,
                look,
                reason,
            };
            Step::Settled(p.at, Box::new(settled))
        }
    }
}

/// What stood in the way of a verdict.
fn reason_for<E: Examined>(check: &E, verdict: Verdict, looks: &[E::Look]) -> String {
    let pinned = &check.ground().stores.source_identity;
    let is_from_elsewhere = looks.iter().any(|look| E::source(look) != pinned);
    let (on_source, in_cache) = E::RESTLESS;
    match verdict {
        Verdict::Unknown if is_from_elsewhere => {
            "another MySQL server answered in between; a proxy that changes its mind?".to_owned()
        }
        Verdict::Unknown => format!("{on_source} kept changing over {} looks", looks.len()),
        Verdict::Hot => format!("{in_cache} kept changing over {} looks", looks.len()),
        Verdict::Confirmed | Verdict::Transient => String::new(),
    }
}

/// What was last seen wrong is kept, so that the report names the key.
fn unknown<E: Examined>(
    check: &E,
    target: E::Target,
    look: Option<E::Look>,
    reason: &str,
) -> Settled<E> {
    let suspects = look.as_ref().map(|look| check.objections(look));
    Settled {
        target,
        verdict: Verdict::Unknown,
        suspects: suspects.unwrap_or_default(),
        look,
        reason: reason.to_owned(),
    }
}
