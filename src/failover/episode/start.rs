//! Where a window begins: the last moment of which it is proven that everything acknowledged until then was kept.

use super::kind::{FoundBy, Sureness};
use super::memory::Memory;
use super::step::Step;
use crate::failover::Heartbeat;
use crate::model::time::Micros;

/// The beginning of what can be lost, by this host's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) at: Micros,
    pub(super) by: FoundBy,
    pub(super) sureness: Sureness,
}

/// The heartbeat found, which lies in the data itself; without one the last sample below the offset at which the
/// histories part. A sample at or past that offset proves nothing, whenever it was taken.
pub(super) fn proven_start(step: &Step<'_>, memory: &Memory<'_>) -> Option<Start> {
    let by_heartbeat = step.found.map(|beat| Start {
        at: on_this_clock(beat, memory),
        by: FoundBy::Heartbeat,
        sureness: Sureness::ExactToTheBeat,
    });
    let by_samples = || {
        let beat = last_kept_sample(step, memory)?;
        Some(Start {
            at: on_this_clock(beat, memory),
            by: FoundBy::Samples,
            sureness: Sureness::Bracketed,
        })
    };
    by_heartbeat.or_else(by_samples)
}

/// The last beat that was acknowledged below the offset at which the histories part.
pub(super) fn last_kept_sample<'a>(step: &Step<'_>, memory: &Memory<'a>) -> Option<&'a Heartbeat> {
    let (former, second_offset) = step.former?;
    let kept = memory
        .samples_of(former)
        .filter(|s| s.beat.offset < second_offset);
    kept.map(|s| &s.beat).max_by_key(|beat| beat.offset)
}

/// A server whose clock is ahead of this host's stamps its beats too late. The samples of its history tell by how
/// much: an answer that comes before it was given. A clock that is behind only makes the window longer.
pub(super) fn on_this_clock(beat: &Heartbeat, memory: &Memory<'_>) -> Micros {
    let ahead = memory
        .samples_of(&beat.replication_id)
        .map(|s| s.beat.beat_at.0.saturating_sub(s.seen_at.0))
        .max()
        .unwrap_or_default();
    Micros(beat.beat_at.0.saturating_sub(ahead.max(0)))
}
