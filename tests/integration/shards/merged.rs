//! What `auditor report` makes of four shards is what one process writes.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::World;
use crate::support::report::{Record, Report, rows};

pub const SHARDS: usize = 4;

/// Runs every shard of a split; their reports in the order of their indexes.
pub fn all_shards(world: &World, words: &[&str], code: i32) -> Vec<Report> {
    let runs = (0..SHARDS).map(|index| {
        let shard = format!("{index}/{SHARDS}");
        let run = world.auditor(&[words, &["--shard", &shard]].concat());
        run.expect(code).report()
    });
    runs.collect()
}

/// The folder that `auditor report` says it wrote to, and `report.json`.
pub fn merged(world: &World, runs: &[&str]) -> (PathBuf, Value) {
    let words = [&["report", "--format", "json"], runs].concat();
    let report = world.auditor(&words).expect(0);
    let json: Value = serde_json::from_str(&report.stdout).unwrap();
    let folder = world.folder.path().join(json["folder"].as_str().unwrap());
    (folder, json)
}

/// The rows of a file, check by check, without what differs from run to run.
pub fn told(folder: &Path, name: &str, is_sorted: bool) -> Vec<Record> {
    let mut rows = rows(&folder.join(name));
    for row in &mut rows {
        for own in ["run_id", "observed_at", "settled_at", "evidence"] {
            row.remove(own);
        }
    }
    match is_sorted {
        true => rows.sort(),
        // Checks are swept side by side: only the order within one is anybody's.
        false => rows.sort_by(|a, b| a["check"].cmp(&b["check"])),
    }
    rows
}

#[track_caller]
pub fn assert_same(one: &[Record], other: &[Record], what: &str) {
    for (at, (a, b)) in one.iter().zip(other).enumerate() {
        assert_eq!(a, b, "{what}, row {at}");
    }
    assert_eq!(one.len(), other.len(), "{what}");
}

/// Of each check: what it counted and found.
fn sums(checks: &Value) -> Vec<(Value, Value, Value)> {
    let checks = checks.as_array().unwrap().iter();
    let checks = checks.filter(|check| check["name"] != "topology");
    let parts = ["name", "coverage", "findings"];
    checks
        .map(|check| parts.map(|part| check[part].clone()).into())
        .collect()
}

#[tokio::test]
async fn four_shards_merged_are_one_run() {
    let world = World::freeze("").await;
    for scope in [&["--full"][..], &["--since", "2025-06-01T00:00:00Z"]] {
        let words = [&["scan", "job.toml"], scope].concat();
        let whole = world.auditor(&words).expect(1).report();
        let shards = all_shards(&world, &words, 1);
        let ids: Vec<&str> = shards
            .iter()
            .rev()
            .map(|shard| shard.run["run_id"].as_str().unwrap())
            .collect();
        for named in [&ids[..], &[]] {
            let (folder, json) = merged(&world, named);
            for (name, is_sorted) in [
                ("findings.csv", false),
                ("compensation.csv", false),
                // A range is written when it ends, so ranges of different rules come in no order.
                ("affected_ranges.csv", true),
            ] {
                let one = told(&whole.folder, name, is_sorted);
                assert!(one.len() > 50, "{name}: {}", one.len());
                assert_same(&one, &told(&folder, name, is_sorted), name);
            }
            let split = &json["splits"][0];
            assert_eq!(split["shards"], SHARDS);
            assert_eq!(split["missing"], serde_json::json!([]));
            assert_eq!(split["verdict"], whole.run["verdict"]);
            assert_eq!(split["exit_code"], whole.run["exit_code"]);
            assert_eq!(sums(&split["checks"]), sums(&whole.run["checks"]));
            for check in split["checks"].as_array().unwrap() {
                let control = &check["control"];
                let pairs = shards
                    .iter()
                    .flat_map(|s| s.run["checks"].as_array().unwrap());
                let pairs = pairs.filter(|c| c["name"] == check["name"]);
                let sampled = pairs
                    .filter_map(|c| c["control"]["sampled"].as_u64())
                    .sum::<u64>();
                assert_eq!(control["sampled"].as_u64().unwrap_or(0), sampled);
            }
        }
    }
}

#[tokio::test]
async fn a_shard_that_is_missing_is_named_and_breaks_what_it_held() {
    let world = World::freeze("").await;
    let words = ["scan", "job.toml", "--full", "--only", "balance"];
    let shards = all_shards(&world, &words, 1);
    let ids: Vec<&str> = shards
        .iter()
        .map(|shard| shard.run["run_id"].as_str().unwrap())
        .collect();
    let (folder, json) = merged(&world, &[ids[0], ids[1], ids[3]]);
    let split = &json["splits"][0];
    assert_eq!(split["missing"], serde_json::json!([2]));
    assert_eq!(
        (&split["verdict"], &split["exit_code"]),
        (&"partial".into(), &4.into())
    );
    // The losses from before block 2 to behind it are two ranges now, on either side of it.
    let of_shard = |shard: usize| u64::try_from(shards[shard].findings.len()).unwrap();
    let keys: u64 = told(&folder, "affected_ranges.csv", true)
        .iter()
        .map(|range| range["keys_affected"].parse::<u64>().unwrap())
        .sum();
    assert_eq!(keys, of_shard(0) + of_shard(1) + of_shard(3));
    let told = world.auditor(&["report", ids[0], ids[1], ids[3]]).expect(0);
    assert!(
        told.stdout.contains("shard 2/4 is missing"),
        "{}",
        told.stdout
    );
    let (_, all) = merged(&world, &ids);
    assert_eq!(all["splits"][0]["verdict"], "findings-remain");
}
