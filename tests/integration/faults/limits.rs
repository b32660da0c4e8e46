//! Limits that end a repair or a scan early are told, and the exit code says partial.

use auditor::lab::servers::Flavor;

use crate::support::World;
use crate::support::shop::{CHECKS, LIMITS, profile, profile_key};

async fn shop(replicas: usize) -> World {
    let mut world = World::with_replicas(Flavor::MariaDb, replicas).await;
    world.open_shop(40).await;
    for id in [3, 6, 9, 12, 15] {
        world.set(&profile_key(id), &profile(id, 4)).await;
    }
    world
}

async fn stale(world: &mut World) -> usize {
    let mut count = 0;
    for id in [3, 6, 9, 12, 15] {
        count += usize::from(world.get(&profile_key(id)).await.unwrap() == profile(id, 4));
    }
    count
}

#[tokio::test]
async fn max_repairs_stops_and_says_so() {
    let mut world = shop(0).await;
    let run = world
        .auditor(&[
            "repair",
            "job.toml",
            "--full",
            "--yes",
            "--max-repairs",
            "2",
        ])
        .expect(4);
    assert_eq!(stale(&mut world).await, 3);
    let report = run.report();
    assert_eq!(
        report
            .undo()
            .iter()
            .filter(|l| l["kind"] == "intent")
            .count(),
        2
    );
    assert!(
        report.run["limits_hit"].to_string().contains("max_repairs"),
        "{}",
        report.run["limits_hit"]
    );
    let refused: Vec<_> = report
        .findings
        .iter()
        .filter(|f| f["outcome"] == "refused")
        .collect();
    assert_eq!(refused.len(), 3, "{:?}", report.lines());
    world.job_with_limits(&format!("{LIMITS}\nmax_repairs = 1"), CHECKS);
    world
        .auditor(&["repair", "job.toml", "--full", "--yes"])
        .expect(4);
    assert_eq!(stale(&mut world).await, 2);
    world.job_with_limits(LIMITS, CHECKS);
    world
        .auditor(&["repair", "job.toml", "--full", "--yes"])
        .expect(0);
    assert_eq!(stale(&mut world).await, 0);
}

#[tokio::test]
async fn too_few_replicas_stop_a_repair_before_its_first_write() {
    let mut world = shop(1).await;
    world.job_with_limits(&format!("{LIMITS}\nmin_replicas = 2"), CHECKS);
    let run = world
        .auditor(&["repair", "job.toml", "--full", "--yes"])
        .expect(4);
    assert!(run.stdout.contains("replica"), "{}", run.stdout);
    assert_eq!(stale(&mut world).await, 5);
    world.job_with_limits(&format!("{LIMITS}\nmin_replicas = 1"), CHECKS);
    world
        .auditor(&["repair", "job.toml", "--full", "--yes"])
        .expect(0);
    assert_eq!(stale(&mut world).await, 0);
}

#[tokio::test]
async fn a_wrong_mapping_is_not_repaired() {
    let mut world = shop(0).await;
    world.job_with_limits("max_control_mismatch = 0.05", CHECKS);
    let run = world
        .auditor(&["repair", "job.toml", "--full", "--yes"])
        .expect(4);
    assert_eq!(stale(&mut world).await, 5);
    assert!(run.stdout.contains("wrong mapping"), "{}", run.stdout);
    assert!(run.report().lines().is_empty());
    world
        .auditor(&["repair", "job.toml", "--full", "--yes", "--accept-control"])
        .expect(0);
    assert_eq!(stale(&mut world).await, 0);
}

#[tokio::test]
async fn the_time_budget_ends_in_a_partial_report() {
    let mut world = shop(0).await;
    world
        .sql("UPDATE users SET updated_at = UTC_TIMESTAMP(6)")
        .await;
    let slow = CHECKS.replace(
        "value = \"json\"",
        "value = \"json\"\ncache_delay = \"30s\"",
    );
    world.job_with_limits(LIMITS, &slow);
    let run = world
        .auditor(&[
            "repair",
            "job.toml",
            "--full",
            "--yes",
            "--time-budget",
            "1s",
        ])
        .expect(4);
    assert!(run.stdout.contains("time budget"), "{}", run.stdout);
    let report = run.report();
    assert_eq!(report.run["verdict"], "partial");
    assert_eq!(stale(&mut world).await, 5, "nothing was confirmed");
    assert!(
        report.findings.iter().all(|f| f["verdict"] != "confirmed"),
        "{:?}",
        report.lines()
    );
}
