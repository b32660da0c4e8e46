//! The decision table: what is remembered, what is seen, what it was.

use std::time::Duration;

use super::fixture::*;
use super::{Episode, EpisodeKind, FoundBy, Seen, Sureness, find};
use crate::failover::{PresentMaster, Remembered};
use crate::model::time::TimeWindow;
use crate::model::topology::{Topology, TopologyKind};

pub(super) fn looked(remembered: &Remembered, master: PresentMaster, seen: &Topology) -> Episode {
    let masters = [master];
    let seen = Seen {
        remembered,
        masters: &masters,
        topology: seen,
    };
    let mut outlook = find(&seen);
    outlook.episodes.remove(0)
}

/// With nobody else to be seen.
pub(super) fn alone(remembered: &Remembered, master: PresentMaster) -> Episode {
    let seen = topology(TopologyKind::Standalone, vec![view(&master.facts)]);
    looked(remembered, master, &seen)
}

pub(super) fn window(since: i64, until: i64) -> Option<TimeWindow> {
    Some(TimeWindow {
        since: at(since),
        until: Some(at(until)),
    })
}

/// A watched master `A` of process `a`, dealt with at second 100, with a beat each second from 101 to 500.
pub(super) fn watched() -> Remembered {
    remembering(samples("A", "a", 101..=500), vec![handled("A", "a", 100)])
}

#[test]
fn the_history_that_was_dealt_with_asks_for_nothing() {
    let episode = alone(
        &watched(),
        present(master("A", "a"), Some(beat("A", "a", 500))),
    );
    assert_eq!((episode.kind, episode.window), (EpisodeKind::Nothing, None));
}

#[test]
fn where_nothing_is_remembered_watching_begins() {
    let episode = alone(&Remembered::default(), present(master("A", "a"), None));
    assert_eq!(episode.kind, EpisodeKind::FirstSight);
    let beaten = remembering(samples("A", "a", 1..=9), Vec::new());
    let episode = alone(&beaten, present(master("A", "a"), Some(beat("A", "a", 9))));
    assert_eq!(
        episode.kind,
        EpisodeKind::FirstSight,
        "the checkpoint came first"
    );
    assert_eq!(episode.window, None);
}

#[test]
fn a_promotion_loses_from_the_heartbeat_found_until_the_old_master_was_dead() {
    let new = promoted("B", "b", "A", 400);
    let dead = silent("a", "Connection refused (os error 111)", Some(510));
    let seen = topology(TopologyKind::Sentinel, vec![dead, view(&new)]);
    let episode = looked(&watched(), present(new, Some(beat("A", "a", 400))), &seen);
    assert_eq!(episode.kind, EpisodeKind::Promotion);
    assert_eq!(episode.window, window(400, 510));
    assert_eq!(episode.found_by, FoundBy::Heartbeat);
    assert_eq!(episode.sureness, Sureness::ExactToTheBeat);
}

#[test]
fn a_silent_old_master_may_go_on_where_nobody_sees_it() {
    let new = promoted("B", "b", "A", 400);
    let hour = 3_600;
    for (down_since, is_open) in [
        (None, true),
        (Some(510), true),
        (Some(NOW - hour + 1), true),
        (Some(NOW - hour), false),
    ] {
        let cut_off = silent("a", "no answer within 2 s", down_since);
        let seen = topology(TopologyKind::Sentinel, vec![cut_off, view(&new)]);
        let found = present(new.clone(), Some(beat("A", "a", 400)));
        let episode = looked(&watched(), found, &seen);
        assert_eq!(episode.window, window(400, NOW));
        assert_eq!(episode.is_open, is_open, "{down_since:?}");
    }
}

#[test]
fn a_demoted_master_stopped_when_it_was_demoted_and_not_when_the_other_was_promoted() {
    let new = promoted("B", "b", "A", 400);
    let old = replica(&new, "a");
    for (role_since, until) in [(Some(530), 530), (Some(520), NOW), (None, NOW)] {
        let mut views = vec![view(&new), view(&old)];
        views[0].role_since = Some(at(520));
        views[1].role_since = role_since.map(at);
        let seen = topology(TopologyKind::Sentinel, views);
        let found = present(new.clone(), Some(beat("A", "a", 400)));
        let episode = looked(&watched(), found, &seen);
        assert_eq!(episode.window, window(400, until), "{role_since:?}");
    }
}

#[test]
fn a_restarted_old_master_may_have_taken_writes_until_it_was_asked_for_its_role() {
    let new = promoted("B", "b", "A", 400);
    let again = started(540, replica(&new, "again"));
    let again = crate::model::node::NodeFacts {
        address: address("a"),
        ..again
    };
    for (role_since, until) in [(Some(560), 560), (Some(520), 552), (None, NOW)] {
        let mut views = vec![view(&new), view(&again)];
        views[0].role_since = Some(at(520));
        views[1].role_since = role_since.map(at);
        let seen = topology(TopologyKind::Sentinel, views);
        let found = present(new.clone(), Some(beat("A", "a", 400)));
        let episode = looked(&watched(), found, &seen);
        assert_eq!(episode.window, window(400, until), "{role_since:?}");
    }
}

