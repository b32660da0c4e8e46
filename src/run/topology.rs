//! What the nodes themselves show, at a run's start and at its end.

use std::time::Duration;

use crate::job::RedisSpec;
use crate::model::finding::{Attribution, Finding, Remedy, Verdict};
use crate::model::observation::{Position, Subject};
use crate::model::shard::Shard;
use crate::model::time::Micros;
use crate::model::topology::Topology;
use crate::rules::{TopologyObjection, judge_topology};
use crate::store::redis::read_topology;

/// The check under which findings about nodes stand; no check of a job may have this name.
const CHECK: &str = "topology";

/// A node that takes longer counts as unreachable: a run must not wait long for one that is gone.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// Nodes are asked side by side and not at one instant, so a promotion between two answers may show two masters that
/// never were. What is still so after this is so.
const SECOND_LOOK: Duration = Duration::from_secs(1);

/// One reading of all nodes, and what the rules say to it.
pub(super) struct Looked {
    pub topology: Topology,
    objections: Vec<TopologyObjection>,
}

/// An objection over the whole run.
pub(super) struct TopologyFinding {
    pub objection: TopologyObjection,
    /// When it was seen last, and when no more.
    pub observed_at: Micros,
    pub settled_at: Option<Micros>,
}

/// The nodes over a whole run.
pub(super) struct Nodes {
    pub before: Looked,
    pub after: Looked,
    pub findings: Vec<TopologyFinding>,
}

impl Nodes {
    /// Whether there were two masters at the start, at the end, or when a repair looked.
    pub(super) fn had_two_masters(&self) -> bool {
        let mut objections = self.findings.iter().map(|f| &f.objection);
        objections.any(|objection| objection.suspect.rule.0 == "split-brain")
    }

    /// Without what is advice, and said by the first shard for all of them.
    pub(super) fn told_by(mut self, shard: Shard) -> Self {
        if shard.index() > 0 {
            self.findings.retain(|found| is_split(&found.objection));
        }
        self
    }

    /// Looks once more and puts together what was seen at the start, in between by the repair, and now.
    pub(super) async fn at_the_end(
        spec: &RedisSpec,
        before: Looked,
        seen_by_repair: &[(Micros, TopologyObjection)],
    ) -> Self {
        let after = look(spec.clone()).await;
        let findings = findings_of(&before, seen_by_repair, &after);
        Self {
            before,
            after,
            findings,
        }
    }
}

/// Asks every node and judges; two masters at once are believed at the second look.
pub(super) async fn look(spec: RedisSpec) -> Looked {
    let topology = read_topology(&spec, ANSWER_LIMIT).await;
    let first = judge_topology(&topology);
    if !first.iter().any(is_split) {
        return Looked {
            topology,
            objections: first,
        };
    }
    tokio::time::sleep(SECOND_LOOK).await;
    let topology = read_topology(&spec, ANSWER_LIMIT).await;
    let mut objections = judge_topology(&topology);
    objections.retain(|now| !is_split(now) || first.iter().any(|then| is_same(then, now)));
    Looked {
        topology,
        objections,
    }
}

/// Everything that was seen at the start, in between (`seen_by_repair`) or at the end, each once. What the end no
/// longer shows is settled.
fn findings_of(
    before: &Looked,
    seen_by_repair: &[(Micros, TopologyObjection)],
    after: &Looked,
) -> Vec<TopologyFinding> {
    let mut found: Vec<TopologyFinding> = Vec::new();
    let at_start = before.objections.iter();
    let at_start = at_start.map(|objection| (before.topology.seen_at, objection));
    let between = seen_by_repair
        .iter()
        .map(|(at, objection)| (*at, objection));
    for (seen_at, objection) in at_start.chain(between) {
        match found.iter_mut().find(|f| is_same(&f.objection, objection)) {
            Some(known) => known.observed_at = seen_at,
            None => found.push(TopologyFinding {
                objection: objection.clone(),
                observed_at: seen_at,
                settled_at: Some(after.topology.seen_at),
            }),
        }
    }
    for objection in &after.objections {
        let now = TopologyFinding {
            objection: objection.clone(),
            observed_at: after.topology.seen_at,
            settled_at: None,
        };
        match found.iter_mut().find(|f| is_same(&f.objection, objection)) {
            Some(known) => *known = now,
            None => found.push(now),
        }
    }
    // Two masters one of which no longer answers may be two masters still.
    let answers = |address: &str| {
        let mut nodes = after.topology.nodes.iter();
        nodes.any(|node| node.address == address && node.said.is_ok())
    };
    for finding in found.iter_mut().filter(|f| is_split(&f.objection)) {
        finding.settled_at = finding
            .settled_at
            .filter(|_| answers(&finding.objection.address));
    }
    found
}

/// What could not be looked at, in sentences for the report.
pub(super) fn unseen(topology: &Topology) -> Vec<String> {
    let mut said = Vec::new();
    for node in &topology.nodes {
        match &node.said {
            Err(why) => said.push(format!("the node {} did not answer: {why}", node.address)),
            Ok(facts) if facts.identity.is_master && node.settings.is_none() => {
                said.push(format!(
                    "unsafe-config was not looked at on {}: the user may not read its settings (CONFIG GET)",
                    node.address
                ));
            }
            Ok(_) => {}
        }
    }
    let silent = topology.sentinels.iter();
    said.extend(silent.filter_map(|sentinel| {
        let why = sentinel.said.as_ref().err()?;
        Some(format!(
            "the Sentinel {} did not answer: {why}",
            sentinel.address
        ))
    }));
    said
}

