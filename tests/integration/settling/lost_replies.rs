//! A step whose answer is lost is looked at again, and never sent again.

use auditor::lab::proxy::{Mode, Proxy};
use auditor::lab::wait;
use auditor::model::finding::OutcomeKind;
use auditor::model::stream::OnUnpersisted;

use super::{LIMIT, Scene};
use crate::stream_scan::redis_spec;

#[tokio::test]
async fn a_requeue_without_an_answer_is_found_done_and_not_done_again() {
    let mut scene = Scene::start(1, |c| c.on_unpersisted = OnUnpersisted::Requeue).await;
    let items = scene.confirmed(&["1-0"]).await;
    let proxy = Proxy::start(scene.bids.world.redis.port()).await.unwrap();
    let mut applier = scene.applier_through(redis_spec(proxy.port()), 1_000).await;
    // Writes wait, so that the script is under way when answers begin to be lost; TIME and reads pass.
    scene
        .bids
        .world
        .redis::<()>(&["CLIENT", "PAUSE", "60000", "WRITE"])
        .await;
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
    let world = &scene.bids.world;
    wait::until("the script is held", LIMIT, || async {
        world
            .redis
            .info("blocked_clients")
            .await
            .unwrap()
            .as_deref()
            == Some("1")
    })
    .await
    .unwrap();
    proxy.set_mode(Mode::DropReplies);
    let dropped = proxy.dropped_reply_bytes();
    scene.bids.world.redis::<()>(&["CLIENT", "UNPAUSE"]).await;
    wait::until("the answer was thrown away", LIMIT, || async {
        proxy.dropped_reply_bytes() > dropped
    })
    .await
    .unwrap();
    proxy.set_mode(Mode::Pass);
    proxy.cut_connections();
    let outcome = settling.await.unwrap();
    assert_eq!(outcome.kind, OutcomeKind::Applied, "{outcome:?}");
    let entries = scene.entries("bids").await;
    assert_eq!(entries.len(), 1, "moved once: {entries:?}");
    assert_eq!(entries[0].1[8..], ["requeued_from", "1-0"]);
    assert!(scene.pending().await.is_empty());
}
