//! What must hold before anything of a batch is written.

use std::collections::BTreeSet;
use std::time::Duration;

use super::apply::Applier;
use crate::failover::{Drift, drift};
use crate::model::node::NodeFacts;
use crate::store::Backoff;
use crate::store::redis::{LAG_SECONDS_MAX, RedisError};

/// A replica that was cut off, or is new, is back by then; a master that is still alone may be the wrong one.
const REPLICAS_PATIENCE: Duration = Duration::from_secs(5);

impl Applier {
    /// The lease is ours, the nodes are the pinned ones and the only masters of their keys, enough replicas of those that
    /// answer for `keys` listen; else repairing stops.
    pub(super) async fn check_ground<'k>(
        &mut self,
        keys: impl Iterator<Item = &'k [u8]>,
    ) -> Result<(), String> {
        match self.lease.is_held().await {
            Ok(true) => {}
            Ok(false) => return Err(self.stop("the advisory lock was lost")),
            Err(fault) => return Err(self.stop(&format!("the advisory lock was lost: {fault}"))),
        }
        let places = self.writer.nodes_of(keys);
        let mut backoff = Backoff::within(REPLICAS_PATIENCE);
        let waiting = self.cache.waiting();
        let mut turn = None;
        loop {
            let nodes = self.check_nodes().await?;
            let Some(why) = self.lacks_replicas(&places, &nodes) else {
                return Ok(());
            };
            let Some(pause) = backoff.next_pause() else {
                return Err(self.stop(&why));
            };
            turn.get_or_insert_with(|| waiting.begin("replicas"))
                .because(&why);
            tokio::time::sleep(pause).await;
        }
    }

    /// What the nodes say of themselves, if they are the pinned ones and nobody else is a master of their keys.
    async fn check_nodes(&mut self) -> Result<Vec<NodeFacts>, String> {
        let nodes = match self.cache.facts_of_all().await {
            Ok(nodes) => nodes,
            Err(fault @ RedisError::Unreachable(_)) => {
                return Err(self.stop_without_link(&fault.to_string()));
            }
            Err(fault) => return Err(self.stop(&fault.to_string())),
        };
        match drift(&self.pinned, &nodes) {
            Drift::Same => {}
            Drift::Renewed(pinned) => {
                self.writer.repin(&pinned);
                self.pinned = pinned;
            }
            Drift::Changed(why) => return Err(self.stop(&why)),
        }
        if let Err(why) = self.lookout.clear(&self.pinned).await {
            return Err(self.stop(&why));
        }
        Ok(nodes)
    }

    /// Which of the nodes at `places` has too few replicas that listen, if one has.
    fn lacks_replicas(&self, places: &BTreeSet<usize>, nodes: &[NodeFacts]) -> Option<String> {
        places.iter().find_map(|&at| {
            let run_id = &self.pinned.nodes[at].identity.run_id;
            let facts = nodes.iter().find(|node| node.identity.run_id == *run_id);
            let needed = *self.limits.min_replicas.of(at);
            // An isolated master calls its replicas online until their time is out.
            let fresh = facts.map_or(0, |facts| {
                let replicas = facts.replicas_online.iter();
                replicas
                    .filter(|r| r.lag_seconds <= LAG_SECONDS_MAX)
                    .count()
            });
            let named = self.named(at);
            ((fresh as u64) < u64::from(needed))
                .then(|| format!("{fresh} replica(s){named} online and fresh, {needed} needed"))
        })
    }

    /// ` of host:port`, where there are several nodes.
    pub(super) fn named(&self, at: usize) -> String {
        match self.pinned.nodes.as_slice() {
            [_] => String::new(),
            nodes => format!(" of {}", nodes[at].address),
        }
    }
}
