//! What the finder looks at: everything seen and remembered, and of it what concerns one master.

use std::collections::HashSet;

use super::gone::named;
use crate::failover::{Change, Handled, Heartbeat, Remembered, Sample};
use crate::model::node::NodeFacts;
use crate::model::slots::SlotSet;
use crate::model::time::Micros;
use crate::model::topology::{Topology, TopologyKind};

/// Everything that is known at one moment, `topology.seen_at`.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    pub remembered: &'a Remembered,
    /// Those that answer for the job's keys: one, or in a Cluster all.
    pub masters: &'a [PresentMaster],
    pub topology: &'a Topology,
}

impl Seen<'_> {
    /// Whether an address means one node. In a plain URL it may be a name that follows the master.
    pub(super) fn names_are_nodes(&self) -> bool {
        self.topology.kind != TopologyKind::Standalone
    }
}

/// A master and the heartbeat that lies under its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresentMaster {
    pub facts: NodeFacts,
    pub heartbeat: Option<Heartbeat>,
}

/// What is remembered and can concern one master: histories that another present master goes on with are left out.
pub(super) struct Memory<'a> {
    pub(super) samples: Vec<&'a Sample>,
    changes: Vec<&'a Change>,
    handled: Vec<&'a Handled>,
    pub(super) audited_until: Option<Micros>,
    slots: &'a SlotSet,
}

/// A history of which something is remembered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) replication_id: &'a str,
    /// Of the process that was its master.
    pub(super) run_id: &'a str,
    /// By this host's clock: when it was last heard of.
    pub(super) heard_at: Micros,
    /// Whether a heartbeat was ever written in it.
    pub(super) had_beats: bool,
}

impl PresentMaster {
    /// The heartbeat, unless it was written in a history that another of the present masters goes on with: that one came
    /// here with a slot, as `lua/checkpoint.lua` has it, too, and says nothing of this one's past.
    pub(super) fn own_beat(&self, seen: &Seen<'_>) -> Option<&Heartbeat> {
        let is_written_by = |master: &Self, beat: &Heartbeat| {
            names(master).any(|history| history == beat.replication_id)
        };
        self.heartbeat.as_ref().filter(|beat| {
            let mut others = seen.masters.iter().filter(|other| *other != self);
            is_written_by(self, beat) || !others.any(|other| is_written_by(other, beat))
        })
    }
}

impl<'a> Memory<'a> {
    pub(super) fn of(seen: &Seen<'a>, master: &'a PresentMaster) -> Self {
        let others = seen.masters.iter().filter(|other| *other != master);
        let elsewhere: HashSet<&str> = others.flat_map(|other| histories(other, seen)).collect();
        let own: HashSet<&str> = histories(master, seen).collect();
        let concerns = |id: &str| own.contains(id) || !elsewhere.contains(id);
        Self::new(seen, concerns, &master.facts.slots)
    }

    /// For a history that no master goes on with, and that had `slots`.
    pub(super) fn of_gone(seen: &Seen<'a>, slots: &'a SlotSet) -> Self {
        let facts = seen.masters.iter().map(|master| &master.facts);
        let elsewhere: HashSet<&str> = facts.flat_map(named).collect();
        Self::new(seen, |id| !elsewhere.contains(id), slots)
    }

    fn new(seen: &Seen<'a>, concerns: impl Fn(&str) -> bool, slots: &'a SlotSet) -> Self {
        let remembered = seen.remembered;
        let samples = remembered.samples.iter();
        let changes = remembered.changes.iter();
        let handled = remembered.handled.iter();
        Self {
            samples: samples
                .filter(|s| concerns(&s.beat.replication_id))
                .collect(),
            changes: changes.filter(|c| concerns(&c.replication_id)).collect(),
            handled: handled.filter(|h| concerns(&h.replication_id)).collect(),
            audited_until: remembered.audited_until,
            slots,
        }
    }

    /// The keys that a history is known to have had at any time.
    pub(super) fn slots_of(&self, replication_id: &str) -> SlotSet {
        let mut slots = SlotSet::none();
        let samples = self.samples_of(replication_id).map(|s| &s.slots);
        let changes = self.changes.iter();
        let changes = changes.filter(|c| c.replication_id == replication_id);
        let marks = self.handled.iter();
        let marks = marks.filter(|h| h.replication_id == replication_id);
        let others = changes.map(|c| &c.slots).chain(marks.map(|h| &h.slots));
        samples.chain(others).for_each(|known| slots.unite(known));
        slots
    }

