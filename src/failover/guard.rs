//! The topology guard: is the node we talk to still the process and the history we pinned?

use crate::model::identity::NodeIdentity;
use crate::model::node::NodeFacts;

/// What became of a pinned node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drift {
    Same,
    /// The replication id was renewed on the same process because no replica was attached for
    /// `repl-backlog-ttl`: the history goes on. Pin the new identity.
    Renewed(NodeIdentity),
    /// A failover, a demotion or a restart: whatever was read before does not count.
    Changed(String),
}

/// Compares what was pinned with what the node says now.
///
/// A promotion keeps the old replication id as the second one and a restart has another run id; only
/// the expiry of the backlog leaves a master with its run id, a new replication id and no second one.
pub fn drift(pinned: &NodeIdentity, now: &NodeFacts) -> Drift {
    let identity = &now.identity;
    if identity == pinned {
        return Drift::Same;
    }
    if identity.run_id != pinned.run_id {
        return Drift::Changed(format!(
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
        return Drift::Changed(format!("the server at {} was {role}", now.address));
    }
    let has_no_second_history = now.replication_id2.bytes().all(|b| b == b'0');
    if identity.is_master && has_no_second_history {
        return Drift::Renewed(identity.clone());
    }
    Drift::Changed(format!(
        "the server at {} began another replication history",
        now.address
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Micros;

    fn identity(run: &str, history: &str, is_master: bool) -> NodeIdentity {
        NodeIdentity {
            run_id: run.into(),
            replication_id: history.into(),
            is_master,
        }
    }

    fn facts(identity: NodeIdentity, second: &str) -> NodeFacts {
        NodeFacts {
            address: "127.0.0.1:6379".into(),
            identity,
            server: "redis".into(),
            version: "7.0.15".into(),
            is_cluster: false,
            slots: crate::model::slots::SlotSet::all(),
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
        let pinned = identity("r1", "a", true);
        let zeros = "0000000000000000000000000000000000000000";
        assert_eq!(drift(&pinned, &facts(pinned.clone(), zeros)), Drift::Same);
        let renewed = identity("r1", "b", true);
        assert_eq!(
            drift(&pinned, &facts(renewed.clone(), zeros)),
            Drift::Renewed(renewed.clone())
        );
        let changed = |f: NodeFacts| matches!(drift(&pinned, &f), Drift::Changed(_));
        assert!(changed(facts(renewed, "a")), "demoted and promoted again");
        assert!(
            changed(facts(identity("r2", "a", true), zeros)),
            "restarted"
        );
        assert!(changed(facts(identity("r1", "a", false), zeros)), "demoted");
    }
}
