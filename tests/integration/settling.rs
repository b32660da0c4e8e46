//! Settling streams against real servers, by the hand that repair uses: every step, and what comes in its way.

use std::sync::Arc;
use std::time::Duration;

use auditor::job::{Rate, RedisSpec};
use auditor::lab::wait;
use auditor::model::finding::OutcomeKind;
use auditor::model::identity::Pinned;
use auditor::model::stream::{StreamCheck, StreamMapping};
use auditor::repair::{Applier, ApplyLimits, SettleItem, StepOutcome, StreamGround};
use auditor::report::RunFolder;
use auditor::rules::StreamJudge;
use auditor::scan::streams::{DeadLetters, look_at_entries};
use auditor::store::redis::{PerNode, Writer};

use crate::stream_scan::{Bids, id, redis_spec};

mod groups;
mod lost_replies;
mod races;
mod steps;

const LIMIT: Duration = Duration::from_secs(20);

/// Bids whose identity is unique, and everything that settles them.
struct Scene {
    bids: Bids,
    judge: StreamJudge,
    dead: DeadLetters,
    folder: RunFolder,
}

impl Scene {
    /// The group `g`, bids `1-0` … `count-0`, all delivered to `c`, whose minute is over at once.
    async fn start(count: u64, change: impl FnOnce(&mut StreamCheck)) -> Self {
        let mut bids = Bids::start().await;
        bids.world.sql("ALTER TABLE bid ADD UNIQUE (bid_id)").await;
        bids.create_group().await;
        for bid in 1..=count {
            bids.add(&format!("{bid}-0"), bid).await;
        }
        bids.deliver("c").await;
        let judge = bids
            .judge(|check| {
                check.orphan_after = Duration::from_millis(1);
                change(check);
            })
            .await;
        let judge = StreamJudge::new(Arc::new(StreamMapping {
            identity_is_unique: true,
            ..StreamMapping::clone(judge.mapping())
        }));
        let dead = DeadLetters::new(&judge);
        let path = bids.world.folder.path().join("output");
        let folder = RunFolder::open(&path, "job", uuid::Uuid::now_v7()).unwrap();
        Self {
            bids,
            judge,
            dead,
            folder,
        }
    }

    async fn applier(&self) -> Applier {
        self.applier_through(redis_spec(self.bids.world.redis.port()), 1_000)
            .await
    }

    /// Writes through `spec`, reads past it.
    async fn applier_through(&self, spec: RedisSpec, max_repairs: u64) -> Applier {
        let (source, cache) = (self.bids.source.clone(), self.bids.cache.clone());
        let pinned = Pinned::of(&cache.facts_of_all().await.unwrap());
        let writer = Writer::connect(&spec, &pinned).await.unwrap();
        let lease = source.take_lease("settling").await.unwrap().unwrap();
        let limits = ApplyLimits {
            min_replicas: PerNode::all(0),
            max_repairs,
            is_multi_primary: false,
            max_invalidations_per_second: Rate::Unlimited,
        };
        let journal = self.folder.journal("c0ffee");
        Applier::new(source, cache, spec, pinned, writer, journal, lease, limits)
    }

    /// What is wrong with these ids, as confirmed.
    async fn confirmed(&self, ids: &[&str]) -> Vec<SettleItem> {
        let ids: Vec<_> = ids.iter().map(|text| id(text)).collect();
        let start = std::time::Instant::now();
        loop {
            let (source, cache) = (&self.bids.source, &self.bids.cache);
            let looks = look_at_entries(source, cache, &self.judge, &self.dead, &ids)
                .await
                .unwrap();
            let items: Vec<SettleItem> = looks
                .into_iter()
                .filter_map(|look| {
                    let suspect = self.judge.judge_entry(&look)?;
                    Some(SettleItem { look, suspect })
                })
                .collect();
            // The owner's millisecond may not be over yet.
            if items.len() == ids.len() {
                return items;
            }
            assert!(start.elapsed() < LIMIT, "only {} are wrong", items.len());
        }
    }

    async fn settle(&self, applier: &mut Applier, items: &[SettleItem]) -> Vec<StepOutcome> {
        let pinned = self.bids.source.facts().await.unwrap().identity;
        let ground = StreamGround {
            judge: &self.judge,
            dead: &self.dead,
            pinned: &pinned,
        };
        applier.settle_entries(&ground, items).await
    }

    /// Ids of the pending list, each with its owner.
    async fn pending(&mut self) -> Vec<String> {
        let words = ["XPENDING", "bids", "g", "-", "+", "1000"];
        let rows: Vec<(String, String, u64, u64)> = self.bids.world.redis(&words).await;
        rows.into_iter()
            .map(|(id, owner, ..)| format!("{id} {owner}"))
            .collect()
    }

    /// Ids and fields of a stream.
    async fn entries(&mut self, key: &str) -> Vec<(String, Vec<String>)> {
        self.bids.world.redis(&["XRANGE", key, "-", "+"]).await
    }

    async fn rows(&mut self) -> Option<String> {
        let select = "SELECT GROUP_CONCAT(CONCAT(bid_id, '=', amount) ORDER BY n) FROM bid";
        self.bids.world.sql_text(select).await
    }

    fn journal(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.folder.path().join("undo.jsonl")).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

fn kinds(outcomes: &[StepOutcome]) -> Vec<OutcomeKind> {
    outcomes.iter().map(|o| o.kind).collect()
}

/// Until MySQL has somebody who waits for a row's lock.
async fn until_insert_waits(scene: &mut Scene) {
    let world = &scene.bids.world;
    wait::until("the INSERT waits for a lock", LIMIT, || async {
        use sqlx::Row;
        let mut aside = world.mysql.connect(crate::support::DATABASE).await.unwrap();
        let row = sqlx::raw_sql("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'")
            .fetch_one(&mut aside)
            .await
            .unwrap();
        let count: &[u8] = row.try_get_unchecked(1).unwrap();
        count == b"1"
    })
    .await
    .unwrap();
}
