//! How one history led to the next, back to one that was dealt with.

use std::collections::HashSet;
use std::time::Duration;

use super::memory::{Memory, PresentMaster, Seen};
use crate::failover::Heartbeat;
use crate::model::time::Micros;
use crate::model::topology::NodeView;

/// One master that took over from another, or came back: by what INFO and the first beat say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step<'a> {
    pub(super) address: &'a str,
    pub(super) run_id: &'a str,
    pub(super) replication_id: &'a str,
    /// The history it names as its former one, and the first byte it does not share with it.
    pub(super) former: Option<(&'a str, i64)>,
    /// The last heartbeat of another history that was in its data.
    pub(super) found: Option<&'a Heartbeat>,
    /// When its process started, by this host's clock, within [`UPTIME_ERROR`] of it.
    pub(super) process_start: Micros,
    /// When this was read, by this host's clock.
    pub(super) noticed_at: Micros,
    /// `repl-backlog-ttl`, as far as it is known; by default.
    pub(super) backlog_ttl: Duration,
    /// What the server wrote to its file before it answered; known of a present master only.
    pub(super) durability: Durability,
}

/// INFO takes the uptime from two clocks of whole seconds.
pub(super) const UPTIME_ERROR: Duration = Duration::from_secs(1);

/// `repl-backlog-ttl` of a server that was not told otherwise.
const BACKLOG_TTL: Duration = Duration::from_secs(3_600);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// `appendonly yes` and `appendfsync always`.
    EveryWrite,
    /// `appendonly yes`: all but the last moments, should the machine fall.
    NearlyAll,
    Unknown,
}

/// Where a walk through the histories ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Root<'a> {
    /// At a history that was dealt with, or before which nothing is remembered.
    Known,
    /// At a history of which nobody knows how it began.
    Missing(&'a str),
}

impl<'a> Step<'a> {
    fn present(seen: &Seen<'a>, memory: &Memory<'a>, master: &'a PresentMaster) -> Self {
        let facts = &master.facts;
        let id = facts.identity.replication_id.as_str();
        let noticed_at = seen.topology.seen_at;
        let of_another = master.own_beat(seen).filter(|h| h.replication_id != id);
        let kept = memory.change_to(id).and_then(|c| c.found.as_ref());
        let kept = kept.filter(|h| h.replication_id != id);
        let former = facts.has_former_history();
        let former = former.then_some((facts.replication_id2.as_str(), facts.second_offset));
        let from_change = memory.change_to(id).and_then(|c| former_of(c));
        Self {
            address: &facts.address,
            run_id: &facts.identity.run_id,
            replication_id: id,
            former: former.or(from_change),
            found: of_another.or(kept),
            process_start: noticed_at.minus(Duration::from_secs(facts.uptime_seconds)),
            noticed_at,
            backlog_ttl: backlog_ttl(seen, &facts.identity.run_id),
            durability: durability(seen, master),
        }
    }

    fn changed(seen: &Seen<'_>, change: &'a crate::failover::Change) -> Self {
        let found = change.found.as_ref();
        Self {
            address: &change.address,
            run_id: &change.run_id,
            replication_id: &change.replication_id,
            former: former_of(change),
            found: found.filter(|h| h.replication_id != change.replication_id),
            process_start: change
                .noticed_at
                .minus(Duration::from_secs(change.uptime_seconds)),
            noticed_at: change.noticed_at,
            backlog_ttl: backlog_ttl(seen, &change.run_id),
            durability: Durability::Unknown,
        }
    }

    /// Whether it would still name its former history, had its process been promoted: that is forgotten only when no
    /// replica was attached for `repl-backlog-ttl`.
    pub(super) fn is_young(&self) -> bool {
        self.noticed_at <= self.process_start.plus(self.backlog_ttl)
    }

    /// Its own history and those it names.
    pub(super) fn histories(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let former = self.former.map(|(id, _)| id);
        let found = self.found.map(|beat| beat.replication_id.as_str());
        [Some(self.replication_id), former, found]
            .into_iter()
            .flatten()
    }

