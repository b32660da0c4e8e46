//! The application writes as fast as it can while the program scans and repairs. What the program says and
//! does is held against two witnesses that know nothing of it: MONITOR on the new master (no value moves
//! backwards, nothing newer is overwritten), and the application's own log of what it told which server and
//! whether that was answered (see [`Lost`]): only what never reached the new master can be wrong there.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use auditor::lab::app::{Load, Stock};
use auditor::lab::servers::Flavor;
use auditor::lab::story::Acts;
use auditor::lab::truth::Lost;
use auditor::lab::watch::Writer;
use chrono::{DateTime, SecondsFormat, Utc};

use crate::support::auction::{Auction, found};
use crate::support::witness::{false_alarms, missed, undone, unexplained};

/// Seeds of a normal test run; `AUDITOR_SEEDS` asks for more.
const SEEDS: u64 = 20;
/// Seeds played on one lab: users are deleted and auctions closed, so that it wears out.
const SEEDS_OF_A_LAB: usize = 10;
/// What the job file promises of the application. Shorter than in `jobs/auction.toml`, for more seeds in the
/// same time; when a busy machine makes the application slower than this, its log says so.
const CACHE_DELAY: Duration = Duration::from_millis(400);
/// A lag between commit and cache write that is still legal.
const LAG: Duration = Duration::from_millis(200);
const QUICK: [(&str, &str); 3] = [
    ("settle = \"500ms\"", "settle = \"200ms\""),
    ("cache_delay = \"1s\"", "cache_delay = \"400ms\""),
    ("commit_margin = \"5s\"", "commit_margin = \"2s\""),
];
/// Acknowledged requests between a failover without loss and the audit.
const REQUESTS: u64 = 300;
const REQUESTS_LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn torture_by_hand_no_false_alarm_and_nothing_moves_backwards() {
    let seeds: Vec<u64> = (0..seeds()).collect();
    let labs: Vec<&[u64]> = seeds.chunks(SEEDS_OF_A_LAB).collect();
    // A seed mostly waits, so two labs side by side need hardly more time than one.
    for pair in labs.chunks(2) {
        let plays = pair.iter().map(|seeds| async {
            let mut auction = lab(2, None, seeds[0]).await;
            for seed in *seeds {
                lossy_seed(&mut auction, *seed).await;
            }
        });
        futures_util::future::join_all(plays).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn torture_through_sentinel_no_false_alarm_and_nothing_moves_backwards() {
    let mut auction = lab(2, Some("mymaster"), 1_000).await;
    for seed in 0..seeds().div_ceil(10).min(SEEDS_OF_A_LAB as u64) {
        lossy_seed(&mut auction, 1_000 + seed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn torture_without_loss_nothing_is_found_and_nothing_is_written() {
    let auction = lab(1, None, 2_000).await;
    for seed in 0..seeds().div_ceil(4).min(SEEDS_OF_A_LAB as u64) {
        quiet_seed(&auction, 2_000 + seed).await;
    }
}

/// Fails over with loss, repairs under load, then stops the application and asks the witnesses.
async fn lossy_seed(auction: &mut Auction, seed: u64) {
    let started = Instant::now();
    auction.stage.app.take_cache_writes();
    let acts = Acts {
        load: load(seed),
        before: 200,
        lost: 300,
        after: 100,
    };
    let (loss, running) = auction.stage.fail_over(acts).await.unwrap();
    let watcher = auction.stage.watch().await.unwrap();
    let since = text(loss.since);
    let scan = match seed % 4 {
        1 => Some(auction.auditor("scan", &["--since", &since]).await),
        _ => None,
    };
    let yes = ["--since", &since, "--yes"];
    let run = auction.auditor("repair", &yes).await;
    let repaired = started.elapsed();
    let tally = running.stop().await;

    let context = format!("seed {seed}: {run:?}");
    if let Some(sentinels) = auction.stage.cluster.sentinels() {
        let named = sentinels.master_port().await.unwrap();
        let master = auction.stage.cluster.master().port();
        assert_eq!(named, master, "a failover nobody asked for; {context}");
    }
    assert!(matches!(run.code, Some(0 | 1 | 4)), "{context}");
    let repair = run.report();
    assert_eq!(watcher.violations().await.unwrap(), [], "{context}");
    let lost = Lost::of(
        &auction.stage.app.take_cache_writes(),
        auction.stage.cluster.master().port(),
        loss.since,
        CACHE_DELAY,
    );
    assert!(
        lost.count() > 50,
        "seed {seed} lost nearly nothing: {lost:?}"
    );
    let scanned = scan.map(|scan| scan.report());
    for report in scanned.iter().chain([&repair]) {
        assert_eq!(false_alarms(report, &lost), BTreeSet::new(), "{context}");
        assert!(!found(report, "confirmed").is_empty(), "{context}");
    }
    let left = auction.truth().await;
    assert_eq!(unexplained(&left, &lost), BTreeSet::new(), "{context}");
    assert_eq!(undone(&repair, &left), BTreeSet::new(), "{context}");
    assert_eq!(missed(&repair, &left), BTreeSet::new(), "{context}");

    if !left.is_empty() {
        let last = auction.auditor("repair", &yes).await.expect(0);
        let left = auction.truth().await;
        assert_eq!(left, BTreeSet::new(), "{context}\n{last:?}");
    }
    eprintln!(
        "seed {seed}: {} requests, {} places lost, {} confirmed, exit {:?}, {} left for the next repair, {:.1} s, {:.1} s with the proof",
        tally.acknowledged,
        lost.count(),
        found(&repair, "confirmed").len(),
        run.code,
        left.len(),
        repaired.as_secs_f64(),
        started.elapsed().as_secs_f64()
    );
    auction.stage.cluster.rearm().await.unwrap();
}

/// Audits and "repairs" an application under full load that lost nothing.
async fn quiet_seed(auction: &Auction, seed: u64) {
    let since = text(Utc::now());
    let watcher = auction.stage.watch().await.unwrap();
    let running = auction.stage.app.run(load(seed)).await.unwrap();
    running.wait_for(REQUESTS, REQUESTS_LIMIT).await.unwrap();
    let scan = auction.auditor("scan", &["--since", &since]).await;
    let run = auction
        .auditor("repair", &["--since", &since, "--yes"])
        .await;
    assert_eq!(running.stop().await.failed, 0);
    let context = format!("seed {seed}: {scan:?}\n{run:?}");
    let lost = Lost::of(
        &auction.stage.app.take_cache_writes(),
        auction.stage.cluster.master().port(),
        since.parse().unwrap(),
        CACHE_DELAY,
    );
    for report in [scan.report(), run.report()] {
        assert_eq!(false_alarms(&report, &lost), BTreeSet::new(), "{context}");
        if lost.count() == 0 {
            assert_eq!(found(&report, "confirmed"), BTreeSet::new(), "{context}");
        }
    }
    assert_eq!(auction.truth().await, BTreeSet::new(), "{context}");
    assert_eq!(watcher.violations().await.unwrap(), [], "{context}");
    let scripts: Vec<_> = watcher.commands().await.unwrap().into_iter().collect();
    let writes = |name: &str| ["SET", "DEL", "HSET", "ZADD", "ZREM", "INCRBY"].contains(&name);
    assert!(
        scripts
            .iter()
            .all(|((writer, name), _)| *writer == Writer::App || !writes(name)),
        "{context}\n{scripts:?}"
    );
}

/// With enough newcomers for every seed.
async fn lab(replicas: usize, sentinel_name: Option<&str>, seed: u64) -> Auction {
    let stock = Stock {
        expected_users: 6_000,
        expected_auctions: 3_000,
        ..Stock::new(2_000, 500, seed)
    };
    let auction = Auction::start(Flavor::MariaDb, replicas, sentinel_name, stock).await;
    auction.edit_job(&QUICK);
    auction.stage.app.lag_cache_writes(LAG);
    auction
}

/// Every other seed as fast as it goes; the others leave more rows at rest, so that more is repaired while
/// the application writes.
fn load(seed: u64) -> Load {
    Load {
        clerks: 16,
        per_second: (seed % 2 == 1).then_some(800),
        seed,
    }
}

fn seeds() -> u64 {
    std::env::var("AUDITOR_SEEDS").map_or(SEEDS, |seeds| seeds.parse().unwrap())
}

fn text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}
