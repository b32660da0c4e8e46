//! Producers, consumers and the table, in virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use auditor::model::rows::{Row, Rows};
use auditor::model::stream::{Evidence, StreamId, StreamMapping};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::checks::{self, RECOVERY, Setup};
use super::server::{Fields, Group, Server};

pub(super) const MS: i64 = 1_000;
pub(super) const SECOND: i64 = 1_000 * MS;
const START: i64 = 1_790_000_000 * SECOND;
/// From a delivery to its effect, at most: a little less than the job's `cache_delay`.
const SLOWEST: i64 = 4_500 * MS;

pub(super) struct World {
    pub(super) seed: u64,
    pub(super) random: StdRng,
    pub(super) now: i64,
    pub(super) setup: Setup,
    pub(super) mapping: Arc<StreamMapping>,
    pub(super) server: Server,
    /// How far the server's clock stands behind.
    behind: i64,
    pub(super) table: BTreeMap<Vec<u8>, Bid>,
    pub(super) effects: BTreeSet<Vec<u8>>,
    pub(super) rejected: BTreeSet<Vec<u8>>,
    consumers: Vec<Consumer>,
    next_number: u64,
    is_producing: bool,
    may_die: bool,
    /// What the application does about NOGROUP: nothing, or a new group at `$` or at 0 after a while.
    regroup: Regroup,
    regroup_at: Option<i64>,
    /// Scripts and acknowledgements of the auditor that never arrived.
    pub(super) scripts_lost: u64,
    pub(super) confirmed: BTreeMap<&'static str, u64>,
    pub(super) applied: BTreeMap<&'static str, u64>,
}

