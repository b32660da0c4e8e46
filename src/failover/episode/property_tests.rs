//! Thousands of generated nights: whatever happened, what is found must cover what was lost.

use std::time::Duration;

use proptest::prelude::*;

use super::fixture::slots;
use super::fixture::{master, present};
use super::model::{Event, World};
use super::{Due, EpisodeKind, Outlook, Seen, find};
use crate::failover::Handled;
use crate::model::slots::SLOTS;
use crate::model::time::Micros;
use crate::model::topology::TopologyKind;

/// Twice what a clock of the model is ahead at most, and the answer's time.
const SKEW: Duration = Duration::from_millis(100);

/// Slots of the one shard of which something is told.
const HALF: u16 = SLOTS / 2;

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => (200u16..6_000).prop_map(Event::Work),
        3 => Just(Event::Freeze),
        1 => Just(Event::Thaw),
        4 => (500u16..4_000).prop_map(Event::Crash),
        3 => (500u16..15_000).prop_map(Event::Partition),
        2 => Just(Event::Switch),
        1 => Just(Event::RestartWithData),
        1 => (0u16..9_000).prop_map(Event::RestartFromSnapshot),
        1 => Just(Event::RestartEmpty),
        1 => Just(Event::Renew),
        1 => Just(Event::NewReplicas),
        1 => any::<bool>().prop_map(Event::Checkpoint),
        1 => (2u8..9).prop_map(Event::Thin),
        4 => Just(Event::Audit),
    ]
}

fn kind() -> impl Strategy<Value = TopologyKind> {
    prop_oneof![Just(TopologyKind::Standalone), Just(TopologyKind::Sentinel)]
}

fn outlook(world: &World) -> Outlook {
    let masters = [world.master()];
    let topology = world.topology();
    find(&Seen {
        remembered: &world.remembered,
        masters: &masters,
        topology: &topology,
    })
}

/// Why this outlook does not cover what was lost.
fn complaint(world: &World, outlook: &Outlook) -> Option<String> {
    let lost = world.lost();
    match outlook.due(SKEW) {
        Due::FullSweep | Due::AskForTime => None,
        Due::Nothing if lost.is_empty() => None,
        Due::Nothing => Some(format!(
            "{} writes were lost, and nothing is due",
            lost.len()
        )),
        Due::Window(window) => {
            let is_outside =
                |at: &Micros| *at < window.since || window.until.is_some_and(|until| *at >= until);
            let outside = lost.iter().find(|at| is_outside(at))?;
            Some(format!("{} was lost, outside of {window:?}", outside.0))
        }
    }
}

