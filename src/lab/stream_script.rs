//! What happens to the streams around a failover, step by step and by hand, so that it is known what is lost
//! and what an audit has to find.
//!
//! | lost with the old master | what the new one shows |
//! |---|---|
//! | XADD of bids that were read, inserted and acknowledged | rows without entries; their ids are given again to other bids |
//! | XADD of bids that nobody came to | nothing at all: they are lost for good |
//! | reads of entries that it has | they are given again, though they are done: the group is behind |
//! | acknowledgements | pending, though done |
//! | claims | pending with the consumer that had been given up |
//! | XDEL and XTRIM | the entries are back |
//! | the making of a group | there is none |
//!
//! Consumers that died between any two steps are there before, and so is what must be left alone: messages
//! of a live consumer, entries of another type, what is settled.

mod steps;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::LabError;
use super::app::streams::{
    Alive, Bid, GONE, LIVE, Layout, Message, Producer, StreamApp, StreamCase, unfit,
};
use super::servers::RedisServer;

/// How often a live consumer shows up.
const ALIVE_EVERY: Duration = Duration::from_millis(50);
/// A consumer that reads and acknowledges what is lost.
const READER: &str = "reader";
/// A consumer that takes over what [`GONE`] left.
const RESCUER: &str = "rescuer";

/// Played in three parts: [`StreamScript::before`], [`StreamScript::lose`] while the replicas are stalled, and
/// [`StreamScript::after`] on the new master.
pub struct StreamScript {
    app: Arc<StreamApp>,
    producer: Producer,
    seed: u64,
    /// How many of everything.
    count: usize,
    extent: Extent,
    parts: Vec<Part>,
    late: Vec<(String, Bid)>,
    facts: StreamFacts,
    alive: Vec<Alive>,
}

/// What goes wrong besides what the failover itself loses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// Everything that there is a rule for, customers who place their bids again included.
    EveryRule,
    /// Only what a repair can settle without asking a person.
    WhatCanBeSettled,
}

/// What is known by construction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamFacts {
    /// Layout, rule and what it objects to, for a check that is told everything (see [`super::app::streams::Planted`]).
    pub expected: BTreeSet<(Layout, &'static str, String)>,
    /// Bids whose customers were told that they are placed and that neither side knows any more.
    pub lost_for_good: Vec<Bid>,
    /// Acknowledged commands that the new master never saw.
    pub lost: StreamLosses,
}

/// Acknowledged by the old master only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamLosses {
    pub adds: usize,
    pub reads: usize,
    pub acknowledgements: usize,
    pub claims: usize,
    pub trims: usize,
    pub groups: usize,
}

/// What was made ready in one layout, to be lost in part.
struct Part {
    layout: Layout,
    /// Inserted; their acknowledgements will be lost.
    inserted: Vec<(Message, Bid)>,
    /// With [`GONE`]; to be claimed and done.
    rescued: Vec<(Message, Bid)>,
    /// With [`GONE`]; to be claimed and left.
    claimed: Vec<(Message, Bid)>,
    /// With [`GONE`]; to be deleted.
    deleted: Vec<(Message, Bid)>,
    /// Done; the first of them, to be trimmed.
    old: Vec<(Message, Bid)>,
    /// Not read by anyone.
    unread: Vec<(String, Bid)>,
    /// Known to MySQL only.
    orphaned: Vec<(String, Bid)>,
}

impl StreamScript {
    /// With everything that there is a rule for.
    pub fn new(app: Arc<StreamApp>, count: usize, seed: u64) -> Self {
        Self::of(app, count, seed, Extent::EveryRule)
    }

    /// With what a repair can settle by itself: nobody places a bid twice, and no entry contradicts its row but
    /// by an id that was given twice.
    pub fn that_can_be_settled(app: Arc<StreamApp>, count: usize, seed: u64) -> Self {
        Self::of(app, count, seed, Extent::WhatCanBeSettled)
    }

    fn of(app: Arc<StreamApp>, count: usize, seed: u64, extent: Extent) -> Self {
        Self {
            extent,
            producer: app.producer(seed),
            app,
            seed,
            count: count.max(2),
            parts: Vec::new(),
            late: Vec::new(),
            facts: StreamFacts::default(),
            alive: Vec::new(),
        }
    }

