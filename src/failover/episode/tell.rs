//! What happened, in sentences.

use super::end::{End, EndedBy};
use super::judge::Judged;
use super::kind::{EpisodeKind, FoundBy};
use super::start::Start;

/// What one step was, in a sentence without its full stop.
pub(super) fn tell(judged: &Judged<'_>) -> String {
    let step = &judged.step;
    let address = step.address;
    let happened = match judged.kind {
        EpisodeKind::Nothing => format!("{address} goes on as it was"),
        EpisodeKind::FirstSight => {
            format!("{address} is seen for the first time, and names no former history")
        }
        EpisodeKind::Renewed => format!(
            "{address} renewed its replication id, because no replica was attached; its process and its data go on"
        ),
        EpisodeKind::Graceful => format!(
            "{address} took over without a loss: the former master's own process follows it and needed nothing sent again"
        ),
        EpisodeKind::RestartWithData => format!(
            "{address} was restarted at {} and has its data",
            step.process_start.to_rfc3339()
        ),
        EpisodeKind::RestartFromOldSnapshot => format!(
            "{address} was restarted at {} and came back with an older state: acknowledged heartbeats are missing in it",
            step.process_start.to_rfc3339()
        ),
        EpisodeKind::RestartEmpty => format!(
            "{address}, whose process started at {}, has no heartbeat though there had been some: it, or the master it took its \
             data from, came back empty",
            step.process_start.to_rfc3339()
        ),
        EpisodeKind::Promotion => format!("{address} took over from another master"),
        EpisodeKind::EvidenceGone if step.former.is_some() => format!(
            "{address} took over from another master at some time, and nothing that is remembered or found says when"
        ),
        EpisodeKind::EvidenceGone => format!(
            "{address} is not the process or the history that was known, and nothing that is remembered or found says \
             what became of that"
        ),
    };
    let start = judged.start.map(|start| tell_start(&start));
    let end = judged.end.as_ref().filter(|_| judged.start.is_some());
    let parts = [Some(happened), start, end.and_then(tell_end)];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn tell_start(start: &Start) -> String {
    let at = start.at.to_rfc3339();
    match start.by {
        FoundBy::Heartbeat => {
            format!(
                "the last heartbeat in its data is of {at}, so that everything until then was kept"
            )
        }
        FoundBy::Samples => format!("the last sample of what was kept is of {at}"),
        FoundBy::Sentinel => {
            format!(
                "Sentinel knows when it was promoted, and no replica it promotes lags back to before {at}"
            )
        }
        FoundBy::Cluster => {
            format!(
                "the Cluster knows when the other one failed, and no replica it promotes lags back to before {at}"
            )
        }
        FoundBy::LastRun => {
            format!(
                "the last run saw the former master, so that what was lost was written after {at}"
            )
        }
        FoundBy::Nothing => String::new(),
    }
}

fn tell_end(end: &End) -> Option<String> {
    let at = end.at.map(|at| at.to_rfc3339()).unwrap_or_default();
    Some(match end.by {
        EndedBy::Restart => return None,
        EndedBy::Death => format!("the former master was dead by {at}"),
        EndedBy::Demotion => format!("the former master was demoted at {at}"),
        EndedBy::OneIsLeft => {
            format!("when the former master stopped is not known: one master was left at {at}")
        }
        EndedBy::Silence => format!(
            "the former master does not answer, and may have gone on taking writes until {at} and later"
        ),
        EndedBy::Nothing => "the former master still takes writes".to_owned(),
    })
}
