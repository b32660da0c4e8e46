//! The lab's streams: what is planted in them must be known.

use std::collections::BTreeSet;

use auditor::lab::app::streams::{LIVE, Layout, Planted, StreamApp, StreamCase};
use auditor::lab::cluster::{Cluster, ClusterOptions};
use auditor::lab::servers::{Flavor, MysqlOptions, MysqlServer};
use auditor::lab::stream_story::StreamStage;
use auditor::lab::truth::streams::{StreamTruth, StreamView, StreamWorld};

const BIDS: &str = "bids";

/// A database, a Redis without replicas, and the application on them.
struct Quiet {
    mysql: MysqlServer,
    cluster: Cluster,
    app: StreamApp,
}

impl Quiet {
    async fn start() -> Self {
        let mysql = MysqlServer::start_any().await.unwrap();
        let cluster = Cluster::start(ClusterOptions::default()).await.unwrap();
        let app = StreamApp::open(&mysql, BIDS, cluster.master(), cluster.master_name())
            .await
            .unwrap();
        Self {
            mysql,
            cluster,
            app,
        }
    }

    async fn plant(&self, layout: Layout, case: StreamCase, seed: u64) -> Planted {
        let master = self.cluster.master();
        self.app.plant(master, layout, case, seed).await.unwrap()
    }

    async fn world(&self, layout: Layout) -> StreamWorld {
        StreamWorld::read(&self.mysql, BIDS, self.cluster.master(), layout)
            .await
            .unwrap()
    }
}

/// A check that is told everything.
fn strict(layout: Layout) -> StreamView {
    StreamView {
        needs_effect: layout.has_effects(),
        compares_tuples: true,
        keeps_entries: true,
        live: BTreeSet::from([LIVE.to_owned()]),
        ..StreamView::new("bids", layout)
    }
}

fn expected(planted: &[Planted]) -> BTreeSet<(&'static str, String)> {
    planted
        .iter()
        .flat_map(|planted| planted.expected.clone())
        .collect()
}

fn found(truth: &StreamTruth) -> BTreeSet<(&'static str, String)> {
    let found = truth.expected.iter();
    found
        .map(|expected| (expected.rule, expected.id.clone()))
        .collect()
}

#[tokio::test]
async fn every_case_is_what_it_says_and_nothing_else() {
    let quiet = Quiet::start().await;
    let master = quiet.cluster.master();
    quiet
        .app
        .create_group(master, Layout::LateGroup, "0")
        .await
        .unwrap();
    for layout in Layout::ALL {
        let mut planted = Vec::new();
        for (seed, case) in StreamCase::together(layout).into_iter().enumerate() {
            planted.push(quiet.plant(layout, case, seed as u64).await);
            let truth = StreamTruth::of(&quiet.world(layout).await, &strict(layout));
            assert_eq!(found(&truth), expected(&planted), "{layout:?} {case:?}");
        }
    }
}

#[tokio::test]
async fn a_lost_group_belongs_before_the_first_bid_that_is_not_proven() {
    let quiet = Quiet::start().await;
    for layout in [Layout::ByBidId, Layout::ByEntryId] {
        let planted = quiet.plant(layout, StreamCase::GroupMissing, 1).await;
        let truth = StreamTruth::of(&quiet.world(layout).await, &strict(layout));
        assert_eq!(found(&truth), expected(&[planted]));
    }
}

#[tokio::test]
async fn an_id_that_only_a_row_knows_is_lost() {
    let quiet = Quiet::start().await;
    let layout = Layout::ByEntryId;
    let planted = quiet.plant(layout, StreamCase::LostId, 1).await;
    let plain = StreamView::new("bids", layout);
    let truth = StreamTruth::of(&quiet.world(layout).await, &plain);
    assert_eq!(found(&truth), expected(&[planted]));
}

async fn stage(replicas: usize, sentinel_name: Option<&str>) -> StreamStage {
    let database = MysqlOptions {
        flavor: Flavor::MariaDb,
        arguments: Vec::new(),
        tls: false,
    };
    let cluster = ClusterOptions {
        replicas,
        sentinel_name: sentinel_name.map(str::to_owned),
        lines: Vec::new(),
    };
    StreamStage::start(database, cluster).await.unwrap()
}

/// Every rule that a failover, or a death before it, can call for.
const EVERY_RULE: [&str; 11] = [
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
];

#[tokio::test]
async fn a_scripted_failover_loses_all_that_it_says() {
    for seed in 0..3 {
        let mut stage = stage(1, None).await;
        let played = stage.play(3, seed).await.unwrap();
        let lost = played.facts.lost;
        let counts = [
            lost.adds,
            lost.reads,
            lost.acknowledgements,
            lost.claims,
            lost.trims,
        ];
        assert!(
            counts.iter().all(|count| *count >= 6) && lost.groups == 1,
            "{lost:?}"
        );
        assert!(played.facts.lost_for_good.len() >= 6);

        let mut rules = BTreeSet::new();
        for layout in Layout::ALL {
            let truth = StreamTruth::of(&stage.world(layout).await.unwrap(), &strict(layout));
            let expected = played
                .facts
                .expected
                .iter()
                .filter(|named| named.0 == layout);
            let expected: BTreeSet<_> = expected.map(|named| (named.1, named.2.clone())).collect();
            assert_eq!(found(&truth), expected, "seed {seed} {layout:?}");
            rules.extend(expected.into_iter().map(|(rule, _)| rule));
        }
        for rule in EVERY_RULE {
            assert!(rules.contains(rule), "{rule} did not come about: {rules:?}");
        }
    }
}
