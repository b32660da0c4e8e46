//! What must hold before anything of a batch is written.

use super::apply::Applier;
use crate::failover::{Drift, drift};
use crate::store::redis::LAG_SECONDS_MAX;

impl Applier {
    /// The lease is ours, the nodes are the pinned ones and the only masters, enough replicas of those that answer for `keys` listen; else
    /// repairing stops.
    pub(super) async fn check_ground<'k>(
        &mut self,
        keys: impl Iterator<Item = &'k [u8]>,
    ) -> Result<(), String> {
        match self.lease.is_held().await {
            Ok(true) => {}
            Ok(false) => return Err(self.stop("the advisory lock was lost")),
            Err(fault) => return Err(self.stop(&format!("the advisory lock was lost: {fault}"))),
        }
        let nodes = match self.cache.facts_of_all().await {
            Ok(nodes) => nodes,
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
        let pinned = &self.pinned;
        if let Err(why) = self.lookout.clear(|other| pinned.has_process(other)).await {
            return Err(self.stop(&why));
        }
        for at in self.writer.nodes_of(keys) {
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
            if (fresh as u64) < u64::from(needed) {
                let named = self.named(at);
                return Err(self.stop(&format!(
                    "{fresh} replica(s){named} online and fresh, {needed} needed"
                )));
            }
        }
        Ok(())
    }

    /// ` of host:port`, where there are several nodes.
    pub(super) fn named(&self, at: usize) -> String {
        match self.pinned.nodes.as_slice() {
            [_] => String::new(),
            nodes => format!(" of {}", nodes[at].address),
        }
    }
}
