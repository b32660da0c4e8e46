//! Where heartbeat, evidence and state copy of one master lie.

use crate::model::node::NodeFacts;
use crate::model::slots::{Slot, SlotSet};

/// The three keys of one master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointKeys {
    pub heartbeat: Vec<u8>,
    pub evidence: Vec<u8>,
    pub state: Vec<u8>,
}

impl CheckpointKeys {
    /// Those of the master that said this of itself; `None` for one of a Cluster without slots.
    pub fn of(prefix: &str, node: &NodeFacts) -> Option<Self> {
        if node.is_cluster {
            Self::in_cluster(prefix, &node.slots)
        } else {
            Some(Self::alone(prefix))
        }
    }

    /// Those of a server that is alone: `<prefix>:heartbeat`, `<prefix>:evidence`, `<prefix>:state`.
    pub fn alone(prefix: &str) -> Self {
        Self::behind(prefix)
    }

    /// Those of the master of a Cluster that owns `slots`: `<prefix>:{<number>}:heartbeat` and so on, with the smallest
    /// number whose slot it owns. `None` for a master without slots, which holds no keys at all.
    ///
    /// The number may be another one after slots moved. What lies under it then is an earlier owner's: the beat's
    /// script is told whose replication ids are others'.
    pub fn in_cluster(prefix: &str, slots: &SlotSet) -> Option<Self> {
        let tag = tag(slots)?;
        Some(Self::behind(&format!("{prefix}:{{{tag}}}")))
    }

    fn behind(beginning: &str) -> Self {
        let key = |name: &str| format!("{beginning}:{name}").into_bytes();
        Self {
            heartbeat: key("heartbeat"),
            evidence: key("evidence"),
            state: key("state"),
        }
    }
}

/// The smallest number whose digits hash into one of `slots`. The numbers below a million reach every slot.
fn tag(slots: &SlotSet) -> Option<u32> {
    const NUMBERS: u32 = 1_000_000;
    if slots.is_empty() {
        return None;
    }
    (0..NUMBERS).find(|number| slots.has(Slot::of(number.to_string().as_bytes())))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::model::slots::SLOTS;

    #[test]
    fn every_slot_has_a_tag_of_its_own() {
        for number in (0..SLOTS).step_by(97).chain([SLOTS - 1]) {
            let slot = Slot::new(number).unwrap();
            let slots: SlotSet = [slot].into_iter().collect();
            let keys = CheckpointKeys::in_cluster("auditor:j", &slots).unwrap();
            for key in [&keys.heartbeat, &keys.evidence, &keys.state] {
                assert_eq!(Slot::of(key), slot, "{}", key.escape_ascii());
            }
        }
        assert_eq!(
            CheckpointKeys::in_cluster("auditor:j", &SlotSet::none()),
            None
        );
    }

    #[test]
    fn a_tag_stays_while_its_slot_does_and_is_chosen_anew_when_it_leaves() {
        let mut slots: SlotSet = (0..SLOTS / 3).filter_map(Slot::new).collect();
        let first = tag(&slots).unwrap();
        let own = Slot::of(first.to_string().as_bytes());
        let other = slots.iter().find(|slot| *slot != own).unwrap();
        slots.remove(other);
        assert_eq!(tag(&slots), Some(first));
        slots.remove(own);
        let second = tag(&slots).unwrap();
        assert!(second > first);
        assert!(slots.has(Slot::of(second.to_string().as_bytes())));
    }

    #[test]
    fn outside_of_a_cluster_there_is_no_tag() {
        let keys = CheckpointKeys::alone("auditor:auction");
        assert_eq!(keys.heartbeat, b"auditor:auction:heartbeat");
        assert_eq!(keys.evidence, b"auditor:auction:evidence");
        assert_eq!(keys.state, b"auditor:auction:state");
    }
}
