//! Counters that are moved and never set: the gap is added, and only while nothing is under way.

use auditor::lab::servers::Flavor;
use auditor::model::finding::OutcomeKind;

use super::hands::{Hands, kinds};
use crate::support::World;

const POINTS: &str = r#"
[[cache]]
name = "points"
key = "user:{id}:points"
value = "integer"
table = "users"
changed_at = "updated_at"
deletes = "never"
order = "source-first"
writes = "delta"
fields = [{ column = "points" }]
repair = "overwrite"
"#;

const KEY: &str = "user:1:points";

/// MySQL says 10, Redis 12: a DECRBY of 2 was lost.
async fn world_with_a_gap() -> World {
    let mut world = World::start(Flavor::MariaDb).await;
    world
        .sql("CREATE TABLE users (id BIGINT PRIMARY KEY, points BIGINT NOT NULL, updated_at DATETIME(6) NOT NULL)")
        .await;
    world
        .sql("INSERT INTO users VALUES (1, 10, '2026-01-01')")
        .await;
    world.redis::<()>(&["SET", KEY, "12"]).await;
    world
}

async fn repair_now(hands: &Hands, world: &World) -> Vec<OutcomeKind> {
    let items = hands.confirmed().await;
    let (mut applier, _) = hands.applier(world.redis.port(), 0).await;
    kinds(&hands.apply(&mut applier, &items).await)
}

#[tokio::test]
async fn a_decrement_that_is_committed_and_not_yet_sent_is_not_taken_for_a_lost_one() {
    let mut world = world_with_a_gap().await;
    let hands = Hands::of(&world, POINTS).await;
    let items = hands.confirmed().await;
    world
        .sql("UPDATE users SET points = 9, updated_at = NOW(6) WHERE id = 1")
        .await;
    let (mut applier, _) = hands.applier(world.redis.port(), 0).await;
    let outcomes = hands.apply(&mut applier, &items).await;
    assert_eq!(kinds(&outcomes), [OutcomeKind::LostRace], "{outcomes:?}");
    drop(applier);

    let after: i64 = world.redis(&["DECRBY", KEY, "1"]).await;
    assert_eq!(after, 11, "only the application has moved it");
    assert_eq!(repair_now(&hands, &world).await, [OutcomeKind::Applied]);
    let value: String = world.redis(&["GET", KEY]).await;
    assert_eq!(value, "9");
}

#[tokio::test]
async fn a_decrement_that_arrives_before_the_repair_changes_the_gap() {
    let mut world = world_with_a_gap().await;
    world.sql("UPDATE users SET points = 9").await;
    let hands = Hands::of(&world, POINTS).await;
    let items = hands.confirmed().await;
    let after: i64 = world.redis(&["DECRBY", KEY, "1"]).await;
    assert_eq!(after, 11);
    let (mut applier, _) = hands.applier(world.redis.port(), 0).await;
    let outcomes = hands.apply(&mut applier, &items).await;
    assert_eq!(kinds(&outcomes), [OutcomeKind::LostRace], "{outcomes:?}");
    let value: String = world.redis(&["GET", KEY]).await;
    assert_eq!(value, "11");
    drop(applier);
    assert_eq!(repair_now(&hands, &world).await, [OutcomeKind::Applied]);
    let value: String = world.redis(&["GET", KEY]).await;
    assert_eq!(value, "9");
}
