//! The lab's streams: what is planted in them must be known.

use std::collections::BTreeSet;
use std::time::Duration;

use auditor::lab::app::streams::{
    Bid, LIVE, Layout, Planted, StreamAct, StreamApp, StreamCase, StreamLoad,
};
use auditor::lab::cluster::{Cluster, ClusterOptions};
use auditor::lab::servers::{Flavor, MysqlOptions, MysqlServer};
use auditor::lab::stream_story::{StreamActs, StreamStage};
use auditor::lab::truth::streams::{EntryId, StreamExpected, StreamTruth, StreamView, StreamWorld};
use auditor::lab::wait;
use auditor::lab::watch::Writer;

const BIDS: &str = "bids";
const LIMIT: Duration = Duration::from_secs(60);
const FAILOVERS_MAX: u64 = 10;
const READ_LAYOUTS: [Layout; 2] = [Layout::ByBidId, Layout::ByEntryId];

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
        ..ClusterOptions::default()
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

fn load(dies_one_in: Option<u32>, seed: u64) -> StreamLoad {
    StreamLoad {
        layouts: &READ_LAYOUTS,
        producers: 3,
        consumers: 2,
        per_second: Some(1_500),
        dies_one_in,
        seed,
    }
}

/// What a view without live consumers finds, by rule.
async fn rules(stage: &StreamStage, layout: Layout) -> Vec<&'static str> {
    let everyone_gone = StreamView {
        live: BTreeSet::new(),
        keeps_entries: true,
        ..strict(layout)
    };
    let truth = stage.truth(&everyone_gone).await.unwrap();
    truth
        .expected
        .iter()
        .map(|expected| expected.rule)
        .collect()
}

#[tokio::test]
async fn a_working_application_leaves_nothing_to_find() {
    let stage = stage(0, None).await;
    let running = stage.app.run(load(None, 1));
    running.wait_for(600, LIMIT).await.unwrap();
    running.stop_producers();
    wait::until("everything is read and acknowledged", LIMIT, async || {
        let mut is_done = true;
        for layout in READ_LAYOUTS {
            let world = stage.world(layout).await.unwrap();
            is_done &= world.cursor == world.last_generated && world.pending.is_empty();
        }
        is_done
    })
    .await
    .unwrap();
    let tally = running.stop().await;
    assert_eq!((tally.failed, tally.deaths), (0, 0));
    for layout in READ_LAYOUTS {
        assert_eq!(rules(&stage, layout).await, Vec::<&str>::new());
    }
    let world = stage.world(Layout::ByBidId).await.unwrap();
    assert!(world.rejected.len() > 5, "some bids are refused");
    assert_eq!(world.effects.len(), world.rows.len());
}

#[tokio::test]
async fn a_failover_under_load_loses_work_that_was_acknowledged() {
    let mut stage = stage(1, None).await;
    let mut seen = BTreeSet::new();
    // What falls into the stall, and who dies of it, is up to the machine.
    for seed in 0..FAILOVERS_MAX {
        let wanted = [
            "group-rewound",
            "lost-entry",
            "orphan-pending",
            "unacked-persisted",
        ];
        if wanted.iter().all(|rule| seen.contains(rule)) && seed >= 2 {
            return;
        }
        stage.app.take_events();
        let acts = StreamActs {
            load: load(Some(40), seed),
            before: 200,
            lost: 300,
            // Nobody comes back to what is read again.
            after: if seed % 2 == 0 { 0 } else { 100 },
        };
        let (loss, running) = stage.fail_over(acts).await.unwrap();
        assert_eq!(
            running.live(Layout::ByBidId).len(),
            2,
            "every death has a successor"
        );
        let tally = running.stop().await;
        assert!(tally.deaths > 0 && tally.added > 500, "{tally:?}");
        assert!(loss.since < loss.crashed_at && loss.crashed_at < loss.promoted_at);
        let events = stage.app.take_events();
        let adds = events
            .iter()
            .filter(|event| event.act == StreamAct::Add && event.is_acknowledged);
        assert_eq!(
            adds.count() as u64,
            tally.added,
            "every acknowledged XADD is in the log"
        );
        for layout in READ_LAYOUTS {
            let found = rules(&stage, layout).await;
            let forbidden = [
                "acked-unpersisted",
                "payload-conflict",
                "duplicate-entry",
                "duplicate-row",
            ];
            assert!(
                !found.iter().any(|rule| forbidden.contains(rule)),
                "a careful application does no such thing: {layout:?} {found:?}"
            );
            seen.extend(found);
        }
        stage.cluster.rearm().await.unwrap();
    }
    panic!("some kind never came about: {seen:?}");
}

