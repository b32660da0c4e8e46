//! From suspects to findings: the second look, and as many as it takes up to five.

use std::sync::Arc;

use tokio::time::Instant;

use super::RunError;
use super::check::CheckRun;
use super::sweep::still_the_same_node;
use crate::model::finding::{Suspect, Verdict};
use crate::model::identity::SourceIdentity;
use crate::model::observation::Look;
use crate::rules::{Decision, decide};
use crate::scan::{ScanError, Target, look};
use crate::store::mysql::MysqlError;

/// A target whose verdict is in.
#[derive(Debug, Clone)]
pub(super) struct Settled {
    pub target: Target,
    pub verdict: Verdict,
    pub suspects: Vec<Suspect>,
    /// The look that the verdict rests on; `None` where none could be had.
    pub look: Option<Look>,
    /// What stood in the way, for `unknown`.
    pub reason: String,
}

struct Pending {
    at: usize,
    target: Target,
    looks: Vec<Look>,
    due: Instant,
}

/// Looks at every target until its verdict is in; answers in the order of `targets`. A stop leaves the
/// rest `unknown`.
pub(super) async fn settle(
    check: &Arc<CheckRun>,
    targets: Vec<Target>,
) -> Result<Vec<Settled>, RunError> {
    let mut settled: Vec<Option<Settled>> = targets.iter().map(|_| None).collect();
    let now = Instant::now();
    let mut pending: Vec<Pending> = targets
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
            check.progress.waiting(Some(&format!(
                "second look at {} suspect(s) in {:.1} s",
                pending.len(),
                wait.as_secs_f64()
            )));
            let slept = check.stop.sleep(wait).await;
            check.progress.waiting(None);
            if !slept {
                for p in pending.drain(..) {
                    settled[p.at] = Some(unknown(
                        check,
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
enum Step {
    Settled(usize, Box<Settled>),
    Again(Box<Pending>),
}

async fn look_again(check: &Arc<CheckRun>, ready: Vec<Pending>) -> Result<Vec<Step>, RunError> {
    let refs: Vec<&Target> = ready.iter().map(|p| &p.target).collect();
    check.pacer.take(2 * refs.len()).await;
    let stores = &check.stores;
    let looks = match look(&stores.source, &stores.cache, &check.mapping, &refs).await {
        Ok(looks) => looks,
        // A statement that was stopped or refused leaves these unread, not missing.
        Err(ScanError::Source(fault @ (MysqlError::TimedOut(_) | MysqlError::Statement(_)))) => {
            let reason = fault.to_string();
            return Ok(ready
                .into_iter()
                .map(|p| {
                    let last = p.looks.into_iter().last();
                    Step::Settled(p.at, Box::new(unknown(check, p.target, last, &reason)))
                })
                .collect());
        }
        Err(fault) => return Err(fault.into()),
    };
    still_the_same_node(check).await?;
    Ok(ready
        .into_iter()
        .zip(looks)
        .map(|(mut p, look)| {
            p.looks.push(look);
            decide_one(check, p)
        })
        .collect())
}

fn decide_one(check: &CheckRun, mut p: Pending) -> Step {
    match decide(
        &check.judge,
        &p.looks,
        &check.stores.source_identity,
        check.timing,
    ) {
        Decision::LookAgain { after } => {
            p.due = Instant::now() + after;
            Step::Again(Box::new(p))
        }
        Decision::Settled {
            verdict,
            suspects,
            look,
        } => {
            let reason = reason_for(verdict, &p.looks, &check.stores.source_identity);
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
fn reason_for(verdict: Verdict, looks: &[Look], pinned: &SourceIdentity) -> String {
    let is_from_elsewhere = looks.iter().any(|look| look.source != *pinned);
    match verdict {
        Verdict::Unknown if is_from_elsewhere => {
            "another MySQL server answered in between; a proxy that changes its mind?".to_owned()
        }
        Verdict::Unknown => format!("the row kept changing over {} looks", looks.len()),
        Verdict::Hot => format!("the key kept changing over {} looks", looks.len()),
        Verdict::Confirmed | Verdict::Transient => String::new(),
    }
}

/// What was last seen wrong is kept, so that the report names the key.
fn unknown(check: &CheckRun, target: Target, look: Option<Look>, reason: &str) -> Settled {
    let suspects = look.as_ref().map(|look| {
        check
            .judge
            .suspects(look.row.as_ref().map(|r| r.as_ref()), &look.after)
    });
    Settled {
        target,
        verdict: Verdict::Unknown,
        suspects: suspects.unwrap_or_default(),
        look,
        reason: reason.to_owned(),
    }
}