/// A row.
#[derive(Debug, Clone)]
pub(super) struct Bid {
    pub(super) number: u64,
    pub(super) amount: String,
    created_at: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Regroup {
    Never,
    AtEnd,
    AtStart,
}

#[derive(Debug, Clone)]
struct Consumer {
    name: Vec<u8>,
    is_alive: bool,
    alive_since: i64,
    back_at: Option<i64>,
    next_poll: i64,
    reads_history: bool,
    /// Acknowledges before the row is there: legal, if the row comes soon.
    acks_first: bool,
    hands: Vec<Work>,
}

#[derive(Debug, Clone)]
struct Work {
    id: StreamId,
    fields: Fields,
    steps: Vec<(i64, Step)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Insert,
    Effect,
    Ack,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed ^ 0x57ea);
        let setup = checks::setup(&mut random);
        let names: [&[u8]; 4] = [b"c1", b"c2", b"c3", RECOVERY];
        let consumers = names.map(|name| Consumer {
            name: name.to_vec(),
            is_alive: true,
            alive_since: START - 60 * SECOND,
            back_at: None,
            next_poll: START,
            reads_history: false,
            acks_first: random.random_bool(0.15),
            hands: Vec::new(),
        });
        let regroup = match random.random_range(0..5) {
            0 | 1 => Regroup::Never,
            2 | 3 => Regroup::AtEnd,
            _ => Regroup::AtStart,
        };
        Self {
            seed,
            now: START,
            mapping: checks::mapping(&setup),
            setup,
            server: Server::default(),
            behind: 0,
            table: BTreeMap::new(),
            effects: BTreeSet::new(),
            rejected: BTreeSet::new(),
            consumers: consumers.to_vec(),
            next_number: 1,
            is_producing: true,
            may_die: true,
            regroup,
            regroup_at: None,
            scripts_lost: 0,
            confirmed: BTreeMap::new(),
            applied: BTreeMap::new(),
            random,
        }
    }

    /// The application runs; the replica stops listening; the master dies, and what the replica knew is served.
    pub(super) fn live_and_fail_over(&mut self) {
        let loses_group = self.random.random_bool(0.25);
        if !loses_group {
            self.server.group = Some(Group::default());
        }
        let before = self.random.random_range(5..120) * SECOND;
        self.advance(before);
        let replica = self.server.clone();
        if loses_group {
            self.server.group = Some(Group::default());
        }
        let stall = self.random.random_range(1..40) * SECOND;
        self.advance(stall);
        self.server = replica;
        self.behind = self.random.random_range(0..40) * SECOND;
        // Clients find the new master a little later, some not at all.
        let outage = self.random.random_range(0..5) * SECOND;
        for consumer in &mut self.consumers {
            consumer.next_poll = consumer.next_poll.max(self.now + outage);
        }
    }

    /// Nobody produces any more; most consumers go home, one stays and does what there is to do.
    pub(super) fn come_to_rest(&mut self) {
        self.is_producing = false;
        self.may_die = false;
        if self.server.group.is_none() && self.regroup == Regroup::AtEnd {
            self.regroup = Regroup::Never;
        }
        self.advance(30 * SECOND);
        for consumer in &mut self.consumers[1..3] {
            consumer.is_alive = false;
            consumer.back_at = None;
            consumer.hands.clear();
        }
        let first = &mut self.consumers[0];
        first.is_alive = true;
        first.back_at = None;
        self.work_off();
    }

    /// Until the group has read everything, and everybody who died has been silent for long enough.
    pub(super) fn work_off(&mut self) {
        for _ in 0..100 {
            self.advance(100 * SECOND);
            let unread = |group: &Group| {
                let after = group.cursor.next().unwrap();
                self.server.stream.range(after..).next().is_some()
            };
            let is_idle = self.consumers.iter().all(|c| c.hands.is_empty());
            if is_idle && !self.server.group.as_ref().is_some_and(unread) {
                return;
            }
        }
        panic!("seed {}: the backlog never ends", self.seed);
    }

    pub(super) fn advance(&mut self, duration: i64) {
        let end = self.now + duration;
        while self.now < end {
            let step = self.random.random_range(20..600) * MS;
            self.now = (self.now + step).min(end);
            self.produce();
            for index in 0..self.consumers.len() {
                self.consume(index);
            }
        }
    }

    pub(super) fn pass_a_moment(&mut self) {
        let moment = self.random.random_range(0..60) * MS;
        self.advance(moment);
    }

    pub(super) fn clock(&self) -> i64 {
        self.now - self.behind
    }

    fn produce(&mut self) {
        if !self.is_producing || !self.random.random_bool(0.15) {
            return;
        }
        let clock = self.clock();
        if self.random.random_bool(0.2) {
            self.server.add(clock, fields(&[("type", "VIEW")]));
            return;
        }
        let number = self.next_number;
        self.next_number += 1;
        // Few different amounts, spelled as producers spell them.
        let amount = ["10", "10.5", "11.00"][self.random.random_range(0..3)];
        let bid = [
            ("type", "BID"),
            ("bidId", &format!("b{number}")),
            ("amount", amount),
            ("bidder", &number.to_string()),
        ];
        self.server.add(clock, fields(&bid));
        if self.server.stream.len() > 15 && self.random.random_bool(0.04) {
            self.server.stream.pop_first();
        }
    }

    fn consume(&mut self, index: usize) {
        let mut consumer = self.consumers[index].clone();
        if !consumer.is_alive {
            if consumer.back_at.is_some_and(|at| at <= self.now) {
                consumer.is_alive = true;
                consumer.alive_since = self.now;
                consumer.back_at = None;
                consumer.reads_history = self.random.random_bool(0.8);
            }
            self.consumers[index] = consumer;
            return;
        }
        self.work(&mut consumer);
        if consumer.is_alive && consumer.hands.is_empty() && consumer.next_poll <= self.now {
            self.poll(&mut consumer);
        }
        self.consumers[index] = consumer;
    }

    fn work(&mut self, consumer: &mut Consumer) {
        let mut hands = std::mem::take(&mut consumer.hands);
        for work in &mut hands {
            while let Some(&(at, step)) = work.steps.first() {
                if at > self.now {
                    break;
                }
                if self.dies(consumer) {
                    return;
                }
                work.steps.remove(0);
                match step {
                    Step::Insert => self.insert_by_application(work.id, &work.fields),
                    Step::Effect => {
                        let identity = self.identity(work.id, &work.fields);
                        self.effects.insert(identity);
                    }
                    Step::Ack => {
                        self.server.ack(work.id);
                    }
                }
                if self.dies(consumer) {
                    return;
                }
            }
        }
        hands.retain(|work| !work.steps.is_empty());
        consumer.hands = hands;
    }

    /// Whether it dies here: it comes back under its name, under another one, or not at all.
    fn dies(&mut self, consumer: &mut Consumer) -> bool {
        let dies = self.may_die && consumer.name != RECOVERY && self.random.random_bool(0.04);
        if dies {
            consumer.is_alive = false;
            let pause = self.random.random_range(1..150) * SECOND;
            consumer.back_at = Some(self.now + pause);
            if self.random.random_bool(0.6) {
                consumer.name.extend_from_slice(b"'");
            }
        }
        dies
    }

    fn poll(&mut self, consumer: &mut Consumer) {
        consumer.next_poll = self.now + self.random.random_range(100..5_000) * MS;
        if consumer.name == RECOVERY || consumer.reads_history {
            consumer.reads_history = false;
            for id in self.server.history(self.now, &consumer.name) {
                self.take(consumer, id);
            }
        }
        if consumer.name == RECOVERY || !consumer.hands.is_empty() {
            return;
        }
        let now = self.now;
        if self.random.random_bool(0.1) {
            let old = self.server.group.as_ref().and_then(|group| {
                let mut pending = group.pending.iter();
                let is_old = |at: i64| now - at > 30 * SECOND;
                pending.find(|(_, m)| is_old(m.delivered_at)).map(|m| *m.0)
            });
            if let Some(id) = old {
                self.server.claim(now, id, &consumer.name);
                self.take(consumer, id);
                return;
            }
        }
        let count = self.random.random_range(1..4);
        match self.server.read(now, &consumer.name, count) {
            Some(ids) => ids.into_iter().for_each(|id| self.take(consumer, id)),
            None => self.regroup(),
        }
    }

    fn regroup(&mut self) {
        if self.regroup == Regroup::Never {
            return;
        }
        let pause = self.random.random_range(0..20) * SECOND;
        let at = *self.regroup_at.get_or_insert(self.now + pause);
        if at <= self.now {
            let cursor = match self.regroup {
                Regroup::AtEnd => self.server.last,
                _ => StreamId::MIN,
            };
            self.server.group = Some(Group {
                cursor,
                ..Group::default()
            });
        }
    }

    /// A delivered entry, in a consumer's hands.
    fn take(&mut self, consumer: &mut Consumer, id: StreamId) {
        let Some(fields) = self.server.stream.get(&id).cloned() else {
            return;
        };
        let Some(number) = number(&fields) else {
            self.server.ack(id);
            return;
        };
        if number % 23 == 0 {
            // It fails on this one, each time.
            return;
        }
        let insert = self.now + self.random.random_range(10..SLOWEST / MS - 500) * MS;
        let effect = insert + self.random.random_range(10..400) * MS;
        let ack = if consumer.acks_first {
            self.now
        } else {
            effect + self.random.random_range(10..3_000) * MS
        };
        let mut steps = vec![
            (insert, Step::Insert),
            (effect, Step::Effect),
            (ack, Step::Ack),
        ];
        steps.sort_by_key(|step| step.0);
        consumer.hands.push(Work { id, fields, steps });
    }

    fn insert_by_application(&mut self, id: StreamId, fields: &Fields) {
        let identity = self.identity(id, fields);
        // Only an identity of its own names a rejected bid for good.
        if !self.setup.by_id && number(fields).is_some_and(|number| number % 11 == 0) {
            self.rejected.insert(identity);
        } else {
            self.insert(identity, fields);
        }
    }

    /// A plain INSERT under a unique key: false where the row is there already.
    pub(super) fn insert(&mut self, identity: Vec<u8>, fields: &Fields) -> bool {
        let is_new = !self.table.contains_key(&identity);
        let now = self.now;
        self.table.entry(identity).or_insert_with(|| Bid {
            number: number(fields).unwrap(),
            amount: text(fields, "amount").unwrap(),
            created_at: now,
        });
        is_new
    }

    pub(super) fn identity(&self, id: StreamId, fields: &Fields) -> Vec<u8> {
        if self.setup.by_id {
            id.to_string().into_bytes()
        } else {
            text(fields, "bidId").unwrap().into_bytes()
        }
    }

    /// What a SELECT by identity answers.
    pub(super) fn evidence(&self, identity: Option<&[u8]>) -> Evidence {
        let Some(identity) = identity else {
            return Evidence::default();
        };
        let row = self.table.get(identity).map(|bid| row(identity, bid));
        let has_effect = self.effects.contains(identity) && row.is_some();
        Evidence {
            rows: row.into_iter().collect(),
            is_proven: self.setup.has_second_effect.then_some(has_effect),
            is_rejected: self.rejected.contains(identity),
        }
    }

    /// Whether what `fields` say under `id` has its whole effect, told by its hidden number.
    pub(super) fn has_effect(&self, id: StreamId, fields: &Fields) -> bool {
        let identity = self.identity(id, fields);
        let row = self.table.get(&identity);
        let is_there = row.is_some_and(|bid| Some(bid.number) == number(fields));
        let is_whole = !self.setup.has_second_effect || self.effects.contains(&identity);
        (is_there && is_whole) || self.rejected.contains(&identity)
    }

    /// Whether somebody alive holds it and will still bring its effect about.
    pub(super) fn is_in_hands(&self, fields: &Fields) -> bool {
        let alive = self.consumers.iter().filter(|c| c.is_alive);
        alive.flat_map(|c| &c.hands).any(|work| {
            number(fields) == number(&work.fields)
                && work.steps.iter().any(|(_, step)| *step != Step::Ack)
        })
    }

    /// Whether a consumer of this name is up, and has been for long enough to have asked for entries.
    pub(super) fn is_alive(&self, name: &[u8]) -> bool {
        let mut consumers = self.consumers.iter().filter(|c| c.is_alive);
        consumers.any(|c| c.name == name && self.now - c.alive_since > 12 * SECOND)
    }

    pub(super) fn owner(&self, id: StreamId) -> Option<&[u8]> {
        let message = self.server.group.as_ref()?.pending.get(&id)?;
        Some(&message.consumer)
    }
}

