//! What the application does between the look and the step.

use auditor::model::finding::OutcomeKind;
use auditor::model::stream::{OnPersisted, OnUnpersisted};

use super::{Scene, kinds, until_insert_waits};
use crate::stream_scan::named;
use crate::support::DATABASE;

#[tokio::test]
async fn a_message_that_a_live_consumer_claimed_is_left_to_it() {
    let mut scene = Scene::start(2, |c| {
        c.on_persisted = OnPersisted::Ack;
        c.on_unpersisted = OnUnpersisted::Insert;
    })
    .await;
    scene.bids.persist(1).await;
    let items = scene.confirmed(&["1-0", "2-0"]).await;
    let words = ["XCLAIM", "bids", "g", "living", "0", "1-0", "2-0"];
    scene.bids.world.redis::<redis::Value>(&words).await;
    let mut applier = scene.applier().await;
    let outcomes = scene.settle(&mut applier, &items).await;
    let is_left =
        |kind: &OutcomeKind| matches!(kind, OutcomeKind::LostRace | OutcomeKind::AlreadyRight);
    assert!(kinds(&outcomes).iter().all(is_left), "{outcomes:?}");
    assert_eq!(scene.pending().await, ["1-0 living", "2-0 living"]);
    assert_eq!(scene.rows().await.as_deref(), Some("1=1.50"));
}

/// A slow consumer holds the key of bid 1 in a transaction; while the insert waits for it, it says `amount` and
/// commits.
async fn overtaken(amount: &str) -> (Scene, auditor::repair::StepOutcome) {
    let mut scene = Scene::start(1, |c| c.on_unpersisted = OnUnpersisted::Insert).await;
    let items = scene.confirmed(&["1-0"]).await;
    let mut applier = scene.applier().await;
    let mut slow = scene.bids.world.mysql.connect(DATABASE).await.unwrap();
    let insert =
        format!("BEGIN; INSERT INTO bid (bid_id, bidder_id, amount) VALUES ('1', 1, {amount})");
    sqlx::raw_sql(sqlx::AssertSqlSafe(insert))
        .execute(&mut slow)
        .await
        .unwrap();
    let pinned = scene.bids.source.facts().await.unwrap().identity;
    let (judge, dead) = (
        scene.judge.clone(),
        auditor::scan::streams::DeadLetters::new(&scene.judge),
    );
    let settling = tokio::spawn(async move {
        let ground = auditor::repair::StreamGround {
            judge: &judge,
            dead: &dead,
            pinned: &pinned,
        };
        applier.settle_entries(&ground, &items).await.remove(0)
    });
    until_insert_waits(&mut scene).await;
    sqlx::raw_sql("COMMIT").execute(&mut slow).await.unwrap();
    let outcome = settling.await.unwrap();
    (scene, outcome)
}

#[tokio::test]
async fn a_slow_consumer_that_inserts_the_same_leaves_one_row_and_no_message() {
    let (mut scene, outcome) = overtaken("1.5").await;
    assert_eq!(outcome.kind, OutcomeKind::Applied, "{outcome:?}");
    assert_eq!(scene.rows().await.as_deref(), Some("1=1.50"));
    assert!(scene.pending().await.is_empty());
}

#[tokio::test]
async fn a_slow_consumer_that_inserts_something_else_keeps_its_message() {
    let (mut scene, outcome) = overtaken("99").await;
    assert_eq!(outcome.kind, OutcomeKind::LostRace, "{outcome:?}");
    assert_eq!(scene.rows().await.as_deref(), Some("1=99.00"));
    assert_eq!(scene.pending().await, ["1-0 c"]);
}

/// Between the last question to Redis and the row: the application's other transaction makes the insert wait there.
#[tokio::test]
async fn a_message_that_is_claimed_just_before_its_row_goes_in_stays_with_its_new_owner() {
    let mut scene = Scene::start(1, |c| c.on_unpersisted = OnUnpersisted::Insert).await;
    let items = scene.confirmed(&["1-0"]).await;
    let mut applier = scene.applier().await;
    let mut other = scene.bids.world.mysql.connect(DATABASE).await.unwrap();
    let insert = "BEGIN; INSERT INTO bid (bid_id, bidder_id, amount) VALUES ('1', 1, 1.5)";
    sqlx::raw_sql(insert).execute(&mut other).await.unwrap();
    let pinned = scene.bids.source.facts().await.unwrap().identity;
    let judge = scene.judge.clone();
    let dead = auditor::scan::streams::DeadLetters::new(&judge);
    let settling = tokio::spawn(async move {
        let ground = auditor::repair::StreamGround {
            judge: &judge,
            dead: &dead,
            pinned: &pinned,
        };
        applier.settle_entries(&ground, &items).await.remove(0)
    });
    until_insert_waits(&mut scene).await;
    let claim = ["XCLAIM", "bids", "g", "living", "0", "1-0"];
    scene.bids.world.redis::<redis::Value>(&claim).await;
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    let outcome = settling.await.unwrap();
    assert!(
        outcome.reason.contains("was not acknowledged"),
        "{outcome:?}"
    );
    assert_eq!(
        scene.pending().await,
        ["1-0 living"],
        "its owner acknowledges"
    );
    // The row went in once; the new owner's own insert meets the unique key.
    assert_eq!(scene.rows().await.as_deref(), Some("1=1.50"));
}

