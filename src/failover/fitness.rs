//! May a replica be read in place of its master?

use crate::model::node::NodeFacts;

/// What a node is worth for reading instead of a certain master as it was at a certain moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fitness {
    /// It holds all that the master held then.
    Fit,
    /// It may come to it, as replicas do after a failover.
    NotYet(String),
    /// It follows somebody else, or is somebody else: data of its own.
    Foreign(String),
    /// Reading it would spare the master nothing, or prove nothing.
    Never(String),
}

/// Compares a node with `master`, as that one was when it was pinned. The reason completes "it …".
///
/// The applied offset is a count of bytes of one history, so it says something only beside the same replication id;
/// and a replica whose link is down, or that is loading, may just have thrown everything away.
pub fn fitness(master: &NodeFacts, node: &NodeFacts) -> Fitness {
    if node.identity.run_id == master.identity.run_id {
        return Fitness::Never("is the master itself".to_owned());
    }
    let id = &node.identity.replication_id;
    let was_related = (master.has_former_history() && *id == master.replication_id2)
        || (node.has_former_history() && node.replication_id2 == master.identity.replication_id);
    if node.identity.is_master {
        return if was_related || *id == master.identity.replication_id {
            Fitness::NotYet("says that it is a master too".to_owned())
        } else {
            Fitness::Foreign("is a master with a history of its own".to_owned())
        };
    }
    let Some(upstream) = &node.upstream else {
        return Fitness::NotYet("does not say whom it follows".to_owned());
    };
    if node.is_loading || !upstream.is_up {
        return Fitness::NotYet(format!("has no link to {}", upstream.address));
    }
    if *id != master.identity.replication_id {
        return if was_related {
            Fitness::NotYet(format!(
                "still follows the history before the failover, from {}",
                upstream.address
            ))
        } else {
            Fitness::Foreign(format!(
                "follows {}, which has another history",
                upstream.address
            ))
        };
    }
    if upstream.applied_offset < master.offset {
        return Fitness::NotYet(format!(
            "has applied {} bytes of the master's {}",
            upstream.applied_offset, master.offset
        ));
    }
    Fitness::Fit
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::identity::NodeIdentity;
    use crate::model::node::Upstream;
    use crate::model::slots::SlotSet;
    use crate::model::time::Micros;

    fn node(run: &str, history: &str, is_master: bool) -> NodeFacts {
        NodeFacts {
            address: format!("{run}:6379"),
            identity: NodeIdentity {
                run_id: run.into(),
                replication_id: history.into(),
                is_master,
            },
            server: "redis".into(),
            version: "7.0.15".into(),
            is_cluster: false,
            slots: SlotSet::all(),
            offset: 1_000,
            replication_id2: "0000000000000000000000000000000000000000".into(),
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

    /// Promoted: `now` goes on from `before`.
    fn master() -> NodeFacts {
        NodeFacts {
            replication_id2: "before".into(),
            second_offset: 900,
            ..node("m", "now", true)
        }
    }

    fn replica(history: &str, applied: i64) -> NodeFacts {
        NodeFacts {
            upstream: Some(Upstream {
                address: "m:6379".into(),
                is_up: true,
                applied_offset: applied,
                priority: 100,
            }),
            ..node("r", history, false)
        }
    }

    fn cut(mut node: NodeFacts) -> NodeFacts {
        node.upstream.iter_mut().for_each(|u| u.is_up = false);
        node
    }

    #[test]
    fn fit_is_only_who_holds_what_the_master_held() {
        let of = |node: &NodeFacts| match fitness(&master(), node) {
            Fitness::Fit => "fit",
            Fitness::NotYet(_) => "not yet",
            Fitness::Foreign(_) => "foreign",
            Fitness::Never(_) => "never",
        };
        assert_eq!(of(&replica("now", 1_000)), "fit");
        assert_eq!(of(&replica("now", 2_000)), "fit");
        assert_eq!(of(&replica("now", 999)), "not yet");
        assert_eq!(of(&cut(replica("now", 2_000))), "not yet");
        let mut loading = replica("now", 2_000);
        loading.is_loading = true;
        assert_eq!(of(&loading), "not yet");
        assert_eq!(of(&replica("before", 2_000)), "not yet");
        assert_eq!(of(&replica("other", 2_000)), "foreign");
        assert_eq!(
            of(&cut(replica("other", 2_000))),
            "not yet",
            "a new replica"
        );
        assert_eq!(of(&master()), "never");
        assert_eq!(
            of(&node("old", "before", true)),
            "not yet",
            "not yet demoted"
        );
        assert_eq!(of(&node("x", "other", true)), "foreign");
        let mut newer = node("newer", "newest", true);
        newer.replication_id2 = "now".into();
        newer.second_offset = 1_100;
        assert_eq!(of(&newer), "not yet", "another failover is under way");
    }

    #[test]
    fn no_history_is_nobody_s_former_one() {
        let zeros = "0000000000000000000000000000000000000000";
        let young = node("m", "now", true);
        assert!(matches!(
            fitness(&young, &replica(zeros, 2_000)),
            Fitness::Foreign(_)
        ));
    }
}
