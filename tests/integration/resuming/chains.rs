//! Runs that went on from one another, and what came between them.

use super::long::{RATE, coverage, lines, marked, merged, told};
use crate::support::World;
use crate::support::report::Report;

const FILES: [&str; 3] = ["findings.csv", "affected_ranges.csv", "compensation.csv"];

#[tokio::test]
async fn who_was_killed_at_once_hands_on_what_it_was_given() {
    let world = World::open_long().await;
    let whole = world.scan_full().expect(1).report();
    let begin = ["scan", "job.toml", "--full", "--rate", RATE];
    let go_on = ["scan", "job.toml", "--resume", "--rate", RATE];
    assert!(world.kill_after_a_mark(&begin));
    assert!(world.kill_at_once(&go_on));
    let [_, first, second] = &world.runs()[..] else {
        panic!("{:?}", world.runs());
    };
    let (first, second) = (first.clone(), second.clone());
    // As if it had been killed a moment sooner: it goes on from nothing, and nothing is told twice.
    let said = std::fs::read_to_string(second.join("progress.jsonl")).unwrap();
    let header = said.lines().next().unwrap().to_owned() + "\n";
    let inherited = marked(&second);
    assert!(inherited.is_none() || inherited == marked(&first));
    let mut folders = Vec::new();
    for text in [said, header] {
        std::fs::write(second.join("progress.jsonl"), text).unwrap();
        let last = world
            .auditor(&["scan", "job.toml", "--resume"])
            .expect(1)
            .report();
        let (folder, _) = merged(&world, &last);
        let (one, other) = (
            told(&whole.folder, "findings.csv"),
            told(&folder, "findings.csv"),
        );
        assert!(
            one == other,
            "{} rows, {} in pieces",
            one.len(),
            other.len()
        );
        assert_eq!(
            coverage(&last.run["checks"]),
            coverage(&whole.run["checks"])
        );
        folders.push(folder);
        std::fs::remove_dir_all(&last.folder).unwrap();
    }
    assert_eq!(folders.len(), 2);
}

#[tokio::test]
async fn a_shard_that_is_killed_is_put_together_with_the_others() {
    let world = World::open_long().await;
    let whole = world.scan_full().expect(1).report();
    let begin = [
        "scan", "job.toml", "--full", "--shard", "0/2", "--rate", RATE,
    ];
    assert!(world.kill_after_a_mark(&begin));
    let other = world
        .auditor(&["scan", "job.toml", "--full", "--shard", "1/2"])
        .expect(1)
        .report();
    let last = world
        .auditor(&["scan", "job.toml", "--resume", "--shard", "0/2"])
        .expect(1)
        .report();
    assert_eq!(last.run["shard"]["count"], 2);
    let ids = [&last, &other].map(|r| r.run["run_id"].as_str().unwrap());
    let merged = world
        .auditor(&["report", ids[0], ids[1], "--format", "json"])
        .expect(0);
    let json: serde_json::Value = serde_json::from_str(&merged.stdout).unwrap();
    let folder = world.folder.path().join(json["folder"].as_str().unwrap());
    for name in FILES {
        let (one, other) = (told(&whole.folder, name), told(&folder, name));
        assert!(
            one == other,
            "{name}: {} rows, in pieces {}",
            one.len(),
            other.len()
        );
    }
    assert_eq!(json["splits"][0]["verdict"], "findings-remain");
    assert_eq!(
        coverage(&json["splits"][0]["checks"]),
        coverage(&whole.run["checks"])
    );
}

#[tokio::test]
async fn a_failover_while_it_goes_on_begins_everything_again_and_tells_nothing_twice() {
    let mut world = World::open_long().await;
    let whole = world.scan_full().expect(1).report();
    let begin = ["scan", "job.toml", "--full", "--rate", RATE];
    let go_on = ["scan", "job.toml", "--resume", "--rate", RATE];
    assert!(world.kill_after_a_mark(&begin));
    let from = marked(&world.runs()[1]);
    let child = world.spawn(&go_on);
    world.runs_on_from(from).await;
    world.redis::<()>(&["REPLICAOF", "127.0.0.1", "1"]).await;
    world.redis::<()>(&["REPLICAOF", "NO", "ONE"]).await;
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let last = Report::read(world.runs().last().unwrap());
    assert!(!lines(&last.folder, "again").is_empty());
    let coverage_of = |report: &Report| -> Vec<_> {
        let counts = coverage(&report.run["checks"]);
        let counts = counts.into_iter();
        counts
            .map(|(name, of)| (name, of["observed"].clone()))
            .collect()
    };
    assert_eq!(coverage_of(&last), coverage_of(&whole));
    let (folder, json) = merged(&world, &last);
    for name in ["findings.csv", "compensation.csv"] {
        let (one, other) = (told(&whole.folder, name), told(&folder, name));
        assert!(
            one == other,
            "{name}: {} rows, in pieces {}",
            one.len(),
            other.len()
        );
    }
    assert_eq!(json["splits"][0]["run_ids"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_both_runs_wrote_is_taken_back_and_then_nobody_goes_on() {
    let mut world = World::open_long().await;
    let begin = ["repair", "job.toml", "--full", "--yes", "--rate", RATE];
    assert!(world.kill_after_intents(&begin, 60));
    let first = world.runs()[0].to_str().unwrap().to_owned();
    let go_on = [
        "repair",
        "job.toml",
        "--resume",
        "--yes",
        "--max-repairs",
        "100",
    ];
    let second = world.auditor(&go_on).expect(4).report();
    let second = second.folder.to_str().unwrap();
    assert!(world.wrong().await < 700);
    for run in [second, &first] {
        let undone = world.auditor(&["undo", "job.toml", run, "--yes"]);
        assert_eq!(undone.code, Some(0), "{}", undone.stderr);
    }
    let lost = world.wrong().await;
    assert_eq!(lost, world.lost_at_first(), "both are taken back");
    let refused = world
        .auditor(&["repair", "job.toml", "--resume", "--yes"])
        .expect(2);
    assert!(refused.stderr.contains("taken back"), "{}", refused.stderr);
}
