//! Slots that moved to other masters before anybody looked, and nodes that were taken away then.

use std::time::Duration;

use super::decision_tests::{alone, window};
use super::fixture::*;
use super::{Due, EpisodeKind, FoundBy, Outlook, Seen, Sureness, find};
use crate::failover::{PresentMaster, Remembered};
use crate::model::node::NodeFacts;
use crate::model::slots::SlotSet;
use crate::model::topology::TopologyKind;

fn is_dealt_with(remembered: &Remembered, masters: &[NodeFacts]) -> bool {
    super::is_dealt_with(remembered, masters, at(NOW))
}

/// `A` had the lower slots and `X` the upper ones when they were dealt with at second 100; `A` beat from 101 to 500.
fn watched() -> Remembered {
    of_two_shards(super::decision_tests::watched())
}

/// What `B` left behind, which took over from `A` with everything until 400 and beat until 900.
fn promoted_meanwhile(notes_change: bool) -> Remembered {
    let mut remembered = watched();
    if notes_change {
        let new = with(promoted("B", "b", "A", 400), low());
        let found = Some(beat("A", "a", 400));
        remembered.changes.push(change(&new, found, 510));
    }
    let mut beats = samples("B", "b", 510..=900);
    beats.iter_mut().for_each(|s| s.slots = low());
    remembered.samples.extend(beats);
    remembered
}

fn outlook(remembered: &Remembered, masters: &[PresentMaster]) -> Outlook {
    let views = masters.iter().map(|m| view(&m.facts)).collect();
    find(&Seen {
        remembered,
        masters,
        topology: &topology(TopologyKind::Cluster, views),
    })
}

/// `X` with every slot there is.
fn survivor() -> PresentMaster {
    present(with(master("X", "x"), SlotSet::all()), None)
}

fn due_of(seconds: i64) -> Due {
    let widened = Duration::from_millis(100);
    let window = window(seconds, NOW).unwrap_or_else(|| unreachable!());
    Due::Window(crate::model::time::TimeWindow {
        since: window.since.minus(widened),
        until: window.until.map(|until| until.plus(widened)),
    })
}

#[test]
fn slots_that_left_the_new_master_are_audited_with_its_others() {
    let new = with(promoted("B", "b", "A", 400), slots(2_001, 8_000));
    let mut rest = high();
    rest.unite(&slots(0, 2_001));
    let masters = [
        present(new, Some(beat("A", "a", 400))),
        present(with(master("X", "x"), rest), None),
    ];
    let found = outlook(&watched(), &masters);
    let kinds: Vec<_> = found.episodes.iter().map(|e| e.kind).collect();
    assert_eq!(kinds, [EpisodeKind::Promotion, EpisodeKind::Nothing]);
    assert_eq!(found.affected(), low());
}

#[test]
fn a_new_master_that_was_emptied_and_taken_away_is_not_forgotten() {
    let remembered = promoted_meanwhile(true);
    let found = outlook(&remembered, &[survivor()]);
    assert_eq!(found.due(Duration::ZERO), due_of(400));
    assert_eq!(found.affected(), low());
    let kinds: Vec<_> = found.episodes.iter().map(|e| e.kind).collect();
    assert_eq!(kinds, [EpisodeKind::Nothing, EpisodeKind::Promotion]);
    assert!(
        found.explanation().contains("0-7999"),
        "{}",
        found.explanation()
    );
    assert!(!is_dealt_with(&remembered, &[survivor().facts]));
    // Its heartbeat came along with its slots.
    let heir = present(survivor().facts, Some(beat("B", "b", 900)));
    assert_eq!(outlook(&remembered, &[heir]), found);
}

#[test]
fn it_is_dealt_with_when_everything_that_is_left_was() {
    let mut remembered = promoted_meanwhile(true);
    remembered.handled.push(handled("X", "x", 950));
    let found = outlook(&remembered, &[survivor()]);
    assert_eq!(found.due(Duration::ZERO), Due::Nothing);
    assert!(is_dealt_with(&remembered, &[survivor().facts]));
}

