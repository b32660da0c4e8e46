//! All masters together: what is due, and for which moments and keys.

use std::time::Duration;

use super::end::EndedBy;
use super::estimate::start_after_gap;
use super::judge::{Judged, judge};
use super::kind::{Episode, EpisodeKind, FoundBy, Sureness};
use super::memory::{Memory, PresentMaster, Seen};
use super::step::{Root, steps_of};
use super::tell::tell;
use crate::model::slots::SlotSet;
use crate::model::time::{Micros, TimeWindow};

/// One episode for each present master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    pub episodes: Vec<Episode>,
    /// By this host's clock.
    pub seen_at: Micros,
}

/// What has to be done before everything is dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    Nothing,
    /// The window is to be audited, in [`Outlook::affected`].
    Window(TimeWindow),
    /// Everything is to be audited: a server came back empty or from an old state.
    FullSweep,
    /// Nobody knows since when: a person has to say it.
    AskForTime,
}

/// Measuring a clock takes a round trip.
const SKEW_MIN: Duration = Duration::from_millis(100);

/// Works out what happened. Pure: whatever it should know has to stand in `seen`.
pub fn find(seen: &Seen<'_>) -> Outlook {
    Outlook {
        episodes: seen.masters.iter().map(|m| episode_of(seen, m)).collect(),
        seen_at: seen.topology.seen_at,
    }
}

impl Outlook {
    /// What is due; the window widened by `skew`, which is how far the clocks of this host, of Redis and of MySQL are
    /// apart.
    pub fn due(&self, skew: Duration) -> Due {
        let is = |asked: fn(&EpisodeKind) -> bool| self.episodes.iter().any(|e| asked(&e.kind));
        if is(|kind| kind.needs_full_sweep()) {
            Due::FullSweep
        } else if is(|kind| *kind == EpisodeKind::EvidenceGone) {
            Due::AskForTime
        } else {
            self.window(skew).map_or(Due::Nothing, Due::Window)
        }
    }

    /// From the earliest beginning to the latest end, widened.
    pub fn window(&self, skew: Duration) -> Option<TimeWindow> {
        let skew = skew.max(SKEW_MIN);
        let windows = || self.episodes.iter().filter_map(|e| e.window);
        let since = windows().map(|w| w.since).min()?.minus(skew);
        let until = windows().map(|w| w.until).reduce(later).flatten();
        // At least a microsecond long, however the clocks contradict each other.
        let until = until.map(|until| until.plus(skew).max(Micros(since.0.saturating_add(1))));
        Some(TimeWindow { since, until })
    }

    /// Whether an audit of the window is not the last one that is needed.
    pub fn is_open(&self) -> bool {
        self.episodes.iter().any(|e| e.is_open)
    }

    /// The keys of the masters that can have lost anything.
    pub fn affected(&self) -> SlotSet {
        let mut slots = SlotSet::none();
        for episode in &self.episodes {
            if episode.window.is_some() || episode.kind >= EpisodeKind::EvidenceGone {
                slots.unite(&episode.slots);
            }
        }
        slots
    }

    /// The episode that decides: of the worst kind, and of these the least sure.
    pub fn worst(&self) -> Option<&Episode> {
        self.episodes.iter().max_by_key(|e| (e.kind, e.sureness))
    }

    /// On what the beginning of the window rests where it is weakest.
    pub fn found_by(&self) -> FoundBy {
        let windowed = self.episodes.iter().filter(|e| e.window.is_some());
        windowed
            .map(|e| e.found_by)
            .max()
            .unwrap_or(FoundBy::Nothing)
    }

    pub fn sureness(&self) -> Sureness {
        let surest = Sureness::ExactToTheBeat;
        let all = self.episodes.iter().map(|e| e.sureness);
        all.max().unwrap_or(surest)
    }

