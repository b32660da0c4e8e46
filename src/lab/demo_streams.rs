//! The bidding streams of the demo: what a failover does to them, and what is wrong with them afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::LabError;
use super::app::streams::{Alive, LIVE, Layout, StreamApp, StreamEvent};
use super::story::{Acts, Loss, Stage};
use super::stream_script::{StreamFacts, StreamScript};
use super::truth::streams::{StreamExpected, StreamTruth, StreamView, StreamWorld};
use super::wait;

/// As `jobs/auction.toml` names it.
const DATABASE: &str = "bids";
/// Its `orphan_after`.
const ORPHAN_AFTER: Duration = Duration::from_secs(3);
const GONE_LIMIT: Duration = Duration::from_secs(60);
/// The checks of that job.
const CHECKS: [(&str, Layout); 3] = [
    ("bids", Layout::ByBidId),
    ("quick-bids", Layout::ByEntryId),
    ("late-bids", Layout::LateGroup),
];

pub struct DemoStreams {
    app: Arc<StreamApp>,
    count: usize,
    seed: u64,
}

/// The streams after their failover. The live consumers stay so until this is dropped.
pub struct LostStreams {
    app: Arc<StreamApp>,
    pub facts: StreamFacts,
    _alive: Vec<Alive>,
}

/// Everything on both sides, read at one time.
pub struct StreamSides {
    worlds: Vec<(StreamView, StreamWorld)>,
    pub expected: BTreeSet<StreamExpected>,
}

impl DemoStreams {
    /// The application on the stage's servers, with a database of its own; `count` of everything will be lost.
    pub async fn start(stage: &Stage, count: usize, seed: u64) -> Result<Self, LabError> {
        let (master, name) = (stage.cluster.master(), stage.cluster.master_name());
        let app = StreamApp::open(&stage.database, DATABASE, master, name).await?;
        Ok(Self {
            app: Arc::new(app),
            count,
            seed,
        })
    }

    /// One failover for caches and streams. The caches' application is stopped when this returns, and whoever died has
    /// been silent for long enough to be taken for dead.
    pub async fn fail_over(
        self,
        stage: &mut Stage,
        acts: Acts,
    ) -> Result<(Loss, LostStreams), LabError> {
        let mut script = StreamScript::that_can_be_settled(self.app.clone(), self.count, self.seed);
        let (loss, running) = stage.fail_over_with(acts, Some(&mut script)).await?;
        running.stop().await;
        let (facts, alive) = script.into_alive();
        let lost = LostStreams {
            app: self.app,
            facts,
            _alive: alive,
        };
        let cause = format!("the dead consumers have been silent for {ORPHAN_AFTER:?}");
        wait::until(cause, ORPHAN_AFTER + GONE_LIMIT, async || {
            lost.read(stage).await.is_ok_and(|sides| sides.are_gone())
        })
        .await?;
        lost.app.take_events();
        Ok((loss, lost))
    }
}

impl LostStreams {
    /// Both sides now, and what is wrong with them.
    pub async fn read(&self, stage: &Stage) -> Result<StreamSides, LabError> {
        let mut sides = StreamSides {
            worlds: Vec::new(),
            expected: BTreeSet::new(),
        };
        for (check, layout) in CHECKS {
            let view = StreamView {
                live: BTreeSet::from([LIVE.to_owned()]),
                ..StreamView::new(check, layout)
            };
            let master = stage.cluster.master();
            let world = StreamWorld::read(&stage.database, DATABASE, master, layout).await?;
            sides
                .expected
                .extend(StreamTruth::of(&world, &view).expected);
            sides.worlds.push((view, world));
        }
        Ok(sides)
    }

    /// What the script planted on purpose and the reading of both sides does not see, or the other way round; empty: they
    /// agree. A row without its entry is no loss where entries may be trimmed, so that is left out.
    pub fn disagreements(&self, sides: &StreamSides) -> Vec<String> {
        let is_told = |rule: &str| rule != "lost-entry";
        let name = |layout: Layout| CHECKS.iter().find(|(_, known)| *known == layout);
        let planted = self.facts.expected.iter();
        let planted: BTreeSet<(&str, &str, &str)> = planted
            .filter(|(_, rule, _)| is_told(rule))
            .filter_map(|(layout, rule, id)| Some((name(*layout)?.0, *rule, id.as_str())))
            .collect();
        let read: BTreeSet<(&str, &str, &str)> = sides
            .expected
            .iter()
            .filter(|expected| is_told(expected.rule))
            .map(|expected| (expected.check.as_str(), expected.rule, expected.id.as_str()))
            .collect();
        let differing = planted.symmetric_difference(&read);
        differing
            .map(|(check, rule, id)| format!("{check} {rule} {id}"))
            .collect()
    }

    /// What a repair of `before` got wrong; empty: nothing.
    pub fn complaints(&self, before: &StreamSides, after: &StreamSides) -> Vec<String> {
        let events: Vec<StreamEvent> = self.app.take_events();
        let both = before.worlds.iter().zip(&after.worlds);
        both.flat_map(|((view, before), (_, after))| {
            after.check_after_repair(before, view, &events, &[])
        })
        .collect()
    }
}

impl StreamSides {
    /// How many entries all streams hold.
    pub fn entries(&self) -> usize {
        self.worlds.iter().map(|(_, w)| w.entries.len()).sum()
    }

    /// How many messages are with a consumer.
    pub fn pending(&self) -> usize {
        self.worlds.iter().map(|(_, w)| w.pending.len()).sum()
    }

    /// How many of each rule.
    pub fn by_rule(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for expected in &self.expected {
            *counts.entry(expected.rule).or_default() += 1;
        }
        counts
    }

    /// The key of the stream that a check of the demo's job is about.
    pub fn key_of(check: &str) -> &'static str {
        let known = CHECKS.iter().find(|(name, _)| *name == check);
        known.map_or("", |(_, layout)| layout.stream())
    }

    /// Its group.
    pub fn group_of(check: &str) -> &'static str {
        let known = CHECKS.iter().find(|(name, _)| *name == check);
        known.map_or("", |(_, layout)| layout.group())
    }

    fn are_gone(&self) -> bool {
        self.worlds
            .iter()
            .all(|(_, world)| world.are_idle(ORPHAN_AFTER, |name| name == LIVE))
    }
}
