//! What a run leaves behind for the next one: which histories are dealt with, and until when everything was audited.

use std::time::Duration;

use super::RunError;
use super::record::Closing;
use super::request::{ScanRequest, Scope};
use super::topology::Nodes;
use crate::failover::sampler::{self, SamplerError};
use crate::failover::state::StateFolder;
use crate::failover::{Due, Handled, Outlook, Remembered};
use crate::job::Job;
use crate::model::node::NodeFacts;
use crate::model::outcome::RunVerdict;
use crate::model::time::{Micros, TimeWindow};
use crate::store::redis::Sampler;

/// Whether a copy in Redis is begun where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Copies {
    /// `run` has a place of its own there, like the checkpoint.
    Begin,
    /// A repair by hand keeps up what others began.
    KeepUp,
}

/// What a repair needs for saying that a failover is dealt with.
pub(super) struct Marks {
    /// What was known when it began; `None`: nobody could tell.
    pub outlook: Option<Outlook>,
    pub copies: Copies,
}

/// Notes that `masters` are dealt with, and everything until `audited_until`: in the state folder, and in the copies.
pub(super) async fn mark(
    job: &Job,
    masters: &[NodeFacts],
    audited_until: Micros,
    copies: Copies,
) -> Result<(), RunError> {
    let handled: Vec<Handled> = masters.iter().map(handled_now).collect();
    let folder = StateFolder::open(job);
    let write = || {
        folder.mark_handled(&handled)?;
        folder.set_audited_until(audited_until)
    };
    write().map_err(|fault| RunError::NothingJudged(fault.to_string()))?;
    let memory = Remembered {
        handled,
        audited_until: Some(audited_until),
        ..Remembered::default()
    };
    if let Err(fault) = copy(job, &memory, copies).await {
        // The folder has it; the copy is a second chance.
        tracing::warn!("the copy of the state in Redis could not be written: {fault}");
    }
    Ok(())
}

async fn copy(job: &Job, memory: &Remembered, copies: Copies) -> Result<(), SamplerError> {
    let mut masters: Vec<Sampler> = Vec::new();
    for master in sampler::connect(job).await? {
        if copies == Copies::Begin || master.state_copy().await?.is_some() {
            masters.push(master);
        }
    }
    sampler::keep_copies(&masters, job, memory).await
}

fn handled_now(master: &NodeFacts) -> Handled {
    Handled {
        replication_id: master.identity.replication_id.clone(),
        run_id: master.identity.run_id.clone(),
        slots: master.slots.clone(),
        handled_at: Micros::now(),
    }
}

/// Whether a run that was asked for `request` can deal with everything: all checks, all keys, all shards.
pub(super) fn can_deal_with_all(request: &ScanRequest) -> bool {
    let is_whole = request.only.is_empty() && request.shard.is_whole();
    is_whole && matches!(request.scope, Scope::Window(_) | Scope::Full(_))
}

/// What happened where no window tells it, and that this is not the end of it.
pub(super) fn remark_on(outlook: &Outlook) -> Option<String> {
    match outlook.due(Duration::ZERO) {
        Due::FullSweep => Some(outlook.explanation()),
        Due::Window(_) if outlook.is_open() => Some(
            "the former master does not answer, and what it may go on taking will be lost: the next run looks again"
                .to_owned(),
        ),
        _ => None,
    }
}

/// Marks what a run has dealt with: only a complete one, of everything that was lost, and on the histories it began with.
/// One that went on from another cannot say what masters there were between the two, and leaves it to the next run.
/// Two masters at any moment of the run leave it open: what the other one went on taking was lost after the sweep had
/// passed.
pub(super) async fn mark_if_complete(
    closing: &Closing<'_>,
    verdict: RunVerdict,
    nodes: Option<&Nodes>,
) {
    let Some(marks) = &closing.marks else {
        return;
    };
    let outlook = marks.outlook.as_ref();
    let is_complete = matches!(verdict, RunVerdict::Consistent | RunVerdict::FindingsRemain);
    let is_one = closing.resumes.is_none();
    let is_same = closing.stores.pinned == closing.opened.stores.pinned;
    let span = closing.window.as_ref().map(|window| window.span);
    let is_full = matches!(closing.request.scope, Scope::Full(_));
    let covers = is_full || outlook.is_some_and(|outlook| covers(span, outlook, closing));
    if !(is_complete && is_one && is_same && covers && can_deal_with_all(closing.request)) {
        return;
    }
    if outlook.is_some_and(Outlook::is_open) || nodes.is_some_and(Nodes::had_two_masters) {
        return;
    }
    let masters = &closing.opened.nodes;
    if let Err(fault) = mark(closing.job, masters, closing.started.0, marks.copies).await {
        tracing::warn!(
            "that this was dealt with could not be noted, so that a later run does it again: {fault}"
        );
    }
}

/// Whether an audit of `span` holds whatever was lost. Where nobody knows since when, the person who said a time does.
fn covers(span: Option<TimeWindow>, outlook: &Outlook, closing: &Closing<'_>) -> bool {
    let skew = super::window::skew_of(closing.opened);
    match (outlook.due(skew), span) {
        (Due::Nothing, _) => true,
        // What is known to be lost elsewhere has to be held all the same.
        (Due::AskForTime, span) => outlook
            .window(skew)
            .is_none_or(|known| span.is_some_and(|span| span.since <= known.since)),
        (Due::Window(due), Some(span)) => span.since <= due.since,
        (Due::Window(_) | Due::FullSweep, _) => false,
    }
}
