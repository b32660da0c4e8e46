//! The nodes a reader asks, behind one door: each command goes to the node that answers for its key.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU16, Ordering};

use ::redis::{Cmd, Pipeline, Value};
use futures_util::future::try_join_all;

use super::connect::Link;
use super::discovery::Master;
use super::error::RedisError;
use super::routed::{self, key_of};
use super::{info, reply};
use crate::model::node::NodeFacts;
use crate::model::slots::{SLOTS, Slot, SlotSet};

/// One node, or the masters of a Cluster, in a fixed order.
pub(super) struct Nodes {
    links: Vec<Link>,
    /// `None` outside of a Cluster.
    routes: Option<Routes>,
    /// How errors name them all.
    address: String,
}

/// Which master answers for which slot, as far as is known: a master that does not says so.
pub(super) struct Routes {
    /// For each slot a place among the links.
    owners: Box<[AtomicU16]>,
}

impl Nodes {
    /// A single node, which answers for every key.
    pub(super) fn one(link: Link) -> Self {
        Self {
            address: link.address.clone(),
            links: vec![link],
            routes: None,
        }
    }

    /// The masters of a Cluster.
    pub(super) fn of_cluster(masters: Vec<Master>) -> Self {
        let routes = Routes::of(masters.iter().map(|master| &master.slots));
        let links: Vec<Link> = masters.into_iter().map(|master| master.link).collect();
        let addresses: Vec<&str> = links.iter().map(|link| link.address.as_str()).collect();
        Self {
            address: addresses.join(","),
            links,
            routes: Some(routes),
        }
    }

    pub(super) fn links(&self) -> &[Link] {
        &self.links
    }

    /// The node that answers for `key`, or the only one.
    pub(super) fn of_key(&self, key: &[u8]) -> &Link {
        match &self.routes {
            None => &self.links[0],
            Some(routes) => &self.links[routes.owner(Slot::of(key))],
        }
    }

    /// The places of the nodes that answer for some of `slots`; `None`: of all nodes.
    pub(super) fn owners_of(&self, slots: Option<&SlotSet>) -> BTreeSet<usize> {
        match (&self.routes, slots) {
            (Some(routes), Some(slots)) => slots.iter().map(|slot| routes.owner(slot)).collect(),
            _ => (0..self.links.len()).collect(),
        }
    }

    /// Takes over which slots the masters claim, in their order.
    pub(super) fn learn<'s>(&self, claims: impl Iterator<Item = &'s SlotSet>) {
        if let Some(routes) = &self.routes {
            routes.learn(claims);
        }
    }

    /// `host:port`, or the socket's path; of a Cluster those of all its masters.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Whether a command may name keys of several slots.
    pub(super) fn takes_many_keys(&self) -> bool {
        self.routes.is_none()
    }

    /// What each node says of itself, all asked at once.
    pub(super) async fn facts(&self) -> Result<Vec<NodeFacts>, RedisError> {
        let mut nodes = try_join_all(self.links.iter().map(info::facts)).await?;
        if let Some(routes) = &self.routes {
            for (node, slots) in nodes.iter_mut().zip(routes.slots(self.links.len())) {
                node.slots = slots;
            }
        }
        Ok(nodes)
    }

    /// A pipeline of commands about one key each; one answer for every command, error replies among them.
    pub(super) async fn many(&self, pipeline: &Pipeline) -> Result<Vec<Value>, RedisError> {
        match &self.routes {
            None => reply::many(&self.links[0], pipeline).await,
            Some(routes) => {
                let commands = pipeline.cmd_iter();
                let asked = commands.map(|command| (Slot::of(&key_of(command)), command));
                routed::many(&self.links, routes, asked.collect()).await
            }
        }
    }

    /// The same, each command at the node that answers for the key beside it, whether it names one or not.
    pub(super) async fn many_at(
        &self,
        pipeline: &Pipeline,
        keys: impl Iterator<Item = &[u8]>,
    ) -> Result<Vec<Value>, RedisError> {
        match &self.routes {
            None => reply::many(&self.links[0], pipeline).await,
            Some(routes) => {
                let asked = keys.map(Slot::of).zip(pipeline.cmd_iter());
                routed::many(&self.links, routes, asked.collect()).await
            }
        }
    }

    /// One command about one key; an error reply is an error.
    pub(super) async fn one_of(&self, command: &Cmd) -> Result<Value, RedisError> {
        let Some(routes) = &self.routes else {
            return reply::one(&self.links[0], command).await;
        };
        let asked = vec![(Slot::of(&key_of(command)), command)];
        let answers = routed::many(&self.links, routes, asked).await?;
        let answer = answers.into_iter().next().unwrap_or_default();
        reply::accepted(&self.address, answer)
    }
}

impl Routes {
    /// One set for each node. A slot that two claim is the later one's, one that none claims the first one's: whoever is
    /// asked in vain says so.
    pub(super) fn of<'s>(claims: impl Iterator<Item = &'s SlotSet>) -> Self {
        let owners: Box<[AtomicU16]> = (0..SLOTS).map(|_| AtomicU16::new(0)).collect();
        let routes = Self { owners };
        routes.learn(claims);
        routes
    }

    /// The same of routes that are in use. What none claims stays as it was.
    fn learn<'s>(&self, claims: impl Iterator<Item = &'s SlotSet>) {
        for (node, slots) in claims.enumerate() {
            slots.iter().for_each(|slot| self.set(slot, node));
        }
    }

    pub(super) fn owner(&self, slot: Slot) -> usize {
        usize::from(self.owners[usize::from(slot.number())].load(Ordering::Relaxed))
    }

    pub(super) fn set(&self, slot: Slot, node: usize) {
        let node = u16::try_from(node).expect("a Cluster has at most a thousand masters");
        self.owners[usize::from(slot.number())].store(node, Ordering::Relaxed);
    }

    /// The slots of each of `count` nodes.
    pub(super) fn slots(&self, count: usize) -> Vec<SlotSet> {
        let mut sets = vec![SlotSet::none(); count];
        for slot in (0..SLOTS).filter_map(Slot::new) {
            sets[self.owner(slot)].add(slot);
        }
        sets
    }
}
