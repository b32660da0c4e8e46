//! Each remedy by itself: what it leaves behind, and what its record keeps.

use auditor::model::finding::{OutcomeKind, Remedy};
use auditor::model::stream::{OnPersisted, OnSkipped, OnTrimmed, OnUnpersisted};

use super::{Scene, kinds};

#[tokio::test]
async fn proven_messages_are_acknowledged_and_nothing_else() {
    let mut scene = Scene::start(3, |c| c.on_persisted = OnPersisted::Ack).await;
    scene.bids.persist(1).await;
    scene.bids.persist(3).await;
    let items = scene.confirmed(&["1-0", "2-0", "3-0"]).await;
    let mut applier = scene.applier().await;
    let outcomes = scene.settle(&mut applier, &items).await;
    assert_eq!(
        kinds(&outcomes),
        [
            OutcomeKind::Applied,
            OutcomeKind::Refused,
            OutcomeKind::Applied
        ]
    );
    assert_eq!(
        outcomes[1].reason,
        "the job says on_unpersisted = \"report\""
    );
    assert_eq!(scene.pending().await, ["2-0 c"]);
    assert_eq!(scene.entries("bids").await.len(), 3, "entries stay");
    let journal = scene.journal();
    let lines: Vec<_> = journal[1..]
        .iter()
        .map(|l| (l["kind"].as_str().unwrap(), l["sequence"].as_u64().unwrap()))
        .collect();
    assert_eq!(
        lines,
        [
            ("settlement", 0),
            ("settlement", 1),
            ("outcome", 0),
            ("outcome", 1)
        ]
    );
    assert_eq!(
        (
            journal[1]["entry_id"].as_str(),
            journal[1]["consumer"].as_str()
        ),
        (Some("1-0"), Some("Yw=="))
    );
    assert_eq!(journal[3]["outcome"], "applied");
    let again = scene.settle(&mut applier, &items).await;
    assert_eq!(
        again[0].kind,
        OutcomeKind::AlreadyRight,
        "nothing is done twice"
    );
}

#[tokio::test]
async fn an_insert_is_proven_before_its_message_is_acknowledged() {
    let mut scene = Scene::start(3, |c| c.on_unpersisted = OnUnpersisted::Insert).await;
    let items = scene.confirmed(&["1-0", "2-0", "3-0"]).await;
    let mut applier = scene.applier().await;
    let outcomes = scene.settle(&mut applier, &items).await;
    assert!(
        outcomes
            .iter()
            .all(|o| o.kind == OutcomeKind::Applied && o.remedy == Remedy::Insert),
        "{outcomes:?}"
    );
    assert_eq!(scene.rows().await.as_deref(), Some("1=1.50,2=2.50,3=3.50"));
    assert!(scene.pending().await.is_empty());
    assert_eq!(scene.journal()[1]["row"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn more_inserts_than_a_batch_takes_all_go_in() {
    let mut scene = Scene::start(120, |c| c.on_unpersisted = OnUnpersisted::Insert).await;
    let ids: Vec<String> = (1..=120).map(|n| format!("{n}-0")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let items = scene.confirmed(&ids).await;
    let mut applier = scene.applier().await;
    let outcomes = scene.settle(&mut applier, &items).await;
    assert!(outcomes.iter().all(|o| o.kind == OutcomeKind::Applied));
    assert_eq!(
        scene
            .bids
            .world
            .sql_text("SELECT COUNT(DISTINCT bid_id) FROM bid")
            .await
            .as_deref(),
        Some("120")
    );
    assert!(scene.pending().await.is_empty());
}

#[tokio::test]
async fn a_requeue_moves_and_a_claim_hands_over() {
    let mut scene = Scene::start(1, |c| c.on_unpersisted = OnUnpersisted::Requeue).await;
    let items = scene.confirmed(&["1-0"]).await;
    let mut applier = scene.applier().await;
    assert_eq!(
        kinds(&scene.settle(&mut applier, &items).await),
        [OutcomeKind::Applied]
    );
    let entries = scene.entries("bids").await;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].1[8..], ["requeued_from", "1-0"]);
    assert!(scene.pending().await.is_empty());
    drop(applier);

    let mut scene = Scene::start(1, |c| {
        c.on_unpersisted = OnUnpersisted::Claim(b"r1".to_vec())
    })
    .await;
    let items = scene.confirmed(&["1-0"]).await;
    let mut applier = scene.applier().await;
    assert_eq!(
        kinds(&scene.settle(&mut applier, &items).await),
        [OutcomeKind::Applied]
    );
    assert_eq!(scene.pending().await, ["1-0 r1"]);
}

#[tokio::test]
async fn poison_goes_to_the_dead_letters_and_trimmed_messages_go() {
    let mut scene = Scene::start(2, |c| {
        c.dead_letter = Some(b"dead".to_vec());
        c.max_deliveries = Some(3);
        c.on_trimmed = OnTrimmed::Ack;
    })
    .await;
    for _ in 0..3 {
        let words = ["XCLAIM", "bids", "g", "c", "0", "1-0"];
        scene.bids.world.redis::<redis::Value>(&words).await;
    }
    scene.bids.world.redis::<()>(&["XDEL", "bids", "2-0"]).await;
    let items = scene.confirmed(&["1-0", "2-0"]).await;
    let mut applier = scene.applier().await;
    let outcomes = scene.settle(&mut applier, &items).await;
    assert_eq!(kinds(&outcomes), [OutcomeKind::Applied; 2], "{outcomes:?}");
    assert!(scene.pending().await.is_empty());
    let letters = scene.entries("dead").await;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].1[10..], ["original_id", "1-0"]);
    let again = scene.settle(&mut applier, &items).await;
    assert_eq!(kinds(&again), [OutcomeKind::AlreadyRight; 2]);
}

#[tokio::test]
async fn what_was_skipped_is_inserted_without_a_message() {
    let mut scene = Scene::start(1, |c| c.on_skipped = OnSkipped::Insert).await;
    scene
        .bids
        .world
        .redis::<()>(&["XACK", "bids", "g", "1-0"])
        .await;
    let items = scene.confirmed(&["1-0"]).await;
    let mut applier = scene.applier().await;
    assert_eq!(
        kinds(&scene.settle(&mut applier, &items).await),
        [OutcomeKind::Applied]
    );
    assert_eq!(scene.rows().await.as_deref(), Some("1=1.50"));
}

#[tokio::test]
async fn the_blast_radius_holds() {
    let mut scene = Scene::start(3, |c| c.on_persisted = OnPersisted::Ack).await;
    for bid in 1..=3 {
        scene.bids.persist(bid).await;
    }
    let items = scene.confirmed(&["1-0", "2-0", "3-0"]).await;
    let spec = crate::stream_scan::redis_spec(scene.bids.world.redis.port());
    let mut applier = scene.applier_through(spec, 2).await;
    let outcomes = scene.settle(&mut applier, &items).await;
    assert_eq!(
        kinds(&outcomes),
        [
            OutcomeKind::Applied,
            OutcomeKind::Applied,
            OutcomeKind::Refused
        ]
    );
    assert!(outcomes[2].reason.contains("max_repairs = 2"));
    assert_eq!(scene.pending().await, ["3-0 c"]);
    assert!(applier.stopped().is_some());
}
