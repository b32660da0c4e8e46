//! A small Redis of nodes, histories and a checkpoint, in which the truth is known: which acknowledged writes the present
//! master does not have.

use crate::failover::{Change, Handled, Heartbeat, Remembered, Sample};
use crate::model::slots::SlotSet;
use crate::model::time::Micros;
use crate::model::topology::TopologyKind;

/// An application writes this often, to every living master.
const WRITE_EVERY: i64 = 50_000;
/// From the beat to its sample.
const ANSWER_TAKES: i64 = 3_000;
const BACKLOG_TTL: i64 = 3_600_000_000;
const BYTES: i64 = 40;

#[derive(Debug, Clone, Copy)]
pub(super) enum Event {
    /// Everybody works for so many milliseconds.
    Work(u16),
    /// The replicas no longer receive anything.
    Freeze,
    /// They have caught up.
    Thaw,
    /// The master dies, and a replica is promoted after so many milliseconds.
    Crash(u16),
    /// The master is cut off and goes on for so many milliseconds; then it is demoted.
    Partition(u16),
    /// A switch under which nothing can be lost.
    Switch,
    /// The process is replaced, and has all its data.
    RestartWithData,
    /// It comes back as it was so many milliseconds ago.
    RestartFromSnapshot(u16),
    RestartEmpty,
    /// A new replication id on the same process.
    Renew,
    /// Every replica is replaced by a new one, in step with the master.
    NewReplicas,
    /// The checkpoint stands still or goes on.
    Checkpoint(bool),
    /// Of the samples only every so many-th is kept.
    Thin(u8),
    /// What happened is looked into, and dealt with.
    Audit,
}

pub(super) struct Write {
    pub(super) history: usize,
    /// Of its last byte.
    pub(super) offset: i64,
    pub(super) at: i64,
    pub(super) beat: Option<Heartbeat>,
}

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) number: usize,
    pub(super) run_id: String,
    pub(super) started: i64,
    pub(super) history: usize,
    pub(super) offset: i64,
    pub(super) second: Option<(usize, i64)>,
    pub(super) role: Role,
    /// As Sentinel has it.
    pub(super) role_since: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Master,
    Replica,
    Dead(i64),
}

pub(super) struct World {
    pub(super) now: i64,
    pub(super) remembered: Remembered,
    pub(super) kind: TopologyKind,
    /// How far the clock of node n is ahead, in microseconds.
    pub(super) clocks: Vec<i64>,
    pub(super) beat_every: i64,
    /// Each one's parent, and the last byte shared with it.
    pub(super) histories: Vec<Option<(usize, i64)>>,
    pub(super) writes: Vec<Write>,
    pub(super) nodes: Vec<Node>,
    pub(super) main: usize,
    pub(super) is_frozen: bool,
    pub(super) has_checkpoint: bool,
    pub(super) next_beat: i64,
    /// Writes before it were audited.
    pub(super) audited: usize,
}

impl World {
    pub(super) fn new(kind: TopologyKind, clocks: Vec<i64>, beat_every: i64) -> Self {
        let now = 1_700_000_000_000_000;
        let node = |number| Node {
            number,
            run_id: format!("run{number}"),
            started: now - 3_600_000_000,
            history: 0,
            offset: 1_000,
            second: None,
            role: if number == 0 {
                Role::Master
            } else {
                Role::Replica
            },
            role_since: now - 3_600_000_000,
        };
        Self {
            now,
            remembered: Remembered::default(),
            kind,
            nodes: (0..clocks.len()).map(node).collect(),
            clocks,
            beat_every,
            histories: vec![None],
            writes: Vec::new(),
            main: 0,
            is_frozen: false,
            has_checkpoint: true,
            next_beat: now,
            audited: 0,
        }
    }

