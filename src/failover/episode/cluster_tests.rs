//! Several masters: the slots of those to which nothing happened are not in question.

use std::time::Duration;

use super::decision_tests::{watched, window};
use super::fixture::*;
use super::{Due, EpisodeKind, Outlook, Seen, find};
use crate::model::topology::{NodeView, Topology, TopologyKind};

#[test]
fn a_cluster_has_an_episode_for_each_master_and_a_window_for_those_that_changed() {
    let remembered = of_two_shards(watched());
    let new = with(promoted("B", "b", "A", 400), low());
    let same = with(master("X", "x"), high());
    let mut dead = silent("a", "no answer", Some(510));
    let mut told = view(&same);
    let timeout = Some("15000".to_owned());
    told.settings = timeout.map(|millis| vec![("cluster-node-timeout".to_owned(), millis)]);
    let nodes = |dead: &NodeView| vec![dead.clone(), view(&new), told.clone()];
    let masters = [
        present(new.clone(), Some(beat("A", "a", 400))),
        present(same.clone(), None),
    ];
    let seen = topology(TopologyKind::Cluster, nodes(&dead));
    let outlook = |seen: &Topology| -> Outlook {
        find(&Seen {
            remembered: &remembered,
            masters: &masters,
            topology: seen,
        })
    };
    let found = outlook(&seen);
    let kinds: Vec<_> = found.episodes.iter().map(|e| e.kind).collect();
    assert_eq!(kinds, [EpisodeKind::Promotion, EpisodeKind::Nothing]);
    assert_eq!(found.affected(), low());
    assert_eq!(
        found.due(Duration::from_secs(2)),
        Due::Window(window(398, 542).unwrap_or_else(|| unreachable!()))
    );
    let mut untold = nodes(&dead);
    untold[2].settings = None;
    let found = outlook(&topology(TopologyKind::Cluster, untold));
    assert_eq!(
        found.window(Duration::ZERO).and_then(|w| w.until),
        Some(at(NOW).plus(Duration::from_millis(100))),
        "nobody says how long a node that is cut off goes on"
    );
    dead.down_since = None;
    let found = outlook(&topology(TopologyKind::Cluster, nodes(&dead)));
    assert_eq!(
        found.window(Duration::ZERO).and_then(|w| w.until),
        Some(at(NOW).plus(Duration::from_millis(100)))
    );
    assert!(!found.explanation().contains("Nothing happened"));
}

#[test]
fn slots_that_moved_to_a_new_master_are_no_failover() {
    // It had all slots when it was dealt with; the upper half went to a node that joined.
    let remembered = watched();
    let old = with(master("A", "a"), low());
    let joined = with(started(600, master("N", "n")), high());
    let seen = topology(TopologyKind::Cluster, vec![view(&old), view(&joined)]);
    let masters = [
        present(old, Some(beat("A", "a", 500))),
        present(joined, None),
    ];
    let found = find(&Seen {
        remembered: &remembered,
        masters: &masters,
        topology: &seen,
    });
    let kinds: Vec<_> = found.episodes.iter().map(|e| e.kind).collect();
    assert_eq!(kinds, [EpisodeKind::Nothing, EpisodeKind::FirstSight]);
    assert_eq!(found.due(Duration::ZERO), Due::Nothing);
}

#[test]
fn a_master_that_is_known_by_name_is_the_node_that_answers_by_number() {
    let mut remembered = watched();
    for sample in &mut remembered.samples {
        "redis-0:6379".clone_into(&mut sample.address);
    }
    let new = promoted("B", "b", "A", 400);
    let mut views = vec![silent("a", "no answer", Some(510)), view(&new)];
    views[0].aliases.push("redis-0:6379".to_owned());
    views[1].settings = Some(vec![("cluster-node-timeout".into(), "5000".into())]);
    let masters = [present(new, Some(beat("A", "a", 400)))];
    let found = find(&Seen {
        remembered: &remembered,
        masters: &masters,
        topology: &topology(TopologyKind::Cluster, views),
    });
    assert_eq!(found.episodes[0].window, window(400, 520));
}

/// A new master took over the slot under whose tag another one beats, and was not beaten through yet.
#[test]
fn the_heartbeat_of_a_living_master_came_with_a_slot_and_says_nothing_of_the_new_one() {
    // It had given them away before; what it ever had since would be audited with it.
    let mut remembered = watched();
    let samples = remembered.samples.iter_mut().map(|s| &mut s.slots);
    let marks = remembered.handled.iter_mut().map(|h| &mut h.slots);
    samples.chain(marks).for_each(|had| *had = high());
    let found = |old: crate::model::node::NodeFacts| {
        let old = with(old, high());
        let joined = with(started(600, master("N", "n")), low());
        let topology = topology(TopologyKind::Cluster, vec![view(&old), view(&joined)]);
        let masters = [
            present(old, Some(beat("A", "a", 500))),
            present(joined, Some(beat("A", "a", 490))),
        ];
        find(&Seen {
            remembered: &remembered,
            masters: &masters,
            topology: &topology,
        })
    };
    let living = found(master("A", "a"));
    let kinds: Vec<_> = living.episodes.iter().map(|e| e.kind).collect();
    assert_eq!(kinds, [EpisodeKind::Nothing, EpisodeKind::FirstSight]);
    assert_eq!(living.due(Duration::ZERO), Due::Nothing);
    // The same when the giver failed over since: that is its own shard's window.
    let failed_over = found(promoted("B", "b", "A", 500));
    let kinds: Vec<_> = failed_over.episodes.iter().map(|e| e.kind).collect();
    assert_eq!(kinds, [EpisodeKind::Promotion, EpisodeKind::FirstSight]);
    assert_eq!(failed_over.affected(), slots(8_000, 16_384));
}
