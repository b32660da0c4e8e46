//! Four processes side by side, each with its shard, beside one process on the same rows: what they took, and whether
//! what `auditor report` makes of them is, file by file, what the one wrote.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::shop::Shop;

const SHARDS: usize = 4;
/// What differs from run to run, and where the evidence lies in a file of its own.
const OWN_COLUMNS: [&str; 4] = ["run_id", "observed_at", "settled_at", "evidence"];

/// What the shards took, all together.
pub(crate) struct Shards {
    wall: Duration,
    merging: Duration,
    /// File by file: how many rows were compared.
    same: Vec<(&'static str, usize)>,
}

/// Runs all shards at once and merges them; an error where a file differs from that of the run in `whole`.
pub(crate) fn measure(shop: &Shop, whole: &Path) -> Result<Shards, Box<dyn Error>> {
    let began = Instant::now();
    let mut running = Vec::new();
    for index in 0..SHARDS {
        let mut command = shop.auditor();
        let shard = format!("{index}/{SHARDS}");
        command.args(["scan", "job.toml", "--full", "--shard", &shard]);
        running.push(
            command
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()?,
        );
    }
    let ended: Result<Vec<()>, String> = running.into_iter().map(end).collect();
    ended?;
    let wall = began.elapsed();
    let began = Instant::now();
    let mut command = shop.auditor();
    let output = command.args(["report", "--format", "json"]).output()?;
    let merging = began.elapsed();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let split = &report["splits"][0];
    if split["shards"] != SHARDS || split["missing"] != serde_json::json!([]) {
        return Err(format!("the report is not of {SHARDS} shards: {split}").into());
    }
    let place = report["folder"].as_str().ok_or("no folder")?;
    let merged = shop.folder.path().join(place);
    let mut same = Vec::new();
    for name in ["findings.csv", "affected_ranges.csv", "compensation.csv"] {
        let (one, other) = (told(&whole.join(name))?, told(&merged.join(name))?);
        let differing = one.iter().zip(&other).position(|(one, other)| one != other);
        if let Some(at) = differing {
            return Err(format!("{name}, row {at}: {:?} and {:?}", one[at], other[at]).into());
        }
        if one.len() != other.len() {
            return Err(format!("{name}: {} rows and {}", one.len(), other.len()).into());
        }
        same.push((name, one.len()));
    }
    Ok(Shards {
        wall,
        merging,
        same,
    })
}

impl Shards {
    pub(crate) fn told(&self) -> String {
        let same: Vec<String> = self
            .same
            .iter()
            .map(|(name, rows)| format!("{name} ({rows} rows)"))
            .collect();
        format!(
            "  {SHARDS} at once      wall {:.2} s, merged in {:.2} s; the same as one process: {}",
            self.wall.as_secs_f64(),
            self.merging.as_secs_f64(),
            same.join(", ")
        )
    }
}

fn end(shard: Child) -> Result<(), String> {
    let output = shard
        .wait_with_output()
        .map_err(|fault| fault.to_string())?;
    match output.status.code() {
        Some(0 | 1) => Ok(()),
        _ => Err(format!(
            "a shard ended with {}:\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

type Row = BTreeMap<String, String>;

/// The rows of a file, by check and rule: checks are swept side by side, so only the order within one is anybody's.
fn told(path: &PathBuf) -> Result<Vec<Row>, Box<dyn Error>> {
    let mut rows = Vec::new();
    for row in csv::Reader::from_path(path)?.deserialize() {
        let mut row: Row = row?;
        for own in OWN_COLUMNS {
            row.remove(own);
        }
        rows.push(row);
    }
    rows.sort_by_cached_key(|row| (row.get("check").cloned(), row.get("rule").cloned()));
    Ok(rows)
}
