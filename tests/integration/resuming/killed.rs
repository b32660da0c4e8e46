//! Killed in the middle, gone on with, killed again: together it is one run.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::long::{RATE, coverage, lines, marked, merged, told};
use crate::support::World;

const FILES: [&str; 3] = ["findings.csv", "affected_ranges.csv", "compensation.csv"];

#[tokio::test]
async fn a_scan_that_is_killed_twice_is_one_scan() {
    let world = World::open_long().await;
    let whole = world
        .auditor(&["scan", "job.toml", "--full"])
        .expect(1)
        .report();
    assert!(whole.findings.len() > 600, "{}", whole.findings.len());
    let begin = ["scan", "job.toml", "--full", "--rate", RATE];
    let go_on = ["scan", "job.toml", "--resume", "--rate", RATE];
    assert!(
        world.kill_after_a_mark(&begin),
        "it ended before it was killed"
    );
    assert!(
        world.kill_after_a_mark(&go_on),
        "it ended before it was killed"
    );
    let last = world
        .auditor(&["scan", "job.toml", "--resume"])
        .expect(1)
        .report();
    let runs = world.runs();
    let [_, first, second, third] = &runs[..] else {
        panic!("{runs:?}");
    };
    for (run, before) in [(second, first), (third, second)] {
        let header = &lines(run, "run")[0];
        let name = before.file_name().unwrap().to_str().unwrap();
        assert_eq!(header["resumes"], name);
        let handed_on = lines(run, "mark");
        let handed_on = handed_on.iter().find(|mark| mark["check"] == "balance");
        assert_eq!(
            handed_on.unwrap()["upto"],
            lines(before, "mark")
                .iter()
                .rfind(|mark| mark["check"] == "balance")
                .unwrap()["upto"]
        );
        // What lies before the mark is not looked at again.
        let from = marked(before).unwrap();
        assert!(marked(run).is_some_and(|upto| upto >= from), "{from}");
    }
    assert_eq!(
        last.run["resumes"],
        second.file_name().unwrap().to_str().unwrap()
    );
    let from = marked(second).unwrap();
    let of_rows = last
        .findings
        .iter()
        .filter(|f| f["rule"] == "value-mismatch" && f["check"] == "balance");
    let ids: Vec<u32> = of_rows.map(|f| f["id"].parse().unwrap()).collect();
    assert!(ids.iter().all(|id| *id > from), "{from} {ids:?}");
    assert_eq!(
        coverage(&last.run["checks"]),
        coverage(&whole.run["checks"])
    );
    let (folder, json) = merged(&world, &last);
    for name in FILES {
        let (one, other) = (told(&whole.folder, name), told(&folder, name));
        assert!(
            one == other,
            "{name}: {} rows, in pieces {}",
            one.len(),
            other.len()
        );
    }
    let split = &json["splits"][0];
    assert_eq!(split["run_ids"].as_array().unwrap().len(), 3);
    assert_eq!(split["verdict"], whole.run["verdict"]);
    for (one, other) in split["checks"]
        .as_array()
        .unwrap()
        .iter()
        .zip(whole.run["checks"].as_array().unwrap())
    {
        assert_eq!(one["findings"], other["findings"]);
        assert_eq!(one["coverage"], other["coverage"]);
    }
}

#[tokio::test]
async fn a_repair_that_is_killed_anywhere_loses_no_finding() {
    let mut world = World::open_long().await;
    let plan = world
        .auditor(&["repair", "job.toml", "--full", "--dry-run"])
        .expect(1)
        .report();
    let mut random = StdRng::seed_from_u64(0x5eed);
    let mut begin = vec!["repair", "job.toml", "--full", "--yes", "--rate", RATE];
    let mut killed = 0;
    for _ in 0..3 {
        let intents = random.random_range(20..150);
        if !world.kill_after_intents(&begin, intents) {
            break;
        }
        killed += 1;
        begin = vec!["repair", "job.toml", "--resume", "--yes", "--rate", RATE];
    }
    assert!(killed >= 2, "killed {killed} times");
    let last = match killed {
        3 => world
            .auditor(&["repair", "job.toml", "--resume", "--yes"])
            .expect(0)
            .report(),
        _ => crate::support::report::Report::read(world.runs().last().unwrap()),
    };
    world.auditor(&["scan", "job.toml", "--full"]).expect(0);
    assert_eq!(world.get("user:97:balance").await.unwrap(), "100");
    // Whatever was written is told, and once.
    let (folder, json) = merged(&world, &last);
    let name = |row: &crate::support::report::Record| -> Vec<String> {
        ["check", "rule", "key"].map(|c| row[c].clone()).into()
    };
    let mut planned: Vec<_> = plan.findings.iter().map(name).collect();
    let found = crate::support::report::rows(&folder.join("findings.csv"));
    let mut found: Vec<_> = found.iter().map(name).collect();
    planned.sort();
    found.sort();
    let known = found.len();
    found.dedup();
    // A write whose run was killed before it could be told is found right, and stands in undo.jsonl alone.
    let untold = planned
        .iter()
        .filter(|one| found.binary_search(one).is_err());
    let untold: Vec<_> = untold.map(|one| one[2].clone()).collect();
    let remarks = last.run["remarks"].to_string();
    assert!(
        untold.is_empty() || remarks.contains("was killed before it could tell"),
        "{remarks}"
    );
    let journaled = journaled(&world);
    for key in &untold {
        assert!(journaled.contains(key), "{key} was lost");
    }
    assert!(
        untold.len() < planned.len() / 4,
        "{} of {}",
        untold.len(),
        planned.len()
    );
    assert_eq!(known, found.len(), "nothing is told twice");
    assert_eq!(json["splits"][0]["verdict"], "consistent");
    let compensated = told(&folder, "compensation.csv");
    let mut keys: Vec<_> = compensated.iter().map(|row| row["key"].clone()).collect();
    keys.sort();
    let all = keys.len();
    keys.dedup();
    assert_eq!(keys.len(), all, "nobody is compensated twice");
}

/// The keys of every intent of every run.
fn journaled(world: &World) -> Vec<String> {
    let mut keys = Vec::new();
    for run in world.runs() {
        let text = std::fs::read_to_string(run.join("undo.jsonl")).unwrap_or_default();
        let lines = text
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        keys.extend(lines.filter_map(|line| line["key_text"].as_str().map(str::to_owned)));
    }
    keys
}
