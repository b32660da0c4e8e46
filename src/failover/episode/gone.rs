//! Histories that no master goes on with: of a Cluster whose slots were moved to other masters, and whose node was taken
//! away, before anybody looked whether it had lost anything.

use std::cmp::Reverse;
use std::collections::HashSet;

use super::estimate::start_of_the_end;
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
    /// By this host's clock.
    last_sign: Micros,
    had_beats: bool,
}

impl Gone<'_> {
    /// Where losses begin that came with its own end.
    pub(super) fn start(&self) -> Start {
        start_of_the_end(self.last_sign, self.had_beats)
    }
}

/// Whether there is nothing to find out: the history of every one of these masters is dealt with, and all that was known
/// since then goes on in one of them.
pub fn is_dealt_with(remembered: &Remembered, masters: &[NodeFacts]) -> bool {
    let is_handled = |id: &str| remembered.handled.iter().any(|h| h.replication_id == id);
    let own = |master: &NodeFacts| is_handled(&master.identity.replication_id);
    let continued: HashSet<&str> = masters.iter().flat_map(named).collect();
    masters.iter().all(own)
        && gone(remembered, masters.iter(), |id| continued.contains(id)).is_empty()
}

/// The histories that were heard of since the latest run dealt with everything, or that this run dealt with, and that are
/// neither `is_continued` nor those of a process that is still a master. Whoever may have come from another one stands
/// before it.
pub(super) fn gone<'a>(
    remembered: &'a Remembered,
    masters: impl Iterator<Item = &'a NodeFacts>,
    is_continued: impl Fn(&str) -> bool,
) -> Vec<Gone<'a>> {
    let processes: HashSet<&str> = masters.map(|m| m.identity.run_id.as_str()).collect();
    let dealt_with_at = remembered.handled.iter().map(|h| h.handled_at).max();
    let mut all: Vec<Gone<'a>> = Vec::new();
    for known in mentions(remembered) {
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
        let is_open = match (one.handled_at, dealt_with_at) {
            (Some(own), latest) => Some(own) == latest,
            (None, latest) => latest.is_none_or(|latest| one.last_sign > latest),
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

/// Whatever is remembered of any history: first what was dealt with.
fn mentions(remembered: &Remembered) -> impl Iterator<Item = Gone<'_>> {
    let marks = remembered.handled.iter().map(|handled| Gone {
        replication_id: &handled.replication_id,
        run_id: &handled.run_id,
        address: None,
        slots: handled.slots.clone(),
        handled_at: Some(handled.handled_at),
        last_sign: handled.handled_at,
        had_beats: false,
    });
    let changes = remembered.changes.iter().map(|change| Gone {
        replication_id: &change.replication_id,
        run_id: &change.run_id,
        address: Some(&change.address),
        slots: change.slots.clone(),
        handled_at: None,
        last_sign: change.noticed_at,
        had_beats: false,
    });
    let samples = remembered.samples.iter().map(|sample| Gone {
        replication_id: &sample.beat.replication_id,
        run_id: &sample.beat.run_id,
        address: Some(&sample.address),
        slots: sample.slots.clone(),
        handled_at: None,
        last_sign: sample.seen_at,
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
