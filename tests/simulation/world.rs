//! One row, its cached value, and an application, in virtual time.

use std::sync::Arc;

use auditor::model::mapping::Mapping;
use auditor::model::rows::{Row, Rows};
use auditor::model::time::Micros;
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::checks;

/// What the application keeps in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `{"version":v,"balance":b}` by SET.
    Document,
    /// `b` by SET.
    Balance,
    /// `b` by INCRBY and DECRBY.
    Points,
}

/// A committed state of the row. Balances repeat on purpose, so that bytes alone do not tell states apart.
#[derive(Debug, Clone, Copy)]
struct State {
    sequence: u64,
    balance: i64,
    updated_at: i64,
}

/// The cached value, with the sequence of the state it shows; for counters, of the last movement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    sequence: u64,
    balance: i64,
}

/// A cache write that was committed and is under way.
#[derive(Debug, Clone, Copy)]
struct Flight {
    arrives: i64,
    state: State,
    /// What a counter is moved by.
    gap: i64,
}

pub(crate) struct World {
    pub(crate) kind: Kind,
    pub(crate) seed: u64,
    pub(crate) mapping: Arc<Mapping>,
    pub(crate) random: StdRng,
    pub(crate) now: i64,
    row: State,
    held: Held,
    flight: Option<Flight>,
    next_commit: i64,
    /// The row is share-locked until then.
    locked_until: Option<i64>,
    /// Movements that no longer are in a counter, because a failover took them.
    lost_movement: i64,
    /// Whether a whole value was taken back and nobody has written one since.
    is_lost: bool,
    /// The lowest sequence the cache may show: what the application wrote to the new master.
    floor: u64,
    writes_on: bool,
    lost: u64,
    /// Whether it was lost when the row was last looked at.
    pub(crate) was_lost: bool,
}

const START: i64 = 1_790_000_000_000_000;
const MS: i64 = 1_000;

impl World {
    pub(crate) fn new(kind: Kind, seed: u64) -> Self {
        let row = State {
            sequence: 1,
            balance: 100,
            updated_at: START,
        };
        Self {
            kind,
            seed,
            mapping: checks::mapping(kind),
            random: StdRng::seed_from_u64(seed ^ 0x5eed),
            now: START,
            row,
            held: Held {
                sequence: 1,
                balance: 100,
            },
            flight: None,
            next_commit: START,
            locked_until: None,
            lost_movement: 0,
            is_lost: false,
            floor: 0,
            writes_on: true,
            lost: 0,
            was_lost: false,
        }
    }

    /// The application runs, the master dies, and the replica's older value is served.
    pub(crate) fn live_and_fail_over(&mut self) {
        let before = self.random.random_range(200..3_000) * MS;
        self.advance(before);
        let replicated = self.held;
        let moved_before = self.lost_movement;
        let stall = self.random.random_range(0..2_000) * MS;
        self.advance(stall);
        if self.held.sequence > replicated.sequence {
            self.lost += 1;
            self.is_lost = true;
            self.lost_movement = moved_before + self.held.balance - replicated.balance;
        }
        self.held = replicated;
        self.floor = replicated.sequence;
        // Sometimes the customers go home at this very moment, sometimes they never stop.
        self.writes_on = self.random.random_bool(0.5);
    }

