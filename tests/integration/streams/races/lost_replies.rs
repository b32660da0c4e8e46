//! Scripts that were done, and of which nobody heard: told as they are, and never done twice.

use super::{CLAIM, Held, INSERT, REQUEUE, line, owned, told};
use crate::support::World;
use crate::support::bids::{ALIVE, DEAD, GONE, GROUP, STREAM, id};
use crate::support::monitor::Monitor;

/// How often each of these commands was run, by clients and by scripts.
fn times(monitor: &Monitor, names: &[&str]) -> Vec<usize> {
    let lines = monitor.lines();
    let said = |name: &str| format!("\"{}\"", name.to_uppercase());
    let count = |name: &&str| {
        let said = said(name);
        lines
            .iter()
            .filter(|line| line.to_uppercase().contains(&format!("] {said}")))
            .count()
    };
    names.iter().map(count).collect()
}

#[tokio::test]
async fn acknowledgements_inserts_and_dead_letters_without_an_answer() {
    let mut world = World::damaged(INSERT, 0).await;
    let held = Held::repair(&world).await;
    let monitor = Monitor::start(world.redis.port());
    let run = held.goes_unanswered(&world, 3).await.expect(0);
    assert_eq!(
        run.report().settled(),
        [
            line("orphan-pending", 7, "insert applied"),
            line("poison-pending", 8, "dead-letter applied"),
            line("unacked-persisted", 6, "ack applied"),
        ]
    );
    assert_eq!(times(&monitor, &["evalsha", "xack", "xadd"]), [3, 3, 1]);
    assert!(world.pending().await.is_empty());
    assert_eq!(world.entries(DEAD).await.len(), 1);
    assert_eq!(world.rows_of(7).await, "1");
    world.repair_full().expect(0);
    assert_eq!(world.entries(DEAD).await.len(), 1);
}

#[tokio::test]
async fn a_requeue_without_an_answer() {
    let mut world = World::damaged(REQUEUE, 0).await;
    let held = Held::repair(&world).await;
    let monitor = Monitor::start(world.redis.port());
    let run = held.goes_unanswered(&world, 3).await.expect(0);
    assert_eq!(
        run.report().settled(),
        [
            line("orphan-pending", 7, "requeue applied"),
            line("orphan-pending", 8, "requeue applied"),
            line("unacked-persisted", 6, "ack applied"),
        ]
    );
    assert_eq!(times(&monitor, &["evalsha", "xadd", "xdel"]), [3, 2, 2]);
    assert!(world.pending().await.is_empty());
    assert_eq!(world.entries(STREAM).await.len(), 6);
}

/// The consumer that got them is silent itself by the time the auditor looks again.
#[tokio::test]
async fn a_claim_without_an_answer() {
    let mut world = World::damaged(CLAIM, 0).await;
    world.ack(6).await;
    let held = Held::repair(&world).await;
    let monitor = Monitor::start(world.redis.port());
    let run = held.goes_unanswered(&world, 2).await;
    assert_eq!(
        run.report().settled(),
        [
            line("orphan-pending", 7, "claim applied"),
            line("orphan-pending", 8, "claim applied"),
        ]
    );
    assert_eq!(times(&monitor, &["evalsha", "xclaim"]), [2, 2]);
    assert_eq!(world.pending().await, owned(&[7, 8], "recovery"));
}

/// What the scripts said was no; nobody heard of that either.
#[tokio::test]
async fn a_race_that_was_lost_without_an_answer_is_not_called_done() {
    for settings in [REQUEUE, CLAIM] {
        let settings = settings.replace("on_persisted = \"ack\"", "on_persisted = \"report\"");
        let mut world = World::damaged(&settings, 0).await;
        let held = Held::repair(&world).await;
        let _alive = world.lives(ALIVE).await;
        for number in 7..=8 {
            world.claim(ALIVE, number).await;
        }
        let run = held.goes_unanswered(&world, 2).await.expect(1);
        let outcomes = told(&run);
        assert!(!outcomes.contains(&"applied".to_owned()), "{outcomes:?}");
        let left = world.pending().await;
        assert!(left.ends_with(&owned(&[7, 8], ALIVE)), "{left:?}");
        assert_eq!(world.entries(STREAM).await.len(), 6);
        assert_eq!(world.redis::<i64>(&["EXISTS", DEAD]).await, 0);
    }
}

#[tokio::test]
async fn a_group_that_the_application_made_is_not_called_the_auditor_s() {
    let mut world = World::open_bids("").await;
    for number in 1..=4 {
        world.add(number).await;
    }
    let held = Held::repair(&world).await;
    world
        .redis::<()>(&["XGROUP", "CREATE", STREAM, GROUP, "$"])
        .await;
    let run = held.goes_unanswered(&world, 1).await.expect(1);
    let missing = format!("group-missing {GROUP} recreate-group already-right");
    let settled = run.report().settled();
    assert!(settled.contains(&missing), "{settled:?}");
    assert_eq!(world.cursor().await, id(4));
}

#[tokio::test]
async fn a_group_that_was_recreated_without_an_answer() {
    let mut world = World::open_bids("").await;
    for number in 1..=4 {
        world.add(number).await;
    }
    world.save(1).await;
    let held = Held::repair(&world).await;
    let monitor = Monitor::start(world.redis.port());
    let run = held.goes_unanswered(&world, 1).await.expect(0);
    let missing = format!("group-missing {GROUP} recreate-group applied");
    assert_eq!(run.report().settled(), [missing]);
    assert_eq!(times(&monitor, &["evalsha", "xgroup"]), [1, 1]);
    assert_eq!(world.cursor().await, id(1));
}

#[tokio::test]
async fn a_cursor_that_moved_without_an_answer() {
    let mut world = World::open_bids("on_rewound = \"advance\"\n").await;
    world.group().await;
    world.done(1..=4).await;
    world
        .redis::<()>(&["XGROUP", "SETID", STREAM, GROUP, &id(1)])
        .await;
    let held = Held::repair(&world).await;
    let monitor = Monitor::start(world.redis.port());
    let run = held.goes_unanswered(&world, 1).await.expect(0);
    let rewound = format!("group-rewound {GROUP} advance applied");
    assert_eq!(run.report().settled(), [rewound]);
    assert_eq!(times(&monitor, &["evalsha", "xgroup"]), [1, 1]);
    assert_eq!(world.cursor().await, id(4));
    world.read(GONE, 1).await;
    assert!(world.pending().await.is_empty(), "nothing is left to read");
}
