//! What a run looks at: a window, everything, one check, an earlier run's findings; and what it keeps.

use auditor::lab::servers::Flavor;

use crate::support::World;
use crate::support::shop::{CHECKS, LIMITS, balance_key, profile, profile_key};

async fn damaged() -> World {
    let mut world = World::start(Flavor::MariaDb).await;
    world.open_shop(40).await;
    world.set(&profile_key(3), &profile(3, 4)).await;
    world.set(&profile_key(6), &profile(6, 4)).await;
    world.set(&balance_key(4), "-7").await;
    world.set(&profile_key(77), &profile(77, 5)).await;
    world
}

#[tokio::test]
async fn a_window_sees_what_changed_in_it_and_says_what_it_left_out() {
    let mut world = damaged().await;
    world
        .sql("UPDATE users SET updated_at = UTC_TIMESTAMP(6) WHERE id = 6")
        .await;
    let report = world
        .auditor(&["scan", "job.toml", "--since", "5m"])
        .expect(1)
        .report();
    assert_eq!(
        report.lines(),
        ["version-regression user:6:profile confirmed"]
    );
    assert_eq!(
        report.run["checks"][0]["coverage"]["observed"], 1,
        "{}",
        report.run["checks"][0]
    );
    // Without a way to find what changed, nothing of the check is searched, and that is not clean.
    world.job_with_limits(
        LIMITS,
        &CHECKS[..CHECKS.find("[[cache]]\nname = \"balance\"").unwrap()]
            .replace("changed_at = \"updated_at\"\n", ""),
    );
    let run = world.auditor(&["scan", "job.toml", "--since", "5m"]);
    assert!(matches!(run.code, Some(2 | 4)), "{run:?}");
}

#[tokio::test]
async fn only_one_check_is_looked_at_where_one_is_named() {
    let mut world = damaged().await;
    let report = world
        .auditor(&["repair", "job.toml", "--full", "--only", "balance", "--yes"])
        .expect(0)
        .report();
    assert_eq!(
        report.lines(),
        ["negative-balance user:4:balance confirmed applied"]
    );
    assert_eq!(world.get(&profile_key(3)).await.unwrap(), profile(3, 4));
}

#[tokio::test]
async fn an_earlier_runs_findings_are_judged_anew() {
    let mut world = damaged().await;
    let scan = world.scan_full().expect(1);
    let run = scan.report().run["run_id"].as_str().unwrap().to_owned();
    assert_eq!(scan.report().findings.len(), 4);
    // One heals, and another comes that the scan has not seen.
    world.set(&profile_key(6), &profile(6, 5)).await;
    world.set(&profile_key(9), &profile(9, 4)).await;
    let repaired = world
        .auditor(&["repair", "job.toml", "--from", &run, "--yes"])
        .expect(1);
    assert_eq!(
        repaired.report().lines(),
        [
            "negative-balance user:4:balance confirmed applied",
            "orphan-key user:77:profile confirmed refused",
            "version-regression user:3:profile confirmed applied"
        ]
    );
    assert_eq!(world.get(&profile_key(3)).await.unwrap(), profile(3, 5));
    assert_eq!(world.get(&profile_key(9)).await.unwrap(), profile(9, 4));
    world.job_with_limits(&format!("{LIMITS}\nkeep_runs = 7"), CHECKS);
    let folder = format!("output/shop/{run}");
    let other = world
        .auditor(&["scan", "job.toml", "--from", &folder])
        .expect(2);
    assert!(other.stderr.contains("another version"), "{}", other.stderr);
}

#[tokio::test]
async fn orphans_go_only_where_the_job_says_so() {
    let mut world = damaged().await;
    world.repair_full().expect(1);
    assert_eq!(world.get(&profile_key(77)).await.unwrap(), profile(77, 5));
    world.job_with_limits(
        LIMITS,
        &CHECKS.replace(
            "repair = \"overwrite\"",
            "repair = \"overwrite\"\nrepair_orphans = \"invalidate\"",
        ),
    );
    let report = world.repair_full().expect(0).report();
    assert_eq!(
        report.lines(),
        ["orphan-key user:77:profile confirmed applied"]
    );
    assert_eq!(world.get(&profile_key(77)).await, None);
    world.scan_full().expect(0);
}

#[tokio::test]
async fn old_reports_go_unless_they_say_something() {
    let world = damaged().await;
    world.job_with_limits(&format!("{LIMITS}\nkeep_runs = 2"), CHECKS);
    let look = ["scan", "job.toml", "--full", "--only", "balance"];
    let found = world.auditor(&look).expect(1).report().folder;
    let repaired = world
        .auditor(&["repair", "job.toml", "--full", "--only", "balance", "--yes"])
        .expect(0)
        .report()
        .folder;
    let clean: Vec<_> = (0..3)
        .map(|_| world.auditor(&look).expect(0).report().folder)
        .collect();
    let is_kept: Vec<bool> = clean.iter().map(|folder| folder.exists()).collect();
    assert_eq!(is_kept, [false, true, true], "the newest two");
    assert!(
        found.exists() && repaired.exists(),
        "findings and journals are for people to remove"
    );
}