    /// Whether the failover left the value behind.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    pub(crate) fn come_to_rest(&mut self) {
        self.writes_on = false;
        self.advance(10_000 * MS);
        assert!(self.flight.is_none());
    }

    /// Lets the application work until `duration` has passed.
    pub(crate) fn advance(&mut self, duration: i64) {
        let end = self.now + duration;
        loop {
            let arrival = self.flight.map(|f| f.arrives);
            // One request at a time for one row, as a sound application does it.
            let commit = (self.writes_on && self.flight.is_none()).then_some({
                let unlocked = self.locked_until.unwrap_or(i64::MIN);
                self.next_commit.max(unlocked).max(self.now)
            });
            let next = arrival.into_iter().chain(commit).min();
            let Some(at) = next.filter(|at| *at <= end) else {
                break;
            };
            self.now = self.now.max(at);
            if arrival == Some(at) {
                self.arrive();
            } else {
                self.commit();
            }
        }
        self.now = end;
    }

    fn commit(&mut self) {
        // Few different balances: 100 → 90 → 100 happens all the time.
        let balance = 100 + 10 * self.random.random_range(-1..=1);
        let gap = balance - self.row.balance;
        let margin = checks::COMMIT_MARGIN.as_micros() as i64;
        let stamped = self.now - self.random.random_range(0..margin);
        // Mostly at once, sometimes just within what the job allows.
        let slowest = checks::CACHE_DELAY.as_micros() as i64 - 10 * MS;
        let slowest = if self.random.random_bool(0.6) {
            20 * MS
        } else {
            slowest
        };
        let delay = self.random.random_range(0..slowest);
        self.row = State {
            sequence: self.row.sequence + 1,
            balance,
            // Stamps may lie before the commit, but two changes never share one.
            updated_at: stamped.max(self.row.updated_at + 1),
        };
        self.flight = Some(Flight {
            arrives: self.now + delay,
            state: self.row,
            gap,
        });
        // Bursts and quiet: what is confirmed in the quiet meets the next burst.
        let longest = if self.random.random_bool(0.3) {
            60
        } else {
            2_500
        };
        self.next_commit = self.now + self.random.random_range(1..longest) * MS;
    }

    fn arrive(&mut self) {
        let flight = self.flight.take().expect("something arrives");
        self.held = match self.kind {
            Kind::Points => Held {
                sequence: flight.state.sequence,
                balance: self.held.balance + flight.gap,
            },
            Kind::Document | Kind::Balance => {
                self.is_lost = false;
                Held {
                    sequence: flight.state.sequence,
                    balance: flight.state.balance,
                }
            }
        };
        self.floor = self.floor.max(flight.state.sequence);
    }

    /// Whether the cache shows what the row says, nothing being under way.
    pub(crate) fn is_right(&self) -> bool {
        self.held.balance == self.row.balance
            && (self.kind != Kind::Document || self.held.sequence == self.row.sequence)
    }

    /// Whether the failover took something that nothing under way will bring back.
    pub(crate) fn is_really_lost(&self) -> bool {
        match self.kind {
            Kind::Points => self.lost_movement != 0,
            Kind::Document | Kind::Balance => self.is_lost,
        }
    }

    pub(crate) fn cached_bytes(&self) -> Bytes {
        self.bytes_of(self.held)
    }

    fn bytes_of(&self, held: Held) -> Bytes {
        Bytes::from(match self.kind {
            Kind::Document => {
                format!(
                    "{{\"version\":{},\"balance\":{}}}",
                    held.sequence, held.balance
                )
            }
            Kind::Balance | Kind::Points => held.balance.to_string(),
        })
    }

    /// The row as the server prints it, in the order of the mapping's columns.
    pub(crate) fn row(&self) -> Row {
        let mut rows = Rows::with_width(self.mapping.width());
        for column in &self.mapping.columns {
            let text = match column.name.as_str() {
                "id" => "7".to_owned(),
                "version" => self.row.sequence.to_string(),
                "balance" => self.row.balance.to_string(),
                "updated_at" => chrono::DateTime::from_timestamp_micros(self.row.updated_at)
                    .unwrap()
                    .format("%Y-%m-%d %H:%M:%S%.6f")
                    .to_string(),
                other => panic!("no column {other}"),
            };
            rows.push_cell(Some(text.as_bytes()));
        }
        rows.row(0).to_owned_row()
    }

    pub(crate) fn micros(&self) -> Micros {
        Micros(self.now)
    }

    /// Share-locks the row; the application's commits wait until the lock goes.
    pub(crate) fn lock(&mut self, until: i64) {
        self.locked_until = Some(until);
    }

    pub(crate) fn unlock(&mut self) {
        self.locked_until = None;
    }

    /// The auditor's guarded SET: nothing happens unless the bytes are `judged`.
    pub(crate) fn replace(&mut self, judged: &Bytes, new: &Bytes, of_sequence: u64) -> bool {
        if self.cached_bytes() != *judged {
            return false;
        }
        assert!(
            of_sequence >= self.floor,
            "seed {}: a value of state {of_sequence} replaces one of state {} or newer",
            self.seed,
            self.floor
        );
        assert!(
            of_sequence >= self.held.sequence,
            "seed {}: a value moved backwards",
            self.seed
        );
        let balance = balance_in(self.kind, new);
        let written = Held {
            sequence: of_sequence,
            balance,
        };
        assert_eq!(
            self.bytes_of(written),
            *new,
            "seed {}: half a document",
            self.seed
        );
        self.held = written;
        self.floor = self.floor.max(of_sequence);
        self.is_lost = false;
        true
    }

    /// The auditor's guarded INCRBY.
    pub(crate) fn add(&mut self, judged: &Bytes, gap: i64) -> bool {
        if self.cached_bytes() != *judged {
            return false;
        }
        assert_eq!(
            gap, self.lost_movement,
            "seed {}: what is added is not what was lost",
            self.seed
        );
        self.held.balance += gap;
        self.lost_movement = 0;
        true
    }

    pub(crate) fn row_sequence(&self) -> u64 {
        self.row.sequence
    }
}

fn balance_in(kind: Kind, value: &Bytes) -> i64 {
    let text = std::str::from_utf8(value).unwrap();
    match kind {
        Kind::Document => {
            let document: serde_json::Value = serde_json::from_str(text).unwrap();
            document["balance"].to_string().parse().unwrap()
        }
        Kind::Balance | Kind::Points => text.parse().unwrap(),
    }
}
