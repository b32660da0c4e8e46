//! A node that was asked, under all the addresses by which somebody named it.

use std::collections::{BTreeSet, HashMap};

use super::cluster_nodes::ClusterView;
use super::place::Place;
use super::witness::Testimony;
use crate::model::node::NodeFacts;
use crate::model::time::Micros;
use crate::model::topology::{NodeView, SentinelView};

/// A node that somebody named, and what came of asking it.
pub(super) struct Known {
    /// Every address it goes by; the first is the one it is shown under.
    pub(super) addresses: Vec<String>,
    pub(super) answer: Result<Answer, String>,
}

pub(super) struct Answer {
    pub(super) facts: NodeFacts,
    pub(super) settings: Option<Vec<(String, String)>>,
    pub(super) cluster: Option<ClusterView>,
    /// This host's clock when it had answered.
    pub(super) heard_at: Micros,
}

impl Known {
    pub(super) fn view(self, testimonies: &[Testimony]) -> NodeView {
        let own_role = self
            .answer
            .as_ref()
            .ok()
            .map(|a| a.facts.identity.is_master);
        let about = testimonies
            .iter()
            .filter(|testimony| self.addresses.contains(&testimony.address));
        let about: Vec<&Testimony> = about.collect();
        // Whoever sees it alive refutes those that do not. Of the others the last sign of life counts.
        let is_down = !about.is_empty() && about.iter().all(|t| t.down_since.is_some());
        let down_since = about.iter().filter_map(|t| t.down_since).max();
        let roles = about
            .iter()
            .filter(|t| own_role.is_none() || t.role_is_master == own_role);
        // A witness that was restarted, or reset, knows it later, never earlier.
        let role_since = roles.filter_map(|t| t.role_since).min();
        let mut addresses = self.addresses.into_iter();
        let address = addresses.next().unwrap_or_default();
        let (said, settings) = match self.answer {
            Ok(answer) => (Ok(answer.facts), answer.settings),
            Err(why) => (Err(why), None),
        };
        NodeView {
            address,
            aliases: addresses.collect(),
            said,
            down_since: down_since.filter(|_| is_down),
            role_since,
            settings,
        }
    }
}

impl Answer {
    /// Whom it names besides itself.
    pub(super) fn names(&self) -> Vec<Place> {
        let replicas = self.facts.replicas_online.iter().map(|r| &r.address);
        let upstream = self.facts.upstream.iter().map(|u| &u.address);
        let peers = self.cluster.iter().flat_map(ClusterView::peers);
        let named = replicas.chain(upstream).cloned().chain(peers);
        named.filter_map(|address| Place::of(&address)).collect()
    }

    /// What it says of the other nodes of its Cluster.
    pub(super) fn testimonies(&self) -> Vec<Testimony> {
        let ahead = self.facts.time.0 - self.heard_at.0;
        let cluster = self.cluster.iter();
        cluster.flat_map(|view| view.testimonies(ahead)).collect()
    }
}

/// One process is one node, by however many addresses it was reached; and so is what its Cluster calls one, as long as no
/// two processes answer there.
pub(super) fn merge_aliases(all: &mut Vec<Known>) {
    merge_processes(all);
    let answers = all.iter().filter_map(|known| known.answer.as_ref().ok());
    let views = answers.filter_map(|answer| answer.cluster.as_ref());
    let aliases = views.flat_map(ClusterView::aliases);
    let aliases: BTreeSet<[String; 2]> = aliases
        .map(|(number, name)| [number.to_owned(), name.to_owned()])
        .collect();
    for pair in aliases {
        let at = |address: &String| all.iter().position(|k| k.addresses.contains(address));
        let (Some(a), Some(b)) = (at(&pair[0]), at(&pair[1])) else {
            continue;
        };
        let (first, second) = (a.min(b), a.max(b));
        if first == second || (all[first].answer.is_ok() && all[second].answer.is_ok()) {
            continue;
        }
        let second = all.remove(second);
        all[first].addresses.extend(second.addresses);
        if all[first].answer.is_err() {
            all[first].answer = second.answer;
        }
    }
}

