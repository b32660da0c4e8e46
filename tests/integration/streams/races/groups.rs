//! The group comes back, goes away or moves while somebody looks at it.

use super::{Held, INSERT, REQUEUE, between_looks, ended, line, owned};
use crate::support::World;
use crate::support::bids::{ALIVE, GONE, GROUP, STREAM, id};

/// Rows of 1, 2, 4 and 6 of six entries: consumers were at it side by side when the group was lost.
async fn without_its_group(settings: &str) -> World {
    let mut world = World::open_bids(settings).await;
    for number in 1..=6 {
        world.add(number).await;
    }
    for number in [1, 2, 4, 6] {
        world.save(number).await;
    }
    world
}

#[tokio::test]
async fn a_group_that_the_application_creates_at_its_end_is_never_moved_back() {
    let settings = "on_skipped = \"insert\"\ninsert_is_enough = true\non_rewound = \"advance\"\n";
    let mut world = without_its_group(settings).await;
    let held = Held::repair(&world).await;
    world
        .redis::<()>(&["XGROUP", "CREATE", STREAM, GROUP, "$"])
        .await;
    let run = held.goes_on(&world).await;
    let report = run.report();
    let settled = report.settled();
    let missing = format!("group-missing {GROUP} recreate-group lost-race");
    assert!(settled.contains(&missing), "{settled:?}");
    assert_eq!(world.cursor().await, id(6));
    // What it will never deliver is found by the same run, whose sweep comes after its look at the group.
    for number in [3, 5] {
        let skipped = line("acked-unpersisted", number, "insert applied");
        assert!(settled.contains(&skipped), "{settled:?}");
        assert_eq!(world.rows_of(number).await, "1");
    }
    world.scan_full().expect(0);
    assert_eq!(world.cursor().await, id(6));
}

#[tokio::test]
async fn a_group_that_was_there_first_is_only_asked_what_it_skipped() {
    let mut world = without_its_group("on_rewound = \"advance\"\n").await;
    world
        .redis::<()>(&["XGROUP", "CREATE", STREAM, GROUP, "$"])
        .await;
    let run = world.repair_full().expect(1);
    let skipped = |number| line("acked-unpersisted", number, "none refused");
    assert_eq!(run.report().settled(), [skipped(3), skipped(5)]);
    assert_eq!(world.cursor().await, id(6));
}

#[tokio::test]
async fn bids_that_were_processed_out_of_order_come_again_and_none_is_lost() {
    let mut world = without_its_group("").await;
    let run = world.repair_full().expect(0);
    let missing = format!("group-missing {GROUP} recreate-group applied");
    assert_eq!(run.report().settled(), [missing]);
    world.read(ALIVE, 100).await;
    assert_eq!(world.pending().await, owned(&[3, 4, 5, 6], ALIVE));
    for number in 3..=6 {
        assert_eq!(world.process(number).await, 1);
    }
    for number in 1..=6 {
        assert_eq!(world.rows_of(number).await, "1");
    }
    let scan = world.scan_full().expect(0);
    assert!(scan.report().settled().is_empty());
}

#[tokio::test]
async fn a_second_group_that_appears_first_is_not_given_the_entry_twice() {
    let mut world = World::damaged(REQUEUE, 0).await;
    let held = Held::repair(&world).await;
    world
        .redis::<()>(&["XGROUP", "CREATE", STREAM, "other", "0"])
        .await;
    let run = held.goes_on(&world).await.expect(1);
    let report = run.report();
    let moved = report.findings.iter().find(|f| f["id"] == id(7)).unwrap();
    assert!(moved["reason"].contains("another group"), "{moved:?}");
    assert_ne!(moved["outcome"], "applied");
    assert_eq!(world.pending().await, owned(&[7, 8], GONE));
    assert_eq!(world.entries(STREAM).await.len(), 6);
}

#[tokio::test]
async fn a_consumer_that_is_deleted_takes_its_messages_along_and_nobody_gets_them() {
    for settings in [INSERT, REQUEUE] {
        let mut world = World::damaged(settings, 0).await;
        let held = Held::repair(&world).await;
        let gone: i64 = world
            .redis(&["XGROUP", "DELCONSUMER", STREAM, GROUP, GONE])
            .await;
        assert_eq!(gone, 3);
        let run = held.goes_on(&world).await;
        let settled = run.report().settled();
        // A row went in before the script that acknowledges its message.
        let applied = |l: &String| l.ends_with("applied") && !l.contains(" insert ");
        assert!(!settled.iter().any(applied), "{settled:?}");
        assert!(settled.contains(&line("unacked-persisted", 6, "ack lost-race")));
        assert!(world.pending().await.is_empty());
        let ids: Vec<String> = world
            .entries(STREAM)
            .await
            .into_iter()
            .map(|e| e.0)
            .collect();
        assert_eq!(ids, [1, 2, 3, 6, 7, 8].map(id), "no entry moved");
        // They are nobody's now, delivered and not done: the next run says so.
        let scan = world.scan_full().expect(1);
        let left = scan.report().settled();
        let skipped = line("acked-unpersisted", 8, "none");
        assert!(left.contains(&skipped), "{left:?}");
    }
}

