//! Consumers read, write and acknowledge while the program scans and two repairs are started at once. What they do is
//! held against two witnesses that know nothing of the program: MONITOR on the new master, and the application's
//! own log of who read, wrote and acknowledged what.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use auditor::lab::app::streams::{
    Layout, StreamAct, StreamApp, StreamEvent, StreamLoad, StreamRunning,
};
use auditor::lab::stream_story::StreamActs;
use auditor::lab::truth::streams::{EntryId, StreamWorld};
use auditor::lab::wait;
use auditor::lab::watch::{StreamWrite, Writer};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use super::truth::{drain, not_there_once};
use crate::support::Run;
use crate::support::bidding::{Bidding, ORPHAN_AFTER, Settling, Worlds, field};
use crate::support::report::Report;

/// Seeds of a normal test run; `AUDITOR_SEEDS` asks for more.
const SEEDS: u64 = 2;
const SEEDS_MAX: u64 = 20;
/// Several times what it takes the dead to be taken for dead, on a machine with a load of ten.
const DEAD_WITHIN: Duration = Duration::from_secs(30);
const ATTEMPTS: u64 = 5;
const READ_LAYOUTS: [Layout; 2] = [Layout::ByBidId, Layout::ByEntryId];
/// How long after a server's answer the application may note it, on a busy machine.
const NOTED_WITHIN: TimeDelta = TimeDelta::milliseconds(1_000);

/// What may be wrong with streams whose application never acknowledges before it wrote, deletes nothing, and names
/// every bid once.
const POSSIBLE: [&str; 5] = [
    "group-rewound",
    "lost-entry",
    "orphan-pending",
    "poison-pending",
    "unacked-persisted",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn torture_two_repairs_at_once_under_load_take_nothing_from_the_living() {
    let seeds = std::env::var("AUDITOR_SEEDS").map_or(SEEDS, |s| s.parse::<u64>().unwrap());
    for seed in 0..seeds.min(SEEDS_MAX) {
        play(seed).await;
    }
}

/// What the application and MONITOR say of the same time.
struct Witnesses<'a> {
    bidding: &'a Bidding,
    /// Of the application, from the very beginning.
    events: Vec<StreamEvent>,
    writes: Vec<StreamWrite>,
    after: Worlds,
}

/// After a failover, with consumers at work, and others dead who left messages behind.
struct Played {
    bidding: Bidding,
    /// Where the window begins.
    since: String,
    app: Arc<StreamApp>,
    running: StreamRunning,
}

/// Whether the dead left anything that outlived the failover is the machine's to decide: where they did not, it is
/// played again.
async fn with_dead(seed: u64, by_entry_id: Settling) -> Played {
    for attempt in 0..ATTEMPTS {
        let seed = seed + 100 * attempt;
        let mut bidding = Bidding::start(2, None, by_entry_id).await;
        let stage = &mut bidding.stage;
        let master = stage.cluster.master();
        let app = stage.app.clone();
        app.create_group(master, Layout::LateGroup, "0")
            .await
            .unwrap();
        let acts = StreamActs {
            load: load(seed, Some(8)),
            before: 150,
            lost: 200,
            after: 50,
        };
        let (loss, dying) = stage.fail_over(acts).await.unwrap();
        assert!(dying.stop().await.deaths > 0, "seed {seed}");
        // Whoever died under a name of its own stays dead. What is moved is read again by somebody else, and must not
        // be left over once more: nobody could say where it came from.
        let running = app.run(load(seed + 1_000, None));
        let cause = "somebody is taken for dead";
        let waited = wait::until(cause, DEAD_WITHIN, async || has_orphans(&bidding).await).await;
        if waited.is_ok() {
            let since = loss.since.to_rfc3339_opts(SecondsFormat::Micros, true);
            return Played {
                bidding,
                since,
                app,
                running,
            };
        }
        running.stop().await;
    }
    panic!("seed {seed}: in {ATTEMPTS} failovers nobody left anything behind");
}