#[tokio::test]
async fn a_row_without_its_second_effect_is_never_acknowledged() {
    let mut scene = Scene::start(2, |c| {
        c.on_persisted = OnPersisted::Ack;
        c.on_unpersisted = OnUnpersisted::Insert;
        c.proof_sql = Some(named("SELECT bid_id FROM effect WHERE bid_id IN (:ids)"));
    })
    .await;
    scene
        .bids
        .world
        .sql("CREATE TABLE effect (bid_id VARCHAR(60) PRIMARY KEY)")
        .await;
    scene.bids.persist(1).await;
    let items = scene.confirmed(&["1-0", "2-0"]).await;
    let mut applier = scene.applier().await;
    let outcomes = scene.settle(&mut applier, &items).await;
    assert_eq!(
        kinds(&outcomes),
        [OutcomeKind::Refused, OutcomeKind::Failed],
        "{outcomes:?}"
    );
    assert!(outcomes[0].reason.contains("whole effect"));
    assert!(outcomes[1].reason.contains("was not acknowledged"));
    assert_eq!(scene.pending().await, ["1-0 c", "2-0 c"]);
}

#[tokio::test]
async fn another_server_than_the_judged_one_gets_and_proves_nothing() {
    let mut scene = Scene::start(1, |c| c.on_persisted = OnPersisted::Ack).await;
    scene.bids.persist(1).await;
    let items = scene.confirmed(&["1-0"]).await;
    let mut applier = scene.applier().await;
    let mut pinned = scene.bids.source.facts().await.unwrap().identity;
    pinned.name.push_str("-other");
    let ground = auditor::repair::StreamGround {
        judge: &scene.judge,
        dead: &scene.dead,
        pinned: &pinned,
    };
    let outcomes = applier.settle_entries(&ground, &items).await;
    assert_eq!(kinds(&outcomes), [OutcomeKind::Refused]);
    assert_eq!(scene.pending().await, ["1-0 c"]);
}

#[tokio::test]
async fn a_row_that_is_in_is_told_though_its_message_was_claimed_meanwhile() {
    for is_ours in [false, true] {
        let mut scene = Scene::start(1, |c| c.on_unpersisted = OnUnpersisted::Insert).await;
        let items = scene.confirmed(&["1-0"]).await;
        let mut applier = scene.applier().await;
        let mut slow = scene.bids.world.mysql.connect(DATABASE).await.unwrap();
        let lock = "BEGIN; INSERT INTO bid (bid_id, bidder_id, amount) VALUES ('1', 1, 1.5)";
        sqlx::raw_sql(lock).execute(&mut slow).await.unwrap();
        let pinned = scene.bids.source.facts().await.unwrap().identity;
        let (judge, dead) = (
            scene.judge.clone(),
            auditor::scan::streams::DeadLetters::new(&scene.judge),
        );
        let settling = tokio::spawn(async move {
            let ground = auditor::repair::StreamGround {
                judge: &judge,
                dead: &dead,
                pinned: &pinned,
            };
            applier.settle_entries(&ground, &items).await.remove(0)
        });
        until_insert_waits(&mut scene).await;
        let words = ["XCLAIM", "bids", "g", "living", "0", "1-0"];
        scene.bids.world.redis::<redis::Value>(&words).await;
        let end = if is_ours { "ROLLBACK" } else { "COMMIT" };
        sqlx::raw_sql(end).execute(&mut slow).await.unwrap();
        let outcome = settling.await.unwrap();
        let (kind, said) = match is_ours {
            true => (OutcomeKind::Applied, "the row is in, but"),
            false => (OutcomeKind::LostRace, "somebody else's row is there, but"),
        };
        assert_eq!(outcome.kind, kind, "{outcome:?}");
        assert!(outcome.reason.starts_with(said), "{outcome:?}");
        assert_eq!(scene.rows().await.as_deref(), Some("1=1.50"));
        assert_eq!(scene.pending().await, ["1-0 living"]);
    }
}

#[tokio::test]
async fn a_row_is_proven_though_its_entry_was_trimmed_meanwhile() {
    let mut scene = Scene::start(1, |c| c.on_unpersisted = OnUnpersisted::Insert).await;
    let items = scene.confirmed(&["1-0"]).await;
    let mut applier = scene.applier().await;
    let mut slow = scene.bids.world.mysql.connect(DATABASE).await.unwrap();
    let lock = "BEGIN; INSERT INTO bid (bid_id, bidder_id, amount) VALUES ('1', 1, 1.5)";
    sqlx::raw_sql(lock).execute(&mut slow).await.unwrap();
    let pinned = scene.bids.source.facts().await.unwrap().identity;
    let (judge, dead) = (
        scene.judge.clone(),
        auditor::scan::streams::DeadLetters::new(&scene.judge),
    );
    let settling = tokio::spawn(async move {
        let ground = auditor::repair::StreamGround {
            judge: &judge,
            dead: &dead,
            pinned: &pinned,
        };
        applier.settle_entries(&ground, &items).await.remove(0)
    });
    until_insert_waits(&mut scene).await;
    scene.bids.world.redis::<()>(&["XDEL", "bids", "1-0"]).await;
    sqlx::raw_sql("ROLLBACK").execute(&mut slow).await.unwrap();
    let outcome = settling.await.unwrap();
    assert_eq!(outcome.kind, OutcomeKind::Applied, "{outcome:?}");
    assert!(!outcome.reason.contains("whole effect"), "{outcome:?}");
    assert_eq!(scene.rows().await.as_deref(), Some("1=1.50"));
}
