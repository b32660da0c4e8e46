//! Several failovers, one after the other, before anybody looked.

use std::time::Duration;

use super::decision_tests::{alone, looked, watched, window};
use super::fixture::*;
use super::{EpisodeKind, FoundBy, Seen, Sureness, find};
use crate::failover::Remembered;
use crate::model::time::Micros;
use crate::model::topology::TopologyKind;

/// `A` until second 500, then `B` (with everything until 490) until 700, then `C` (with everything until 680).
fn twice() -> Remembered {
    let mut remembered = remembering(samples("A", "a", 101..=500), vec![handled("A", "a", 100)]);
    remembered.samples.extend(samples("B", "b", 502..=700));
    let b = promoted("B", "b", "A", 490);
    remembered
        .changes
        .push(change(&b, Some(beat("A", "a", 490)), 502));
    remembered
}

#[test]
fn the_window_begins_where_the_first_failover_lost() {
    let c = promoted("C", "c", "B", 680);
    let episode = alone(&twice(), present(c, Some(beat("B", "b", 680))));
    assert_eq!(episode.kind, EpisodeKind::Promotion);
    assert_eq!(episode.window, window(490, NOW));
    assert_eq!(episode.found_by, FoundBy::Heartbeat);
}

#[test]
fn a_beat_in_the_last_history_changes_nothing() {
    let c = promoted("C", "c", "B", 680);
    let mut remembered = twice();
    remembered
        .changes
        .push(change(&c, Some(beat("B", "b", 680)), 703));
    remembered.samples.extend(samples("C", "c", 703..=800));
    let episode = alone(&remembered, present(c, Some(beat("C", "c", 800))));
    assert_eq!(episode.window, window(490, NOW));
}

#[test]
fn what_was_dealt_with_in_between_is_not_done_again() {
    let c = promoted("C", "c", "B", 680);
    let mut remembered = twice();
    remembered.handled.push(handled("B", "b", 550));
    let episode = alone(&remembered, present(c, Some(beat("B", "b", 680))));
    assert_eq!(episode.window, window(680, NOW));
}

#[test]
fn a_heartbeat_of_the_first_history_covers_all_that_followed() {
    let c = promoted("C", "c", "B", 680);
    let mut remembered = twice();
    remembered.changes.clear();
    let episode = alone(&remembered, present(c, Some(beat("A", "a", 490))));
    assert_eq!(episode.window, window(490, NOW));
    assert_eq!(episode.sureness, Sureness::ExactToTheBeat);
}

#[test]
fn where_a_link_is_missing_the_window_begins_before_the_last_that_is_known() {
    let c = promoted("C", "c", "B", 680);
    let mut remembered = twice();
    remembered.changes.clear();
    let found = || present(c.clone(), Some(beat("B", "b", 680)));
    let episode = alone(&remembered, found());
    assert_eq!(episode.kind, EpisodeKind::Promotion);
    assert_eq!(
        episode.window,
        window(500 - 60, NOW),
        "a minute before the last beat of A"
    );
    assert_eq!(episode.sureness, Sureness::Estimate);
    assert!(episode.explanation.contains("nothing is remembered"));
    // The history before it is known by its mark alone.
    remembered.samples.retain(|s| s.beat.replication_id != "A");
    let episode = alone(&remembered, found());
    assert_eq!(episode.window, window(100 - 60, NOW));
    assert_eq!(episode.found_by, FoundBy::LastRun);
}

#[test]
fn without_a_mark_the_first_history_known_is_where_the_chain_begins() {
    let c = promoted("C", "c", "B", 680);
    let mut remembered = twice();
    remembered.handled.clear();
    let episode = alone(&remembered, present(c, Some(beat("B", "b", 680))));
    assert_eq!(episode.window, window(490, NOW));
}