async fn play(seed: u64) {
    let started = Instant::now();
    let by_entry_id = match seed % 2 {
        0 => Settling::Insert,
        _ => Settling::Requeue,
    };
    let context = format!("seed {seed}, {by_entry_id:?}");
    let Played {
        bidding,
        since,
        app,
        running,
    } = with_dead(seed, by_entry_id).await;
    let mut events = app.take_events();
    let before = bidding.worlds().await;
    let watcher = bidding.stage.watch().await.unwrap();
    let scan = bidding.auditor(&["scan", "--since", &since]).await;
    let writes = watcher.stream_writes().await.unwrap();
    assert_eq!(writes, [], "a scan writes nothing; {context}");
    let yes = ["repair", "--since", &since, "--yes"];
    let done_before = running.tally().done;
    let (one, other) = tokio::join!(bidding.auditor(&yes), bidding.auditor(&yes));
    let done = running.tally().done - done_before;
    assert!(done > 20, "the application was hindered: {done}; {context}");
    let tally = running.stop().await;
    assert_eq!(tally.failed, 0, "{context}");
    one_at_a_time(&one, &other);

    events.extend(app.take_events());
    let witnesses = Witnesses {
        bidding: &bidding,
        events,
        writes: watcher.stream_writes().await.unwrap(),
        after: bidding.worlds().await,
    };
    assert_eq!(witnesses.wrong_writes(), NOTHING, "{context}");
    let reports: Vec<Report> = [&scan, &one, &other]
        .into_iter()
        .filter(|run| run.code != Some(5))
        .map(Run::report)
        .collect();
    for report in &reports {
        assert_eq!(witnesses.false_alarms(report), NOTHING, "{context}");
    }
    let applied = |report: &Report| count(report, "outcome", "applied");
    let settled: usize = reports.iter().map(applied).sum();
    assert!(settled > 0, "nothing was settled under load; {context}");

    // What was left in the end is nobody's: the last repair settles all of it.
    drain(&bidding).await;
    bidding.wait_until_gone().await;
    let last = bidding.auditor(&["repair", "--full", "--yes"]).await;
    assert!(matches!(last.code, Some(0 | 1)), "{context}: {last:?}");
    let mut events = witnesses.events;
    events.extend(app.take_events());
    let after = bidding.worlds().await;
    for layout in READ_LAYOUTS {
        let mut view = bidding.view(layout);
        view.live.clear();
        let left = bidding.left(layout);
        let said = after[&layout].check_after_repair(&before[&layout], &view, &events, &left);
        assert_eq!(said, NOTHING, "{context} {layout:?}");
    }
    drain(&bidding).await;
    let done = bidding.worlds().await;
    for layout in READ_LAYOUTS {
        let lost = not_there_once(&bidding, &before[&layout], &done[&layout]);
        assert_eq!(lost, NOTHING, "{context} {layout:?}");
        let lost = added_and_not_there(&events, &bidding, &done[&layout]);
        assert_eq!(lost, NOTHING, "{context} {layout:?}");
    }
    eprintln!(
        "{context}: {} done, {done_before} before, exits {:?} {:?}, {settled} settled under load, {:.1} s",
        tally.done,
        one.code,
        other.code,
        started.elapsed().as_secs_f64()
    );
}

const NOTHING: [String; 0] = [];

/// Whether a message waits with somebody who is dead by the job's word.
async fn has_orphans(bidding: &Bidding) -> bool {
    let least = u64::try_from(ORPHAN_AFTER.as_millis()).unwrap();
    let mut count = 0;
    for layout in READ_LAYOUTS {
        let world = bidding.stage.world(layout).await.unwrap();
        let is_dead = |name: &String| world.consumers.get(name).is_none_or(|idle| *idle > least);
        let held = world.pending.values();
        count += held
            .filter(|held| held.idle_ms > least && is_dead(&held.consumer))
            .count();
    }
    count >= 2
}

