//! # Detects
//!
//! The replica that was promoted was not the furthest: another one had applied more of the old master's history, and more
//! was lost than had to be.
//!
//! # How it comes about
//!
//! Sentinel compares `replica-priority` before the offset, so a replica with the lower number is promoted however far it lags. By hand, and by `CLUSTER FAILOVER
//! TAKEOVER`, any replica is promoted. A replica that Sentinel could not reach at that moment is not considered.
//!
//! # Why it matters
//!
//! The other replica still holds acknowledged writes that the new master never had. As soon as it follows the new master it is resynchronised in full, and
//! they are gone for good.
//!
//! # Repair and its safety
//!
//! Nothing is done by itself. Before that replica is let back, copy its data (or keep it stopped): it can say what was lost. Give replicas that may be promoted
//! one and the same `replica-priority`. Some bytes more may be no more than pings of the old master.

use super::judging::TopologyObjection;
use crate::model::finding::{Remedy, RuleId, Severity};
use crate::model::node::NodeFacts;
use crate::model::topology::{NodeView, Topology};
use crate::rules::catalog::{Check, Rule};

pub const RULE: Rule = Rule {
    id: RuleId("replica-behind"),
    severity: Severity::High,
    remedies: &[Remedy::None],
    source: include_str!("replica_behind.rs"),
    check: Check::Topology(check),
};

fn check(topology: &Topology) -> Vec<TopologyObjection> {
    let answered = || {
        let nodes = topology.nodes.iter();
        nodes.filter_map(|view| Some((view, view.said.as_ref().ok()?)))
    };
    let promoted =
        answered().filter(|(_, facts)| facts.identity.is_master && facts.has_former_history());
    let found = promoted.flat_map(|(view, facts)| {
        let others = answered().map(|(_, other)| other);
        let furthest = others
            .filter_map(|other| Some((had(other, facts)?, other)))
            .max_by_key(|(had, _)| *had)?;
        Some(objection(view, facts, furthest))
    });
    found.collect()
}

/// How much of the history that `promoted` came from `other` had applied, if that was more. An old master, and what
/// still follows it, had more because it went on: that is no choice anybody made.
fn had(other: &NodeFacts, promoted: &NodeFacts) -> Option<i64> {
    let shared = promoted.second_offset - 1;
    let former = &promoted.replication_id2;
    let applied = match &other.upstream {
        Some(upstream) if other.identity.replication_id == *former && !upstream.is_up => {
            upstream.applied_offset
        }
        None if other.replication_id2 == *former => other.second_offset - 1,
        _ => return None,
    };
    (applied > shared).then_some(applied)
}

fn objection(
    view: &NodeView,
    promoted: &NodeFacts,
    (had, furthest): (i64, &NodeFacts),
) -> TopologyObjection {
    let shared = promoted.second_offset - 1;
    let own = view.setting("replica-priority");
    let other = furthest.upstream.as_ref().map(|upstream| upstream.priority);
    let why = match (own, other) {
        (Some(own), Some(other)) if own != other.to_string() => format!(
            "replica-priority beats the offset, and the lower number wins: {own} here, {other} there"
        ),
        (Some(_), Some(_)) => {
            "their replica-priority is the same, so it was promoted by hand, or the other was out of reach".to_owned()
        }
        _ => "replica-priority beats the offset".to_owned(),
    };
    let detail = format!(
        "{} was promoted at offset {shared} of the old history, though {} had applied {had}: {} bytes more; {why}",
        promoted.address,
        furthest.address,
        had - shared,
    );
    TopologyObjection::new(&RULE, &view.address, detail)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::super::judging::testing::*;
    use super::*;
    use crate::model::topology::TopologyKind;

    #[test]
    fn objects_where_another_replica_of_the_old_history_had_more() {
        let new = || promoted("new", "h2", "h1", 901);
        for (other, expected) in [
            (replica("r", "h1", 950, false), Some("50 bytes more")),
            (replica("r", "h1", 901, false), Some("1 bytes more")),
            (replica("r", "h1", 900, false), None),
            // It follows the old master, which went on.
            (replica("r", "h1", 950, true), None),
            // It follows the new one.
            (replica("r", "h2", 990, true), None),
            (replica("r", "h0", 990, false), None),
            (master("old", "h1"), None),
            (promoted("b", "h3", "h1", 951), Some("50 bytes more")),
            (promoted("b", "h3", "h1", 901), None),
        ] {
            let found = check(&topology(vec![new(), other.clone()]));
            let said = found.iter().find(|o| o.address == "new");
            let detail = said.and_then(|o| o.suspect.detail.as_deref());
            match expected {
                Some(words) => assert!(detail.unwrap().contains(words), "{detail:?}"),
                None => assert_eq!(detail, None, "{other:?}"),
            }
        }
    }

    #[test]
    fn names_the_furthest_and_the_priorities() {
        let new = view(
            promoted("new", "h2", "h1", 901),
            Some(&[("replica-priority", "1")]),
        );
        let near = view(replica("near", "h1", 910, false), None);
        let far = view(replica("far", "h1", 950, false), None);
        let found = check(&of_views(TopologyKind::Sentinel, vec![new, near, far]));
        assert_eq!(found.len(), 1);
        let detail = found[0].suspect.detail.as_deref().unwrap();
        assert!(detail.contains("far had applied 950"), "{detail}");
        assert!(detail.contains("1 here, 100 there"), "{detail}");
    }

    #[test]
    fn a_master_that_was_never_promoted_has_left_nobody_behind() {
        let found = check(&topology(vec![
            master("m", "h1"),
            replica("r", "h1", 5_000, false),
        ]));
        assert!(found.is_empty());
    }
}
