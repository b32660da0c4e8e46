//! What all shards find together, and what they count.

use std::collections::BTreeMap;

use super::merged::all_shards;
use crate::support::World;
use crate::support::report::{Record, Report};

/// Everything a finding says but for the run and the times.
fn told(finding: &Record) -> Vec<String> {
    let columns = [
        "check",
        "rule",
        "severity",
        "verdict",
        "key",
        "id",
        "subject",
        "field",
        "cache_value",
        "source_value",
        "changed_at",
        "remedy",
        "outcome",
        "reason",
        "attribution",
    ];
    columns.iter().map(|c| finding[*c].clone()).collect()
}

fn all_told(reports: &[Report]) -> Vec<Vec<String>> {
    let mut all: Vec<_> = reports.iter().flat_map(|r| &r.findings).map(told).collect();
    all.sort();
    all
}

/// The counts of each check, added up.
fn counted(reports: &[Report]) -> BTreeMap<(String, String), u64> {
    let mut counts = BTreeMap::new();
    for check in reports
        .iter()
        .flat_map(|r| r.run["checks"].as_array().unwrap())
    {
        let name = check["name"].as_str().unwrap();
        for (what, count) in check["coverage"].as_object().unwrap() {
            let place = (name.to_owned(), what.clone());
            *counts.entry(place).or_default() += count.as_u64().unwrap();
        }
        assert_eq!(check["not_searched"], serde_json::json!([]), "{name}");
    }
    counts
}

#[tokio::test]
async fn four_shards_find_what_one_process_finds() {
    let world = World::freeze("").await;
    for scope in [&["--full"][..], &["--since", "2025-06-01T00:00:00Z"]] {
        let words = [&["scan", "job.toml"], scope].concat();
        let whole = [world.auditor(&words).expect(1).report()];
        let shards = all_shards(&world, &words, 1);
        let (one, four) = (all_told(&whole), all_told(&shards));
        assert!(one.len() > 500, "only {} findings", one.len());
        for finding in &one {
            assert!(
                four.binary_search(finding).is_ok(),
                "{scope:?}: no shard found {finding:?}"
            );
        }
        assert!(
            one == four,
            "{scope:?}: {} findings, of shards {}",
            one.len(),
            four.len()
        );
        assert_eq!(counted(&whole), counted(&shards), "{scope:?}");
        let findings = shards.iter().map(|r| r.findings.len());
        assert!(
            findings.min().unwrap() > 50,
            "every shard has something to do"
        );
    }
}
