//! What cannot be gone on with, and what has to begin anew.

use auditor::lab::servers::Flavor;

use super::long::lines;
use crate::support::World;
use crate::support::shop::{CHECKS, LIMITS, profile, profile_key};

/// A scan of five seconds, killed as soon as it has begun.
async fn interrupted() -> World {
    let mut world = World::start(Flavor::MariaDb).await;
    world.open_shop(40).await;
    world.set(&profile_key(3), &profile(3, 4)).await;
    slow(&world, LIMITS);
    let words = ["scan", "job.toml", "--full"];
    assert!(world.kill_at_once(&words), "it ended before it was killed");
    world
}

fn slow(world: &World, limits: &str) {
    let slow = CHECKS.replace("value = \"json\"", "value = \"json\"\nsettle = \"5s\"");
    world.job_with_limits(limits, &slow);
}

#[tokio::test]
async fn another_job_file_another_kind_and_nothing_at_all_are_refused() {
    let world = interrupted().await;
    let refused = |words: &[&str], part: &str| {
        let said = world.auditor(words).expect(2).stderr;
        assert!(said.contains(part), "{words:?}: {said}");
    };
    refused(
        &["repair", "job.toml", "--resume", "--yes"],
        "there is no run to go on with",
    );
    refused(
        &["scan", "job.toml", "--resume", "--shard", "0/2"],
        "no run of shard 0/2 to go on with",
    );
    let run = world.runs()[0].to_str().unwrap().to_owned();
    refused(
        &["repair", "job.toml", "--resume", &run, "--yes"],
        "another command",
    );
    refused(
        &["scan", "job.toml", "--resume", &run, "--shard", "1/2"],
        "another shard",
    );
    refused(
        &["scan", "job.toml", "--resume", "nowhere"],
        "no run nowhere",
    );
    slow(&world, "max_control_mismatch = 0.9");
    refused(
        &["scan", "job.toml", "--resume"],
        "another version of this job file",
    );
    slow(&world, LIMITS);
    let last = world.auditor(&["scan", "job.toml", "--resume"]).expect(1);
    refused(&["scan", "job.toml", "--resume"], "came to its end");
    // As a run ends that looked at everything and could not judge some of it.
    let path = last.report().folder.join("run.json");
    let ended = std::fs::read_to_string(&path).unwrap();
    let partial = ended.replace("\"findings-remain\"", "\"partial\"");
    assert_ne!(ended, partial);
    std::fs::write(&path, partial).unwrap();
    refused(
        &["scan", "job.toml", "--resume"],
        "looked at everything it was to look at",
    );
}

#[tokio::test]
async fn what_cannot_be_put_together_with_it_afterwards_is_refused() {
    let world = interrupted().await;
    let refused = |words: &[&str], part: &str| {
        let said = world.auditor(words).expect(2).stderr;
        assert!(said.contains(part), "{words:?}: {said}");
    };
    let first = world.runs()[0].clone();
    let run = first.to_str().unwrap().to_owned();
    let elsewhere = ["scan", "job.toml", "--resume", &run, "--output", "other"];
    refused(&elsewhere, "say --output");
    // Findings that were on the disk are not there any more.
    let progress = first.join("progress.jsonl");
    let said = std::fs::read_to_string(&progress).unwrap();
    let done = r#"{"done":{"check":"profile","counts":{},"rows":4}}"#;
    std::fs::write(&progress, format!("{said}{done}\n")).unwrap();
    refused(
        &["scan", "job.toml", "--resume"],
        "of 4 findings that were on the disk there are 0",
    );
    std::fs::write(&progress, format!("{said}{{\n{said}")).unwrap();
    refused(&["scan", "job.toml", "--resume"], "progress.jsonl, line");
    std::fs::write(&progress, &said).unwrap();
    let last = world.auditor(&["scan", "job.toml", "--resume"]).expect(1);
    let second = last.report().run["run_id"].as_str().unwrap().to_owned();
    refused(
        &["scan", "job.toml", "--resume", &run],
        &format!("was gone on with by run {second}"),
    );
    std::fs::remove_dir_all(&first).unwrap();
}

#[tokio::test]
async fn of_two_that_go_on_at_once_one_does() {
    let world = interrupted().await;
    let words = ["scan", "job.toml", "--resume"];
    let both = [world.spawn(&words), world.spawn(&words)];
    let mut codes = both.map(|child| child.wait_with_output().unwrap().status.code());
    codes.sort();
    assert_eq!(codes, [Some(1), Some(5)]);
}

#[tokio::test]
async fn the_window_is_that_of_the_run_before_to_the_microsecond() {
    let mut world = World::start(Flavor::MariaDb).await;
    world.open_shop(40).await;
    world.set(&profile_key(3), &profile(3, 4)).await;
    slow(&world, LIMITS);
    let words = ["scan", "job.toml", "--since", "15m", "--only", "profile"];
    assert!(world.kill_at_once(&words), "it ended before it was killed");
    let pinned = lines(&world.runs()[0], "run")[0]["window"].clone();
    let run = world.auditor(&["scan", "job.toml", "--resume"]);
    let report = run.report();
    let header = &lines(&report.folder, "run")[0];
    assert_eq!(header["window"], pinned);
    assert_eq!(header["only"], serde_json::json!(["profile"]));
    assert_eq!(header["is_full"], false);
    let checks = report.run["checks"].as_array().unwrap();
    assert_eq!(checks.len(), 1, "{checks:?}");
    assert_eq!(report.run["window"]["found_by"], "given");
}

#[tokio::test]
async fn a_run_at_work_is_left_to_it() {
    let mut world = World::start(Flavor::MariaDb).await;
    world.open_shop(40).await;
    world.set(&profile_key(3), &profile(3, 4)).await;
    slow(&world, LIMITS);
    let child = world.spawn(&["scan", "job.toml", "--full"]);
    world.says_what_it_is().await;
    let refused = world.auditor(&["scan", "job.toml", "--resume"]).expect(5);
    assert!(
        refused.stderr.contains("still at work"),
        "{}",
        refused.stderr
    );
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}

#[tokio::test]
async fn on_another_history_everything_is_looked_at_again() {
    let mut world = interrupted().await;
    let whole = world
        .auditor(&["scan", "job.toml", "--full"])
        .expect(1)
        .report();
    // The interrupted run is the one before.
    let run = world.runs()[0].to_str().unwrap().to_owned();
    world.redis::<()>(&["REPLICAOF", "127.0.0.1", "1"]).await;
    world.redis::<()>(&["REPLICAOF", "NO", "ONE"]).await;
    let again = world
        .auditor(&["scan", "job.toml", "--resume", &run])
        .expect(1);
    let report = again.report();
    let remarks = report.run["remarks"].to_string();
    assert!(remarks.contains("looked at again"), "{remarks}");
    assert_eq!(report.run["resumes"], serde_json::Value::Null);
    assert_eq!(report.lines(), whole.lines());
    assert_eq!(
        lines(&report.folder, "run")[0]["resumes"],
        serde_json::Value::Null
    );
}
