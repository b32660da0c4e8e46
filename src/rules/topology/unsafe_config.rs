//! # Detects
//!
//! Settings of a master that leave a failover's loss without a bound, one finding each: `min-replicas-to-write`, `min-replicas-max-lag`, `repl-backlog-size`,
//! no persistence (`appendonly`), an eviction policy that takes keys without an expiry (`maxmemory-policy`), replicas of different `replica-priority`.
//!
//! # How it comes about
//!
//! Most of these are defaults. A master then acknowledges writes that no replica has, for as long as it is cut off; a master that a supervisor restarts faster
//! than Sentinel notices comes back empty, and empties its replicas.
//!
//! # Why it matters
//!
//! The next failover loses more than this one had to, or raises no event at all.
//!
//! # Repair and its safety
//!
//! Nothing is changed by itself, and the finding never changes the exit code. The advice stands in `source_value` and `reason`; `min-replicas-to-write` costs
//! availability (writes are refused while no replica is near), so it is a decision. What the user may not read by CONFIG GET is not looked at.

use super::judging::{SettingAdvice, TopologyObjection};
use crate::model::finding::{Remedy, RuleId, Severity};
use crate::model::node::NodeFacts;
use crate::model::topology::{NodeView, Topology, TopologyKind};
use crate::rules::catalog::{Check, Rule};

pub const RULE: Rule = Rule {
    id: RuleId("unsafe-config"),
    severity: Severity::Low,
    remedies: &[Remedy::None],
    source: include_str!("unsafe_config.rs"),
    check: Check::Topology(check),
};

/// Redis's own default, and the longest lag for which an acknowledged write is somewhere else soon.
const LAG_SECONDS_MAX: u64 = 10;
/// A replica that was away for this long should find the rest of the stream in the backlog.
const BACKLOG_SECONDS_MIN: u64 = 60;
/// Redis's default; without a rate to go by only this is objected to.
const BACKLOG_DEFAULT: u64 = 1 << 20;
/// An average over less says nothing.
const UPTIME_SECONDS_MIN: u64 = 600;

fn check(topology: &Topology) -> Vec<TopologyObjection> {
    let mut found = Vec::new();
    for view in &topology.nodes {
        let Ok(facts) = &view.said else { continue };
        if !facts.identity.is_master {
            continue;
        }
        let settings = [
            eviction(view, facts),
            min_replicas(view, facts),
            backlog(view, facts),
            persistence(view, facts),
        ];
        found.extend(settings.into_iter().flatten());
    }
    found.extend(priorities(topology));
    found
}

fn min_replicas(view: &NodeView, facts: &NodeFacts) -> Option<TopologyObjection> {
    if facts.replicas_online.is_empty() {
        // Nothing could be asked for that is not there.
        return None;
    }
    let number = |name: &str| view.setting(name)?.parse::<u64>().ok();
    let wanted = number("min-replicas-to-write")?;
    if wanted == 0 {
        let why = "the master acknowledges writes however long it is cut off from every replica; with 1 it refuses them \
                   after min-replicas-max-lag seconds, which bounds the loss";
        return Some(advise(view, "min-replicas-to-write", "0", "1", why));
    }
    let lag = number("min-replicas-max-lag")?;
    if lag == 0 {
        let why = "0 turns min-replicas-to-write off";
        return Some(advise(view, "min-replicas-max-lag", "0", "10", why));
    }
    (lag > LAG_SECONDS_MAX).then(|| {
        let why = format!("a master that is cut off goes on for {lag} s, and all of it is lost");
        let value = lag.to_string();
        advise(view, "min-replicas-max-lag", &value, "10", &why)
    })
}

