//! All masters together: what is due, and for which moments and keys.

use std::collections::HashSet;
use std::time::Duration;

use super::end::EndedBy;
use super::estimate::start_after_gap;
use super::gone::{Gone, gone, named};
use super::judge::{Judged, judge};
use super::kind::{Episode, EpisodeKind, FoundBy, Sureness};
use super::memory::{Memory, Seen};
use super::step::{Root, Step, steps_of, steps_to};
use super::tell::tell;
use crate::model::slots::SlotSet;
use crate::model::time::{Micros, TimeWindow};

/// One episode for each present master, then one for each history with keys of its own that no master goes on with.
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
    let mut episodes = Vec::new();
    let mut continued: HashSet<String> = HashSet::new();
    for master in seen.masters {
        let facts = &master.facts;
        let memory = Memory::of(seen, master);
        let past = steps_of(seen, &memory, master);
        continued.extend(named(facts).map(str::to_owned));
        let met = past.0.iter().flat_map(|step| step.histories());
        continued.extend(met.map(str::to_owned));
        let subject = Subject {
            address: &facts.address,
            run_id: &facts.identity.run_id,
            replication_id: &facts.identity.replication_id,
            slots: &facts.slots,
            gone: None,
        };
        episodes.push(episode_of(&subject, past, seen, &memory));
    }
    let facts = seen.masters.iter().map(|master| &master.facts);
    let is_continued = |id: &str| continued.contains(id);
    for gone in gone(seen.remembered, facts, seen.topology.seen_at, is_continued) {
        if continued.contains(gone.replication_id) {
            continue;
        }
        let memory = Memory::of_gone(seen, &gone.slots);
        let past = steps_to(seen, &memory, gone.replication_id);
        let subject = Subject {
            address: gone.address.unwrap_or("a former master"),
            run_id: gone.run_id,
            replication_id: gone.replication_id,
            slots: &gone.slots,
            gone: Some(&gone),
        };
        let met = past.0.iter().flat_map(|step| step.histories());
        continued.extend(met.map(str::to_owned));
        let episode = episode_of(&subject, past, seen, &memory);
        if !is_held(&episode, &episodes) {
            episodes.push(episode);
        }
    }
    Outlook {
        episodes,
        seen_at: seen.topology.seen_at,
    }
}

/// Whether whatever was lost with `gone` is asked for already, by those who have all its keys: from as early on, or in a
/// full sweep. Who asks a person for a time holds no more than what is known of its own: the person may say a later one.
fn is_held(gone: &Episode, others: &[Episode]) -> bool {
    let mut left = gone.slots.clone();
    for other in others {
        let is_earlier = match (other.window, gone.window) {
            (Some(other), Some(gone)) => other.since <= gone.since,
            _ => false,
        };
        if is_earlier || other.kind.needs_full_sweep() {
            left.subtract(&other.slots);
        }
    }
    left.is_empty()
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

/// Whose episode it is: a present master, or a history that nobody goes on with.
struct Subject<'a> {
    address: &'a str,
    run_id: &'a str,
    replication_id: &'a str,
    slots: &'a SlotSet,
    /// Nobody goes on with it: that alone may have lost something.
    gone: Option<&'a Gone<'a>>,
}

fn episode_of(
    subject: &Subject<'_>,
    (steps, root): (Vec<Step<'_>>, Root<'_>),
    seen: &Seen<'_>,
    memory: &Memory<'_>,
) -> Episode {
    let mut slots = subject.slots.clone();
    let known = steps.iter().flat_map(|step| step.histories());
    known.for_each(|id| slots.unite(&memory.slots_of(id)));
    let judged: Vec<_> = steps.into_iter().map(|s| judge(s, seen, memory)).collect();
    let gap = match root {
        Root::Known => None,
        Root::Missing(history) => Some(start_after_gap(history, seen.topology.seen_at, memory)),
    };
    let gap = gap.map(|start| match (start, subject.gone) {
        (Some(start), Some(gone)) => Some(gone.start_after_gap(start)),
        (start, _) => start,
    });
    let ended = subject.gone.map(Gone::start);
    let has_gap = gap.is_some() || ended.is_some();
    let kinds = judged.iter().map(|j| j.kind);
    let of_gap = gap.map(|start| match start {
        None => EpisodeKind::EvidenceGone,
        Some(_) => EpisodeKind::Promotion,
    });
    let of_end = ended.map(|_| EpisodeKind::Promotion);
    let kind = kinds.chain(of_gap).chain(of_end).max();
    let kind = kind.unwrap_or(EpisodeKind::Nothing);
    let starts = judged.iter().filter_map(|j| j.start).chain(gap.flatten());
    let earliest = starts.chain(ended).min_by_key(|start| start.at);
    let window = earliest.map(|start| TimeWindow {
        since: start.at.min(memory.audited_until.unwrap_or(start.at)),
        until: end_of(&judged, has_gap, seen),
    });
    Episode {
        address: subject.address.to_owned(),
        run_id: subject.run_id.to_owned(),
        replication_id: subject.replication_id.to_owned(),
        slots,
        kind,
        window,
        is_open: judged
            .iter()
            .filter_map(|j| j.end)
            .any(|end| end.by == EndedBy::Silence || end.at.is_none()),
        found_by: earliest.map_or(FoundBy::Nothing, |start| start.by),
        sureness: match (earliest, kind) {
            (_, EpisodeKind::EvidenceGone) => Sureness::Unknown,
            (Some(start), _) => start.sureness,
            (None, kind) if kind > EpisodeKind::EvidenceGone => Sureness::Unknown,
            (None, _) => Sureness::ExactToTheBeat,
        },
        explanation: explained(&judged, gap.is_some(), window, memory, subject),
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
    subject: &Subject<'_>,
) -> String {
    let address = subject.address;
    let mut sentences: Vec<String> = judged.iter().rev().map(tell).collect();
    if let Some(start) = subject.gone.map(Gone::start) {
        sentences.push(format!(
            "No master goes on with the history of {address}, which answered for the slots {}: their keys are with others \
             by now, and what was written after {} may be lost",
            subject.slots,
            start.at.to_rfc3339()
        ));
    } else if sentences.is_empty() {
        sentences.push(format!("Nothing happened to {address}"));
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
