//! Shards of one split repair side by side; two splits never do.

use std::process::Child;

use auditor::lab::servers::Flavor;

use crate::support::World;
use crate::support::shop::{CHECKS, LIMITS, profile, profile_key};

/// Long enough between two looks that others come meanwhile.
const SETTLE: &str = "value = \"json\"\nsettle = \"5s\"";

pub(super) async fn slow_shop() -> World {
    let mut world = World::start(Flavor::MariaDb).await;
    world.open_shop(40).await;
    for id in 1..=20 {
        world.set(&profile_key(id), &profile(id, 4)).await;
    }
    let slow = CHECKS.replace("value = \"json\"", SETTLE);
    world.job_with_limits(LIMITS, &slow);
    world
}

pub(super) fn words(shard: &str) -> [&str; 6] {
    ["repair", "job.toml", "--full", "--yes", "--shard", shard]
}

pub(super) fn end(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), stderr)
}

#[tokio::test]
async fn another_split_is_turned_away_and_another_shard_is_not() {
    let world = slow_shop().await;
    let first = world.spawn(&words("0/3"));
    world.has_begun().await;
    for other in ["0/2", "1/2", "63/64", "0/1"] {
        let refused = world.auditor(&words(other)).expect(5);
        let held = refused.stderr.contains("shard 0/3") && refused.stderr.contains("lease");
        assert!(held, "{other}: {}", refused.stderr);
    }
    world
        .auditor(&["repair", "job.toml", "--full", "--yes"])
        .expect(5);
    let twin = world.auditor(&words("0/3")).expect(5);
    assert!(twin.stderr.contains("shard 0/3"), "{}", twin.stderr);
    let second = world.spawn(&words("1/3"));
    let (code, said) = end(second);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = end(first);
    assert_eq!(code, Some(0), "{said}");
    // Its lock went with it, and those of the refused ones too.
    world
        .auditor(&["repair", "job.toml", "--full", "--yes"])
        .expect(0);
}

#[tokio::test]
async fn of_two_splits_that_begin_at_once_never_both_go_on() {
    let world = slow_shop().await;
    let mut refused = 0;
    for round in 0..6 {
        let pair = [world.spawn(&words("0/2")), world.spawn(&words("1/3"))].map(end);
        let went_on = pair.iter().filter(|(code, _)| *code != Some(5)).count();
        assert!(went_on <= 1, "round {round}: {pair:?}");
        refused += 2 - went_on;
    }
    assert!(refused >= 6, "two that never met prove nothing");
}