#[test]
fn while_the_old_master_still_takes_writes_there_is_no_end() {
    let new = promoted("B", "b", "A", 400);
    let seen = topology(
        TopologyKind::Sentinel,
        vec![view(&new), view(&master("A", "a"))],
    );
    let episode = looked(&watched(), present(new, Some(beat("A", "a", 400))), &seen);
    let open = TimeWindow {
        since: at(400),
        until: None,
    };
    assert_eq!(episode.window, Some(open));
}

#[test]
fn samples_prove_only_what_lies_below_the_offset_at_which_histories_part() {
    let new = promoted("B", "b", "A", 400);
    let episode = alone(&watched(), present(new, None));
    assert_eq!(episode.kind, EpisodeKind::Promotion);
    assert_eq!(episode.window, window(400, NOW));
    assert_eq!(episode.found_by, FoundBy::Samples);
    assert_eq!(episode.sureness, Sureness::Bracketed);
    // Bytes 40,000 are kept, 40,001 are not: the sample of second 401 is the first that proves nothing.
    let mut new = promoted("B", "b", "A", 400);
    new.second_offset = 40_000;
    let episode = alone(&watched(), present(new, None));
    assert_eq!(episode.window, window(399, NOW));
}

#[test]
fn a_switch_is_graceful_only_if_the_old_process_needed_nothing_sent_again() {
    let new = promoted("B", "b", "A", 500);
    let found = || present(new.clone(), Some(beat("A", "a", 500)));
    let mut old = replica(&new, "a");
    let kind = |old: &crate::model::node::NodeFacts| {
        let seen = topology(TopologyKind::Standalone, vec![view(&new), view(old)]);
        looked(&watched(), found(), &seen).kind
    };
    assert_eq!(
        kind(&old),
        EpisodeKind::Promotion,
        "everything was sent again"
    );
    old.replication_id2 = "A".into();
    old.second_offset = new.second_offset;
    assert_eq!(kind(&old), EpisodeKind::Graceful);
    let mut ahead = old.clone();
    ahead.second_offset += 1;
    assert_eq!(kind(&ahead), EpisodeKind::Promotion, "it had more");
    let mut another = old.clone();
    another.identity.run_id = "another".into();
    assert_eq!(
        kind(&another),
        EpisodeKind::Promotion,
        "that was never the master"
    );
    let mut elsewhere = old;
    elsewhere.identity.replication_id = "C".into();
    assert_eq!(
        kind(&elsewhere),
        EpisodeKind::Promotion,
        "it follows another one"
    );
}

#[test]
fn the_window_never_begins_after_what_was_audited() {
    let mut remembered = watched();
    let found = || present(promoted("B", "b", "A", 400), Some(beat("A", "a", 400)));
    remembered.audited_until = Some(at(450));
    assert_eq!(alone(&remembered, found()).window, window(400, NOW));
    remembered.audited_until = Some(at(350));
    let episode = alone(&remembered, found());
    assert_eq!(episode.window, window(350, NOW));
    assert!(
        episode.explanation.contains("audited"),
        "{}",
        episode.explanation
    );
}

#[test]
fn a_clock_that_is_ahead_is_set_right_by_the_samples() {
    let mut remembered = watched();
    for sample in &mut remembered.samples {
        sample.beat.beat_at = sample.beat.beat_at.plus(Duration::from_secs(30));
    }
    let mut found = beat("A", "a", 400);
    found.beat_at = at(430);
    let episode = alone(
        &remembered,
        present(promoted("B", "b", "A", 400), Some(found)),
    );
    assert_eq!(episode.window, window(400, NOW));
}

#[test]
fn without_beats_the_witnesses_or_the_last_run_are_asked_and_else_a_person() {
    let new = promoted("B", "b", "A", 400);
    let marked = remembering(Vec::new(), vec![handled("A", "a", 100)]);
    let mut views = vec![view(&new)];
    views[0].role_since = Some(at(600));
    let mut seen = topology(TopologyKind::Sentinel, views);
    seen.sentinels.push(sentinel(&new, Some(600)));
    let nothing = Remembered::default();
    for (remembered, seen, expected) in [
        // Eleven times a down-after of 1 s, and a minute.
        (&nothing, &seen, (window(529, NOW), FoundBy::Sentinel)),
        (&marked, &seen, (window(529, NOW), FoundBy::Sentinel)),
    ] {
        let episode = looked(remembered, present(new.clone(), None), seen);
        assert_eq!((episode.window, episode.found_by), expected);
        assert_eq!(episode.sureness, Sureness::Estimate);
    }
    let episode = alone(&marked, present(new.clone(), None));
    assert_eq!(episode.window, window(40, NOW));
    assert_eq!(episode.found_by, FoundBy::LastRun);
    let episode = alone(&nothing, present(new, None));
    assert_eq!(
        (episode.kind, episode.window),
        (EpisodeKind::EvidenceGone, None)
    );
    assert_eq!(episode.sureness, Sureness::Unknown);
}
