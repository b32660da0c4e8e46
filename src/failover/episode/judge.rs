//! What one step was: a promotion, a restart, a renewal, or a beginning.

use std::time::Duration;

use super::end::{End, end_by_promotion, end_by_restart};
use super::estimate::{estimated_start, promoted_at};
use super::kind::{EpisodeKind, FoundBy, Sureness};
use super::memory::{Known, Memory, Seen};
use super::start::{Start, last_kept_sample, proven_start};
use super::step::{Durability, Step, UPTIME_ERROR};
use crate::failover::Sample;
use crate::model::time::Micros;

/// A step with what follows from it.
pub(super) struct Judged<'a> {
    pub(super) step: Step<'a>,
    pub(super) kind: EpisodeKind,
    pub(super) start: Option<Start>,
    /// `None`: nothing was lost in this step, so nothing has an end.
    pub(super) end: Option<End>,
}

/// What an empty server lost: whatever was ever written.
const EVERYTHING: Start = Start {
    at: Micros(0),
    by: FoundBy::Samples,
    sureness: Sureness::ExactToTheBeat,
};

/// What a machine that falls takes with it under `appendfsync everysec`.
const FSYNC_MAX: Duration = Duration::from_secs(2);

pub(super) fn judge<'a>(step: Step<'a>, seen: &Seen<'_>, memory: &Memory<'_>) -> Judged<'a> {
    let kind = kind_of(&step, seen, memory);
    let start = match kind {
        EpisodeKind::Promotion | EpisodeKind::RestartFromOldSnapshot => proven_start(&step, memory),
        EpisodeKind::RestartEmpty => Some(EVERYTHING),
        EpisodeKind::RestartWithData if !is_whole(&step, memory) => proven_start(&step, memory),
        _ => None,
    };
    let (kind, start) = match (kind, start) {
        (EpisodeKind::Promotion, None) => match estimated_start(&step, seen, memory) {
            Some(start) => (kind, Some(start)),
            None => (EpisodeKind::EvidenceGone, None),
        },
        other => other,
    };
    let end = match kind {
        EpisodeKind::Promotion | EpisodeKind::EvidenceGone => {
            Some(end_by_promotion(&step, seen, memory))
        }
        EpisodeKind::RestartWithData
        | EpisodeKind::RestartFromOldSnapshot
        | EpisodeKind::RestartEmpty => start.map(|_| end_by_restart(&step, seen)),
        _ => None,
    };
    Judged {
        step,
        kind,
        start,
        end,
    }
}

/// Whether a restart with the last acknowledged beat in its data cannot have lost what came after it either.
fn is_whole(step: &Step<'_>, memory: &Memory<'_>) -> bool {
    step.durability == Durability::EveryWrite
        && step.is_young()
        && lost_beats(step, memory).is_empty()
}

fn kind_of(step: &Step<'_>, seen: &Seen<'_>, memory: &Memory<'_>) -> EpisodeKind {
    if step.found.is_none() && step.former.is_none_or(|(id, _)| is_strange(id, memory)) {
        return without_traces(step, seen, memory);
    }
    let own_beat = step.found.filter(|beat| beat.run_id == step.run_id);
    let own_beat = own_beat.filter(|beat| is_renewed(step, beat.beat_at, seen));
    if step.former.is_none() && own_beat.is_some() {
        EpisodeKind::Renewed
    } else if let Some(kind) = restart_kind(step, seen, memory) {
        kind
    } else if is_graceful(step, seen, memory) {
        EpisodeKind::Graceful
    } else {
        EpisodeKind::Promotion
    }
}

/// Whether nothing is remembered of a history.
fn is_strange(history: &str, memory: &Memory<'_>) -> bool {
    memory.process_of(history).is_none()
}

/// No heartbeat, and no former history of which anything is known. Where there had been beats, the data that held them
/// is not what this server has.
fn without_traces(step: &Step<'_>, seen: &Seen<'_>, memory: &Memory<'_>) -> EpisodeKind {
    let has_former = step.former.is_some();
    let is_same = |known: &Known<'_>| {
        known.run_id == step.run_id && is_renewed(step, memory.last_heard(known), seen)
    };
    match memory.last_known(step.replication_id, step.noticed_at) {
        // What the witnesses know may date it yet.
        None if has_former => EpisodeKind::Promotion,
        None => EpisodeKind::FirstSight,
        Some(known) if !has_former && is_same(&known) => EpisodeKind::Renewed,
        Some(known) if known.had_beats => EpisodeKind::RestartEmpty,
        Some(_) if has_former => EpisodeKind::Promotion,
        Some(_) => EpisodeKind::EvidenceGone,
    }
}

