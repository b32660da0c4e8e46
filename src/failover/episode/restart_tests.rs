//! The decision table, restarts: the same node, another process, and what it brought back.

use std::time::Duration;

use super::decision_tests::{alone, looked, window};
use super::fixture::*;
use super::{Due, EpisodeKind, Outlook};
use crate::failover::Remembered;
use crate::model::node::NodeFacts;
use crate::model::time::Micros;
use crate::model::topology::TopologyKind;

/// A watched master `A` of process `a` at `h:1`, with a beat each second from 101 to 500.
fn watched() -> Remembered {
    remembering(samples("A", "a", 101..=500), vec![handled("A", "a", 100)])
}

/// The server at `h:1`, started again at second 503.
fn again(history: &str) -> NodeFacts {
    NodeFacts {
        address: address("a"),
        ..started(503, master(history, "again"))
    }
}

fn due(episode: super::Episode) -> Due {
    let outlook = Outlook {
        episodes: vec![episode],
        seen_at: Micros(0),
    };
    outlook.due(Duration::ZERO)
}

#[test]
fn a_restart_with_its_data_is_audited_from_the_last_beat_to_the_start() {
    let mut appending = again("B");
    appending.is_append_only = true;
    for facts in [again("B"), appending] {
        let episode = alone(&watched(), present(facts, Some(beat("A", "a", 500))));
        assert_eq!(episode.kind, EpisodeKind::RestartWithData);
        assert_eq!(episode.window, window(500, 504));
    }
}

#[test]
fn a_server_that_writes_before_it_answers_loses_nothing() {
    let mut facts = again("B");
    facts.is_append_only = true;
    let mut own = view(&facts);
    own.settings = Some(vec![("appendfsync".into(), "always".into())]);
    let seen = topology(TopologyKind::Standalone, vec![own]);
    let episode = looked(
        &watched(),
        present(facts.clone(), Some(beat("A", "a", 500))),
        &seen,
    );
    assert_eq!(
        (episode.kind, episode.window),
        (EpisodeKind::RestartWithData, None)
    );
    let older = looked(&watched(), present(facts, Some(beat("A", "a", 490))), &seen);
    assert_eq!(older.kind, EpisodeKind::RestartFromOldSnapshot);
}

#[test]
fn a_file_may_lack_the_last_moments() {
    let mut facts = again("B");
    facts.is_append_only = true;
    let episode = alone(
        &watched(),
        present(facts.clone(), Some(beat("A", "a", 498))),
    );
    assert_eq!(episode.kind, EpisodeKind::RestartWithData);
    assert_eq!(episode.window, window(498, 504));
    let episode = alone(&watched(), present(facts, Some(beat("A", "a", 496))));
    assert_eq!(episode.kind, EpisodeKind::RestartFromOldSnapshot);
}

#[test]
fn missing_beats_show_an_old_snapshot_whatever_info_says() {
    let names_its_past = NodeFacts {
        replication_id2: "A".into(),
        second_offset: 30_001,
        ..again("B")
    };
    // One that names a former history may have been promoted at any time, as far as a plain URL tells.
    for (facts, until) in [(again("B"), 504), (names_its_past, NOW)] {
        let episode = alone(&watched(), present(facts, Some(beat("A", "a", 300))));
        assert_eq!(episode.kind, EpisodeKind::RestartFromOldSnapshot);
        assert_eq!(episode.window, window(300, until));
        assert_eq!(due(episode), Due::FullSweep);
    }
}

#[test]
fn a_heartbeat_that_is_gone_shows_an_empty_server() {
    let episode = alone(&watched(), present(again("B"), None));
    assert_eq!(episode.kind, EpisodeKind::RestartEmpty);
    assert_eq!(episode.window, window(0, 504), "whatever was ever written");
    assert_eq!(due(episode), Due::FullSweep);
}

#[test]
fn an_empty_server_is_known_by_its_first_beat_too() {
    let empty = again("B");
    let mut remembered = watched();
    let mut first = change(&empty, None, 510);
    first.uptime_seconds = 7;
    remembered.changes.push(first);
    remembered.samples.push(sample("B", "again", 510));
    let mut last = beat("B", "again", 510);
    last.run_id = "again".into();
    let episode = alone(&remembered, present(empty, Some(last)));
    assert_eq!(episode.kind, EpisodeKind::RestartEmpty);
}