fn backlog(view: &NodeView, facts: &NodeFacts) -> Option<TopologyObjection> {
    let bytes: u64 = view.setting("repl-backlog-size")?.parse().ok()?;
    if facts.replicas_online.is_empty() {
        return None;
    }
    let value = bytes.to_string();
    let objection = |advised: u64, why: &str| {
        let advised = advised.to_string();
        Some(advise(view, "repl-backlog-size", &value, &advised, why))
    };
    match bytes_per_second(facts) {
        Some(rate) if bytes < rate.saturating_mul(BACKLOG_SECONDS_MIN) => {
            let seconds = bytes / rate.max(1);
            let why = format!(
                "it holds {seconds} s of writes at {rate} bytes/s: a replica that is away for longer is copied in full, and \
                 what an old master still holds of a failover's losses is overwritten as soon"
            );
            objection(rate * BACKLOG_SECONDS_MIN, &why)
        }
        None if bytes <= BACKLOG_DEFAULT => {
            let why = "it is the default, which a busy master fills in seconds: a replica that is away for longer is \
                       copied in full";
            objection(64 << 20, why)
        }
        _ => None,
    }
}

/// The mean since the process started; `None` where its offset began in another process.
fn bytes_per_second(facts: &NodeFacts) -> Option<u64> {
    let is_its_own = !facts.has_former_history() && facts.uptime_seconds >= UPTIME_SECONDS_MIN;
    let offset = u64::try_from(facts.offset).ok().filter(|_| is_its_own)?;
    Some(offset / facts.uptime_seconds)
}

fn persistence(view: &NodeView, facts: &NodeFacts) -> Option<TopologyObjection> {
    let is_unsaved = view.setting("save")?.trim().is_empty();
    let has_replicas = !facts.replicas_online.is_empty();
    (is_unsaved && !facts.is_append_only).then(|| {
        let why = if has_replicas {
            "the master keeps nothing on disk: restarted faster than a failover comes, it is empty, and so are its \
             replicas then"
        } else {
            "the server keeps nothing on disk: every restart loses everything"
        };
        advise(view, "appendonly", "no", "yes", why)
    })
}

fn eviction(view: &NodeView, facts: &NodeFacts) -> Option<TopologyObjection> {
    let policy = facts.eviction_policy.as_deref()?;
    let is_limited = view.setting("maxmemory")? != "0";
    (is_limited && policy.starts_with("allkeys")).then(|| {
        let why = "keys without an expiry are evicted, too, streams and counters among them; what is missing then cannot \
                   be told from what a failover lost";
        advise(view, "maxmemory-policy", policy, "volatile-lru", why)
    })
}

/// Sentinel promotes by priority first. (A Cluster goes by the offset alone, and 0 is never promoted.)
fn priorities(topology: &Topology) -> Option<TopologyObjection> {
    if topology.kind == TopologyKind::Cluster {
        return None;
    }
    let candidates = topology.nodes.iter().filter_map(|view| {
        let priority = view.said.as_ref().ok()?.upstream.as_ref()?.priority;
        (priority > 0).then_some((priority, view))
    });
    let candidates: Vec<_> = candidates.collect();
    let (highest, _) = candidates.iter().max_by_key(|(priority, _)| *priority)?;
    let (lowest, view) = candidates.iter().min_by_key(|(priority, _)| *priority)?;
    (lowest < highest).then(|| {
        let (value, advised) = (lowest.to_string(), highest.to_string());
        let why = "Sentinel promotes the replica with the lowest number first, however far it lags behind the others";
        advise(view, "replica-priority", &value, &advised, why)
    })
}

