//! The window of a run: given on the command line, or found.

use std::time::Duration;

use super::RunError;
use super::open::Opened;
use super::outlook::{Found, look_back};
use super::request::{Console, ScanRequest, Scope};
use crate::failover::{Due, Episode, Outlook};
use crate::job::Job;
use crate::model::node::NodeFacts;
use crate::model::slots::SlotSet;
use crate::model::time::{Micros, TimeWindow};
use crate::plan::window::{WindowText, Zone};
use crate::report::{EpisodeRecord, WindowRecord};

/// What is audited, and how that is known.
#[derive(Debug, Clone)]
pub(super) struct Window {
    pub span: TimeWindow,
    zone: Zone,
    /// `None`: it was given.
    found: Option<Outlook>,
    /// How an earlier run came to it that is gone on with.
    pinned_as: Option<String>,
}

/// The window of `request`, shown before anything else; `None`: it has none. `found` is what is known already of a window
/// that is to be found.
pub(super) async fn window_of(
    request: &ScanRequest,
    job: &Job,
    opened: &Opened,
    found: Option<&Outlook>,
    console: &Console,
) -> Result<Option<Window>, RunError> {
    let Some(text) = request.scope.window() else {
        return Ok(None);
    };
    if !text.is_auto() {
        let window = given(text, zone_of(job, console))?;
        return Ok(Some(shown(window)));
    }
    let outlook = match found {
        Some(outlook) => outlook.clone(),
        None => look_at(job, opened).await?.outlook,
    };
    let skew = skew_of(opened);
    let span = match (outlook.due(skew), &request.scope) {
        (Due::Window(span), _) => span,
        // Everything is looked at; the window only says what belongs to the failover.
        (_, Scope::Full(_)) => match outlook.window(skew) {
            Some(span) => span,
            None => return Ok(None),
        },
        (due, _) => return Err(RunError::BadRequest(refusal(due, &outlook))),
    };
    let zone = zone_of(job, console);
    let span = resolved(text, zone, Some(span))?;
    Ok(Some(shown(Window {
        span,
        zone,
        found: Some(outlook),
        pinned_as: None,
    })))
}

/// Whether `request` names times that mean nothing, so that it is said before any server is asked.
pub(super) fn refuse_times(
    request: &ScanRequest,
    job: &Job,
    console: &Console,
) -> Result<(), RunError> {
    match request.scope.window() {
        Some(text) if !text.is_auto() => given(text, zone_of(job, console)).map(|_| ()),
        _ => Ok(()),
    }
}

/// What happened, as seen over the connections of a run.
pub(super) async fn look_at(job: &Job, opened: &Opened) -> Result<Found, RunError> {
    look_back(job, &opened.stores.cache, opened.nodes.clone()).await
}

/// How far this host's clock is from Redis's and MySQL's together.
pub(super) fn skew_of(opened: &Opened) -> Duration {
    opened.skew + opened.cache_skew
}

/// What a repair by hand is measured by; where it cannot be found out, the repair goes on and marks nothing.
pub(super) async fn looked_at(job: &Job, opened: &Opened) -> Option<Outlook> {
    match look_at(job, opened).await {
        Ok(found) => Some(found.outlook),
        Err(fault) => {
            tracing::warn!("whether this repair deals with a failover cannot be told: {fault}");
            None
        }
    }
}

/// What was found out is of the masters that answered then.
pub(super) fn refuse_strangers(found: Option<&Outlook>, opened: &Opened) -> Result<(), RunError> {
    let is_known = |node: &NodeFacts| {
        let identity = &node.identity;
        found.is_none_or(|outlook| {
            outlook
                .episodes
                .iter()
                .any(|e| e.run_id == identity.run_id && e.replication_id == identity.replication_id)
        })
    };
    match opened.nodes.iter().find(|node| !is_known(node)) {
        None => Ok(()),
        Some(stranger) => Err(RunError::TopologyChanged(format!(
            "{} took over while the failover before was looked into",
            stranger.address
        ))),
    }
}

impl Window {
    /// The window of an earlier run, which had found it so.
    pub(super) fn pinned_as(self, found_by: &str) -> Self {
        Self {
            pinned_as: Some(found_by.to_owned()),
            ..self
        }
    }

    /// The slots in which anything can be missing: of a Cluster those of the shards that failed over.
    pub(super) fn slots(&self) -> SlotSet {
        let affected = self.found.as_ref().map(Outlook::affected);
        let affected = affected.filter(|slots| !slots.is_empty());
        affected.unwrap_or_else(SlotSet::all)
    }

    pub(super) fn record(&self) -> WindowRecord {
        let found = self.found.as_ref();
        WindowRecord {
            since: self.span.since,
            until: self.span.until,
            found_by: match &self.pinned_as {
                Some(found_by) => found_by.clone(),
                None => found.map_or("given", |o| o.found_by().name()).to_owned(),
            },
            time_zone: Some(self.zone.name()),
            sureness: found.map(|o| o.sureness().name().to_owned()),
            explanation: found.map(Outlook::explanation),
            episodes: found.map_or_else(Vec::new, |o| o.episodes.iter().map(record).collect()),
        }
    }
}

fn record(episode: &Episode) -> EpisodeRecord {
    EpisodeRecord {
        address: episode.address.clone(),
        run_id: episode.run_id.clone(),
        replication_id: episode.replication_id.clone(),
        slots: episode.slots.to_string(),
        kind: episode.kind.name().to_owned(),
        since: episode.window.map(|w| w.since),
        until: episode.window.and_then(|w| w.until),
        found_by: episode.found_by.name().to_owned(),
        sureness: episode.sureness.name().to_owned(),
        explanation: episode.explanation.clone(),
    }
}

/// Why nothing can be audited by itself, and what to say instead.
fn refusal(due: Due, outlook: &Outlook) -> String {
    let happened = outlook.explanation();
    match due {
        Due::Nothing => format!(
            "`--since auto` has nothing to look at: {happened} To look all the same, say --since TIME or --full"
        ),
        Due::FullSweep => format!(
            "`--since auto` is not enough: {happened} No window can hold what is lost: a full sweep is due, say --full"
        ),
        Due::AskForTime => format!(
            "`--since auto` does not know since when: {happened} Say --since TIME (before the failover), or --full"
        ),
        Due::Window(_) => happened,
    }
}

fn given(text: &WindowText, zone: Zone) -> Result<Window, RunError> {
    Ok(Window {
        span: resolved(text, zone, None)?,
        zone,
        found: None,
        pinned_as: None,
    })
}

fn resolved(
    text: &WindowText,
    zone: Zone,
    found: Option<TimeWindow>,
) -> Result<TimeWindow, RunError> {
    text.resolve(Micros::now(), zone, found)
        .map_err(|fault| RunError::BadRequest(fault.to_string()))
}

fn zone_of(job: &Job, console: &Console) -> Zone {
    Zone::choose(job.time_zone, console.audience)
}

fn shown(window: Window) -> Window {
    let TimeWindow { since, until } = window.span;
    tracing::info!(
        "window: from {} ({}), until {}",
        window.zone.show(since),
        since.to_rfc3339(),
        until.map_or_else(
            || "now".to_owned(),
            |u| format!("{} ({})", window.zone.show(u), u.to_rfc3339())
        ),
    );
    if let Some(outlook) = &window.found {
        tracing::info!(
            "window found by {}, {}: {}",
            outlook.found_by().name(),
            outlook.sureness().name(),
            outlook.explanation()
        );
    }
    window
}