/// The hidden number of a bid; `None` for other entries.
pub(super) fn number(fields: &Fields) -> Option<u64> {
    text(fields, "bidder")?.parse().ok()
}

pub(super) fn text(fields: &Fields, name: &str) -> Option<String> {
    let (_, value) = fields.iter().find(|(n, _)| n == name)?;
    Some(String::from_utf8(value.to_vec()).unwrap())
}

fn fields(pairs: &[(&str, &str)]) -> Fields {
    let owned = |text: &str| bytes::Bytes::copy_from_slice(text.as_bytes());
    pairs.iter().map(|(n, v)| (owned(n), owned(v))).collect()
}

/// The row as the server prints it.
fn row(identity: &[u8], bid: &Bid) -> Row {
    let mut rows = Rows::with_width(4);
    let created = chrono::DateTime::from_timestamp_micros(bid.created_at).unwrap();
    let (amount, bidder) = (
        format!("{:.2}", bid.amount.parse::<f64>().unwrap()),
        bid.number.to_string(),
    );
    let created = created.format("%Y-%m-%d %H:%M:%S%.6f").to_string();
    for cell in [
        identity,
        amount.as_bytes(),
        bidder.as_bytes(),
        created.as_bytes(),
    ] {
        rows.push_cell(Some(cell));
    }
    rows.row(0).to_owned_row()
}