/// Of two repairs started at once one is turned away, or comes when the other has ended.
#[track_caller]
fn one_at_a_time(one: &Run, other: &Run) {
    for run in [one, other] {
        assert!(matches!(run.code, Some(0 | 1 | 4 | 5)), "{run:?}");
    }
    assert!(
        one.code != Some(5) || other.code != Some(5),
        "{one:?} {other:?}"
    );
    if one.code == Some(5) || other.code == Some(5) {
        return;
    }
    let times = [one, other].map(|run| {
        let run = run.report().run;
        ["started_at", "finished_at"].map(|at| run[at].as_str().unwrap().to_owned())
    });
    let [first, second] = times;
    let is_apart = first[1] <= second[0] || second[1] <= first[0];
    assert!(is_apart, "{first:?} {second:?}");
}

impl Witnesses<'_> {
    /// Writes that are nobody's to make: not by a script, of what a living consumer had, or of what has no effect.
    fn wrong_writes(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (nth, write) in self.writes.iter().enumerate() {
            let reason = match (write.writer, write.name.as_str()) {
                (Writer::Script, "XACK") => self.wrong_acknowledgement(write, &self.writes[..nth]),
                (Writer::Script, "XADD" | "XDEL" | "XGROUP" | "XSETID") => None,
                _ => Some("it is no settlement".to_owned()),
            };
            wrong.extend(reason.map(|reason| format!("{write:?}: {reason}")));
        }
        wrong
    }

    /// `earlier` are all writes before it.
    fn wrong_acknowledgement(
        &self,
        write: &StreamWrite,
        earlier: &[StreamWrite],
    ) -> Option<String> {
        let [stream, _, id] = write.words.as_slice() else {
            return Some("several at once".to_owned());
        };
        let layout = layout_of(stream)?;
        let at = instant(&write.time);
        // The same script moved it just before: XADD, XDEL, XACK, or XADD, XACK.
        let is_moved = earlier.iter().rev().take(2).any(|other| {
            let marked = other.words.last_chunk::<2>();
            let marks = ["requeued_from", "original_id"];
            other.name == "XADD"
                && marked.is_some_and(|[mark, from]| marks.contains(&mark.as_str()) && from == id)
        });
        if !is_moved && !self.is_done(layout, id) {
            return Some("its effect is not there".to_owned());
        }
        let mut events = self.of(layout, id);
        let is_of_app = events.any(|event| {
            let is_effect = matches!(event.act, StreamAct::Insert | StreamAct::Reject);
            is_effect && event.is_acknowledged && event.at <= at + NOTED_WITHIN
        });
        match is_moved || !is_of_app {
            true => self.is_taken(layout, id, at),
            false => None,
        }
    }

    /// Whether somebody had it who had read anything shortly before.
    fn is_taken(&self, layout: Layout, id: &str, at: DateTime<Utc>) -> Option<String> {
        let given = self
            .of(layout, id)
            .filter(|event| event.act == StreamAct::Read && event.at <= at);
        let owner = &given.last()?.actor;
        let within = TimeDelta::from_std(ORPHAN_AFTER).unwrap() - NOTED_WITHIN;
        let mut reads = self.events.iter();
        let alive = reads.find(|event| {
            event.act == StreamAct::Read
                && event.layout == layout
                && event.actor == *owner
                && event.at <= at
                && event.at > at - within
        })?;
        Some(format!("{owner} had it, who was alive: {alive:?}"))
    }

    /// Confirmed findings that the application's log contradicts.
    fn false_alarms(&self, report: &Report) -> Vec<String> {
        let confirmed = report
            .findings
            .iter()
            .filter(|f| f["verdict"] == "confirmed");
        let wrong = confirmed.filter_map(|finding| {
            let layout = layout_of(&finding["check"])?;
            let at: DateTime<Utc> = finding["observed_at"].parse().unwrap();
            let id = finding["id"].as_str();
            let reason = match finding["rule"].as_str() {
                "orphan-pending" => self.is_taken(layout, id, at),
                "unacked-persisted" => {
                    let is_of_this = !self.is_done(layout, id);
                    is_of_this.then(|| "its effect is not there".to_owned())
                }
                "lost-entry" => {
                    let world = &self.after[&layout];
                    let mut entries = world.entries.keys();
                    let is_there =
                        entries.any(|entry| world.identity(*entry).as_deref() == Some(id));
                    is_there.then(|| "the stream has it".to_owned())
                }
                rule if POSSIBLE.contains(&rule) => None,
                _ => Some("this application does no such thing".to_owned()),
            };
            reason.map(|reason| format!("{reason}: {finding:?}"))
        });
        wrong.collect()
    }

    /// Whether the bid of an entry is in the table, or was refused.
    fn is_done(&self, layout: Layout, id: &str) -> bool {
        let world = &self.after[&layout];
        let identity = EntryId::parse(id).and_then(|id| world.identity(id));
        identity.is_some_and(|identity| {
            let is_whole =
                !self.bidding.view(layout).needs_effect || world.effects.contains(&identity);
            (world.rows.contains_key(&identity) && is_whole) || world.rejected.contains(&identity)
        })
    }

    fn of<'a>(&'a self, layout: Layout, id: &'a str) -> impl Iterator<Item = &'a StreamEvent> {
        let events = self.events.iter();
        events.filter(move |event| event.layout == layout && event.id == id)
    }
}

