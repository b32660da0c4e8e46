//! The topology guard: are the nodes we talk to still the processes and the histories we pinned?

use crate::model::identity::{NodeIdentity, Pinned, PinnedNode};
use crate::model::node::NodeFacts;

/// What became of the pinned nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drift {
    Same,
    /// A replication id was renewed on the same process because no replica was attached for
    /// `repl-backlog-ttl`: the history goes on. Pin the new identities.
    Renewed(Pinned),
    /// A failover, a demotion or a restart: whatever was read before does not count.
    Changed(String),
}

/// Compares what was pinned with what the nodes say now. In a Cluster it is the masters that are compared; how they
/// share out the slots is not, because a node refuses keys of slots that are no longer its own.
pub fn drift(pinned: &Pinned, now: &[NodeFacts]) -> Drift {
    let mut renewed: Option<Pinned> = None;
    for (at, node) in pinned.nodes.iter().enumerate() {
        let Some(facts) = counterpart(node, now) else {
            return Drift::Changed(format!("the node {} is no longer a master", node.address));
        };
        match drift_of(&node.identity, facts) {
            NodeDrift::Same => {}
            NodeDrift::Renewed(identity) => {
                renewed.get_or_insert_with(|| pinned.clone()).nodes[at].identity = identity;
            }
            NodeDrift::Changed(why) => return Drift::Changed(why),
        }
    }
    let is_known = |facts: &NodeFacts| {
        let mut runs = pinned.nodes.iter().map(|node| &node.identity.run_id);
        runs.any(|run_id| *run_id == facts.identity.run_id)
    };
    match now.iter().find(|facts| !is_known(facts)) {
        Some(another) => Drift::Changed(format!("{} is a master by now, too", another.address)),
        None => renewed.map_or(Drift::Same, Drift::Renewed),
    }
}

/// The same process, else whoever answers in its place.
fn counterpart<'n>(pinned: &PinnedNode, now: &'n [NodeFacts]) -> Option<&'n NodeFacts> {
    let find = |is_it: &dyn Fn(&NodeFacts) -> bool| now.iter().find(|facts| is_it(facts));
    find(&|facts| facts.identity.run_id == pinned.identity.run_id)
        .or_else(|| find(&|facts| facts.address == pinned.address))
        .or(if now.len() == 1 { now.first() } else { None })
}

/// What became of one node.
enum NodeDrift {
    Same,
    Renewed(NodeIdentity),
    Changed(String),
}

/// A promotion keeps the old replication id as the second one and a restart has another run id; only
/// the expiry of the backlog leaves a master with its run id, a new replication id and no second one.
fn drift_of(pinned: &NodeIdentity, now: &NodeFacts) -> NodeDrift {
    let identity = &now.identity;
    if identity == pinned {
        return NodeDrift::Same;
    }
    if identity.run_id != pinned.run_id {
        return NodeDrift::Changed(format!(
            "the server at {} is another process now (it was restarted, or another node was promoted)",
            now.address
        ));
    }
    if identity.is_master != pinned.is_master {
        let role = if identity.is_master {
            "promoted"
        } else {
            "demoted"
        };
        return NodeDrift::Changed(format!("the server at {} was {role}", now.address));
    }
    let has_no_second_history = now.replication_id2.bytes().all(|b| b == b'0');
    if identity.is_master && has_no_second_history {
        return NodeDrift::Renewed(identity.clone());
    }
    NodeDrift::Changed(format!(
        "the server at {} began another replication history",
        now.address
    ))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::model::slots::{Slot, SlotSet};
    use crate::model::time::Micros;

    const ZEROS: &str = "0000000000000000000000000000000000000000";

    fn identity(run: &str, history: &str, is_master: bool) -> NodeIdentity {
        NodeIdentity {
            run_id: run.into(),
            replication_id: history.into(),
            is_master,
        }
    }

    fn facts(identity: NodeIdentity, second: &str) -> NodeFacts {
        NodeFacts {
            address: format!("127.0.0.1:{}", identity.run_id),
            identity,
            server: "redis".into(),
            version: "7.0.15".into(),
            is_cluster: false,
            slots: SlotSet::all(),
            offset: 0,
            replication_id2: second.into(),
            second_offset: -1,
            uptime_seconds: 1,
            replicas_online: Vec::new(),
            upstream: None,
            is_loading: false,
            is_append_only: false,
            eviction_policy: None,
            time: Micros(0),
        }
    }

    #[test]
    fn tells_a_renewed_id_from_a_failover() {
        let pinned = Pinned::one("127.0.0.1:r1", identity("r1", "a", true));
        let drift = |now: NodeFacts| drift(&pinned, &[now]);
        assert_eq!(drift(facts(identity("r1", "a", true), ZEROS)), Drift::Same);
        let renewed = identity("r1", "b", true);
        assert_eq!(
            drift(facts(renewed.clone(), ZEROS)),
            Drift::Renewed(Pinned::one("127.0.0.1:r1", renewed.clone()))
        );
        let changed = |f: NodeFacts| matches!(drift(f), Drift::Changed(_));
        assert!(changed(facts(renewed, "a")), "demoted and promoted again");
        assert!(
            changed(facts(identity("r2", "a", true), ZEROS)),
            "restarted"
        );
        assert!(changed(facts(identity("r1", "a", false), ZEROS)), "demoted");
    }

    #[test]
    fn one_master_of_several_is_enough() {
        let three = || ["r1", "r2", "r3"].map(|run| facts(identity(run, run, true), ZEROS));
        let pinned = Pinned::of(&three());
        let mut turned = three();
        turned.reverse();
        turned[0].slots = SlotSet::none();
        turned[0].slots.add(Slot::new(7).unwrap());
        assert_eq!(
            drift(&pinned, &turned),
            Drift::Same,
            "order and slots do not count"
        );
        let mut renewed = three();
        renewed[1].identity.replication_id = "new".into();
        let mut expected = pinned.clone();
        expected.nodes[1].identity.replication_id = "new".into();
        assert_eq!(drift(&pinned, &renewed), Drift::Renewed(expected));
        let why = |now: &[NodeFacts]| match drift(&pinned, now) {
            Drift::Changed(why) => why,
            other => panic!("{other:?}"),
        };
        let mut restarted = three();
        restarted[2].identity.run_id = "r4".into();
        assert!(why(&restarted).contains("127.0.0.1:r3 is another process"));
        let mut demoted = renewed;
        demoted[2].identity.is_master = false;
        assert!(why(&demoted).contains("127.0.0.1:r3 was demoted"));
        assert!(why(&three()[..2]).contains("127.0.0.1:r3 is no longer"));
        let mut more = three().to_vec();
        more.push(facts(identity("r4", "r4", true), ZEROS));
        assert!(why(&more).contains("127.0.0.1:r4 is a master by now"));
    }
}