#[tokio::test]
async fn the_watcher_tells_who_changed_a_stream() {
    let stage = stage(0, None).await;
    let master = stage.cluster.master();
    let watcher = stage.watch().await.unwrap();
    let running = stage.app.run(load(Some(20), 3));
    running.wait_for(200, LIMIT).await.unwrap();
    running.stop().await;
    let layout = Layout::ByBidId;
    for words in [
        ["XINFO", "GROUPS", layout.stream()].as_slice(),
        &["XPENDING", layout.stream(), layout.group(), "-", "+", "5"],
        &["XRANGE", layout.stream(), "-", "+", "COUNT", "1"],
    ] {
        master.command(words).await.unwrap();
    }
    assert_eq!(
        watcher.stream_writes().await.unwrap(),
        [],
        "the application and readers"
    );

    let script = "return redis.call('XACK', KEYS[1], ARGV[1], '1-1')";
    let words = ["EVAL", script, "1", layout.stream(), layout.group()];
    master.command(&words).await.unwrap();
    let words = [
        "XAUTOCLAIM",
        layout.stream(),
        layout.group(),
        "thief",
        "0",
        "0",
    ];
    master.command(&words).await.unwrap();
    let writes = watcher.stream_writes().await.unwrap();
    let named: Vec<_> = writes
        .iter()
        .map(|write| (write.writer, write.name.as_str()))
        .collect();
    assert_eq!(
        named,
        [(Writer::Script, "XACK"), (Writer::Other, "XAUTOCLAIM")]
    );
}

/// Dead by `orphan_after` means dead, and the living stay so through the failover.
#[tokio::test]
async fn the_living_show_up_on_the_new_master_and_the_dead_do_not() {
    let mut stage = stage(1, Some("mymaster")).await;
    let played = stage.play(2, 9).await.unwrap();
    let orphan_after = Duration::from_millis(1_500);
    for layout in READ_LAYOUTS {
        stage
            .wait_until_gone(layout, &BTreeSet::new(), orphan_after)
            .await
            .unwrap();
        // It first has to find the new master.
        let limit = Duration::from_secs(30);
        let stage = &stage;
        let shows_up = || async move {
            let world = stage.world(layout).await.unwrap();
            u128::from(world.consumers[LIVE]) < orphan_after.as_millis()
        };
        wait::until(format!("{LIVE} shows up"), limit, shows_up)
            .await
            .unwrap();
        let world = stage.world(layout).await.unwrap();
        assert!(world.pending.values().any(|held| held.consumer == LIVE));
    }
    drop(played.alive);
    wait::until("nobody is alive any more", LIMIT, async || {
        let world = stage.world(Layout::ByBidId).await.unwrap();
        world.are_idle(orphan_after, |_| false)
    })
    .await
    .unwrap();
}

/// What the truth calls for, done by hand, is a repair that nothing can be said against.
#[tokio::test]
async fn a_repair_by_hand_leaves_nothing_to_complain_of() {
    let mut stage = stage(1, None).await;
    let _alive = stage.play(2, 11).await.unwrap().alive;
    // Nothing that was reported only is ever repaired by itself.
    let left = [
        "duplicate-entry",
        "duplicate-row",
        "lost-entry",
        "payload-conflict",
        "undecodable-value",
    ];
    for layout in Layout::ALL {
        let view = strict(layout);
        let before = stage.world(layout).await.unwrap();
        let truth = StreamTruth::of(&before, &view);
        let unrepaired = before.check_after_repair(&before, &view, &[], &left);
        assert!(!unrepaired.is_empty(), "{layout:?}");
        for expected in &truth.expected {
            settle(&stage, &before, expected).await;
        }
        let after = stage.world(layout).await.unwrap();
        let complaints = after.check_after_repair(&before, &view, &[], &left);
        assert_eq!(complaints, Vec::<String>::new(), "{layout:?}");
        let mut rules = StreamTruth::of(&after, &view).by_rule();
        rules.retain(|rule, _| !left.contains(rule));
        assert_eq!(rules.len(), 0, "{layout:?} {rules:?}");
    }
}

async fn settle(stage: &StreamStage, world: &StreamWorld, expected: &StreamExpected) {
    let layout = world.layout;
    let (stream, group, id) = (layout.stream(), layout.group(), expected.id.as_str());
    let redis = stage.cluster.master();
    let entry = EntryId::parse(id).and_then(|id| world.entries.get(&id));
    match expected.rule {
        "orphan-pending" | "acked-unpersisted" => {
            let field = |name: &str| entry.unwrap().fields[name].clone();
            let bid = Bid {
                bid_id: field("bidId"),
                auction: field("auctionId").parse().unwrap(),
                bidder: field("bidderId").parse().unwrap(),
                amount: field("amount").parse().unwrap(),
                at_ms: field("at").parse().unwrap(),
            };
            let mut hand = stage.app.consumer(layout, "hand");
            hand.write_row(id, &bid).await.unwrap();
            hand.persist_effect(id, &bid).await.unwrap();
        }
        "poison-pending" => {
            let mut words = vec!["XADD", layout.dead_letter(), "*", "original_id", id];
            let fields = &entry.unwrap().fields;
            words.extend(
                fields
                    .iter()
                    .flat_map(|(name, value)| [name.as_str(), value.as_str()]),
            );
            redis.command(&words).await.unwrap();
        }
        "group-missing" => {
            redis
                .command(&["XGROUP", "CREATE", stream, group, id])
                .await
                .unwrap();
        }
        "group-rewound" => {
            redis
                .command(&["XGROUP", "SETID", stream, group, id])
                .await
                .unwrap();
        }
        _ => {}
    }
    let acknowledged = [
        "unacked-persisted",
        "orphan-pending",
        "poison-pending",
        "trimmed-pending",
    ];
    if acknowledged.contains(&expected.rule) {
        redis.command(&["XACK", stream, group, id]).await.unwrap();
    }
}
