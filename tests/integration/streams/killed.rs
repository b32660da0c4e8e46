//! `repair` killed between any two of its steps and started again: the same end as if nobody had killed it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use auditor::lab::app::streams::{Alive, LIVE, Layout, StreamCase};
use auditor::lab::truth::streams::{EntryFacts, StreamWorld};
use auditor::lab::wait;

use crate::support::Run;
use crate::support::bidding::{Bidding, Settling, Worlds, field};
use crate::support::gate::{Gate, Hold};

const LIMIT: Duration = Duration::from_secs(60);
const REPAIR: [&str; 3] = ["repair", "--full", "--yes"];
/// What every settlement script is sent by, and what a row is.
const SCRIPT: &str = "EVALSHA";
const INSERT: &str = "INSERT INTO";
const TABLES: [&str; 5] = ["bid", "bid_effect", "bid_rejected", "bid2", "bid3"];
/// Of every case.
const COUNT: u64 = 2;
const SIDE_BY_SIDE: usize = 3;

/// Which server's commands are counted, and where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Point {
    Redis(Hold),
    Mysql(Hold),
}

/// A damaged world that can be had again and again.
struct Scene {
    bidding: Bidding,
    keys: BTreeMap<String, Vec<u8>>,
    /// The owner whose messages are nobody else's.
    _alive: Vec<Alive>,
}

/// Both sides, with ids that were given by a repair left out.
#[derive(Debug, Clone, PartialEq, Eq)]
struct EndState {
    /// Entries by their ids; those added anew by what they came from.
    entries: BTreeMap<String, EntryFacts>,
    pending: BTreeMap<String, (String, u64)>,
    cursor: Option<String>,
    /// By the entry each came from.
    dead: BTreeMap<String, EntryFacts>,
    rows: BTreeMap<String, String>,
}

impl Scene {
    async fn plant() -> Self {
        let bidding = Bidding::start(0, None, Settling::Insert).await;
        let (stage, mut alive) = (&bidding.stage, Vec::new());
        let master = stage.cluster.master();
        for layout in [Layout::ByBidId, Layout::ByEntryId] {
            let cases = StreamCase::together(layout).into_iter().enumerate();
            for (number, case) in cases {
                for turn in 0..COUNT {
                    let seed = (number as u64) << 8 | turn;
                    stage.app.plant(master, layout, case, seed).await.unwrap();
                    if case == StreamCase::GroupRewound {
                        break;
                    }
                }
            }
            let live = stage.app.consumer(layout, LIVE);
            alive.push(live.stay_alive(Duration::from_millis(50)));
        }
        let mut producer = stage.app.producer(77);
        let mut hand = stage.app.consumer(Layout::LateGroup, "hand");
        for number in 0..4 {
            let bid = producer.draw();
            let id = producer.add(Layout::LateGroup, &bid).await.unwrap();
            if number < 2 {
                hand.write_row(&id, &bid).await.unwrap();
            }
        }
        bidding.wait_until_gone().await;
        let mut sql = String::new();
        for table in TABLES {
            sql += &format!("CREATE TABLE saved_{table} AS SELECT * FROM {table};");
        }
        let database = bidding.stage.database_name();
        bidding
            .stage
            .database
            .execute(database, &sql)
            .await
            .unwrap();
        let mut redis = master.connect().await.unwrap();
        let mut keys = BTreeMap::new();
        let names: Vec<String> = redis::cmd("KEYS")
            .arg("*")
            .query_async(&mut redis)
            .await
            .unwrap();
        for name in names {
            let dump = redis::cmd("DUMP").arg(&name).query_async(&mut redis).await;
            keys.insert(name, dump.unwrap());
        }
        Self {
            bidding,
            keys,
            _alive: alive,
        }
    }

    /// Everything as it was when it had just been planted.
    async fn restore(&self) -> Worlds {
        let stage = &self.bidding.stage;
        let mut sql = String::new();
        for table in TABLES {
            sql +=
                &format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM saved_{table};");
        }
        let database = stage.database_name();
        stage.database.execute(database, &sql).await.unwrap();
        let mut redis = stage.cluster.master().connect().await.unwrap();
        let mut all = redis::pipe();
        all.atomic().cmd("FLUSHALL").ignore();
        for (name, dump) in &self.keys {
            all.cmd("RESTORE").arg(name).arg(0).arg(dump).ignore();
        }
        all.query_async::<()>(&mut redis).await.unwrap();
        wait::until("the live consumers show up again", LIMIT, async || {
            let mut is_alive = true;
            for layout in [Layout::ByBidId, Layout::ByEntryId] {
                let world = stage.world(layout).await.unwrap();
                is_alive &= world.consumers.get(LIVE).is_some_and(|idle| *idle < 500);
            }
            is_alive
        })
        .await
        .unwrap();
        self.bidding.worlds().await
    }