fn advise(
    view: &NodeView,
    name: &'static str,
    value: &str,
    advised: &str,
    why: &str,
) -> TopologyObjection {
    let detail = format!("{name} is {value}: {why}; advised: {advised}");
    TopologyObjection {
        setting: Some(SettingAdvice {
            name,
            value: value.to_owned(),
            advised: advised.to_owned(),
        }),
        ..TopologyObjection::new(&RULE, &view.address, detail)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::super::judging::testing::*;
    use super::*;

    const SAFE: [(&str, &str); 5] = [
        ("maxmemory", "0"),
        ("min-replicas-max-lag", "10"),
        ("min-replicas-to-write", "1"),
        ("repl-backlog-size", "67108864"),
        ("save", "3600 1"),
    ];

    fn safe_but(name: &'static str, value: &'static str) -> Vec<(&'static str, &'static str)> {
        let others = SAFE.into_iter().filter(|(other, _)| *other != name);
        others.chain([(name, value)]).collect()
    }

    /// Names of the settings objected to, and the values advised.
    fn found(nodes: Vec<NodeView>) -> Vec<(String, String)> {
        let objections = check(&of_views(TopologyKind::Sentinel, nodes));
        let settings = objections.into_iter().map(|o| o.setting.unwrap());
        settings.map(|s| (s.name.to_owned(), s.advised)).collect()
    }

    fn about(facts: NodeFacts, settings: &[(&str, &str)]) -> Vec<(String, String)> {
        found(vec![view(facts, Some(settings))])
    }

    #[test]
    fn each_setting_is_objected_to_alone() {
        let node = || with_replica(master("m", "h1"));
        assert_eq!(about(node(), &SAFE), []);
        for (name, value, expected) in [
            ("min-replicas-to-write", "0", Some("1")),
            ("min-replicas-max-lag", "0", Some("10")),
            ("min-replicas-max-lag", "11", Some("10")),
            ("min-replicas-max-lag", "9", None),
            ("repl-backlog-size", "1048576", Some("67108864")),
            ("repl-backlog-size", "1048577", None),
        ] {
            let said = about(node(), &safe_but(name, value));
            let expected = expected.map(|advised| (name.to_owned(), advised.to_owned()));
            assert_eq!(said, Vec::from_iter(expected), "{name} {value}");
        }
    }

    #[test]
    fn what_could_not_be_asked_is_not_objected_to() {
        let facts = with_replica(master("m", "h1"));
        assert_eq!(found(vec![view(facts, None)]), []);
        let alone = about(master("m", "h1"), &safe_but("min-replicas-to-write", "0"));
        assert_eq!(alone, [], "there is no replica to ask for");
        let mut replica = with_replica(replica("r", "h1", 5, true));
        replica.is_append_only = false;
        assert_eq!(about(replica, &safe_but("save", "")), []);
    }

    #[test]
    fn a_backlog_is_measured_by_the_rate_where_it_is_known() {
        let mut busy = with_replica(master("m", "h1"));
        busy.uptime_seconds = 1_000;
        busy.offset = 2_000_000_000;
        let advised = about(busy.clone(), &SAFE);
        let minute = (2_000_000 * BACKLOG_SECONDS_MIN).to_string();
        assert_eq!(advised, [("repl-backlog-size".to_owned(), minute)]);
        busy.offset = 1_000;
        let idle = about(busy, &safe_but("repl-backlog-size", "1048576"));
        assert_eq!(idle, [], "a quiet server does not fill the default");
    }

    #[test]
    fn a_server_that_keeps_nothing_and_one_that_evicts_everything_are_told() {
        let mut facts = with_replica(master("m", "h1"));
        facts.is_append_only = false;
        let unsaved = about(facts.clone(), &safe_but("save", ""));
        assert_eq!(unsaved, [("appendonly".to_owned(), "yes".to_owned())]);
        assert_eq!(about(facts.clone(), &SAFE), [], "it has snapshots");
        facts.eviction_policy = Some("allkeys-lru".to_owned());
        assert_eq!(about(facts.clone(), &SAFE), [], "nothing limits its memory");
        let evicting = about(facts, &safe_but("maxmemory", "1000000"));
        let advised = ("maxmemory-policy".to_owned(), "volatile-lru".to_owned());
        assert_eq!(evicting, [advised]);
    }

    #[test]
    fn replicas_of_different_priority_are_told_and_those_never_promoted_are_not() {
        let with = |name: &str, priority| {
            let mut facts = replica(name, "h1", 5, true);
            facts.upstream.as_mut().unwrap().priority = priority;
            view(facts, None)
        };
        assert_eq!(found(vec![with("a", 100), with("b", 100)]), []);
        assert_eq!(found(vec![with("a", 100), with("b", 0)]), []);
        let told = found(vec![with("a", 100), with("b", 1)]);
        assert_eq!(told, [("replica-priority".to_owned(), "100".to_owned())]);
        let cluster = of_views(TopologyKind::Cluster, vec![with("a", 100), with("b", 1)]);
        assert!(check(&cluster).is_empty());
    }
}
