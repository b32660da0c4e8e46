//! The list of rules, and which of several objections is reported.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::cache;
use super::case::Case;
use super::stream;
use super::stream::{EntryCase, GroupCase};
use super::topology;
use super::topology::TopologyObjection;
use crate::model::finding::{Direction, Remedy, RuleId, Severity, Suspect};
use crate::model::topology::Topology;

/// A rule as it is known outside: `source` is its own file, whose module doc explains it.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    pub id: RuleId,
    /// The usual one; a suspect may say more.
    pub severity: Severity,
    /// What may be done about it, the preferred first.
    pub remedies: &'static [Remedy],
    pub(super) source: &'static str,
    pub(super) check: Check,
}

/// What a rule looks at.
#[derive(Debug, Clone, Copy)]
pub(super) enum Check {
    /// One key or member of a cache.
    Cache(fn(&Case<'_>) -> Vec<Suspect>),
    /// One entry id of a stream.
    Entry(fn(&EntryCase<'_>) -> Option<Suspect>),
    /// A group and its place in the stream.
    Group(fn(&GroupCase<'_>) -> Option<Suspect>),
    /// Two entries, or two rows, which the scan has brought together.
    Duplicate,
    /// All nodes at one moment.
    Topology(fn(&Topology) -> Vec<TopologyObjection>),
}

/// Every rule about a cache, the most specific first: where two object to one key or field, the earlier
/// is reported.
pub const CACHE_RULES: &[Rule] = &[
    cache::wrong_type::RULE,
    cache::stale_negative::RULE,
    cache::resurrected_key::RULE,
    cache::orphan_key::RULE,
    cache::missing_key::RULE,
    cache::undecodable_value::RULE,
    cache::version_regression::RULE,
    cache::version_ahead::RULE,
    cache::negative_balance::RULE,
    cache::state_regression::RULE,
    cache::out_of_bounds::RULE,
    cache::value_mismatch::RULE,
    cache::lost_expiry::RULE,
];

/// Every rule about a stream, in the order in which they are asked. An entry that cannot be read is
/// `undecodable-value`, a key of another type `wrong-type`, as in caches.
pub const STREAM_RULES: &[Rule] = &[
    stream::trimmed_pending::RULE,
    stream::payload_conflict::RULE,
    stream::unacked_persisted::RULE,
    stream::poison_pending::RULE,
    stream::orphan_pending::RULE,
    stream::acked_unpersisted::RULE,
    stream::group_missing::RULE,
    stream::group_rewound::RULE,
    stream::lost_entry::RULE,
    stream::duplicate_entry::RULE,
    stream::duplicate_row::RULE,
];

/// Every rule about the nodes themselves; each is asked, and none is ever repaired.
pub const TOPOLOGY_RULES: &[Rule] = &[
    topology::split_brain::RULE,
    topology::replica_behind::RULE,
    topology::unsafe_config::RULE,
];

/// Every rule there is.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    let of_data = CACHE_RULES.iter().chain(STREAM_RULES);
    of_data.chain(TOPOLOGY_RULES)
}

/// The rule of this id.
pub fn rule(id: &str) -> Option<&'static Rule> {
    rules().find(|r| r.id.0 == id)
}

/// What a rule is about, as `auditor explain` prints it: Markdown with the four headings.
pub fn explain(id: &str) -> Option<&'static str> {
    static TEXTS: LazyLock<BTreeMap<&'static str, String>> =
        LazyLock::new(|| rules().map(|r| (r.id.0, module_doc(r.source))).collect());
    TEXTS.get(id).map(String::as_str)
}

/// Asks every rule, and keeps one objection for the key and one for each field.
pub(super) fn judge(case: &Case<'_>) -> Vec<Suspect> {
    let mut kept: Vec<Suspect> = Vec::new();
    let asked = CACHE_RULES.iter().filter_map(|rule| match rule.check {
        Check::Cache(check) => Some(check),
        _ => None,
    });
    for suspect in asked.flat_map(|check| check(case)) {
        if kept.iter().all(|earlier| earlier.field != suspect.field) {
            kept.push(suspect);
        }
    }
    kept
}

/// The first rule that objects to an entry.
pub(super) fn judge_entry(case: &EntryCase<'_>) -> Option<Suspect> {
    STREAM_RULES.iter().find_map(|rule| match rule.check {
        Check::Entry(check) => check(case),
        _ => None,
    })
}

/// What the rules object to about a group.
pub(super) fn judge_group(case: &GroupCase<'_>) -> Vec<Suspect> {
    let asked = STREAM_RULES.iter().filter_map(|rule| match rule.check {
        Check::Group(check) => Some(check),
        _ => None,
    });
    asked.filter_map(|check| check(case)).collect()
}

/// What the rules object to about the nodes.
pub fn judge_topology(topology: &Topology) -> Vec<TopologyObjection> {
    let asked = TOPOLOGY_RULES.iter().filter_map(|rule| match rule.check {
        Check::Topology(check) => Some(check),
        _ => None,
    });
    asked.flat_map(|check| check(topology)).collect()
}

impl Rule {
    /// An objection of this rule to the key as a whole.
    pub(super) fn suspect_key(&self, direction: Direction) -> Suspect {
        Suspect {
            rule: self.id,
            severity: self.severity,
            direction,
            field: None,
            detail: None,
        }
    }

    /// An objection of this rule to an entry, a row or a group as a whole, with what it has to say.
    pub(super) fn suspect_saying(
        &self,
        direction: Direction,
        detail: impl Into<String>,
    ) -> Suspect {
        Suspect {
            detail: Some(detail.into()),
            ..self.suspect_key(direction)
        }
    }

    /// An objection of this rule to one field.
    pub(super) fn suspect_field(&self, case: &Case<'_>, field: usize) -> Suspect {
        Suspect {
            field: Some(field),
            ..self.suspect_key(case.direction)
        }
    }
}

fn module_doc(source: &str) -> String {
    let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
    let mut text = String::new();
    for line in lines {
        text.push_str(line.strip_prefix(' ').unwrap_or(line));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn every_rule_explains_itself() {
        for rule in rules() {
            let text = explain(rule.id.0).unwrap();
            for heading in [
                "# Detects",
                "# How it comes about",
                "# Why it matters",
                "# Repair and its safety",
            ] {
                let after = text
                    .split_once(&format!("{heading}\n"))
                    .unwrap()
                    .1
                    .trim_start();
                assert!(
                    after.len() > 40 && !after.starts_with('#'),
                    "{}: {heading} says nothing",
                    rule.id
                );
            }
            assert!(!rule.remedies.is_empty());
        }
        assert_eq!((CACHE_RULES.len(), STREAM_RULES.len()), (13, 11));
        assert_eq!(TOPOLOGY_RULES.len(), 3);
        assert!(explain("no-such-rule").is_none());
    }

    #[test]
    fn ids_are_unique() {
        let mut ids: Vec<_> = rules().map(|r| r.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), rules().count());
        assert_eq!(rule("orphan-key").unwrap().severity, Severity::Low);
    }
}
