//! `--key` and `--id` print both sides and the verdict for that one.

use auditor::lab::servers::Flavor;

use crate::support::World;
use crate::support::shop::{balance_key, profile, profile_key};

#[tokio::test]
async fn both_sides_of_one_key_are_printed() {
    let mut world = World::start(Flavor::MariaDb).await;
    world.open_shop(40).await;
    world.set(&profile_key(3), &profile(3, 4)).await;
    world.set(&balance_key(4), "-7").await;
    world.redis::<()>(&["DEL", &balance_key(5)]).await;

    let run = world
        .auditor(&["scan", "job.toml", "--key", "user:3:profile"])
        .expect(1);
    for part in [
        "user:3:profile",
        "row id   3",
        "version",
        "/name",
        "old",
        "name 3",
        "version-regression: confirmed",
        "Redis is behind",
        "remedy overwrite",
    ] {
        assert!(run.stdout.contains(part), "{part:?} in\n{}", run.stdout);
    }
    assert!(!run.stdout.contains("hush"), "redacted\n{}", run.stdout);
    assert!(run.stdout.contains("sha256:"), "{}", run.stdout);
    assert!(
        !run.stdout.contains("lastSeen"),
        "not mapped\n{}",
        run.stdout
    );
    assert_eq!(
        run.report().lines(),
        ["version-regression user:3:profile confirmed"]
    );

    let run = world
        .auditor(&["scan", "job.toml", "--only", "balance", "--id", "4"])
        .expect(1);
    for part in [
        "user:4:balance",
        "-7",
        "100",
        "negative-balance",
        "confirmed",
    ] {
        assert!(run.stdout.contains(part), "{part:?} in\n{}", run.stdout);
    }

    let run = world
        .auditor(&["scan", "job.toml", "--key", "user:6:profile"])
        .expect(0);
    for part in [
        "user:6:profile",
        "name 6",
        "no rule objects",
        "1 agree",
        "0 transient",
    ] {
        assert!(run.stdout.contains(part), "{part:?} in\n{}", run.stdout);
    }
    let run = world
        .auditor(&["scan", "job.toml", "--key", "user:5:balance"])
        .expect(0);
    assert!(run.stdout.contains("no such key"), "{}", run.stdout);
    let run = world
        .auditor(&["scan", "job.toml", "--key", "user:99:profile"])
        .expect(0);
    assert!(run.stdout.contains("no such row"), "{}", run.stdout);

    let run = world
        .auditor(&[
            "scan",
            "job.toml",
            "--key",
            "user:3:profile",
            "--format",
            "json",
        ])
        .expect(1);
    let block: serde_json::Value =
        serde_json::from_str(run.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(block["fields"][0]["redis"], "4");
    assert_eq!(block["fields"][0]["mysql"], "5");

    let run = world
        .auditor(&["repair", "job.toml", "--key", "user:3:profile", "--yes"])
        .expect(0);
    assert!(run.stdout.contains("applied"), "{}", run.stdout);
    assert_eq!(world.get(&profile_key(3)).await.unwrap(), profile(3, 5));
    assert_eq!(
        world.get(&balance_key(4)).await.unwrap(),
        "-7",
        "not asked for"
    );
}
