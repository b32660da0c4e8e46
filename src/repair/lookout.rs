//! Whether another master is there: asked between the batches of a repair, because a write to the wrong one of two is
//! lost, and the one that is written to cannot tell.

use std::time::Duration;

use tokio::time::Instant;

use crate::job::RedisSpec;
use crate::model::identity::Pinned;
use crate::model::node::NodeFacts;
use crate::model::time::Micros;
use crate::model::topology::Topology;
use crate::rules::{TopologyObjection, judge_topology};
use crate::store::redis::Inventory;

/// Nodes are asked no more often than this.
const EVERY: Duration = Duration::from_secs(1);

/// A node that takes longer is left out, and left alone for a while: a repair does not wait for one that is gone.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// Nodes are asked side by side and not at one instant, so a switch between two answers may show two masters that never
/// were. What is still so after this is so.
const SECOND_LOOK: Duration = Duration::from_secs(1);

/// Objections kept for the report; the first two masters stop the run.
const SEEN_MAX: usize = 16;

/// Asks every other node whether it is a master, and the Sentinels whom they take for one.
pub(super) struct Lookout {
    inventory: Inventory,
    next: Instant,
    seen: Vec<(Micros, TopologyObjection)>,
}

impl Lookout {
    pub(super) fn new(spec: RedisSpec) -> Self {
        Self {
            inventory: Inventory::new(spec, ANSWER_LIMIT),
            next: Instant::now(),
            seen: Vec::new(),
        }
    }

    /// Says why nothing may be written to `pinned`, if so. A node that does not answer is no second master. Two masters at the
    /// first look are enough to stop; they are kept for the report if a second look shows the same.
    pub(super) async fn clear(&mut self, pinned: &Pinned) -> Result<(), String> {
        if Instant::now() < self.next {
            return Ok(());
        }
        let topology = self.inventory.glance().await;
        self.next = Instant::now() + EVERY;
        let split = splits(&topology);
        if let Some(first) = split.first() {
            tokio::time::sleep(SECOND_LOOK).await;
            let again = self.inventory.glance().await;
            let room = SEEN_MAX.saturating_sub(self.seen.len());
            let seen = confirmed(&split, &again).map(|o| (again.seen_at, o));
            self.seen.extend(seen.take(room));
            let detail = first.suspect.detail.as_deref().unwrap_or_default();
            return Err(format!("there are two masters at once: {detail}"));
        }
        dissent(&topology, pinned).map_or(Ok(()), Err)
    }

    /// Two masters at once, as they were seen twice, with the time of this host.
    pub(super) fn seen(&self) -> &[(Micros, TopologyObjection)] {
        &self.seen
    }
}

fn splits(topology: &Topology) -> Vec<TopologyObjection> {
    let mut split = judge_topology(topology);
    split.retain(|objection| objection.suspect.rule.0 == "split-brain");
    split
}

/// Those of `first` that a later look shows too.
fn confirmed(
    first: &[TopologyObjection],
    later: &Topology,
) -> impl Iterator<Item = TopologyObjection> {
    let addresses: Vec<&str> = first.iter().map(|o| o.address.as_str()).collect();
    let now = splits(later).into_iter();
    now.filter(move |o| addresses.contains(&o.address.as_str()))
}

/// Why the Sentinels do not mean the node that is written to, if so.
fn dissent(topology: &Topology, pinned: &Pinned) -> Option<String> {
    let is_pinned = |facts: &NodeFacts| pinned.has_process(&facts.identity.run_id);
    let named = topology.believed_master()?;
    let node = topology.nodes.iter().find(|node| node.address == named)?;
    let mut answered = topology.nodes.iter().filter_map(|n| n.said.as_ref().ok());
    match &node.said {
        Ok(facts) if is_pinned(facts) => None,
        Ok(_) => Some(format!("the Sentinels name {named} as the master by now")),
        // If ours does not answer there either, it may be the same one.
        Err(why) => answered.any(is_pinned).then(|| {
            format!("the Sentinels name {named} as the master by now, which does not answer: {why}")
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::topology::testing::{master, topology};

    #[test]
    fn two_masters_of_one_glance_are_kept_only_if_they_are_still_there() {
        let (one, other) = (master("old", "h1"), master("new", "h2"));
        let both = topology(vec![one.clone(), other.clone()]);
        let first = splits(&both);
        assert_eq!(first.len(), 1);
        assert_eq!(confirmed(&first, &both).count(), 1);
        let healed = topology(vec![other.clone()]);
        assert_eq!(confirmed(&first, &healed).count(), 0);
        // Another pair is news, and was not there before.
        let third = master("third", "h3");
        assert_eq!(
            splits(&topology(vec![other.clone(), third.clone()])).len(),
            1
        );
        assert_eq!(confirmed(&first, &topology(vec![third, other])).count(), 0);
    }
}