    /// Everything that survives. Every replica must have it before [`StreamScript::lose`].
    pub async fn before(&mut self, master: &RedisServer) -> Result<(), LabError> {
        for layout in [Layout::ByBidId, Layout::ByEntryId] {
            let part = self.prepare(master, layout).await?;
            self.parts.push(part);
        }
        for _ in 0..self.count {
            let added = self.add(Layout::LateGroup).await?;
            self.late.push(added);
        }
        Ok(())
    }

    /// Everything that is lost.
    pub async fn lose(&mut self, master: &RedisServer) -> Result<(), LabError> {
        let mut parts = std::mem::take(&mut self.parts);
        for part in &mut parts {
            self.lose_settlements(part).await?;
            self.lose_trims(master, part).await?;
            self.lose_deliveries(part).await?;
        }
        self.parts = parts;
        self.lose_group(master).await
    }

    /// What the application does next on the new master: customers ask again, and ids are given again.
    pub async fn after(&mut self) -> Result<(), LabError> {
        self.producer.hang_up();
        for part in std::mem::take(&mut self.parts) {
            match part.layout.is_by_entry_id() {
                true => self.reuse_ids(&part).await?,
                false => self.add_again(&part).await?,
            }
        }
        Ok(())
    }

    pub fn facts(&self) -> &StreamFacts {
        &self.facts
    }

    /// The live consumers, who stay so until these are dropped.
    pub fn into_alive(self) -> (StreamFacts, Vec<Alive>) {
        (self.facts, self.alive)
    }

    async fn prepare(&mut self, master: &RedisServer, layout: Layout) -> Result<Part, LabError> {
        let old = self.deliver(layout, GONE).await?;
        for (message, _) in &old {
            self.finish(layout, GONE, message).await?;
        }
        let cases = match self.extent {
            Extent::EveryRule => StreamCase::together(layout),
            Extent::WhatCanBeSettled => StreamCase::that_can_be_settled(layout),
        };
        let is_played = |case: &StreamCase| *case != StreamCase::GroupRewound;
        let cases = cases.into_iter().filter(is_played);
        for (number, case) in cases.enumerate() {
            for turn in 0..self.count {
                let seed = self.seed ^ ((number * self.count + turn + 1) as u64) << 20;
                let planted = self.app.plant(master, layout, case, seed).await?;
                self.expect_all(layout, planted.expected);
            }
        }
        let live = self.app.consumer(layout, LIVE);
        self.alive.push(live.stay_alive(ALIVE_EVERY));
        let inserted = self.deliver(layout, READER).await?;
        for (message, bid) in &inserted {
            self.write(layout, READER, &message.id, bid).await?;
        }
        let rescued = self.deliver(layout, GONE).await?;
        let claimed = self.deliver(layout, GONE).await?;
        let deleted = self.deliver(layout, GONE).await?;
        let mut unread = Vec::new();
        for _ in 0..self.count {
            unread.push(self.add(layout).await?);
        }
        Ok(Part {
            layout,
            inserted,
            rescued,
            claimed,
            deleted,
            old,
            unread,
            orphaned: Vec::new(),
        })
    }

    /// Acknowledgements and claims.
    async fn lose_settlements(&mut self, part: &Part) -> Result<(), LabError> {
        let layout = part.layout;
        let mut reader = self.app.consumer(layout, READER);
        for (message, _) in &part.inserted {
            reader.acknowledge(message).await.map_err(unfit)?;
            self.facts.lost.acknowledgements += 1;
            self.expect(layout, "unacked-persisted", &message.id);
        }
        let mut rescuer = self.app.consumer(layout, RESCUER);
        for (message, bid) in part.rescued.iter().chain(&part.claimed) {
            rescuer.claim(&[&message.id]).await.map_err(unfit)?;
            self.facts.lost.claims += 1;
            let is_rescued = part.rescued.contains(&(message.clone(), bid.clone()));
            if is_rescued {
                self.write(layout, RESCUER, &message.id, bid).await?;
                rescuer.acknowledge(message).await.map_err(unfit)?;
                self.facts.lost.acknowledgements += 1;
            }
            let rule = if is_rescued {
                "unacked-persisted"
            } else {
                "orphan-pending"
            };
            self.expect(layout, rule, &message.id);
        }
        Ok(())
    }

