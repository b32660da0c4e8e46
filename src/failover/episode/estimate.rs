//! A beginning that is not proven: what Sentinel, the Cluster or the last run know, less the most a replica usually lags.

use std::time::Duration;

use super::kind::{FoundBy, Sureness};
use super::memory::{Memory, Seen};
use super::start::Start;
use super::step::Step;
use crate::model::time::Micros;
use crate::model::topology::TopologyKind;

/// `repl-timeout` of a server that was not told otherwise: a link without a sign for this long is cut, so that a replica
/// that still counts as linked lags at most this much.
const LAG_MAX: Duration = Duration::from_secs(60);
/// Sentinel promotes no replica whose link has been down for longer than ten times `down-after-milliseconds`; the
/// eleventh is its own wait before it acts.
const DOWN_AFTERS: u32 = 11;
/// The setting's default.
const DOWN_AFTER: Duration = Duration::from_secs(30);
/// A Cluster's `node-timeout` (15 s by default) times `cluster-replica-validity-factor` (10), and once more to notice.
const CLUSTER_VALIDITY: Duration = Duration::from_secs(165);

/// `None`: nobody knows even about when.
pub(super) fn estimated_start(
    step: &Step<'_>,
    seen: &Seen<'_>,
    memory: &Memory<'_>,
) -> Option<Start> {
    let (former, _) = step.former?;
    let estimate = by_witnesses(step, seen).or_else(|| by_last_run(former, step, seen, memory))?;
    // None of its samples was kept, or there would be a proof: the first of them is lost already.
    let first_lost = memory.samples_of(former).map(|s| s.seen_at).min();
    let first_lost = first_lost.map(|at| at.minus(LAG_MAX));
    Some(Start {
        at: estimate.at.min(first_lost.unwrap_or(estimate.at)),
        ..estimate
    })
}

/// For a chain with a link missing: about when the last history before it was heard of.
pub(super) fn start_after_gap(history: &str, moment: Micros, memory: &Memory<'_>) -> Option<Start> {
    let born = memory.samples_of(history).map(|s| s.seen_at).min();
    let known = memory.last_known(history, born.unwrap_or(moment))?;
    Some(Start {
        at: known.heard_at.minus(LAG_MAX),
        by: if known.had_beats {
            FoundBy::Samples
        } else {
            FoundBy::LastRun
        },
        sureness: Sureness::Estimate,
    })
}

/// For a history that no master goes on with: it may have ended with a loss soon after it was last heard of, and who took
/// over may have been as far behind as a Cluster allows.
pub(super) fn start_of_the_end(last_sign: Micros, had_beats: bool) -> Start {
    Start {
        at: last_sign.minus(CLUSTER_VALIDITY).minus(LAG_MAX),
        by: if had_beats {
            FoundBy::Samples
        } else {
            FoundBy::LastRun
        },
        sureness: Sureness::Estimate,
    }
}

/// A beginning in a gap before a history that was none of a master's yet when everything was dealt with at `dealt_with_at`:
/// whoever was lost since then had at most what a replica may have been behind by then.
pub(super) fn start_no_earlier(start: Start, dealt_with_at: Micros) -> Start {
    let earliest = dealt_with_at.minus(CLUSTER_VALIDITY).minus(LAG_MAX);
    if start.at >= earliest {
        return start;
    }
    Start {
        at: earliest,
        by: FoundBy::LastRun,
        sureness: Sureness::Estimate,
    }
}

/// They know of the present only.
fn by_witnesses(step: &Step<'_>, seen: &Seen<'_>) -> Option<Start> {
    let topology = seen.topology;
    if step.noticed_at != topology.seen_at {
        return None;
    }
    let (at, by) = match topology.kind {
        TopologyKind::Standalone => return None,
        TopologyKind::Sentinel => {
            let down_after = sentinel_beliefs(seen).map(|b| b.down_after_millis).max();
            let down_after = down_after.map_or(DOWN_AFTER, Duration::from_millis);
            let at = promoted_at(step, seen)?.minus(down_after * DOWN_AFTERS);
            (at, FoundBy::Sentinel)
        }
        TopologyKind::Cluster => {
            let others = topology.nodes.iter().filter(|n| n.address != step.address);
            let died = others.filter_map(|n| n.down_since).max();
            let at = promoted_at(step, seen).into_iter().chain(died).min()?;
            (at.minus(CLUSTER_VALIDITY), FoundBy::Cluster)
        }
    };
    Some(Start {
        at: at.minus(LAG_MAX),
        by,
        sureness: Sureness::Estimate,
    })
}

/// When the former history was last known to be the present one.
fn by_last_run(
    former: &str,
    step: &Step<'_>,
    seen: &Seen<'_>,
    memory: &Memory<'_>,
) -> Option<Start> {
    let mark = memory.handled(former)?;
    let at = memory.audited_until.max(Some(mark.handled_at))?;
    // A younger process may have loaded data of any age; a clock that was ahead dates nothing.
    if step.process_start > mark.handled_at || at > seen.topology.seen_at {
        return None;
    }
    Some(Start {
        at: at.minus(LAG_MAX),
        by: FoundBy::LastRun,
        sureness: Sureness::Estimate,
    })
}

/// Since when the witnesses know the node of this step as a master.
pub(super) fn promoted_at(step: &Step<'_>, seen: &Seen<'_>) -> Option<Micros> {
    let mut views = seen.topology.nodes.iter();
    let own = views.find(|view| {
        let said = view.said.as_ref();
        said.is_ok_and(|facts| facts.identity.run_id == step.run_id)
    })?;
    let of_beliefs = || {
        let beliefs = sentinel_beliefs(seen).filter(|b| b.master == own.address);
        beliefs.filter_map(|b| b.role_since).min()
    };
    own.role_since.or_else(of_beliefs)
}

fn sentinel_beliefs<'a>(
    seen: &Seen<'a>,
) -> impl Iterator<Item = &'a crate::model::topology::SentinelBelief> {
    let sentinels = seen.topology.sentinels.iter();
    sentinels.filter_map(|sentinel| sentinel.said.as_ref().ok())
}