    pub(super) fn happens(&mut self, event: Event) {
        match event {
            Event::Work(millis) => self.work(millis.into()),
            Event::Freeze => self.is_frozen = true,
            Event::Thaw => {
                self.is_frozen = false;
                self.replicate();
            }
            Event::Crash(millis) => self.crash(millis.into()),
            Event::Partition(millis) => self.partition(millis.into()),
            Event::Switch => self.switch(),
            Event::RestartWithData => self.restart(Some(self.nodes[self.main].offset), false),
            Event::RestartFromSnapshot(millis) => {
                let moment = self.now - i64::from(millis) * 1_000;
                let kept = self.offset_at(moment);
                self.restart(kept, true);
            }
            Event::RestartEmpty => self.restart(None, false),
            Event::Renew => {
                self.now += BACKLOG_TTL;
                if self.has_checkpoint {
                    self.beat();
                }
                let (history, offset) = self.position(self.main);
                self.nodes[self.main].history = self.fork(Some((history, offset)));
                self.nodes[self.main].second = None;
                self.resync();
            }
            Event::NewReplicas => {
                let now = self.now;
                let run_id = |n: &Node| format!("new{}x{now}", n.number);
                for node in self.nodes.iter_mut().filter(|n| n.role == Role::Replica) {
                    (node.run_id, node.started) = (run_id(node), now);
                }
                self.resync();
            }
            Event::Checkpoint(is_on) => self.has_checkpoint = is_on,
            Event::Thin(every) => {
                let mut index = 0;
                let every = usize::from(every).max(1);
                self.remembered.samples.retain(|_| {
                    index += 1;
                    index % every == 0
                });
            }
            Event::Audit => {}
        }
    }

    /// Times of acknowledged writes that the present master does not have, and that no audit has seen yet.
    pub(super) fn lost(&self) -> Vec<Micros> {
        let node = &self.nodes[self.main];
        let unseen = self.writes[self.audited..].iter();
        unseen
            .filter(|w| !self.has(node, w.history, w.offset))
            .map(|w| Micros(w.at))
            .collect()
    }

    /// Everything is dealt with up to now.
    pub(super) fn audit(&mut self) {
        let node = &self.nodes[self.main];
        self.remembered.handled.push(Handled {
            replication_id: history_id(node.history),
            run_id: node.run_id.clone(),
            slots: SlotSet::all(),
            handled_at: Micros(self.now),
        });
        self.remembered.audited_until = Some(Micros(self.now));
        self.audited = self.writes.len();
    }

    fn work(&mut self, millis: i64) {
        let end = self.now + millis * 1_000;
        while self.now < end {
            self.now += WRITE_EVERY;
            for number in 0..self.nodes.len() {
                if self.nodes[number].role == Role::Master {
                    self.write(number, None);
                }
            }
            if self.has_checkpoint && self.now >= self.next_beat {
                self.next_beat = self.now + self.beat_every;
                self.beat();
            }
            self.replicate();
        }
    }

    fn write(&mut self, number: usize, beat: Option<Heartbeat>) {
        let node = &mut self.nodes[number];
        node.offset += BYTES;
        self.writes.push(Write {
            history: node.history,
            offset: node.offset,
            at: self.now,
            beat,
        });
    }

    /// As the script of the checkpoint does it.
    fn beat(&mut self) {
        let node = self.nodes[self.main].clone();
        let found = self.heartbeat(&node);
        let facts = self.facts(&node);
        let is_another = |h: &Heartbeat| {
            h.replication_id != facts.identity.replication_id || h.run_id != node.run_id
        };
        let is_missing = found.is_none() && !self.remembered.samples.is_empty();
        if is_missing || found.as_ref().is_some_and(is_another) {
            self.remembered.changes.push(Change {
                noticed_at: Micros(self.now),
                found,
                address: facts.address.clone(),
                slots: SlotSet::all(),
                run_id: node.run_id.clone(),
                replication_id: facts.identity.replication_id.clone(),
                replication_id2: facts.replication_id2.clone(),
                second_offset: facts.second_offset,
                uptime_seconds: facts.uptime_seconds,
                server_time: facts.time,
            });
        }
        let beat = Heartbeat {
            beat_at: facts.time,
            run_id: node.run_id,
            replication_id: facts.identity.replication_id,
            offset: node.offset,
        };
        self.write(self.main, Some(beat.clone()));
        self.remembered.samples.push(Sample {
            seen_at: Micros(self.now + ANSWER_TAKES),
            address: facts.address,
            slots: SlotSet::all(),
            beat,
        });
    }

    fn replicate(&mut self) {
        if !self.is_frozen {
            let (history, offset) = self.position(self.main);
            let following = self.nodes.iter_mut();
            for node in following.filter(|n| n.role == Role::Replica && n.history == history) {
                node.offset = offset;
            }
        }
    }