    /// The history whose end is where losses begin: that of the heartbeat, past which everything is covered, or the
    /// one that INFO names.
    pub(super) fn from(&self) -> Option<&'a str> {
        let found = self.found.map(|h| h.replication_id.as_str());
        found.or(self.former.map(|(id, _)| id))
    }
}

/// The steps from the present back to the root, the latest first. Empty: the present history is dealt with.
pub(super) fn steps_of<'a>(
    seen: &Seen<'a>,
    memory: &Memory<'a>,
    master: &'a PresentMaster,
) -> (Vec<Step<'a>>, Root<'a>) {
    if memory
        .handled(&master.facts.identity.replication_id)
        .is_some()
    {
        return (Vec::new(), Root::Known);
    }
    walk(seen, memory, Step::present(seen, memory, master))
}

/// The steps from the beginning of `history`, which no master goes on with, back to the root.
pub(super) fn steps_to<'a>(
    seen: &Seen<'a>,
    memory: &Memory<'a>,
    history: &'a str,
) -> (Vec<Step<'a>>, Root<'a>) {
    match memory.change_to(history) {
        _ if memory.handled(history).is_some() => (Vec::new(), Root::Known),
        Some(change) => walk(seen, memory, Step::changed(seen, change)),
        None if !memory.has_handled_any() => (Vec::new(), Root::Known),
        None => (Vec::new(), Root::Missing(history)),
    }
}

fn walk<'a>(seen: &Seen<'a>, memory: &Memory<'a>, latest: Step<'a>) -> (Vec<Step<'a>>, Root<'a>) {
    let mut steps = vec![latest];
    let mut met: HashSet<&str> = HashSet::new();
    loop {
        let latest = steps.last().expect("there is always the latest step");
        met.insert(latest.replication_id);
        if latest
            .former
            .is_some_and(|(id, _)| memory.handled(id).is_some())
        {
            return (steps, Root::Known);
        }
        let Some(id) = latest.from().filter(|id| !met.contains(id)) else {
            return (steps, Root::Known);
        };
        if memory.handled(id).is_some() {
            return (steps, Root::Known);
        }
        match memory.change_to(id) {
            Some(change) => steps.push(Step::changed(seen, change)),
            // The first history of which anything is remembered needs no beginning.
            None if !memory.has_handled_any() => return (steps, Root::Known),
            // Also where the process is one that was dealt with: it may have been demoted and promoted since.
            None => return (steps, Root::Missing(id)),
        }
    }
}

fn former_of(change: &crate::failover::Change) -> Option<(&str, i64)> {
    let id = change.replication_id2.as_str();
    let is_named = change.second_offset >= 0 && id.bytes().any(|byte| byte != b'0');
    is_named.then_some((id, change.second_offset))
}

fn durability(seen: &Seen<'_>, master: &PresentMaster) -> Durability {
    if !master.facts.is_append_only {
        return Durability::Unknown;
    }
    let own = view_of(seen, &master.facts.identity.run_id);
    match own.and_then(|view| view.setting("appendfsync")) {
        Some("always") => Durability::EveryWrite,
        _ => Durability::NearlyAll,
    }
}

fn backlog_ttl(seen: &Seen<'_>, run_id: &str) -> Duration {
    let own = view_of(seen, run_id);
    let setting = own.and_then(|view| view.setting("repl-backlog-ttl"));
    let seconds = setting.and_then(|text| text.parse().ok());
    match seconds {
        // It is never forgotten.
        Some(0) => Duration::MAX,
        Some(seconds) => Duration::from_secs(seconds),
        None => BACKLOG_TTL,
    }
}

/// The node that this process is.
fn view_of<'a>(seen: &Seen<'a>, run_id: &str) -> Option<&'a NodeView> {
    seen.topology.nodes.iter().find(|view| {
        let said = view.said.as_ref();
        said.is_ok_and(|facts| facts.identity.run_id == run_id)
    })
}