fn merge_processes(all: &mut Vec<Known>) {
    let mut first: HashMap<String, usize> = HashMap::new();
    let mut kept: Vec<Known> = Vec::with_capacity(all.len());
    for known in all.drain(..) {
        let run_id = known.answer.as_ref().ok().map(|a| &a.facts.identity.run_id);
        let before = run_id.and_then(|run_id| first.get(run_id).copied());
        match (before, run_id) {
            (Some(at), _) => kept[at].addresses.extend(known.addresses),
            (None, Some(run_id)) => {
                first.insert(run_id.clone(), kept.len());
                kept.push(known);
            }
            (None, None) => kept.push(known),
        }
    }
    *all = kept;
}

/// Sentinels may spell one node in several ways (a name, an address); they are made to agree.
pub(super) fn rename(sentinels: &mut [SentinelView], asked: &[Known]) {
    for view in sentinels {
        let Ok(belief) = &mut view.said else { continue };
        let mut known = asked.iter();
        if let Some(known) = known.find(|known| known.addresses.contains(&belief.master)) {
            belief.master.clone_from(&known.addresses[0]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_cluster_calls_one_node_is_one_unless_two_processes_answer() {
        let nodes = "aa 10.0.0.1:1@2,redis-0 master - 0 1 1 connected 0-5460\n\
            bb 10.0.0.2:1@2,redis-1 myself,master - 0 1 1 connected 5461-10922\n\
            cc 10.0.0.3:1@2,redis-2 master - 0 1 1 connected 10923-16383";
        let answer = |run_id: &str| {
            let mut facts = crate::rules::topology::testing::master(run_id, run_id);
            run_id.clone_into(&mut facts.identity.run_id);
            Ok(Answer {
                facts,
                settings: None,
                cluster: Some(ClusterView::of(nodes, "10.0.0.2")),
                heard_at: Micros(0),
            })
        };
        let silent = || Err("certificate not valid for this address".to_owned());
        let known = |address: &str, answer| Known {
            addresses: vec![address.to_owned()],
            answer,
        };
        let mut all = vec![
            known("10.0.0.1:1", silent()),
            known("redis-0:1", answer("a")),
            known("10.0.0.2:1", answer("b")),
            known("redis-1:1", answer("x")),
            known("redis-2:1", silent()),
            known("10.0.0.3:1", silent()),
        ];
        merge_aliases(&mut all);
        let views: Vec<NodeView> = all.into_iter().map(|known| known.view(&[])).collect();
        let said: Vec<(&str, bool, usize)> = views
            .iter()
            .map(|v| (v.address.as_str(), v.said.is_ok(), v.aliases.len()))
            .collect();
        let expected = [
            ("10.0.0.1:1", true, 1),
            ("10.0.0.2:1", true, 0),
            ("redis-1:1", true, 0),
            ("redis-2:1", false, 1),
        ];
        assert_eq!(said, expected);
        assert!(views[0].goes_by("redis-0:1") && views[0].goes_by("10.0.0.1:1"));
        assert!(!views[0].goes_by("redis-1:1"));
    }

    #[test]
    fn a_node_is_down_when_every_witness_says_so_and_the_last_sign_of_life_counts() {
        let said = |down: Option<i64>, role: Option<bool>, since: i64| Testimony {
            address: "a:1".to_owned(),
            down_since: down.map(Micros),
            role_is_master: role,
            role_since: Some(Micros(since)),
        };
        let known = || Known {
            addresses: vec!["a:1".to_owned()],
            answer: Err("refused".to_owned()),
        };
        let view = known().view(&[said(Some(5), Some(true), 9), said(Some(7), Some(true), 8)]);
        assert_eq!(view.down_since, Some(Micros(7)));
        assert_eq!(view.role_since, Some(Micros(8)));
        let view = known().view(&[said(Some(5), None, 1), said(None, None, 1)]);
        assert_eq!(view.down_since, None, "one of them sees it alive");
        let mut other = said(Some(5), None, 1);
        "b:1".clone_into(&mut other.address);
        assert_eq!(known().view(&[other]).down_since, None, "said of another");
    }
}
