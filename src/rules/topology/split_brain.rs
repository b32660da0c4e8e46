//! # Detects
//!
//! Two nodes that both say they are masters of the same keys. Where one names the other's history as its own former one,
//! or both share a former one, the same data has split; where nothing links them, one of them was restarted without its
//! data, or does not belong here. In a Cluster two masters object only where both claim the same slots. A node that is
//! still loading its data answers for no key yet, and is no master as long as that takes.
//!
//! # How it comes about
//!
//! The old master was cut off, or came back, after a replica had been promoted. Under Sentinel it goes on acknowledging writes until it is demoted, some ten
//! seconds after it can be reached again; without `min-replicas-to-write` nothing ends that earlier.
//!
//! # Why it matters
//!
//! Every write that the old master acknowledges is lost when it is demoted. A repair written to the wrong one is lost as well, and what is read there is not
//! what customers will be served.
//!
//! # Repair and its safety
//!
//! Nothing is repaired while two masters live: every write stops, and the run says so. Wait until one is left, and run again; the window of the losses
//! ends when the old master was demoted, not when the new one was promoted.

use super::judging::TopologyObjection;
use crate::model::finding::{Remedy, RuleId, Severity};
use crate::model::node::NodeFacts;
use crate::model::topology::{Topology, TopologyKind};
use crate::rules::catalog::{Check, Rule};

pub const RULE: Rule = Rule {
    id: RuleId("split-brain"),
    severity: Severity::Critical,
    remedies: &[Remedy::None],
    source: include_str!("split_brain.rs"),
    check: Check::Topology(check),
};

fn check(topology: &Topology) -> Vec<TopologyObjection> {
    let masters = topology.masters().filter(|node| !node.is_loading);
    let masters: Vec<&NodeFacts> = masters.collect();
    let mut objections = Vec::new();
    for (at, one) in masters.iter().enumerate() {
        for other in &masters[at + 1..] {
            let same_keys = match topology.kind {
                TopologyKind::Cluster => !one.slots.is_disjoint(&other.slots),
                TopologyKind::Standalone | TopologyKind::Sentinel => true,
            };
            if same_keys && one.identity.run_id != other.identity.run_id {
                objections.push(objection(one, other));
            }
        }
    }
    objections
}

fn objection(one: &NodeFacts, other: &NodeFacts) -> TopologyObjection {
    if came_from(other, one) {
        return parted(one, other);
    }
    if came_from(one, other) {
        return parted(other, one);
    }
    let (a, b) = (&one.address, &other.address);
    let detail = if have_one_former(one, other) {
        format!("{a} and {b} are both masters, promoted from the same history")
    } else {
        format!(
            "{a} and {b} are both masters and share no history: one was restarted without its data, or does not belong to \
             this job"
        )
    };
    TopologyObjection::new(&RULE, a, detail)
}

/// `new` was promoted from the history in which `old` still writes.
fn parted(old: &NodeFacts, new: &NodeFacts) -> TopologyObjection {
    let since = new.second_offset;
    let detail = format!(
        "{} was promoted from the history of {}, which is a master still: since offset {since} the old one has {} bytes that \
         will be lost, and the new one {} of its own",
        new.address,
        old.address,
        (old.offset - since + 1).max(0),
        (new.offset - since + 1).max(0),
    );
    TopologyObjection::new(&RULE, &old.address, detail)
}

fn came_from(new: &NodeFacts, old: &NodeFacts) -> bool {
    new.has_former_history() && new.replication_id2 == old.identity.replication_id
}

fn have_one_former(one: &NodeFacts, other: &NodeFacts) -> bool {
    one.identity.replication_id == other.identity.replication_id
        || (one.has_former_history()
            && other.has_former_history()
            && one.replication_id2 == other.replication_id2)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::super::judging::testing::*;
    use super::*;
    use crate::model::slots::{Slot, SlotSet};

    #[test]
    fn objects_to_every_pair_of_masters_and_tells_what_links_them() {
        let old = || master("old", "h1");
        for (nodes, expected) in [
            (vec![old()], vec![]),
            (vec![old(), replica("r", "h1", 900, true)], vec![]),
            (
                vec![old(), promoted("new", "h2", "h1", 901)],
                vec![("old", "100 bytes that")],
            ),
            (
                vec![promoted("new", "h2", "h1", 901), old()],
                vec![("old", "100 bytes that")],
            ),
            (
                vec![
                    promoted("a", "h2", "h1", 5),
                    promoted("b", "h3", "h1", 6),
                    replica("r", "h3", 900, true),
                ],
                vec![("a", "promoted from the same history")],
            ),
            (
                vec![old(), master("stranger", "h9")],
                vec![("old", "share no history")],
            ),
        ] {
            let found = check(&topology(nodes));
            let said: Vec<_> = found
                .iter()
                .map(|o| (o.address.as_str(), o.suspect.detail.as_deref().unwrap()))
                .collect();
            assert_eq!(said.len(), expected.len(), "{said:?}");
            for ((address, detail), (at, words)) in said.iter().zip(expected) {
                assert!(*address == at && detail.contains(words), "{said:?}");
            }
        }
    }

    #[test]
    fn one_process_under_two_names_and_masters_that_share_only_zeros_are_not_linked() {
        let twice = master("b", "h1");
        let mut alias = twice.clone();
        "alias".clone_into(&mut alias.address);
        assert!(check(&topology(vec![twice, alias])).is_empty());
        let found = check(&topology(vec![master("a", "h1"), master("b", "h2")]));
        let detail = found[0].suspect.detail.as_deref().unwrap();
        assert!(detail.contains("share no history"), "{detail}");
    }

    #[test]
    fn a_node_that_loads_its_data_is_no_master_yet() {
        let mut loading = master("old", "h1");
        loading.is_loading = true;
        let new = || promoted("new", "h2", "h1", 901);
        assert!(check(&topology(vec![loading.clone(), new()])).is_empty());
        loading.is_loading = false;
        assert_eq!(check(&topology(vec![loading, new()])).len(), 1);
    }

    #[test]
    fn masters_of_a_cluster_share_its_slots_out() {
        let of = |name: &str, slots: std::ops::Range<u16>| {
            let mut facts = master(name, name);
            facts.is_cluster = true;
            facts.slots = slots.filter_map(Slot::new).collect::<SlotSet>();
            view(facts, None)
        };
        let cluster = |nodes| check(&of_views(TopologyKind::Cluster, nodes)).len();
        assert_eq!(cluster(vec![of("a", 0..100), of("b", 100..200)]), 0);
        assert_eq!(cluster(vec![of("a", 0..100), of("b", 0..0)]), 0);
        assert_eq!(cluster(vec![of("a", 0..101), of("b", 100..200)]), 1);
    }
}