    /// What happened, each master in a sentence or two; those to which nothing happened are left out where something
    /// happened to others.
    pub fn explanation(&self) -> String {
        let told = |e: &&Episode| e.kind != EpisodeKind::Nothing;
        let mut sentences: Vec<_> = self.episodes.iter().filter(told).collect();
        if sentences.is_empty() {
            sentences = self.episodes.iter().collect();
        }
        let sentences = sentences.iter().map(|e| e.explanation.as_str());
        sentences.collect::<Vec<_>>().join(" ")
    }
}

fn episode_of(seen: &Seen<'_>, master: &PresentMaster) -> Episode {
    let memory = Memory::of(seen, master);
    let (steps, root) = steps_of(seen, &memory, master);
    let judged: Vec<_> = steps.into_iter().map(|s| judge(s, seen, &memory)).collect();
    let gap = match root {
        Root::Known => None,
        Root::Missing(history) => Some(start_after_gap(history, seen.topology.seen_at, &memory)),
    };
    let kind = judged.iter().map(|j| j.kind).max();
    let kind = match gap {
        Some(None) => kind.max(Some(EpisodeKind::EvidenceGone)),
        Some(Some(_)) => kind.max(Some(EpisodeKind::Promotion)),
        None => kind,
    };
    let kind = kind.unwrap_or(EpisodeKind::Nothing);
    let starts = judged.iter().filter_map(|j| j.start).chain(gap.flatten());
    let earliest = starts.min_by_key(|start| start.at);
    let window = earliest
        .filter(|_| kind != EpisodeKind::EvidenceGone)
        .map(|start| TimeWindow {
            since: start.at.min(memory.audited_until.unwrap_or(start.at)),
            until: end_of(&judged, gap.is_some(), seen),
        });
    let facts = &master.facts;
    Episode {
        address: facts.address.clone(),
        run_id: facts.identity.run_id.clone(),
        replication_id: facts.identity.replication_id.clone(),
        slots: facts.slots.clone(),
        kind,
        window,
        is_open: judged
            .iter()
            .filter_map(|j| j.end)
            .any(|end| end.by == EndedBy::Silence || end.at.is_none()),
        found_by: earliest.map_or(FoundBy::Nothing, |start| start.by),
        sureness: match (earliest, kind) {
            (Some(start), _) if window.is_some() => start.sureness,
            (_, kind) if kind >= EpisodeKind::EvidenceGone => Sureness::Unknown,
            _ => Sureness::ExactToTheBeat,
        },
        explanation: explained(&judged, gap.is_some(), window, &memory, facts),
    }
}

/// The latest end; `None` where there is none yet.
fn end_of(judged: &[Judged<'_>], has_gap: bool, seen: &Seen<'_>) -> Option<Micros> {
    let ends = judged.iter().filter_map(|j| j.end.map(|end| end.at));
    let now = has_gap.then_some(Some(seen.topology.seen_at));
    ends.chain(now).reduce(later).flatten()
}

/// Of two ends, where `None` is one that is not reached.
fn later(one: Option<Micros>, other: Option<Micros>) -> Option<Micros> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.max(other)),
        _ => None,
    }
}

fn explained(
    judged: &[Judged<'_>],
    has_gap: bool,
    window: Option<TimeWindow>,
    memory: &Memory<'_>,
    facts: &crate::model::node::NodeFacts,
) -> String {
    let mut sentences: Vec<String> = judged.iter().rev().map(tell).collect();
    if sentences.is_empty() {
        sentences.push(format!("Nothing happened to {}", facts.address));
    }
    if has_gap {
        sentences.insert(0, "Between the last history that was dealt with and the next one known nothing is remembered".into());
    }
    if let (Some(window), Some(audited)) = (window, memory.audited_until)
        && window.since == audited
    {
        sentences.push(format!(
            "The window begins at {} because everything was audited until then, and not after",
            audited.to_rfc3339()
        ));
    }
    sentences
        .iter()
        .map(|s| format!("{s}."))
        .collect::<Vec<_>>()
        .join(" ")
}