#[test]
fn where_its_beginning_was_not_noted_the_window_begins_before_the_last_that_is_known() {
    let found = outlook(&promoted_meanwhile(false), &[survivor()]);
    // As long before the last beat of `A` as a replica of a Cluster may be behind.
    assert_eq!(found.due(Duration::ZERO), due_of(500 - 225));
    assert_eq!(found.affected(), low());
    assert_eq!(found.sureness(), Sureness::Estimate);
}

#[test]
fn a_master_that_vanished_since_the_last_run_may_have_lost_something_with_its_end() {
    let remembered = watched();
    let found = outlook(&remembered, &[survivor()]);
    assert_eq!(found.due(Duration::ZERO), due_of(500 - 225));
    assert_eq!(found.affected(), low());
    let mut unwatched = remembered.clone();
    unwatched.samples.clear();
    let found = outlook(&unwatched, &[survivor()]);
    assert_eq!(found.due(Duration::ZERO), due_of(100 - 225));
    assert_eq!(found.found_by(), FoundBy::LastRun);

    let quiet = |remembered: &Remembered, masters: &[PresentMaster]| {
        let facts: Vec<_> = masters.iter().map(|m| m.facts.clone()).collect();
        let due = outlook(remembered, masters).due(Duration::ZERO);
        due == Due::Nothing && is_dealt_with(remembered, &facts)
    };
    assert!(!quiet(&remembered, &[survivor()]));
    let mut later = remembered.clone();
    later.handled[1].handled_at = at(101);
    assert!(quiet(&later, &[survivor()]), "a later run did without it");
    let mut emptied = remembered.clone();
    emptied.samples.clear();
    emptied.handled[0].slots = SlotSet::none();
    assert!(quiet(&emptied, &[survivor()]), "it had been emptied before");
    let as_before = [
        present(with(master("A", "a"), low()), Some(beat("A", "a", 500))),
        present(with(master("X", "x"), high()), None),
    ];
    assert!(quiet(&remembered, &as_before));
}

#[test]
fn a_history_in_the_same_place_is_judged_by_its_own_master() {
    // The process of `A` goes on under another replication id, and has no beat, because nobody beats.
    let mut remembered = watched();
    remembered.samples.clear();
    remembered.handled.iter_mut().for_each(|h| {
        h.handled_at = at(900);
    });
    let masters = [
        present(with(master("A2", "a"), low()), None),
        present(with(master("X", "x"), high()), None),
    ];
    let found = outlook(&remembered, &masters);
    let kinds: Vec<_> = found.episodes.iter().map(|e| e.kind).collect();
    assert_eq!(kinds, [EpisodeKind::Renewed, EpisodeKind::Nothing]);
    // A node came back empty in its place: that asks for everything already.
    let mut empty = masters.clone();
    empty[0] = present(with(started(950, master("E", "e")), low()), None);
    let mut beaten = watched();
    beaten.audited_until = Some(at(500));
    let found = outlook(&beaten, &empty);
    assert_eq!(found.episodes.len(), 2, "{found:#?}");
    assert_eq!(found.due(Duration::ZERO), Due::FullSweep);
}

#[test]
fn a_time_has_to_be_said_no_later_than_what_is_known_to_be_lost() {
    // From `A` to `B` is known; then a history of which nobody knows anything, and no time either.
    let mut remembered = remembering(Vec::new(), vec![handled("Z", "z", 50)]);
    let b = promoted("B", "b", "Z", 400);
    let noted = change(&b, Some(beat("Z", "z", 400)), 510);
    remembered.changes.push(noted);
    let c = started(900, promoted("C", "c", "B", 600));
    let found = alone(&remembered, present(c, None));
    assert_eq!(found.kind, EpisodeKind::EvidenceGone, "{found:#?}");
    assert_eq!(found.window, window(400, NOW));
    assert_eq!(found.sureness, Sureness::Unknown);
    let known = Outlook {
        episodes: vec![found],
        seen_at: at(NOW),
    };
    assert_eq!(known.due(Duration::ZERO), Due::AskForTime);
    assert!(known.window(Duration::ZERO).is_some());
}

