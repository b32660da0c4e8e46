//! What a node of a Cluster says of itself by CLUSTER NODES.

use super::connect::Link;
use super::error::RedisError;
use super::reply;
use super::seats::add;
use crate::model::slots::{Slot, SlotSet};

/// A node's own line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OwnLine {
    pub(super) id: String,
    pub(super) is_master: bool,
    pub(super) slots: SlotSet,
    /// Slots that are being moved, as they stand there: `[7->-id]`, `[7-<-id]`.
    pub(super) moving: Vec<String>,
}

impl OwnLine {
    /// Whether the slot is on its way to this node.
    pub(super) fn imports(&self, slot: Slot) -> bool {
        let beginning = format!("[{}-<-", slot.number());
        self.moving.iter().any(|slot| slot.starts_with(&beginning))
    }
}

/// Asks the node behind `link`.
pub(super) async fn own_line(link: &Link) -> Result<OwnLine, RedisError> {
    let answer = reply::one(link, ::redis::cmd("CLUSTER").arg("NODES")).await?;
    reply::text(answer)
        .and_then(|text| text.lines().find_map(read_own))
        .ok_or_else(|| RedisError::unexpected(&link.address, "CLUSTER NODES"))
}

/// `id address flags master ping pong epoch link slot …`; `None` for a line that is another node's.
fn read_own(line: &str) -> Option<OwnLine> {
    let mut parts = line.split_ascii_whitespace();
    let (id, flags) = (parts.next()?, parts.nth(1)?);
    let mut flags = flags.split(',');
    if !flags.clone().any(|flag| flag == "myself") {
        return None;
    }
    let mut own = OwnLine {
        id: id.to_owned(),
        is_master: flags.any(|flag| flag == "master"),
        slots: SlotSet::none(),
        moving: Vec::new(),
    };
    for range in parts.skip(5) {
        if range.starts_with('[') {
            own.moving.push(range.to_owned());
            continue;
        }
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let slot = |text: &str| Slot::new(text.parse().ok()?);
        add(&mut own.slots, slot(first)?, slot(last)?);
    }
    Some(own)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn only_the_own_line_is_read() {
        let other = "07c3 127.0.0.1:30004@31004,host4 slave e7d1 0 1426238317239 4 connected";
        assert_eq!(read_own(other), None);
        let own = "e7d1 127.0.0.1:30001@31001,,tls-port=0 myself,master - 0 0 1 connected 0-5 9 \
            [7->-292f] [93-<-67ed]";
        let own = read_own(own).unwrap();
        assert_eq!((own.id.as_str(), own.is_master), ("e7d1", true));
        assert_eq!(own.slots.to_string(), "0-5 9");
        assert_eq!(own.moving, ["[7->-292f]", "[93-<-67ed]"]);
        let imports = |slot| own.imports(Slot::new(slot).unwrap());
        assert!(imports(93) && !imports(7) && !imports(9) && !imports(3));
        let replica = read_own("a b:1@2 myself,slave c 0 0 1 connected").unwrap();
        assert!(!replica.is_master && replica.slots.is_empty());
    }
}