#[test]
fn a_renewal_in_the_chain_is_passed_over() {
    // `A` was renewed to `A2` on the same process, then lost.
    let mut remembered = remembering(samples("A", "a", 101..=300), vec![handled("A", "a", 100)]);
    remembered.samples.extend(samples("A2", "a", 301..=500));
    let renewed = master("A2", "a");
    remembered
        .changes
        .push(change(&renewed, Some(beat("A", "a", 300)), 301));
    let b = promoted("B", "b", "A2", 490);
    let episode = alone(&remembered, present(b.clone(), Some(beat("A2", "a", 490))));
    assert_eq!(episode.window, window(490, NOW));
    // Without its note nobody knows whether the process was demoted and promoted in between.
    remembered.changes.clear();
    let episode = alone(&remembered, present(b, Some(beat("A2", "a", 490))));
    assert_eq!(episode.window, window(300 - 60, NOW));
    assert_eq!(episode.sureness, Sureness::Estimate);
}

#[test]
fn an_empty_restart_in_the_chain_asks_for_everything() {
    let mut remembered = twice();
    let empty = started(600, master("E", "e"));
    remembered.changes.push(change(&empty, None, 705));
    remembered.samples.extend(samples("E", "e", 705..=800));
    let last = promoted("F", "f", "E", 790);
    let episode = alone(&remembered, present(last, Some(beat("E", "e", 790))));
    assert_eq!(
        episode.kind,
        EpisodeKind::RestartEmpty,
        "{}",
        episode.explanation
    );
}

#[test]
fn histories_that_name_each_other_end_the_walk() {
    let mut remembered = Remembered::default();
    let b = promoted("B", "b", "A", 490);
    let a = promoted("A", "a", "B", 300);
    remembered
        .changes
        .push(change(&b, Some(beat("A", "a", 490)), 502));
    remembered
        .changes
        .push(change(&a, Some(beat("B", "b", 300)), 310));
    remembered.handled.push(handled("Z", "z", 1));
    let episode = alone(&remembered, present(b, Some(beat("A", "a", 490))));
    assert!(episode.window.is_some_and(|w| w.since <= at(300)));
    assert!(episode.window.is_some_and(|w| w.since > Micros(0)));
}

/// `A` until 500, by a planned switch `B` until 700, and back to the process of `A`, before anybody looked.
#[test]
fn a_master_that_came_back_is_no_second_one() {
    let mut remembered = watched();
    remembered.samples.extend(samples("B", "b", 502..=700));
    let b = promoted("B", "b", "A", 500);
    let noted = change(&b, Some(beat("A", "a", 500)), 502);
    remembered.changes.push(noted);
    let back = promoted("A2", "a", "B", 700);
    let mut old = replica(&back, "b");
    (old.replication_id2, old.second_offset) = ("B".into(), back.second_offset);
    let seen = topology(TopologyKind::Sentinel, vec![view(&back), view(&old)]);
    let unnoted = present(back.clone(), Some(beat("B", "b", 700)));
    let episode = looked(&remembered, unnoted, &seen);
    assert!(!episode.is_open, "{}", episode.explanation);
    assert_eq!(episode.window, window(500, NOW));
    let noted = change(&back, Some(beat("B", "b", 700)), 702);
    remembered.changes.push(noted);
    remembered.samples.extend(samples("A2", "a", 702..=900));
    let beaten = present(back.clone(), Some(beat("A2", "a", 900)));
    let episode = looked(&remembered, beaten, &seen);
    assert!(!episode.is_open, "{}", episode.explanation);
    assert_eq!(episode.window, window(500, 702), "it had come back by then");
    // Another one of the same name for a master is one, as long as it is none of the job's.
    let two = topology(
        TopologyKind::Sentinel,
        vec![view(&b), view(&master("A", "a"))],
    );
    assert!(looked(&watched(), present(b, Some(beat("A", "a", 400))), &two).is_open);
}

#[test]
fn a_former_master_that_answers_for_other_keys_by_now_is_no_second_one() {
    let remembered = of_two_shards(watched());
    let new = with(promoted("B", "b", "A", 400), low());
    let moved = with(promoted("X2", "a", "X", 800), high());
    let nodes = vec![view(&new), view(&moved)];
    let masters = [
        present(new, Some(beat("A", "a", 400))),
        present(moved, None),
    ];
    let found = find(&Seen {
        remembered: &remembered,
        masters: &masters,
        topology: &topology(TopologyKind::Cluster, nodes),
    });
    assert!(!found.is_open(), "{found:#?}");
    let window = found.window(Duration::ZERO);
    assert!(window.is_some_and(|w| w.until.is_some()), "{found:#?}");
}