    /// Starts a repair behind a gate, lets it come to the point, and kills it there.
    async fn kill_at(&self, point: Point) {
        let (gate, mut child) = self.begin(point).await;
        let held = tokio::time::timeout(LIMIT, gate.holds()).await;
        assert!(
            held.is_ok(),
            "{point:?}: it never came there ({})",
            gate.seen()
        );
        assert_eq!(child.try_wait().unwrap(), None, "{point:?}");
        child.kill().await.unwrap();
    }

    async fn begin(&self, point: Point) -> (Gate, tokio::process::Child) {
        let stage = &self.bidding.stage;
        let (redis, mysql) = (stage.cluster.master().port(), stage.database.port());
        let (gate, name, port) = match point {
            Point::Redis(hold) => (Gate::start(redis, SCRIPT, hold).await, "REDIS_URL", redis),
            Point::Mysql(hold) => (Gate::start(mysql, INSERT, hold).await, "MYSQL_URL", mysql),
        };
        let environment = stage.environment();
        let own = environment.iter().find(|(of, _)| *of == name).unwrap();
        let through = own.1.replace(&port.to_string(), &gate.port().to_string());
        assert_ne!(through, own.1);
        let mut command = self.bidding.command(&REPAIR, &[(name, through)]);
        // Nobody reads what it says, so that it must not wait for a reader.
        let null = std::process::Stdio::null;
        (gate, command.stdout(null()).stderr(null()).spawn().unwrap())
    }

    /// How many scripts and rows a repair sends when nothing stops it.
    async fn count(&self) -> (usize, usize) {
        let mut counts = Vec::new();
        for point in [Point::Redis(Hold::Nothing), Point::Mysql(Hold::Nothing)] {
            self.restore().await;
            let (gate, mut child) = self.begin(point).await;
            assert_eq!(child.wait().await.unwrap().code(), Some(1));
            counts.push(gate.seen());
        }
        (counts[0], counts[1])
    }

    /// A repair once MySQL has noticed that the killed one is gone, and its lease with it.
    async fn start_again(&self) -> Run {
        let limit = Instant::now() + LIMIT;
        loop {
            let run = self.bidding.auditor(&REPAIR).await;
            if run.code != Some(5) || Instant::now() > limit {
                return run;
            }
        }
    }