/// Bids whose XADD the new master acknowledged, and that are neither in the table once, nor refused, nor put aside.
fn added_and_not_there(
    events: &[StreamEvent],
    bidding: &Bidding,
    done: &StreamWorld,
) -> Vec<String> {
    let port = bidding.stage.cluster.master().port();
    let added = events.iter().filter(|event| {
        event.act == StreamAct::Add
            && event.layout == done.layout
            && event.is_acknowledged
            && event.port == Some(port)
            && !event.bid_id.is_empty()
    });
    let moved: BTreeSet<&str> = done
        .entries
        .values()
        .chain(&done.dead)
        .flat_map(|entry| ["requeued_from", "original_id"].map(|mark| field(entry, mark)))
        .collect();
    let missing = added.filter(|event| {
        let identity = match done.layout.is_by_entry_id() {
            true => &event.id,
            false => &event.bid_id,
        };
        let count = done.rows.get(identity).map_or(0, Vec::len);
        let is_refused = done.rejected.contains(identity);
        // Its new name is asked for by `not_there_once`.
        let is_moved = done.layout.is_by_entry_id() && moved.contains(event.id.as_str());
        !(count == 1 || is_refused || is_moved)
    });
    missing.map(|event| format!("{event:?}")).collect()
}

fn layout_of(stream: &str) -> Option<Layout> {
    Layout::ALL
        .into_iter()
        .find(|layout| layout.stream() == stream)
}

/// As MONITOR prints it: seconds and their fraction.
fn instant(time: &str) -> DateTime<Utc> {
    let (seconds, micros) = time.split_once('.').unwrap();
    let micros: u32 = micros.parse().unwrap();
    DateTime::from_timestamp(seconds.parse().unwrap(), micros * 1_000).unwrap()
}

fn count(report: &Report, column: &str, value: &str) -> usize {
    let rows = report.findings.iter();
    rows.filter(|row| row[column] == value).count()
}

/// Slow enough for a busy machine to keep up with.
fn load(seed: u64, dies_one_in: Option<u32>) -> StreamLoad {
    StreamLoad {
        layouts: &READ_LAYOUTS,
        producers: 2,
        consumers: 3,
        per_second: Some(150),
        dies_one_in,
        seed,
    }
}