    /// Every replica takes over the master's whole state.
    fn resync(&mut self) {
        self.is_frozen = false;
        let (history, offset) = self.position(self.main);
        let following = self.nodes.iter_mut();
        for node in following.filter(|n| n.role == Role::Replica) {
            (node.history, node.offset, node.second) = (history, offset, None);
        }
    }

    fn crash(&mut self, millis: i64) {
        let old = self.main;
        self.nodes[old].role = Role::Dead(self.now);
        self.now += millis * 1_000;
        self.promote();
        // A supervisor brings the old one back as a replica, and Sentinel never sees it in another role.
        let run_id = format!("again{}", self.writes.len());
        if self.writes.len() % 2 == 0 {
            let node = &mut self.nodes[old];
            (node.role, node.started, node.run_id) = (Role::Replica, self.now, run_id);
            node.role_since = self.now;
        }
        self.resync();
    }

    fn partition(&mut self, millis: i64) {
        let old = self.main;
        self.promote();
        self.work(millis);
        self.nodes[old].role = Role::Replica;
        // Sentinel notices it with its next question.
        self.nodes[old].role_since = self.now + 2_000_000;
        self.now += 2_500_000;
        self.resync();
    }

    fn switch(&mut self) {
        self.is_frozen = false;
        self.replicate();
        let old = self.main;
        self.nodes[old].role = Role::Replica;
        let (history, offset) = self.position(old);
        self.promote();
        self.resync();
        self.nodes[old].second = Some((history, offset + 1));
        self.nodes[old].role_since = self.now;
    }

    fn promote(&mut self) {
        let old = self.main;
        let candidates = 0..self.nodes.len();
        let next = candidates
            .cycle()
            .skip(old + 1)
            .take(self.nodes.len() - 1)
            .find(|n| self.nodes[*n].role == Role::Replica);
        let next = next.unwrap_or_else(|| self.revive((old + 1) % self.nodes.len()));
        let (history, offset) = self.position(next);
        let fork = self.fork(Some((history, offset)));
        let node = &mut self.nodes[next];
        node.history = fork;
        node.second = Some((history, offset + 1));
        (node.role, node.role_since) = (Role::Master, self.now);
        self.main = next;
    }

    /// A dead node that comes back as a replica with what it had, an hour before it is needed.
    fn revive(&mut self, number: usize) -> usize {
        let (history, offset) = self.position(self.main);
        let node = &mut self.nodes[number];
        (node.history, node.offset, node.role) = (history, offset, Role::Replica);
        node.run_id = format!("revived{}", self.writes.len());
        node.started = self.now - 3_600_000_000;
        number
    }

    fn restart(&mut self, kept: Option<i64>, names_its_past: bool) {
        self.now += 300_000;
        let history = self.nodes[self.main].history;
        let fork = self.fork(kept.map(|offset| (history, offset)));
        let run_id = format!("restart{}", self.writes.len());
        let node = &mut self.nodes[self.main];
        (node.history, node.offset) = (fork, kept.unwrap_or_default());
        node.second = kept.filter(|_| names_its_past).map(|o| (history, o + 1));
        (node.run_id, node.started) = (run_id, self.now);
        self.resync();
    }

    /// Where the present history was at `moment`; `None`: it had not begun.
    fn offset_at(&self, moment: i64) -> Option<i64> {
        let history = self.nodes[self.main].history;
        let own = self.writes.iter().filter(|w| w.history == history);
        let kept = own.filter(|w| w.at <= moment).map(|w| w.offset).max();
        kept.or(self.histories[history].map(|(_, shared)| shared))
    }

    fn fork(&mut self, parent: Option<(usize, i64)>) -> usize {
        self.histories.push(parent);
        self.histories.len() - 1
    }

    fn position(&self, number: usize) -> (usize, i64) {
        (self.nodes[number].history, self.nodes[number].offset)
    }

    pub(super) fn has(&self, node: &Node, history: usize, offset: i64) -> bool {
        let (mut here, mut last) = (node.history, node.offset);
        loop {
            if here == history {
                return offset <= last;
            }
            match self.histories[here] {
                Some((parent, shared)) => (here, last) = (parent, shared.min(last)),
                None => return false,
            }
        }
    }
}

pub(super) fn history_id(number: usize) -> String {
    format!("{:040x}", number + 1)
}
