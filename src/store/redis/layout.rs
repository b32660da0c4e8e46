//! How a Cluster's slots are shared out, so that a walk over all keys knows whether they stood still meanwhile.

use futures_util::future::try_join_all;

use super::error::RedisError;
use super::own_line::{OwnLine, own_line};
use super::reader::Redis;

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
}

impl Redis {
    /// `None` outside of a Cluster, where nothing moves.
    pub async fn slot_layout(&self) -> Result<Option<SlotLayout>, RedisError> {
        if self.nodes.takes_many_keys() {
            return Ok(None);
        }
        let masters = try_join_all(self.nodes.links().iter().map(own_line)).await?;
        Ok(Some(SlotLayout { masters }))
    }
}