/// Whether a process that names no former history was the master ever since `known`. Had it been demoted and promoted
/// since then, it would name one, unless that is so long ago that it can have been forgotten.
fn is_renewed(step: &Step<'_>, known: Micros, seen: &Seen<'_>) -> bool {
    let was_master = promoted_at(step, seen).is_some_and(|since| since <= known);
    was_master || step.noticed_at <= known.plus(step.backlog_ttl)
}

/// Whether the process replaces the one before it. Without a former history a young process was never promoted, or it would
/// name one. With one it may be a replica that was promoted: then its place decides, and where an address may mean any
/// node, that it started after the last sign of the one before.
fn is_restart(step: &Step<'_>, seen: &Seen<'_>, memory: &Memory<'_>) -> bool {
    let former = step.former.map(|(id, _)| id);
    let Some(before) = former.or(step.from()) else {
        return false;
    };
    let process = memory.process_of(before);
    if process.is_some_and(|(run_id, _)| run_id == step.run_id) {
        return false;
    }
    let of_beat = step.found.filter(|beat| beat.replication_id == before);
    let last_sign = memory
        .last_sign(before)
        .max(of_beat.map(|beat| beat.beat_at));
    let started = step.process_start.minus(UPTIME_ERROR);
    let is_later = last_sign.is_some_and(|last| started >= last);
    let is_same_place = process.and_then(|(_, address)| address) == Some(step.address);
    match former {
        None => is_later || step.is_young(),
        Some(_) => is_same_place && (is_later || seen.names_are_nodes()),
    }
}

/// `None`: it was none, or it cannot be told from a promotion that came before it: beats are missing, and they are of a
/// master in another place, or a history of which nothing is remembered lay between. The window is the same.
fn restart_kind(step: &Step<'_>, seen: &Seen<'_>, memory: &Memory<'_>) -> Option<EpisodeKind> {
    if !is_restart(step, seen, memory) {
        return None;
    }
    let lost = lost_beats(step, memory);
    let Some(last) = lost.last() else {
        return Some(EpisodeKind::RestartWithData);
    };
    // From the beat that was kept: a single one that is missing may be a minute of writes.
    let kept = step.found.map_or(Micros(i64::MIN), |beat| beat.beat_at);
    let span = last.beat.beat_at.0.abs_diff(kept.0);
    let is_tail = Duration::from_micros(span) <= FSYNC_MAX;
    if is_tail && step.durability == Durability::NearlyAll {
        return Some(EpisodeKind::RestartWithData);
    }
    let is_own_past = step.former.is_none_or(|(id, _)| !is_strange(id, memory));
    (is_own_past && last.address == step.address).then_some(EpisodeKind::RestartFromOldSnapshot)
}

/// Beats that were acknowledged before the process started, and are not in its data.
fn lost_beats<'a>(step: &Step<'_>, memory: &Memory<'a>) -> Vec<&'a Sample> {
    let until = step.process_start.plus(UPTIME_ERROR).min(step.noticed_at);
    let before = memory
        .samples
        .iter()
        .copied()
        .filter(|s| s.beat.replication_id != step.replication_id && s.seen_at <= until);
    match (step.found, last_kept_sample(step, memory)) {
        (Some(kept), _) | (None, Some(kept)) => {
            before.filter(|s| s.beat.beat_at > kept.beat_at).collect()
        }
        (None, None) => before.collect(),
    }
}

/// The old master's own process follows the new one, and did so by a partial resynchronisation: what it had was a
/// beginning of what the new one has.
fn is_graceful(step: &Step<'_>, seen: &Seen<'_>, memory: &Memory<'_>) -> bool {
    let Some((former, second_offset)) = step.former else {
        return false;
    };
    let Some((run_id, _)) = memory.process_of(former) else {
        return false;
    };
    let nodes = seen.topology.nodes.iter();
    let mut living = nodes.filter_map(|node| node.said.as_ref().ok());
    living.any(|node| {
        node.identity.run_id == run_id
            && !node.identity.is_master
            && node.identity.replication_id == step.replication_id
            && node.has_former_history()
            && node.replication_id2 == former
            && node.second_offset <= second_offset
    })
}