    /// Lines of the journal of the run that was killed.
    fn journal(&self) -> Vec<serde_json::Value> {
        let mut runs: Vec<_> = std::fs::read_dir(self.bidding.output())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        // Their names are times.
        runs.sort();
        let text = std::fs::read_to_string(runs.last().unwrap().join("undo.jsonl"));
        let lines = text.unwrap_or_default();
        lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn torture_killed_between_any_two_steps_it_ends_as_if_it_had_not_been() {
    // A repair mostly waits, so several scenes side by side need hardly more time than one.
    let shares = (0..SIDE_BY_SIDE).map(kill_at_every_point_of);
    let ended = futures_util::future::join_all(shares).await;
    let killed: usize = ended.iter().map(|(count, _)| count).sum();
    assert!(killed >= 10, "{killed}");
    let every = [
        "journaled, and not done",
        "done, and not in the journal as done",
        "a row without its acknowledgement",
        "requeued, and not known to be",
        "some steps done and some not",
    ];
    let seen = ended.into_iter().flat_map(|(_, seen)| seen);
    assert_eq!(seen.collect::<BTreeSet<_>>(), BTreeSet::from(every));
}

/// How many points this share had, and where it ended at them.
async fn kill_at_every_point_of(share: usize) -> (usize, BTreeSet<&'static str>) {
    let scene = Scene::plant().await;
    let (scripts, inserts) = scene.count().await;
    assert!(scripts >= 15 && inserts >= 4, "{scripts} {inserts}");
    let before = scene.restore().await;
    scene.bidding.auditor(&REPAIR).await.expect(1);
    let unkilled = end_states(&before, &scene.bidding.worlds().await);
    let (mut killed_at, mut seen) = (0, BTreeSet::new());
    let points = points(scripts, inserts);
    for point in points.into_iter().skip(share).step_by(SIDE_BY_SIDE) {
        scene.restore().await;
        scene.kill_at(point).await;
        let killed = scene.bidding.worlds().await;
        killed_at += 1;
        seen.extend(marks(&before, &killed, &scene.journal()));
        for layout in Layout::ALL {
            // Halfway it may be; wrong it must not be.
            let wrong = wrong_halfway(&scene.bidding, &before[&layout], &killed[&layout]);
            assert_eq!(wrong, Vec::<String>::new(), "{point:?} {layout:?}");
        }
        let again = scene.start_again().await.expect(1);
        let after = scene.bidding.worlds().await;
        assert_eq!(
            end_states(&before, &after),
            unkilled,
            "{point:?}: {again:?}"
        );
        for layout in Layout::ALL {
            let (view, left) = (scene.bidding.view(layout), scene.bidding.left(layout));
            let said = after[&layout].check_after_repair(&before[&layout], &view, &[], &left);
            assert_eq!(said, Vec::<String>::new(), "{point:?} {layout:?}");
        }
    }
    (killed_at, seen)
}

/// A few of all that there are; with `AUDITOR_SEEDS` all.
fn points(scripts: usize, inserts: usize) -> Vec<Point> {
    let is_all = std::env::var_os("AUDITOR_SEEDS").is_some();
    let step = if is_all { 1 } else { scripts.div_ceil(5) };
    let mut points = Vec::new();
    for nth in (1..=scripts).step_by(step) {
        points.push(Point::Redis(Hold::Request(nth)));
        points.push(Point::Redis(Hold::Reply(nth)));
    }
    let step = if is_all { 1 } else { inserts - 1 };
    for nth in (1..=inserts).step_by(step) {
        points.push(Point::Mysql(Hold::Request(nth)));
        points.push(Point::Mysql(Hold::Reply(nth)));
    }
    points
}

/// Where a killed run ended, in words.
fn marks(
    before: &Worlds,
    killed: &Worlds,
    journal: &[serde_json::Value],
) -> BTreeSet<&'static str> {
    let kinds = |kind: &str| journal.iter().filter(|line| line["kind"] == kind).count();
    let (planned, ended) = (kinds("settlement"), kinds("outcome"));
    let is_same = end_states(before, before) == end_states(before, killed);
    let mut marks = BTreeSet::new();
    if planned > ended && is_same {
        marks.insert("journaled, and not done");
    }
    if planned > ended && !is_same {
        marks.insert("done, and not in the journal as done");
    }
    for (layout, before) in before {
        let killed = &killed[layout];
        let is_new = |row: &&String| !before.rows.contains_key(*row);
        let pending = |row: &String| {
            let mut ids = killed.pending.keys();
            ids.any(|id| killed.identity(*id).as_ref() == Some(row))
        };
        if killed.rows.keys().filter(is_new).any(pending) {
            marks.insert("a row without its acknowledgement");
        }
        let moved = killed
            .entries
            .values()
            .map(|entry| field(entry, "requeued_from"));
        if moved
            .filter(|from| !from.is_empty())
            .any(|from| is_open(journal, from))
        {
            marks.insert("requeued, and not known to be");
        }
        let settled = before
            .pending
            .keys()
            .filter(|id| !killed.pending.contains_key(*id));
        let settled = settled.count();
        if settled > 0 && settled < before.pending.len() / 2 {
            marks.insert("some steps done and some not");
        }
    }
    marks
}

/// Whether the journal has a step on this entry and not what became of it.
fn is_open(journal: &[serde_json::Value], entry: &str) -> bool {
    let mut steps = journal.iter().filter(|line| line["entry_id"] == entry);
    steps.any(|step| {
        let mut outcomes = journal.iter().filter(|line| line["kind"] == "outcome");
        !outcomes.any(|outcome| outcome["sequence"] == step["sequence"])
    })
}

/// What must not be, not even for a moment: an entry or a message that is gone, and neither done nor elsewhere.
fn wrong_halfway(bidding: &Bidding, before: &StreamWorld, killed: &StreamWorld) -> Vec<String> {
    let view = bidding.view(before.layout);
    // Everything may be left as it is.
    let left = [
        "acked-unpersisted",
        "duplicate-entry",
        "duplicate-row",
        "group-missing",
        "group-rewound",
        "lost-entry",
        "orphan-pending",
        "payload-conflict",
        "poison-pending",
        "trimmed-pending",
        "unacked-persisted",
        "undecodable-value",
    ];
    killed.check_after_repair(before, &view, &[], &left)
}

fn end_states(before: &Worlds, after: &Worlds) -> BTreeMap<Layout, EndState> {
    let of = |layout: &Layout| (*layout, end_state(&before[layout], &after[layout]));
    before.keys().map(of).collect()
}

fn end_state(before: &StreamWorld, after: &StreamWorld) -> EndState {
    let entries = after.entries.iter().map(|(id, entry)| {
        let name = match before.entries.contains_key(id) {
            true => id.to_string(),
            false => format!("from {}", field(entry, "requeued_from")),
        };
        (name, entry.clone())
    });
    let dead = after
        .dead
        .iter()
        .map(|entry| (field(entry, "original_id").to_owned(), entry.clone()));
    let pending = after
        .pending
        .iter()
        .map(|(id, held)| (id.to_string(), (held.consumer.clone(), held.deliveries)));
    let state = EndState {
        entries: entries.collect(),
        pending: pending.collect(),
        cursor: after.cursor.map(|id| id.to_string()),
        dead: dead.collect(),
        rows: after
            .rows
            .iter()
            .map(|(name, rows)| (name.clone(), format!("{rows:?}")))
            .collect(),
    };
    assert_eq!(
        state.entries.len(),
        after.entries.len(),
        "an entry was added twice: {after:?}"
    );
    assert_eq!(
        state.dead.len(),
        after.dead.len(),
        "a dead letter was written twice: {after:?}"
    );
    state
}