    /// XDEL of pending messages and XTRIM of settled ones: all are back later.
    async fn lose_trims(&mut self, master: &RedisServer, part: &Part) -> Result<(), LabError> {
        for (message, _) in &part.deleted {
            self.app.delete(master, part.layout, &message.id).await?;
            self.facts.lost.trims += 1;
            self.expect(part.layout, "orphan-pending", &message.id);
        }
        if let Some((first_kept, _)) = part.old.last() {
            self.app.trim(master, part.layout, &first_kept.id).await?;
            self.facts.lost.trims += part.old.len() - 1;
        }
        Ok(())
    }

    /// Reads of entries that survive, then entries that do not: some are done before, some are left in the
    /// stream or in a consumer's hands.
    async fn lose_deliveries(&mut self, part: &mut Part) -> Result<(), LabError> {
        let layout = part.layout;
        for (id, bid) in part.unread.clone() {
            self.take(layout, &id, &bid).await?;
        }
        for _ in 0..self.count {
            let (id, bid) = self.add(layout).await?;
            self.take(layout, &id, &bid).await?;
            part.orphaned.push((id, bid));
        }
        for turn in 0..self.count {
            let (id, bid) = self.add(layout).await?;
            if turn == 0 {
                self.read_one(layout, READER, &id).await?;
                self.facts.lost.reads += 1;
            }
            self.facts.lost_for_good.push(bid);
        }
        self.facts.lost.adds += 2 * self.count;
        Ok(())
    }

    /// The group is made, its first half is done, and nobody knows of it afterwards.
    async fn lose_group(&mut self, master: &RedisServer) -> Result<(), LabError> {
        let layout = Layout::LateGroup;
        self.app.create_group(master, layout, "0").await?;
        self.facts.lost.groups += 1;
        let done = self.late.len() / 2;
        let first_half: Vec<_> = self.late.iter().take(done).cloned().collect();
        for (id, bid) in first_half {
            self.take(layout, &id, &bid).await?;
        }
        let place = done.checked_sub(1).map(|last| self.late[last].0.clone());
        self.expect(
            layout,
            "group-missing",
            &place.unwrap_or_else(|| "0-0".to_owned()),
        );
        Ok(())
    }

    /// Customers who never heard whether their bids were placed place them again.
    async fn add_again(&mut self, part: &Part) -> Result<(), LabError> {
        let layout = part.layout;
        let mut last = part.unread.last().map(|(id, _)| id.clone());
        let twice = match self.extent {
            Extent::EveryRule => &part.inserted[..],
            Extent::WhatCanBeSettled => &[],
        };
        for (_, bid) in twice {
            let id = self.producer.add(layout, bid).await.map_err(unfit)?;
            self.expect(layout, "duplicate-entry", &id);
            last = Some(id);
        }
        // Everything that follows the group's place is done, these included.
        self.expect(layout, "group-rewound", &last.unwrap_or_default());
        for (_, bid) in &part.orphaned {
            self.expect(layout, "lost-entry", &bid.bid_id);
        }
        Ok(())
    }

    /// The first half of the lost ids go to other bids. Whoever reads them takes the rows for its own work.
    async fn reuse_ids(&mut self, part: &Part) -> Result<(), LabError> {
        let layout = part.layout;
        let (reused, left) = part.orphaned.split_at(part.orphaned.len() / 2);
        for (id, _) in reused {
            let bid = self.producer.draw();
            self.producer
                .add_as(layout, id, &bid)
                .await
                .map_err(unfit)?;
            self.expect(layout, "payload-conflict", id);
        }
        for (id, _) in left {
            self.expect(layout, "lost-entry", id);
        }
        let mut later = self.app.consumer(layout, READER);
        let everything = part.unread.len() + reused.len();
        for message in later.read(everything).await.map_err(unfit)? {
            later.process(&message, None).await.map_err(unfit)?;
        }
        Ok(())
    }
}
