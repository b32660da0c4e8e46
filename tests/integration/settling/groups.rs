//! Groups: recreated, moved forward, and lifted past lost ids; nothing where the application was first.

use std::time::Duration;

use auditor::model::finding::OutcomeKind;
use auditor::model::stream::{GroupLook, OnRewound, StreamId};
use auditor::repair::{GroupGround, GroupItem, StepOutcome};
use auditor::scan::streams::{Claimant, Unpaced, look_at_group};

use super::Scene;
use crate::stream_scan::id;

const SKEW: Duration = Duration::from_secs(1);

async fn look(scene: &Scene, carried: &[StreamId]) -> GroupLook {
    let claimants = [Claimant {
        judge: &scene.judge,
        dead: &scene.dead,
    }];
    let (source, cache) = (&scene.bids.source, &scene.bids.cache);
    look_at_group(source, cache, &claimants, carried, SKEW, &Unpaced)
        .await
        .unwrap()
}

async fn settle(scene: &Scene, item: &GroupItem, carried: &[StreamId]) -> StepOutcome {
    let claimants = [Claimant {
        judge: &scene.judge,
        dead: &scene.dead,
    }];
    let pinned = scene.bids.source.facts().await.unwrap().identity;
    let ground = GroupGround {
        claimants: &claimants,
        carried,
        skew: SKEW,
        pinned: &pinned,
        pace: &Unpaced,
    };
    scene.applier().await.settle_group(&ground, item).await
}

async fn confirmed(scene: &Scene, rule: &str) -> GroupItem {
    let look = look(scene, &[]).await;
    let suspects = scene.judge.judge_group(&look);
    let suspect = suspects.into_iter().find(|s| s.rule.0 == rule).unwrap();
    GroupItem { look, suspect }
}

async fn cursor(scene: &Scene) -> Option<StreamId> {
    look(scene, &[]).await.cursor_before
}

#[tokio::test]
async fn a_lost_group_comes_back_before_the_first_bid_that_is_not_proven() {
    let mut scene = Scene::start(4, |_| {}).await;
    // Processed out of order: 3 is in, 2 is not.
    for bid in [1, 3, 4] {
        scene.bids.persist(bid).await;
    }
    scene
        .bids
        .world
        .redis::<()>(&["XGROUP", "DESTROY", "bids", "g"])
        .await;
    let item = confirmed(&scene, "group-missing").await;
    let outcome = settle(&scene, &item, &[]).await;
    assert_eq!(outcome.kind, OutcomeKind::Applied, "{outcome:?}");
    assert_eq!(cursor(&scene).await, Some(id("1-0")));
    let journal = scene.journal();
    assert_eq!(
        (journal[1]["to_id"].as_str(), journal[1]["last_id"].as_str()),
        (Some("1-0"), Some("4-0"))
    );
    assert_eq!(journal[2]["outcome"], "applied");
}

#[tokio::test]
async fn a_group_that_the_application_made_first_is_left_where_it_is() {
    let mut scene = Scene::start(2, |_| {}).await;
    scene
        .bids
        .world
        .redis::<()>(&["XGROUP", "DESTROY", "bids", "g"])
        .await;
    let item = confirmed(&scene, "group-missing").await;
    scene
        .bids
        .world
        .redis::<()>(&["XGROUP", "CREATE", "bids", "g", "$"])
        .await;
    let outcome = settle(&scene, &item, &[]).await;
    assert_eq!(outcome.kind, OutcomeKind::AlreadyRight, "{outcome:?}");
    assert_eq!(cursor(&scene).await, Some(id("2-0")));
}

#[tokio::test]
async fn a_cursor_moves_forward_across_proven_bids_only_and_from_where_it_was_judged() {
    let mut scene = Scene::start(4, |c| c.on_rewound = OnRewound::Advance).await;
    for bid in [2, 3] {
        scene.bids.persist(bid).await;
    }
    scene
        .bids
        .world
        .redis::<()>(&["XGROUP", "SETID", "bids", "g", "1-0"])
        .await;
    let item = confirmed(&scene, "group-rewound").await;
    scene
        .bids
        .world
        .redis::<()>(&["XGROUP", "SETID", "bids", "g", "2-0"])
        .await;
    let outcome = settle(&scene, &item, &[]).await;
    assert_eq!(outcome.kind, OutcomeKind::LostRace, "{outcome:?}");
    assert_eq!(cursor(&scene).await, Some(id("2-0")));
    let item = confirmed(&scene, "group-rewound").await;
    let outcome = settle(&scene, &item, &[]).await;
    assert_eq!(outcome.kind, OutcomeKind::Applied, "{outcome:?}");
    assert_eq!(cursor(&scene).await, Some(id("3-0")));
}
