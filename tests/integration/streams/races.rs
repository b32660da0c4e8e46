//! Forced interleavings of a stream: what the application, the network and a failover do between a look and the script
//! that settles, and between two looks. Nothing here waits for a time to pass; every step waits for the cause of the next.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use auditor::lab::wait;

use crate::support::bids::{GONE, GROUP, STREAM, id};
use crate::support::{Run, World};
use gate::Gate;

mod claims;
mod failovers;
mod gate;
mod groups;
mod identities;
mod lost_replies;
mod payloads;
mod trims;

/// Acknowledges, inserts, and puts away what was delivered more than twice.
const INSERT: &str = r#"
on_persisted = "ack"
on_unpersisted = "insert"
insert_is_enough = true
max_deliveries = 2
dead_letter = "bid-stream:dead"
"#;
const REQUEUE: &str = "on_persisted = \"ack\"\non_unpersisted = \"requeue\"\n";
const CLAIM: &str = "on_unpersisted = \"claim\"\nclaim_to = \"recovery\"\n";

/// Longer than anybody who lives is silent here.
const PATIENCE: &str = "orphan_after = \"1s\"\n";

const LIMIT: Duration = Duration::from_secs(60);
const REPAIR: [&str; 5] = ["repair", "job.toml", "--full", "--yes", "--accept-control"];

/// A repair that has looked, planned and journaled, and whose first script waits at the gate.
struct Held {
    child: Child,
    gate: Gate,
}

impl Held {
    async fn repair(world: &World) -> Self {
        let gate = Gate::before(world.redis.port()).await;
        let mut command = world.command(&REPAIR);
        command.env("REDIS_URL", format!("redis://127.0.0.1:{}", gate.port()));
        let child = spawn(command);
        let mut held = Self { child, gate };
        tokio::select! {
            () = held.gate.holds() => {}
            () = ends(&mut held.child) => {
                let run = ended(world, held.child).await;
                panic!("it ended without a script\n{}\n{}", run.stdout, run.stderr);
            }
        }
        held
    }

    /// The script goes on.
    async fn goes_on(self, world: &World) -> Run {
        self.gate.pass();
        ended(world, self.child).await
    }

    /// So many scripts go on, and their answers are thrown away with the connection.
    async fn goes_unanswered(self, world: &World, scripts: usize) -> Run {
        self.gate.lose_answers(scripts);
        ended(world, self.child).await
    }

    /// The connection ends with the script on it; later ones go to another server.
    async fn finds(self, world: &World, port: u16) -> Run {
        self.gate.break_off(port);
        ended(world, self.child).await
    }
}

fn spawn(mut command: Command) -> Child {
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

async fn ends(child: &mut Child) {
    let child = RefCell::new(child);
    let has_ended = || async { child.borrow_mut().try_wait().unwrap().is_some() };
    wait::until("it ends, or sends a script", LIMIT, has_ended)
        .await
        .unwrap();
}

async fn ended(world: &World, child: Child) -> Run {
    let output = tokio::task::spawn_blocking(move || child.wait_with_output());
    Run::of(output.await.unwrap().unwrap(), world.folder.path())
}

/// A repair that waits between its first and its second look.
fn between_looks(world: &World) -> Child {
    let mut child = spawn(world.command(&REPAIR));
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("second look at") {
        line.clear();
        assert_ne!(said.read_line(&mut line).unwrap(), 0, "it ended");
    }
    std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
    child
}

/// A consumer that works.
struct Alive(tokio::task::JoinHandle<()>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl World {
    /// Three bids that are done; 6 is pending though saved, 7 is not saved, 8 was delivered four times; all three with a
    /// consumer that is gone.
    async fn damaged(settings: &str, replicas: usize) -> Self {
        let settings = format!("{settings}{PATIENCE}");
        let mut world = Self::open_bids_with(replicas, &settings).await;
        world.group().await;
        world.done(1..=3).await;
        for number in 6..=8 {
            world.add(number).await;
        }
        world.read(GONE, 3).await;
        for _ in 0..3 {
            world.claim(GONE, 8).await;
        }
        world.save(6).await;
        world.wait_until_silent().await;
        world
    }

    /// Until every consumer has done nothing for longer than the job's `orphan_after`.
    async fn wait_until_silent(&self) {
        let cache = &self.cache;
        wait::until("all consumers are silent", LIMIT, || async {
            let mut ask = redis::cmd("XINFO");
            ask.arg(&["CONSUMERS", STREAM, GROUP]);
            let all: Vec<BTreeMap<String, redis::Value>> =
                ask.query_async(&mut cache.clone()).await.unwrap();
            let is_silent = |v: &redis::Value| matches!(v, redis::Value::Int(i) if *i > 1_050);
            all.iter().all(|consumer| is_silent(&consumer["idle"]))
        })
        .await
        .unwrap();
    }

    /// `consumer` asks for more, again and again, until this is dropped. To Redis 7.0 that is no sign of life where there is
    /// nothing more, so it asks for its own messages too: for those after any, so that none of them is touched.
    async fn lives(&self, consumer: &'static str) -> Alive {
        let mut cache = self.redis.connect().await.unwrap();
        let read = move |from: &str| {
            let mut read = redis::cmd("XREADGROUP");
            read.arg("GROUP").arg(GROUP).arg(consumer);
            read.arg("BLOCK")
                .arg(50)
                .arg("STREAMS")
                .arg(STREAM)
                .arg(from);
            read
        };
        Alive(tokio::spawn(async move {
            for reading in [read("9999999999999-0"), read(">")].iter().cycle() {
                if reading
                    .query_async::<redis::Value>(&mut cache)
                    .await
                    .is_err()
                {
                    return;
                }
            }
        }))
    }

    /// `consumer` takes the message for itself, as live consumers do.
    async fn claim(&mut self, consumer: &str, number: u32) {
        let words = ["XCLAIM", STREAM, GROUP, consumer, "0", &id(number)];
        self.redis::<redis::Value>(&words).await;
    }

    /// The fact of this name about the stream, as text.
    async fn stream_fact(&mut self, name: &str) -> String {
        let facts: BTreeMap<String, redis::Value> = self.redis(&["XINFO", "STREAM", STREAM]).await;
        redis::from_redis_value(facts[name].clone()).unwrap()
    }

    /// What a consumer does with a message: the row, unless it is there, and then the acknowledgement; what XACK said.
    async fn process(&mut self, number: u32) -> i64 {
        let bidder = 10 + number % 3;
        self.sql(&format!(
            "INSERT IGNORE INTO bid (bid_id, auction_id, bidder_id, amount) VALUES ('b{number}', 7, {bidder}, 100.50)"
        ))
        .await;
        self.redis(&["XACK", STREAM, GROUP, &id(number)]).await
    }
}

/// What became of every step, in the order of the journal: the report tells the last word only.
fn told(run: &Run) -> Vec<String> {
    let lines = run.report().undo();
    let outcomes = lines.iter().filter_map(|line| line["outcome"].as_str());
    outcomes.map(str::to_owned).collect()
}

/// `id owner` for each of these.
fn owned(numbers: &[u32], owner: &str) -> Vec<(String, String)> {
    let owned = numbers.iter().map(|&number| (id(number), owner.to_owned()));
    owned.collect()
}

fn line(rule: &str, number: u32, rest: &str) -> String {
    format!("{rule} {} {rest}", id(number))
}
