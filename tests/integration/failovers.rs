//! The scheduled run, from end to end: real failovers under load with planted losses while a sidecar beats. Then
//! `auditor run` alone, which nobody tells any time, finds every loss and nothing else, and repairs it; the next one has
//! nothing to do.

use std::collections::BTreeSet;
use std::time::Duration;

use auditor::lab::accidents::{Accident, Mishap};
use auditor::lab::app::{Load, Running, Stock};
use auditor::lab::cluster::ClusterOptions;
use auditor::lab::servers::{Flavor, RedisServer};
use auditor::lab::story::Acts;
use auditor::lab::truth::Lost;
use auditor::lab::wait;
use chrono::{DateTime, Utc};
use tokio::process::Child;

use crate::support::Run;
use crate::support::auction::{Auction, Named, found};
use crate::support::report::Report;
use crate::support::witness::{false_alarms, missed, undone, unexplained};

mod demotions;
mod promotions;
mod restarts;

const LIMIT: Duration = Duration::from_secs(60);
/// What the job file promises of the application.
const CACHE_DELAY: Duration = Duration::from_secs(1);
const HEARTBEAT: &str = "auditor:auction:heartbeat";
/// How far the end of a window may lie from the witnesses' own: Sentinels ask for roles every ten seconds, and one that
/// is busy later.
const SLACK: Duration = Duration::from_secs(15);
/// Long enough for any restart.
const PATIENT: Duration = Duration::from_secs(60);

/// An auction house on a Redis under Sentinels, and a sidecar that beats through its master.
struct Night {
    auction: Auction,
    sidecar: Option<Child>,
}

impl Night {
    /// The sidecar has beaten when this returns. Nobody has called `auditor run` yet.
    async fn begin(accident: Accident, seed: u64) -> Self {
        let cluster = ClusterOptions {
            replicas: 2,
            sentinel_name: Some("mymaster".into()),
            down_after: accident.is_restart().then_some(PATIENT),
            behind_proxy: accident.needs_proxy(),
            ..ClusterOptions::default()
        };
        let stock = Stock {
            expected_users: 1_000,
            expected_auctions: 400,
            ..Stock::new(600, 120, seed)
        };
        let auction = Auction::start_with(Flavor::MariaDb, cluster, stock).await;
        let mut night = Self {
            auction,
            sidecar: None,
        };
        night.start_sidecar().await;
        night
    }

    async fn start_sidecar(&mut self) {
        let arguments = ["--every", "200ms"];
        self.sidecar = Some(self.auction.spawn("checkpoint", &arguments));
        self.beats().await;
    }

    fn kill_sidecar(&mut self) {
        // Dropping it kills it.
        self.sidecar = None;
    }

    /// Waits until the sidecar has beaten through the present master, twice from now on.
    async fn beats(&self) {
        let master = self.auction.stage.cluster.master();
        for _ in 0..2 {
            let before = text(master, HEARTBEAT).await;
            wait::until("the sidecar beats", LIMIT, async || {
                let now = text(master, HEARTBEAT).await;
                now.is_some() && now != before
            })
            .await
            .unwrap();
        }
    }

    /// What cron calls.
    async fn run(&self) -> Run {
        self.auction.auditor("run", &[]).await
    }

    /// Cron has called it before anything happened: everything until then is dealt with.
    async fn was_quiet(&self) {
        let run = self.run().await.expect(0);
        assert!(run.stdout.starts_with("nothing to do yet: "), "{run:?}");
        let run = self.run().await.expect(0);
        assert!(run.stdout.starts_with("nothing to do: "), "{run:?}");
    }

    /// The accident, after which the application goes on.
    async fn suffers(&mut self, accident: Accident, seed: u64) -> (Mishap, Running) {
        let stage = &mut self.auction.stage;
        stage.suffer(accident, acts(seed)).await.unwrap()
    }

    /// The accident, after which the application rests.
    async fn suffers_and_rests(&mut self, accident: Accident, seed: u64) -> Mishap {
        let (mishap, running) = self.suffers(accident, seed).await;
        running.stop().await;
        mishap
    }