/// Of the slots of the world, which are the lower half, `kept` are still its master's; all others are with a master to which
/// nothing ever happened.
fn outlook_of_shard(world: &World, kept: u16) -> Outlook {
    let mut remembered = world.remembered.clone();
    let samples = remembered.samples.iter_mut().map(|s| &mut s.slots);
    let changes = remembered.changes.iter_mut().map(|c| &mut c.slots);
    let marks = remembered.handled.iter_mut().map(|h| &mut h.slots);
    let all = samples.chain(changes).chain(marks);
    all.for_each(|known| *known = slots(0, HALF));
    let marks: Vec<_> = remembered.handled.iter().map(|h| h.handled_at).collect();
    remembered
        .handled
        .extend(marks.into_iter().map(|at| Handled {
            replication_id: "X".into(),
            run_id: "x".into(),
            slots: slots(HALF, SLOTS),
            handled_at: at,
        }));
    let mut own = world.master();
    own.facts.slots = slots(0, kept);
    let mut other = master("X", "x");
    other.slots = slots(kept, SLOTS);
    let mut masters = vec![own, present(other, None)];
    masters.retain(|m| !m.facts.slots.is_empty());
    find(&Seen {
        remembered: &remembered,
        masters: &masters,
        topology: &world.topology(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn what_is_found_covers_what_was_lost(
        kind in kind(),
        clock in -4_000_000i64..4_000_000,
        beat_every in prop_oneof![Just(200_000i64), Just(1_000_000), Just(60_000_000)],
        events in prop::collection::vec(event(), 1..25),
    ) {
        let has_thinning = events.iter().any(|e| matches!(e, Event::Thin(_)));
        // Without the samples nobody can know how far the clock of a dead server was ahead.
        let ahead = if has_thinning { 0 } else { clock };
        let mut world = World::new(kind, vec![ahead, 0, -ahead], beat_every);
        world.happens(Event::Work(1_000));
        world.audit();
        for event in events.iter().copied().chain([Event::Audit]) {
            world.happens(event);
            if matches!(event, Event::Audit) {
                let outlook = outlook(&world);
                if let Some(complaint) = complaint(&world, &outlook) {
                    prop_assert!(false, "{complaint}\n{outlook:#?}\nlost {:?}", world.lost().iter().map(|m| m.0).collect::<Vec<_>>());
                }
                world.audit();
            }
        }
    }

    #[test]
    fn with_beats_all_the_time_nobody_is_asked(
        kind in kind(),
        events in prop::collection::vec(event(), 1..25),
    ) {
        let mut world = World::new(kind, vec![0, 0, 0], 200_000);
        world.happens(Event::Work(1_000));
        world.audit();
        let mut came_back_older = false;
        for event in events.into_iter().chain([Event::Audit]) {
            match event {
                Event::Checkpoint(_) | Event::Thin(_) => continue,
                Event::RestartEmpty | Event::RestartFromSnapshot(_) => came_back_older = true,
                // By a name that follows the master, a restart right after a lossy promotion looks the same.
                Event::RestartWithData if kind == TopologyKind::Standalone => came_back_older = true,
                _ => {}
            }
            world.happens(event);
            if matches!(event, Event::Audit) {
                // Whatever is dealt with had a beat before.
                world.happens(Event::Work(250));
                let outlook = outlook(&world);
                let due = outlook.due(SKEW);
                // Data of before the first beat names no time at all.
                let is_precise = !matches!(due, Due::AskForTime | Due::FullSweep);
                prop_assert!(is_precise || came_back_older, "{outlook:#?}");
                world.audit();
            }
        }
    }

    #[test]
    fn slots_that_moved_meanwhile_are_covered_with_the_others(
        kept in prop_oneof![Just(0u16), Just(1), Just(HALF / 2), Just(HALF)],
        beat_every in prop_oneof![Just(200_000i64), Just(1_000_000), Just(60_000_000)],
        events in prop::collection::vec(event(), 1..12),
    ) {
        let mut world = World::new(TopologyKind::Cluster, vec![0, 0, 0], beat_every);
        world.happens(Event::Work(1_000));
        world.audit();
        for event in events {
            world.happens(event);
        }
        world.happens(Event::Work(2_000));
        let outlook = outlook_of_shard(&world, kept);
        if let Some(complaint) = complaint(&world, &outlook) {
            prop_assert!(false, "{complaint}\n{outlook:#?}\nlost {:?}", world.lost().iter().map(|m| m.0).collect::<Vec<_>>());
        }
        let mut missing = slots(0, HALF);
        missing.subtract(&outlook.affected());
        let is_windowed = matches!(outlook.due(SKEW), Due::Window(_));
        prop_assert!(!is_windowed || missing.is_empty(), "{missing} of {outlook:#?}");
    }

    /// No process of the model goes on as a second master: whoever is one again was demoted before.
    #[test]
    fn whoever_was_demoted_holds_nobody_up_and_an_audit_makes_the_next_one_quiet(
        kind in kind(),
        events in prop::collection::vec(
            prop_oneof![
                4 => (200u16..6_000).prop_map(Event::Work),
                2 => Just(Event::Freeze),
                2 => (500u16..15_000).prop_map(Event::Partition),
                4 => Just(Event::Switch),
                1 => Just(Event::Renew),
            ],
            1..25,
        ),
    ) {
        let mut world = World::new(kind, vec![0, 0, 0], 200_000);
        world.happens(Event::Work(1_000));
        world.audit();
        for event in events {
            world.happens(event);
        }
        let found = outlook(&world);
        let until = found.window(SKEW).map(|window| window.until);
        prop_assert!(!found.is_open() && until != Some(None), "{found:#?}");
        world.audit();
        world.happens(Event::Work(1_000));
        let next = outlook(&world);
        prop_assert!(!next.is_open() && next.due(SKEW) == Due::Nothing, "{next:#?}");
    }

    #[test]
    fn a_quiet_night_is_quiet(
        kind in kind(),
        events in prop::collection::vec(event(), 1..25),
    ) {
        let mut world = World::new(kind, vec![0, 0, 0], 200_000);
        world.happens(Event::Work(1_000));
        world.audit();
        for event in events {
            if matches!(event, Event::Work(_) | Event::Freeze | Event::Thaw | Event::Renew) {
                world.happens(event);
            }
        }
        let outlook = outlook(&world);
        prop_assert!(outlook.due(SKEW) == Due::Nothing, "{outlook:#?}");
        let kinds = [EpisodeKind::Nothing, EpisodeKind::Renewed];
        prop_assert!(outlook.episodes.iter().all(|e| kinds.contains(&e.kind)), "{outlook:#?}");
    }
}