impl TopologyFinding {
    /// As a row of `findings.csv`: the node as `id`, the setting as `field`, its value and the advised one.
    pub(super) fn finding(&self) -> Finding {
        let setting = self.objection.setting.as_ref();
        let bytes = |text: &String| text.as_bytes().to_vec();
        Finding {
            check: CHECK.to_owned(),
            subject: Subject {
                key: Vec::new(),
                member: setting.map(|s| s.name.as_bytes().to_vec()),
                id: vec![self.objection.address.as_bytes().to_vec()],
            },
            position: Position::default(),
            stream_id: None,
            suspect: self.objection.suspect.clone(),
            verdict: Verdict::Confirmed,
            attribution: Attribution::Unknown,
            cache_value: setting.map(|s| bytes(&s.value)),
            source_value: setting.map(|s| bytes(&s.advised)),
            cache_version: None,
            source_version: None,
            compensated: None,
            changed_at: None,
            money_delta: None,
            remedy: Remedy::None,
            outcome: None,
            reason: self.reason().to_owned(),
            observed_at: self.observed_at,
            settled_at: self.settled_at,
            compensations: Vec::new(),
        }
    }

    pub(super) fn reason(&self) -> &str {
        self.objection.suspect.detail.as_deref().unwrap_or_default()
    }

    /// Whether the run cannot end as if nothing were wrong: advice, and what is over, is only told.
    pub(super) fn is_open(&self) -> bool {
        is_split(&self.objection) && self.settled_at.is_none()
    }
}

fn is_split(objection: &TopologyObjection) -> bool {
    objection.suspect.rule.0 == "split-brain"
}

/// Whether both say the same of the same node; offsets in their words may have moved.
fn is_same(one: &TopologyObjection, other: &TopologyObjection) -> bool {
    let setting = |objection: &TopologyObjection| objection.setting.as_ref().map(|s| s.name);
    one.suspect.rule == other.suspect.rule
        && one.address == other.address
        && setting(one) == setting(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::finding::{Direction, RuleId, Severity, Suspect};
    use crate::model::topology::{NodeView, TopologyKind};

    fn objection(rule: &'static str, address: &str) -> TopologyObjection {
        TopologyObjection {
            suspect: Suspect {
                rule: RuleId(rule),
                severity: Severity::Low,
                direction: Direction::Undirected,
                field: None,
                detail: None,
            },
            address: address.to_owned(),
            setting: None,
        }
    }

    /// A reading in which `silent` does not answer.
    fn looked(at: i64, silent: &[&str], objections: Vec<TopologyObjection>) -> Looked {
        let nodes = silent.iter().map(|address| NodeView {
            address: (*address).to_owned(),
            aliases: Vec::new(),
            said: Err("refused".to_owned()),
            down_since: None,
            role_since: None,
            settings: None,
        });
        Looked {
            topology: Topology {
                kind: TopologyKind::Sentinel,
                nodes: nodes.collect(),
                sentinels: Vec::new(),
                epoch: None,
                seen_at: Micros(at),
            },
            objections,
        }
    }

    #[test]
    fn each_objection_stands_once_with_its_last_sight_and_its_end() {
        let before = looked(1, &[], vec![objection("unsafe-config", "a")]);
        let between = [(Micros(2), objection("unsafe-config", "b"))];
        let after = looked(3, &[], vec![objection("unsafe-config", "a")]);
        let found = findings_of(&before, &between, &after);
        let times: Vec<_> = found
            .iter()
            .map(|f| (f.observed_at, f.settled_at))
            .collect();
        let expected = [(Micros(3), None), (Micros(2), Some(Micros(3)))];
        assert_eq!(times, expected);
        assert!(found.iter().all(|f| !f.is_open()), "advice holds nobody up");
    }

    #[test]
    fn every_shard_tells_of_two_masters_and_the_first_one_gives_the_advice() {
        let seen = || {
            let both = vec![
                objection("unsafe-config", "a"),
                objection("split-brain", "b"),
            ];
            let (before, after) = (looked(1, &[], both.clone()), looked(2, &[], both));
            let findings = findings_of(&before, &[], &after);
            Nodes {
                before,
                after,
                findings,
            }
        };
        let told = |text: &str| {
            let shard = Shard::parse(text).expect("it is a shard");
            let nodes = seen().told_by(shard);
            assert!(nodes.had_two_masters());
            nodes.findings.len()
        };
        assert_eq!(
            (told("0/1"), told("0/4"), told("1/4"), told("3/4")),
            (2, 2, 1, 1)
        );
    }

    #[test]
    fn two_masters_are_over_only_when_both_say_so() {
        let split = || vec![objection("split-brain", "old")];
        let open = |after: Looked| {
            let found = findings_of(&looked(1, &[], split()), &[], &after);
            found.iter().filter(|f| f.is_open()).count()
        };
        assert_eq!(open(looked(2, &[], split())), 1);
        assert_eq!(
            open(looked(2, &["old"], Vec::new())),
            1,
            "it may be cut off"
        );
        let mut answered = looked(2, &["old"], Vec::new());
        answered.topology.nodes[0].said = Ok(crate::rules::topology::testing::master("old", "h1"));
        assert_eq!(open(answered), 0);
    }
}