    /// What is wrong now. Not little.
    async fn losses(&self) -> BTreeSet<Named> {
        let truth = self.auction.truth().await;
        assert!(truth.len() > 30, "nearly nothing was lost: {truth:?}");
        truth
    }

    /// A run that finds all of `truth` and nothing else, and repairs it, and one after it that has nothing to do.
    async fn is_dealt_with(&self, truth: &BTreeSet<Named>) -> Report {
        let run = self.run().await.expect(0);
        let report = run.report();
        assert_eq!(found(&report, "confirmed"), *truth, "{run:?}");
        assert_eq!(report.findings.len(), truth.len(), "{:?}", report.lines());
        assert_eq!(self.auction.truth().await, BTreeSet::new(), "{run:?}");
        self.has_nothing_to_do().await;
        report
    }

    /// A run beside an application that has stopped by now: what it told, and what it left, held against the
    /// application's own log of what was lost since `since`.
    async fn told_the_truth(&self, run: &Run, since: DateTime<Utc>) {
        assert!(matches!(run.code, Some(0 | 1 | 4)), "{run:?}");
        let report = run.report();
        let stage = &self.auction.stage;
        let writes = stage.app.take_cache_writes();
        let master = stage.cluster.master().port();
        let lost = Lost::of(&writes, master, since, CACHE_DELAY);
        assert!(lost.count() > 50, "nearly nothing was lost: {lost:?}");
        assert!(!found(&report, "confirmed").is_empty(), "{run:?}");
        assert_eq!(false_alarms(&report, &lost), BTreeSet::new(), "{run:?}");
        let left = self.auction.truth().await;
        assert_eq!(unexplained(&left, &lost), BTreeSet::new(), "{run:?}");
        assert_eq!(undone(&report, &left), BTreeSet::new(), "{run:?}");
        assert_eq!(missed(&report, &left), BTreeSet::new(), "{run:?}");
        if run.code == Some(4) {
            // It could not look at everything, so that the next one does.
            assert_eq!(self.run().await.expect(0).code, Some(0));
            assert_eq!(self.auction.truth().await, BTreeSet::new());
        }
        self.has_nothing_to_do().await;
    }

    async fn has_nothing_to_do(&self) {
        let folders = self.auction.run_folders();
        let run = self.run().await.expect(0);
        assert!(
            run.stdout.starts_with("nothing to do: no failover"),
            "{run:?}"
        );
        assert_eq!(run.stdout.lines().count(), 1, "{run:?}");
        assert_eq!(self.auction.run_folders(), folders, "it leaves no folder");
    }
}

/// Enough of everything for every kind of loss; slow enough that the demotions, which take more than ten seconds, do not
/// use up the users.
fn acts(seed: u64) -> Acts {
    Acts {
        load: Load {
            clerks: 8,
            per_second: Some(200),
            seed,
        },
        before: 300,
        lost: 400,
        after: 200,
    }
}

/// What happened by run.json: kind, and on what the beginning of the window rests.
fn told(report: &Report) -> (String, String) {
    let window = &report.run["window"];
    let word = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    (
        word(&window["episodes"][0]["kind"]),
        word(&window["found_by"]),
    )
}

/// The window begins neither late nor without need early, and ends when nothing could be lost any more: not before, and
/// not when the run came.
fn holds(report: &Report, mishap: &Mishap) {
    let time = |name: &str| -> DateTime<Utc> {
        let text = report.run["window"][name].as_str();
        text.unwrap_or_else(|| panic!("{name}: {:?}", report.run["window"]))
            .parse()
            .unwrap()
    };
    let (since, until) = (time("since"), time("until"));
    let lost_from = mishap.since.unwrap();
    assert!(
        since >= lost_from - SLACK && since < mishap.until,
        "{mishap:?} {:?}",
        report.run["window"]
    );
    assert!(
        until >= mishap.until - SLACK && until <= mishap.until + SLACK,
        "{mishap:?} {:?}",
        report.run["window"]
    );
}

async fn text(server: &RedisServer, key: &str) -> Option<Vec<u8>> {
    let value = server.command(&["GET", key]).await.ok()?;
    redis::from_redis_value(value).ok()
}