#[test]
fn a_clock_that_was_ahead_neither_repeats_a_window_nor_hides_one() {
    // A run of second 600 on a host whose clock was ahead; then `A` was emptied and taken away, with beats until 800.
    let ahead = 100_000;
    let mut remembered = watched();
    let marks = vec![handled("A", "a", ahead), handled("X", "x", ahead)];
    remembered.samples.extend(samples("A", "a", 501..=800));
    remembered.samples.iter_mut().for_each(|s| s.slots = low());
    remembered = remembered.marked(marks);
    remembered.handled[0].slots = low();
    remembered.handled[1].slots = high();
    let found = outlook(&remembered, &[survivor()]);
    assert_eq!(found.due(Duration::ZERO), due_of(800 - 225));
    let mut unwatched = remembered.clone();
    unwatched.samples.clear();
    let found = outlook(&unwatched, &[survivor()]);
    assert_eq!(
        found.due(Duration::ZERO),
        due_of(-225),
        "nobody knows when that run was"
    );
    // The run that audits it ends it, with a right clock.
    let quiet = remembered.clone().marked(vec![handled("X", "x", 950)]);
    assert!(is_dealt_with(&quiet, &[survivor().facts]));
    assert_eq!(
        outlook(&quiet, &[survivor()]).due(Duration::ZERO),
        Due::Nothing
    );
    // A master that joined later is missed, though the others' marks still lie ahead.
    let mut joined = samples("N", "n", 700..=900);
    joined.iter_mut().for_each(|s| s.slots = slots(0, 100));
    let mut scaled = quiet.clone();
    scaled.handled.retain(|mark| mark.replication_id == "X");
    scaled.handled[0].handled_at = at(ahead);
    scaled.samples = joined;
    assert!(!is_dealt_with(&scaled, &[survivor().facts]));
    assert_eq!(outlook(&scaled, &[survivor()]).affected(), slots(0, 100));
    let settled = scaled.marked(vec![handled("X", "x", 950)]);
    assert!(is_dealt_with(&settled, &[survivor().facts]));
}

#[test]
fn a_beat_that_was_noted_by_a_clock_ahead_is_dated_by_its_server() {
    let mut remembered = promoted_meanwhile(true);
    for sample in &mut remembered.samples {
        sample.seen_at = sample.seen_at.plus(Duration::from_secs(100_000));
    }
    let window = outlook(&remembered, &[survivor()]).due(Duration::ZERO);
    assert!(matches!(window, Due::Window(_)), "{window:?}");
    let settled = remembered.marked(vec![handled("X", "x", 950)]);
    assert!(is_dealt_with(&settled, &[survivor().facts]));
}

#[test]
fn a_time_that_a_person_has_to_say_does_not_hide_what_is_known_to_be_lost() {
    // `M` answers for everything, and nobody knows how it came to; `A` vanished with the lower slots, and with a loss.
    let remembered = watched();
    let strange = with(started(950, master("M", "m")), SlotSet::all());
    let masters = [present(strange, None)];
    let mut unwatched = remembered.clone();
    unwatched.samples.clear();
    let found = outlook(&unwatched, &masters);
    assert_eq!(found.due(Duration::ZERO), Due::AskForTime, "{found:#?}");
    assert_eq!(found.episodes[0].kind, EpisodeKind::EvidenceGone);
    assert_eq!(found.episodes[0].window, None);
    let known = found.window(Duration::ZERO).map(|window| window.since);
    let known = known.map(|since| since.plus(Duration::from_millis(100)));
    assert_eq!(known, Some(at(100 - 225)), "{found:#?}");
}

#[test]
fn what_joined_since_the_last_run_lost_nothing_of_long_before_it() {
    // `Z` had all keys ages ago; `N` joined, was beaten through, emptied and taken away since the run of second 500.
    let mut marks = vec![handled("Z", "z", 5), handled("X", "x", 500)];
    marks[0].slots = low();
    let mut joined = samples("N", "n", 600..=900);
    joined.iter_mut().for_each(|s| s.slots = slots(0, 100));
    let remembered = remembering(joined, marks);
    let found = outlook(&remembered, &[survivor()]);
    assert_eq!(found.due(Duration::ZERO), due_of(500 - 225));
    assert_eq!(found.affected(), slots(0, 100));
    assert_eq!(found.found_by(), FoundBy::LastRun);
}