#[test]
fn a_restart_without_any_beats_asks_a_person() {
    let marked = remembering(Vec::new(), vec![handled("A", "a", 100)]);
    let episode = alone(&marked, present(again("B"), None));
    assert_eq!(episode.kind, EpisodeKind::EvidenceGone);
    assert_eq!(due(episode), Due::AskForTime);
}

/// An hour-old RDB names its past, too: when it was saved nobody knows.
#[test]
fn a_restart_that_names_its_past_asks_a_person_where_there_were_no_beats() {
    let marked = remembering(Vec::new(), vec![handled("A", "a", 100)]);
    let mut facts = again("B");
    facts.replication_id2 = "A".into();
    facts.second_offset = 1;
    let episode = alone(&marked, present(facts, None));
    assert_eq!(episode.window, None);
    assert_eq!(due(episode), Due::AskForTime);
}

#[test]
fn one_missing_beat_shows_an_old_snapshot_however_writes_were_kept() {
    let each_minute = vec![sample("A", "a", 400), sample("A", "a", 460)];
    let marked = remembering(each_minute, vec![handled("A", "a", 100)]);
    let mut facts = again("B");
    facts.is_append_only = true;
    let mut own = view(&facts);
    own.settings = Some(vec![("appendfsync".into(), "always".into())]);
    let seen = topology(TopologyKind::Standalone, vec![own]);
    let found = present(facts.clone(), Some(beat("A", "a", 400)));
    let episode = looked(&marked, found, &seen);
    assert_eq!(episode.kind, EpisodeKind::RestartFromOldSnapshot);
    assert_eq!(due(episode), Due::FullSweep);
}

#[test]
fn the_same_process_without_a_former_history_was_renewed() {
    let renewed = master("B", "a");
    for (remembered, found) in [
        (watched(), Some(beat("A", "a", 500))),
        (watched(), None),
        (remembering(Vec::new(), vec![handled("A", "a", 100)]), None),
    ] {
        let episode = alone(&remembered, present(renewed.clone(), found));
        assert_eq!(episode.kind, EpisodeKind::Renewed, "{remembered:?}");
        assert_eq!((episode.window, due(episode)), (None, Due::Nothing));
    }
}

#[test]
fn a_process_that_was_demoted_and_promoted_again_was_not_renewed() {
    let back = promoted("C", "a", "B", 400);
    let episode = alone(&watched(), present(back, Some(beat("A", "a", 400))));
    assert_eq!(episode.kind, EpisodeKind::Promotion);
    assert_eq!(episode.window, window(400, NOW));
}

#[test]
fn a_renewal_is_believed_only_while_a_promotion_would_not_be_forgotten() {
    // Beats an hour and more ago: it may have been demoted and promoted since, and have forgotten that.
    let shifted = |mut remembered: Remembered| {
        for sample in &mut remembered.samples {
            sample.seen_at = sample.seen_at.minus(Duration::from_secs(4_000));
            sample.beat.beat_at = sample.beat.beat_at.minus(Duration::from_secs(4_000));
        }
        remembered
    };
    let mut found = beat("A", "a", 500);
    found.beat_at = found.beat_at.minus(Duration::from_secs(4_000));
    let episode = alone(
        &shifted(watched()),
        present(master("B", "a"), Some(found.clone())),
    );
    assert_eq!(episode.kind, EpisodeKind::Promotion);
    assert_eq!(episode.window, window(500 - 4_000, NOW));
    // Unless Sentinel knows it as the master since before.
    let renewed = master("B", "a");
    let mut own = view(&renewed);
    own.role_since = Some(at(-4_000));
    let seen = topology(TopologyKind::Sentinel, vec![own]);
    let episode = looked(&shifted(watched()), present(renewed, Some(found)), &seen);
    assert_eq!(episode.kind, EpisodeKind::Renewed);
}

#[test]
fn a_restart_long_ago_may_have_been_followed_by_a_promotion() {
    let old = NodeFacts {
        uptime_seconds: 4_000,
        ..again("B")
    };
    let mut remembered = watched();
    for sample in &mut remembered.samples {
        sample.seen_at = sample.seen_at.minus(Duration::from_secs(4_000));
        sample.beat.beat_at = sample.beat.beat_at.minus(Duration::from_secs(4_000));
    }
    let mut found = beat("A", "a", 500);
    found.beat_at = found.beat_at.minus(Duration::from_secs(4_000));
    let episode = alone(&remembered, present(old, Some(found)));
    assert_eq!(episode.kind, EpisodeKind::RestartWithData);
    assert_eq!(episode.window, window(-3_500, NOW), "not its start");
}
