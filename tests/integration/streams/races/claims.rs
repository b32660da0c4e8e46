//! A consumer that lives takes a message, or ends its work, between the look and the script.

use super::{CLAIM, Held, INSERT, REQUEUE, line, owned, told};
use crate::support::World;
use crate::support::bids::{ALIVE, GONE, STREAM, id};

/// What is in the table is acknowledged whoever has it, but only as it was judged: again, and then it is.
#[tokio::test]
async fn a_message_that_changes_hands_is_judged_anew_before_it_is_acknowledged() {
    let mut world = World::damaged(INSERT, 0).await;
    let held = Held::repair(&world).await;
    let _alive = world.lives(ALIVE).await;
    for number in 6..=8 {
        world.claim(ALIVE, number).await;
    }
    let run = held.goes_on(&world).await;
    assert_eq!(
        told(&run),
        ["lost-race", "applied", "lost-race", "applied", "applied"],
        "the row is in, whoever has the message"
    );
    assert_eq!(world.pending().await, owned(&[8], ALIVE));
    assert_eq!(world.process(7).await, 0);
    assert_eq!(world.rows_of(7).await, "1");
}

#[tokio::test]
async fn nothing_is_requeued_from_under_a_consumer_that_claims() {
    let mut world = World::damaged(REQUEUE, 0).await;
    let held = Held::repair(&world).await;
    let _alive = world.lives(ALIVE).await;
    world.claim(ALIVE, 7).await;
    world.claim(ALIVE, 8).await;
    let run = held.goes_on(&world).await;
    assert_eq!(
        run.report().settled(),
        [
            line("orphan-pending", 7, "requeue lost-race"),
            line("orphan-pending", 8, "requeue lost-race"),
            line("unacked-persisted", 6, "ack applied"),
        ]
    );
    assert_eq!(world.pending().await, owned(&[7, 8], ALIVE));
    assert_eq!(world.entries(STREAM).await.len(), 6, "none was added");
}

#[tokio::test]
async fn nothing_is_handed_over_that_a_consumer_claims_first() {
    let mut world = World::damaged(CLAIM, 0).await;
    let held = Held::repair(&world).await;
    let _alive = (world.lives(GONE).await, world.lives(ALIVE).await);
    // To itself once more: the owner is the same, and alive after all.
    world.claim(GONE, 7).await;
    world.claim(ALIVE, 8).await;
    let run = held.goes_on(&world).await;
    assert_eq!(
        run.report().settled(),
        [
            line("orphan-pending", 7, "claim lost-race"),
            line("orphan-pending", 8, "claim lost-race"),
            line("unacked-persisted", 6, "none refused"),
        ]
    );
    let expected = [
        (id(6), GONE.to_owned()),
        (id(7), GONE.to_owned()),
        (id(8), ALIVE.to_owned()),
    ];
    assert_eq!(world.pending().await, expected);
}

#[tokio::test]
async fn a_slow_consumer_that_ends_after_the_auditor_finds_its_row_and_no_message() {
    let mut world = World::damaged(INSERT, 0).await;
    world.repair_full().expect(0);
    assert!(world.pending().await.is_empty());
    let select = "SELECT GROUP_CONCAT(CONCAT(bid_id, '=', amount) ORDER BY id) FROM bid";
    let before = world.sql_text(select).await;
    assert_eq!(world.process(7).await, 0, "there is nothing to acknowledge");
    assert_eq!(world.sql_text(select).await, before);
    let scan = world.scan_full().expect(0);
    assert!(scan.report().settled().is_empty());
}

/// Between its look and its INSERT there is nothing to hold; between INSERT and script the slow consumer comes to its end.
#[tokio::test]
async fn a_slow_consumer_that_ends_before_the_acknowledgement_leaves_nothing_to_do() {
    let mut world = World::damaged(INSERT, 0).await;
    let held = Held::repair(&world).await;
    assert_eq!(world.rows_of(7).await, "1", "the auditor's");
    assert_eq!(world.process(7).await, 1);
    let run = held.goes_on(&world).await;
    assert_eq!(
        run.report().settled(),
        [
            line("orphan-pending", 7, "insert applied"),
            line("poison-pending", 8, "dead-letter applied"),
            line("unacked-persisted", 6, "ack applied"),
        ]
    );
    assert_eq!(world.rows_of(7).await, "1");
    assert!(world.pending().await.is_empty());
    world.scan_full().expect(0);
}
