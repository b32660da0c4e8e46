//! A failover that loses a bit of everything, with consumers that died between any two steps: what the program finds
//! is what was lost, all of it and nothing else; and after its repair no bid is missing, doubled or stuck.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use auditor::lab::app::streams::{LIVE, Layout, StreamLoad};
use auditor::lab::stream_story::StreamActs;
use auditor::lab::truth::streams::{EntryId, StreamTruth, StreamWorld};
use auditor::lab::wait;

use crate::support::bidding::{Bidding, Named, Settling, Worlds, field, found};
use crate::support::report::Record;

/// Seeds of a normal test run; `AUDITOR_SEEDS` asks for more.
const SEEDS: u64 = 3;
const SEEDS_MAX: u64 = 20;
const SIDE_BY_SIDE: usize = 3;
const LIMIT: Duration = Duration::from_secs(120);
const READ_LAYOUTS: [Layout; 2] = [Layout::ByBidId, Layout::ByEntryId];

/// Whatever a failover of these streams can call for.
const EVERY_RULE: [&str; 12] = [
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn torture_by_hand_the_findings_equal_the_truth_and_every_bid_arrives() {
    let seeds: Vec<u64> = (0..seeds()).collect();
    // A seed mostly waits, so several side by side need hardly more time than one.
    for together in seeds.chunks(SIDE_BY_SIDE) {
        let plays = together.iter().map(|seed| play(*seed, 1, None));
        futures_util::future::join_all(plays).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_sentinel_the_findings_equal_the_truth_and_every_bid_arrives() {
    play(100, 2, Some("mymaster")).await;
}

async fn play(seed: u64, replicas: usize, sentinel_name: Option<&str>) {
    let started = Instant::now();
    let mut bidding = Bidding::start(replicas, sentinel_name, settling(seed)).await;
    let context = format!("seed {seed}, {:?}", settling(seed));
    // Deaths and losses where the script does not think of them.
    let acts = StreamActs {
        load: load(seed),
        before: 100,
        lost: 150,
        after: 20 * (seed % 3),
    };
    let (_, running) = bidding.stage.fail_over(acts).await.unwrap();
    let tally = running.stop().await;
    assert!(tally.deaths > 0, "{context}: {tally:?}");
    drain(&bidding).await;
    bidding.stage.cluster.rearm().await.unwrap();
    let count = 2 + usize::try_from(seed % 3).unwrap();
    let played = bidding.stage.play(count, seed).await.unwrap();
    add_unread(&bidding, seed).await;
    bidding.wait_until_gone().await;

    let before = bidding.worlds().await;
    let truth = bidding.truth(&before);
    let rules: BTreeSet<&str> = truth.iter().map(|named| named.1.as_str()).collect();
    assert_eq!(rules, BTreeSet::from(EVERY_RULE), "{context}");
    for planted in bidding.planted(&played.facts) {
        assert!(truth.contains(&planted), "{context}: {planted:?} {truth:?}");
    }
    let scope: &[&str] = match seed % 2 {
        0 => &["--full"],
        _ => &["--since", "10m"],
    };
    let words = |command: &'static str, more: &[&'static str]| -> Vec<&str> {
        [&[command], scope, more].concat()
    };
    let scan = bidding.auditor(&words("scan", &[])).await.expect(1);
    assert_eq!(found(&scan.report()), truth, "{context}");
    let dry = bidding.auditor(&words("repair", &["--dry-run"])).await;
    assert_eq!(found(&dry.expect(1).report()), truth, "{context}");
    assert_unchanged(&before, &bidding.worlds().await);

    let repair = bidding.auditor(&words("repair", &["--yes"])).await;
    let report = repair.expect(1).report();
    assert_eq!(found(&report), truth, "{context}");
    let after = bidding.worlds().await;
    assert_eq!(complaints(&bidding, &before, &after), NOTHING, "{context}");
    for row in &report.findings {
        let said = wrong_settlement(&bidding, row, &after);
        assert_eq!(said, None, "{context}: {row:?}");
    }
    let left = bidding.truth(&after);
    assert_eq!(not_left(&bidding, &left), BTreeSet::new(), "{context}");

    let again = bidding.auditor(&words("repair", &["--yes"])).await;
    let again = again.expect(1).report();
    assert_eq!(found(&again), left, "{context}");
    assert_eq!(again.undo().len(), 0, "nothing is done twice; {context}");
    assert_unchanged(&after, &bidding.worlds().await);

    drain(&bidding).await;
    let done = bidding.worlds().await;
    for layout in READ_LAYOUTS {
        let lost = not_there_once(&bidding, &before[&layout], &done[&layout]);
        assert_eq!(lost, NOTHING, "{context} {layout:?}");
    }
    eprintln!(
        "{context}: {} found, {} left to people, {:.1} s",
        truth.len(),
        left.len(),
        started.elapsed().as_secs_f64()
    );
    drop(played.alive);
}

const NOTHING: [String; 0] = [];

/// One of another type and one bid that nobody has come to: there is nothing to say of them, and no group may pass.
async fn add_unread(bidding: &Bidding, seed: u64) {
    let mut producer = bidding.stage.app.producer(seed ^ 0xadd);
    for layout in READ_LAYOUTS {
        producer.add_view(layout).await.unwrap();
        let bid = producer.draw();
        producer.add(layout, &bid).await.unwrap();
    }
}

/// What the lab says against a repair.
fn complaints(bidding: &Bidding, before: &Worlds, after: &Worlds) -> Vec<String> {
    let mut complaints = Vec::new();
    for layout in Layout::ALL {
        let (view, left) = (bidding.view(layout), bidding.left(layout));
        let of = after[&layout].check_after_repair(&before[&layout], &view, &[], &left);
        complaints.extend(of.into_iter().map(|text| format!("{layout:?}: {text}")));
        // The group stands exactly where it belongs, not before and not past it.
        let truth = StreamTruth::of(&before[&layout], &view);
        for rule in ["group-missing", "group-rewound"] {
            for place in truth.ids(rule) {
                if after[&layout].cursor != EntryId::parse(place) {
                    let cursor = after[&layout].cursor;
                    complaints.push(format!("{layout:?}: {cursor:?} is not {place}"));
                }
            }
        }
    }
    complaints
}

/// What is wrong with what a repair says it did about a finding. Nobody was in its way.
fn wrong_settlement(bidding: &Bidding, row: &Record, after: &Worlds) -> Option<String> {
    let of_check = |layout: &Layout| layout.stream() == row["check"];
    let layout = Layout::ALL.into_iter().find(of_check)?;
    let settling = bidding.settling(layout);
    let by_job = match settling {
        Settling::Insert => "insert",
        Settling::Requeue => "requeue",
    };
    let is_renamed = layout.is_by_entry_id() && settling == Settling::Requeue;
    let remedy = match row["rule"].as_str() {
        "unacked-persisted" | "trimmed-pending" => "ack",
        "orphan-pending" | "acked-unpersisted" => by_job,
        "poison-pending" => "dead-letter",
        "payload-conflict" if is_renamed => "requeue",
        "group-missing" => "recreate-group",
        "group-rewound" => "advance",
        // Not where all that is above the last id is from the future.
        "lost-entry" if row["id"] == layout.group() && row["outcome"] == "applied" => {
            "raise-last-id"
        }
        _ => "none",
    };
    let is_applied = row["outcome"] == "applied";
    if row["remedy"] != remedy || is_applied != (remedy != "none") {
        return Some(format!("{remedy} was to be done"));
    }
    let mut letters = after[&layout].dead.iter();
    let is_put_aside = letters.any(|dead| field(dead, "original_id") == row["id"]);
    (remedy == "dead-letter" && !is_put_aside).then(|| "it is not in the dead letters".to_owned())
}

/// What a repair should have seen to.
fn not_left(bidding: &Bidding, found: &BTreeSet<Named>) -> BTreeSet<Named> {
    let mut open = found.clone();
    for layout in Layout::ALL {
        let left = bidding.left(layout);
        open.retain(|(check, rule, _)| check != layout.stream() || !left.contains(&rule.as_str()));
    }
    open
}

/// Neither side moved; idle times and clocks do.
#[track_caller]
fn assert_unchanged(before: &Worlds, after: &Worlds) {
    for (layout, before) in before {
        let after = &after[layout];
        assert_eq!(before.entries, after.entries, "{layout:?}");
        assert_eq!(before.rows, after.rows, "{layout:?}");
        assert_eq!(before.cursor, after.cursor, "{layout:?}");
        assert_eq!(before.last_generated, after.last_generated, "{layout:?}");
        assert_eq!(before.dead, after.dead, "{layout:?}");
        let held = |world: &StreamWorld| -> Vec<(EntryId, String, u64)> {
            let pending = world.pending.iter();
            pending
                .map(|(id, held)| (*id, held.consumer.clone(), held.deliveries))
                .collect()
        };
        assert_eq!(held(before), held(after), "{layout:?}");
    }
}

/// Healthy consumers read everything that waits and finish what their seats were given; nobody adds anything.
pub(super) async fn drain(bidding: &Bidding) {
    let healthy = StreamLoad {
        producers: 0,
        dies_one_in: None,
        ..load(0)
    };
    let running = bidding.stage.app.run(healthy);
    wait::until("everything that waits is consumed", LIMIT, async || {
        let mut is_done = true;
        for layout in READ_LAYOUTS {
            let world = bidding.stage.world(layout).await.unwrap();
            let last = world.entries.keys().next_back().copied();
            let seats: Vec<String> = (0..healthy.consumers)
                .map(|number| format!("{}-{number}", layout.group()))
                .collect();
            let mut held = world.pending.values();
            is_done &= world.cursor >= last && held.all(|held| !seats.contains(&held.consumer));
        }
        is_done
    })
    .await
    .unwrap();
    assert_eq!(running.stop().await.failed, 0);
}

/// Bids that either side knew of before the repair, and that are not in the table exactly once (as often as they were
/// in it before, if they were), nor refused, nor put aside for people.
pub(super) fn not_there_once(
    bidding: &Bidding,
    before: &StreamWorld,
    done: &StreamWorld,
) -> Vec<String> {
    let layout = before.layout;
    let truth = StreamTruth::of(before, &bidding.view(layout));
    let left: BTreeSet<&str> = ["payload-conflict", "undecodable-value"]
        .into_iter()
        .filter(|rule| bidding.left(layout).contains(rule))
        .flat_map(|rule| truth.ids(rule))
        .collect();
    let rows = tuples(before);
    let mut expected = rows.clone();
    for (id, entry) in &before.entries {
        let text = id.to_string();
        let mut dead = done.dead.iter();
        let is_with_live = done
            .pending
            .get(id)
            .is_some_and(|held| held.consumer == LIVE);
        let is_aside = left.contains(text.as_str())
            || dead.any(|dead| field(dead, "original_id") == text)
            || is_with_live
            || done.rejected.contains(field(entry, "bidId"));
        if field(entry, "type") == "BID_SAVE" && !is_aside {
            let bid = ["auctionId", "bidderId", "amount"].map(|name| field(entry, name).to_owned());
            expected.entry(bid).or_insert(1);
        }
    }
    let there = tuples(done);
    let wrong = expected
        .iter()
        .filter(|(bid, count)| there.get(*bid) != Some(*count));
    wrong
        .map(|(bid, count)| format!("{bid:?}: {:?} rows instead of {count}", there.get(bid)))
        .collect()
}

/// Auction, bidder and amount of every row, with how many rows say so.
fn tuples(world: &StreamWorld) -> BTreeMap<[String; 3], usize> {
    let mut counts = BTreeMap::new();
    for row in world.rows.values().flatten() {
        let bid = [&row.auction, &row.bidder, &row.amount].map(Clone::clone);
        *counts.entry(bid).or_default() += 1;
    }
    counts
}

fn load(seed: u64) -> StreamLoad {
    StreamLoad {
        layouts: &READ_LAYOUTS,
        producers: 2,
        consumers: 3,
        per_second: Some(600),
        dies_one_in: Some(20),
        seed: seed ^ 0x5eed,
    }
}

/// Every way of settling.
fn settling(seed: u64) -> Settling {
    match seed & 1 {
        0 => Settling::Requeue,
        _ => Settling::Insert,
    }
}

fn seeds() -> u64 {
    std::env::var("AUDITOR_SEEDS")
        .map_or(SEEDS, |seeds| seeds.parse::<u64>().unwrap().min(SEEDS_MAX))
}
