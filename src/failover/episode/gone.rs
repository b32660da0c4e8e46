//! Histories that no master goes on with: of a Cluster whose slots were moved to other masters, and whose node was taken
//! away, before anybody looked whether it had lost anything.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::time::Duration;

use super::estimate::{start_no_earlier, start_of_the_end};
use super::start::Start;
use crate::failover::Remembered;
use crate::model::node::NodeFacts;
use crate::model::slots::SlotSet;
use crate::model::time::Micros;

/// One of them, as it was last known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gone<'a> {
    pub(super) replication_id: &'a str,
    pub(super) run_id: &'a str,
    /// host:port, where it is known.
    pub(super) address: Option<&'a str>,
    /// Every slot it was known to have since it was dealt with, if it was; not all of them, because of those another master
    /// would be the next one.
    pub(super) slots: SlotSet,
    handled_at: Option<Micros>,
    /// When the latest run dealt with everything.
    dealt_with_at: Micros,
    /// By this host's clock.
    last_sign: Micros,
    had_beats: bool,
}

impl Gone<'_> {
    /// Where losses begin that came with its own end.
    pub(super) fn start(&self) -> Start {
        start_of_the_end(self.last_sign, self.had_beats)
    }

    /// Where losses begin of which is only known that they came before its own: it was none of the masters that were dealt
    /// with.
    pub(super) fn start_after_gap(&self, start: Start) -> Start {
        start_no_earlier(start, self.dealt_with_at)
    }
}

/// How far the clocks of hosts that run the same job are usually apart at most.
const CLOCKS_APART_MAX: Duration = Duration::from_secs(5);

/// Whether there is nothing to find out at `now`: the history of every one of these masters is dealt with, and all that was known
/// since then goes on in one of them.
pub fn is_dealt_with(remembered: &Remembered, masters: &[NodeFacts], now: Micros) -> bool {
    let is_handled = |id: &str| remembered.handled.iter().any(|h| h.replication_id == id);
    let own = |master: &NodeFacts| is_handled(&master.identity.replication_id);
    let continued: HashSet<&str> = masters.iter().flat_map(named).collect();
    masters.iter().all(own)
        && gone(remembered, masters.iter(), now, |id| continued.contains(id)).is_empty()
}

/// The histories that were heard of since the latest run dealt with everything, or that this run dealt with, and that are
/// neither `is_continued` nor those of a process that is still a master. Whoever may have come from another one stands
/// before it.
pub(super) fn gone<'a>(
    remembered: &'a Remembered,
    masters: impl Iterator<Item = &'a NodeFacts>,
    now: Micros,
    is_continued: impl Fn(&str) -> bool,
) -> Vec<Gone<'a>> {
    let processes: HashSet<&str> = masters.map(|m| m.identity.run_id.as_str()).collect();
    let dealt_with_at = dealt_with_at(remembered, now);
    let mut all: Vec<Gone<'a>> = Vec::new();
    for known in mentions(remembered, now) {
        if is_continued(known.replication_id) {
            continue;
        }
        let mut before = all.iter_mut();
        match before.find(|one| one.replication_id == known.replication_id) {
            Some(one) => one.learn(known),
            None => all.push(known),
        }
    }
    all.retain(|one| {
        // The process of one that was dealt with may go on under another history, which is judged by itself.
        let is_renewed = one.handled_at.is_some() && processes.contains(one.run_id);
        let is_open = match one.handled_at {
            Some(own) => own == dealt_with_at,
            None => one.last_sign > dealt_with_at,
        };
        is_open && !is_renewed && !one.slots.is_empty() && !one.slots.is_all()
    });
    all.sort_by_key(|one| (one.handled_at.is_some(), Reverse(one.last_sign)));
    all
}

impl<'a> Gone<'a> {
    fn learn(&mut self, other: Self) {
        if self.handled_at.is_none_or(|at| other.last_sign > at) {
            self.slots.unite(&other.slots);
        }
        self.last_sign = self.last_sign.max(other.last_sign);
        self.had_beats |= other.had_beats;
        self.address = other.address.or(self.address);
    }
}

/// When everything that was known was dealt with for the last time; the beginning of time where it never was. A mark of the
/// future was made while a clock was ahead: nobody knows when, and it counts for no more than the one before.
fn dealt_with_at(remembered: &Remembered, now: Micros) -> Micros {
    let marks = remembered.handled.iter().map(|h| h.handled_at);
    let past = marks.filter(|at| !is_future(*at, now));
    past.max().unwrap_or(Micros(0))
}

fn is_future(at: Micros, now: Micros) -> bool {
    at > now.plus(CLOCKS_APART_MAX)
}

/// When something was seen of which the server's own clock said `by_server`.
fn seen_at(by_host: Micros, by_server: Micros, now: Micros) -> Micros {
    match is_future(by_host, now) {
        true => by_server.min(now),
        false => by_host,
    }
}

/// Whatever is remembered of any history: first what was dealt with.
fn mentions(remembered: &Remembered, now: Micros) -> impl Iterator<Item = Gone<'_>> {
    let dealt_with_at = dealt_with_at(remembered, now);
    let marks = remembered.handled.iter().map(move |handled| {
        let is_future = is_future(handled.handled_at, now);
        let handled_at = if is_future {
            dealt_with_at
        } else {
            handled.handled_at
        };
        Gone {
            replication_id: &handled.replication_id,
            run_id: &handled.run_id,
            address: None,
            slots: handled.slots.clone(),
            handled_at: Some(handled_at),
            dealt_with_at,
            last_sign: handled_at,
            had_beats: false,
        }
    });
    let changes = remembered.changes.iter().map(move |change| Gone {
        replication_id: &change.replication_id,
        run_id: &change.run_id,
        address: Some(&change.address),
        slots: change.slots.clone(),
        handled_at: None,
        dealt_with_at,
        last_sign: seen_at(change.noticed_at, change.server_time, now),
        had_beats: false,
    });
    let samples = remembered.samples.iter().map(move |sample| Gone {
        replication_id: &sample.beat.replication_id,
        run_id: &sample.beat.run_id,
        address: Some(&sample.address),
        slots: sample.slots.clone(),
        handled_at: None,
        dealt_with_at,
        last_sign: seen_at(sample.seen_at, sample.beat.beat_at, now),
        had_beats: true,
    });
    marks.chain(changes).chain(samples)
}

/// The histories that INFO of a master names. The heartbeat under its key can have come with a slot from any other master.
pub(super) fn named(master: &NodeFacts) -> impl Iterator<Item = &str> {
    let former = master.has_former_history();
    let former = former.then_some(master.replication_id2.as_str());
    std::iter::once(master.identity.replication_id.as_str()).chain(former)
}
