//! Entries that are trimmed while somebody settles them, and a server without memory.

use super::{CLAIM, Held, INSERT, REQUEUE, line, owned, told};
use crate::support::World;
use crate::support::bids::{ALIVE, DEAD, GONE, STREAM, id};

async fn trim(world: &mut World) {
    for number in 6..=8 {
        let gone: i64 = world.redis(&["XDEL", STREAM, &id(number)]).await;
        assert_eq!(gone, 1);
    }
}

/// What is in the table may be acknowledged all the same; what would have to be moved cannot be any more.
#[tokio::test]
async fn a_trimmed_entry_is_acknowledged_only_where_its_effect_is_in_the_table() {
    let mut world = World::damaged(INSERT, 0).await;
    let held = Held::repair(&world).await;
    trim(&mut world).await;
    let run = held.goes_on(&world).await;
    assert_eq!(
        run.report().settled(),
        [
            line("orphan-pending", 7, "insert applied"),
            // It lost the race; then it was trimmed-pending, which the job only reports.
            line("poison-pending", 8, "none refused"),
            line("unacked-persisted", 6, "ack applied"),
        ]
    );
    assert_eq!(world.rows_of(7).await, "1");
    assert_eq!(world.pending().await, owned(&[8], GONE));
    assert_eq!(world.redis::<i64>(&["EXISTS", DEAD]).await, 0);
}

/// XCLAIM itself would drop the message of an entry that is gone.
#[tokio::test]
async fn a_trimmed_entry_is_neither_requeued_nor_dropped_by_a_claim() {
    for (settings, remedy) in [(REQUEUE, "requeue"), (CLAIM, "claim")] {
        let mut world = World::damaged(settings, 0).await;
        let held = Held::repair(&world).await;
        trim(&mut world).await;
        let run = held.goes_on(&world).await;
        let report = run.report();
        // They lost the race; then they were trimmed-pending, which the job only reports.
        for number in [7, 8] {
            let left = line("orphan-pending", number, "none refused");
            assert!(report.settled().contains(&left), "{report:?}");
        }
        let lost = told(&run).into_iter().filter(|o| o == "lost-race");
        assert_eq!(lost.count(), 2, "{remedy}: {run:?}");
        let pending = world.pending().await;
        assert!(pending.ends_with(&owned(&[7, 8], GONE)), "{pending:?}");
        assert_eq!(world.entries(STREAM).await.len(), 3, "none was added");
    }
}

#[tokio::test]
async fn a_trimmed_message_stays_with_a_consumer_that_lives() {
    let settings = format!("{INSERT}on_trimmed = \"ack\"\norphan_after = \"1h\"\n");
    let mut world = World::open_bids(&settings).await;
    world.group().await;
    world.done(1..=3).await;
    world.add(6).await;
    world.read(ALIVE, 1).await;
    world.redis::<i64>(&["XDEL", STREAM, &id(6)]).await;
    let run = world.repair_full().expect(0);
    assert!(run.report().settled().is_empty());
    assert_eq!(world.pending().await, owned(&[6], ALIVE));
}

#[tokio::test]
async fn a_server_without_memory_moves_nothing_by_halves_and_still_acknowledges() {
    let mut world = World::damaged(REQUEUE, 0).await;
    let held = Held::repair(&world).await;
    world
        .redis::<()>(&["CONFIG", "SET", "maxmemory-policy", "noeviction"])
        .await;
    world
        .redis::<()>(&["CONFIG", "SET", "maxmemory", "1"])
        .await;
    let run = held.goes_on(&world).await.expect(1);
    let report = run.report();
    assert_eq!(
        report.settled(),
        [
            line("orphan-pending", 7, "requeue failed"),
            line("orphan-pending", 8, "requeue failed"),
            line("unacked-persisted", 6, "ack applied"),
        ]
    );
    let moved = report.findings.iter().find(|f| f["id"] == id(7)).unwrap();
    assert!(moved["reason"].contains("OOM"), "{moved:?}");
    assert_eq!(world.pending().await, owned(&[7, 8], GONE));
    assert_eq!(world.entries(STREAM).await.len(), 6);
    // With memory again, the rest.
    world
        .redis::<()>(&["CONFIG", "SET", "maxmemory", "0"])
        .await;
    world.wait_until_silent().await;
    world.repair_full().expect(0);
    assert!(world.pending().await.is_empty());
    assert_eq!(world.entries(STREAM).await.len(), 6);
}