    pub(super) fn handled(&self, replication_id: &str) -> Option<&'a Handled> {
        let mut marks = self.handled.iter().rev();
        marks.find(|h| h.replication_id == replication_id).copied()
    }

    pub(super) fn has_handled_any(&self) -> bool {
        self.handled
            .iter()
            .any(|h| !h.slots.is_disjoint(self.slots))
    }

    /// What the first beat in this history found.
    pub(super) fn change_to(&self, replication_id: &str) -> Option<&'a Change> {
        let of_it = || {
            let all = self.changes.iter().copied();
            all.filter(|c| c.replication_id == replication_id)
        };
        of_it().find(|c| c.found.is_some()).or(of_it().next())
    }

    /// When a process was first noticed in another history than `replication_id`, of what was noticed since `moment`.
    pub(super) fn next_history_of(
        &self,
        run_id: &str,
        replication_id: &str,
        moment: Micros,
    ) -> Option<Micros> {
        let changes = self.changes.iter();
        let others = changes.filter(|c| c.run_id == run_id && c.replication_id != replication_id);
        let since = others.map(|c| c.noticed_at).filter(|at| *at >= moment);
        since.min()
    }

    pub(super) fn samples_of(&self, replication_id: &str) -> impl Iterator<Item = &'a Sample> {
        let all = self.samples.iter().copied();
        all.filter(move |s| s.beat.replication_id == replication_id)
    }

    /// When an acknowledgement in this history was last seen.
    pub(super) fn last_sign(&self, replication_id: &str) -> Option<Micros> {
        self.samples_of(replication_id).map(|s| s.seen_at).max()
    }

    /// When a history was last known to be the present one. A run that finds no failover says so of the latest one that
    /// was dealt with.
    pub(super) fn last_heard(&self, known: &Known<'_>) -> Micros {
        let marks = self.handled.iter();
        let latest = marks.max_by_key(|h| h.handled_at);
        let is_latest = latest.is_some_and(|h| h.replication_id == known.replication_id);
        let by_run = self.audited_until.filter(|_| is_latest);
        known.heard_at.max(by_run.unwrap_or(known.heard_at))
    }

    /// The process that was its master, and where it was.
    pub(super) fn process_of(&self, replication_id: &str) -> Option<(&'a str, Option<&'a str>)> {
        let sample = self.samples_of(replication_id).last();
        let change = || self.change_to(replication_id);
        let mark = || self.handled(replication_id);
        sample
            .map(|s| (s.beat.run_id.as_str(), Some(s.address.as_str())))
            .or_else(|| change().map(|c| (c.run_id.as_str(), Some(c.address.as_str()))))
            .or_else(|| mark().map(|h| (h.run_id.as_str(), None)))
    }

    /// The history that these keys were last known to have before `moment`, other than `replication_id`.
    pub(super) fn last_known(&self, replication_id: &str, moment: Micros) -> Option<Known<'a>> {
        let samples = self.samples.iter().map(|s| {
            let known = Known {
                replication_id: &s.beat.replication_id,
                run_id: &s.beat.run_id,
                heard_at: s.seen_at,
                had_beats: true,
            };
            (known, &s.slots)
        });
        let marks = self.handled.iter().map(|h| {
            let known = Known {
                replication_id: &h.replication_id,
                run_id: &h.run_id,
                heard_at: h.handled_at,
                had_beats: false,
            };
            (known, &h.slots)
        });
        let concerned = samples
            .chain(marks)
            .filter(|(known, slots)| {
                known.replication_id != replication_id
                    && known.heard_at <= moment
                    && !slots.is_disjoint(self.slots)
            })
            .map(|(known, _)| known);
        let last = concerned.max_by_key(|known| known.heard_at)?;
        let had_beats = self.samples_of(last.replication_id).next().is_some();
        Some(Known { had_beats, ..last })
    }
}

/// The histories a master goes on with, as far as it says so itself.
fn histories<'a>(master: &'a PresentMaster, seen: &Seen<'_>) -> impl Iterator<Item = &'a str> {
    let found = master.own_beat(seen).map(|h| h.replication_id.as_str());
    names(master).chain(found)
}

/// Its present and its former history.
fn names(master: &PresentMaster) -> impl Iterator<Item = &str> {
    let former = master.facts.has_former_history();
    let former = former.then_some(master.facts.replication_id2.as_str());
    std::iter::once(master.facts.identity.replication_id.as_str()).chain(former)
}