#[tokio::test]
async fn a_consumer_that_is_deleted_between_two_looks_makes_another_case() {
    let settings = format!("{INSERT}settle = \"2s\"\n");
    let mut world = World::damaged(&settings, 0).await;
    let child = between_looks(&world);
    world
        .redis::<i64>(&["XGROUP", "DELCONSUMER", STREAM, GROUP, GONE])
        .await;
    let run = ended(&world, child).await;
    let findings = run.report().findings;
    let applied = findings.iter().filter(|f| f["outcome"] == "applied");
    assert_eq!(applied.count(), 0, "{findings:?}");
    let rules: Vec<&str> = findings
        .iter()
        .filter(|f| f["verdict"] == "confirmed")
        .map(|f| f["rule"].as_str())
        .collect();
    assert_eq!(rules, ["acked-unpersisted"; 2], "{findings:?}");
    assert_eq!(world.rows_of(7).await, "0");
    assert_eq!(world.entries(STREAM).await.len(), 6);
}

#[tokio::test]
async fn a_group_that_is_destroyed_between_two_looks_settles_nothing() {
    let settings = format!("{INSERT}settle = \"2s\"\n");
    let mut world = World::damaged(&settings, 0).await;
    let child = between_looks(&world);
    world
        .redis::<i64>(&["XGROUP", "DESTROY", STREAM, GROUP])
        .await;
    let run = ended(&world, child).await;
    let findings = run.report().findings;
    assert!(
        findings.iter().all(|f| f["outcome"] != "applied"),
        "{findings:?}"
    );
    assert_eq!(world.rows_of(7).await, "0");
    let groups: Vec<redis::Value> = world.redis(&["XINFO", "GROUPS", STREAM]).await;
    assert!(groups.is_empty());
    let run = world.repair_full();
    let missing = format!("group-missing {GROUP} recreate-group applied");
    let settled = run.report().settled();
    assert!(settled.contains(&missing), "{settled:?}");
    assert_eq!(
        world.cursor().await,
        id(6),
        "before the first that is not done"
    );
}

#[tokio::test]
async fn a_stream_that_is_replaced_is_left_as_it_is() {
    for (settings, is_between_looks) in [(INSERT, false), (REQUEUE, false), (INSERT, true)] {
        let settings = format!("{settings}settle = \"2s\"\n");
        let mut world = World::damaged(&settings, 0).await;
        let run = if is_between_looks {
            let child = between_looks(&world);
            replace(&mut world).await;
            ended(&world, child).await
        } else {
            let held = Held::repair(&world).await;
            replace(&mut world).await;
            held.goes_on(&world).await
        };
        assert!(matches!(run.code, Some(1 | 4)), "{run:?}");
        let findings = run.report().findings;
        assert!(
            findings
                .iter()
                .all(|f| f["outcome"] != "applied" || f["remedy"] == "insert"),
            "{findings:?}"
        );
        let value: String = world.redis(&["GET", STREAM]).await;
        assert_eq!(value, "something else");
        let keys: i64 = world.redis(&["DBSIZE"]).await;
        assert_eq!(keys, 1);
    }
}

async fn replace(world: &mut World) {
    world.redis::<()>(&["SET", STREAM, "something else"]).await;
}

#[tokio::test]
async fn a_stream_that_is_deleted_is_not_made_again_by_a_step() {
    for settings in [INSERT, REQUEUE] {
        let mut world = World::damaged(settings, 0).await;
        let held = Held::repair(&world).await;
        world.redis::<i64>(&["DEL", STREAM]).await;
        let run = held.goes_on(&world).await;
        let settled = run.report().settled();
        let lost = |l: &String| l.ends_with("lost-race") || l.ends_with(" insert applied");
        assert!(settled.iter().all(lost), "{settled:?}");
        let keys: i64 = world.redis(&["DBSIZE"]).await;
        assert_eq!(keys, 0);
    }
}
