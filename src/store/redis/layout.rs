//! How a Cluster's slots are shared out, so that a walk over all keys knows whether they stood still meanwhile.

use futures_util::future::try_join_all;

use super::error::RedisError;
use super::own_line::{OwnLine, own_line};
use super::reader::Redis;
use crate::model::slots::SlotSet;

/// What every master says of its own slots. Two that are equal, both at rest, say that no key went from one master to
/// another in between: a slot that is sent key by key is marked as long as that takes, and one that is sent at once has
/// another owner afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotLayout {
    masters: Vec<OwnLine>,
}

impl SlotLayout {
    /// Slots that are being moved, as the masters name them; empty: all keys stay where they are.
    pub fn moving(&self) -> Vec<String> {
        let moving = self.masters.iter().flat_map(|master| &master.moving);
        moving.cloned().collect()
    }

    /// Slots that none of the masters claims: they are on their way, or with a master that was none when these were
    /// connected to. `None`: every slot is somebody's.
    pub fn unclaimed(&self) -> Option<SlotSet> {
        let mut unclaimed = SlotSet::all();
        for slot in self.masters.iter().flat_map(|master| master.slots.iter()) {
            unclaimed.remove(slot);
        }
        (!unclaimed.is_empty()).then_some(unclaimed)
    }
}

impl Redis {
    /// `None` outside of a Cluster, where nothing moves. From now on this reader takes the slots for shared out so.
    pub async fn slot_layout(&self) -> Result<Option<SlotLayout>, RedisError> {
        if self.nodes.takes_many_keys() {
            return Ok(None);
        }
        let masters = try_join_all(self.nodes.links().iter().map(own_line)).await?;
        let mut lines = self.nodes.links().iter().zip(&masters);
        if let Some((link, _)) = lines.find(|(_, own)| !own.is_master) {
            return Err(RedisError::TopologyChanged(format!(
                "{} is no master any more",
                link.address
            )));
        }
        // Which masters a walk through some slots goes to must not be what they were when the connections were made.
        self.nodes.learn(masters.iter().map(|master| &master.slots));
        Ok(Some(SlotLayout { masters }))
    }
}
