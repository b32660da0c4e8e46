//! `run.json`: the whole run for machines. Fields are append-only; `auditor_run` names the format.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::coverage_json::as_coverage;
use super::topology_json::{InventoryRecord, TopologyFindingRecord};
use crate::model::outcome::{Coverage, RunVerdict};
use crate::model::shard::Shard;
use crate::model::time::Micros;

/// Everything a run has to say of itself once it ended. Times are RFC 3339 in UTC, durations
/// seconds.
#[derive(Debug, Clone, Serialize)]
pub struct RunRecord {
    /// Version of this format: [`RunRecord::FORMAT`].
    pub auditor_run: u32,
    pub program_version: String,
    #[serde(serialize_with = "as_text")]
    pub run_id: Uuid,
    pub job: String,
    pub job_path: PathBuf,
    pub config_hash: String,
    /// `scan`, `repair`, …
    pub command: String,
    /// As given on the command line; no setting of a secret can be given there.
    pub arguments: Vec<String>,
    pub is_dry_run: bool,
    /// Which part of everything this was; limits of the job were divided by `count`.
    #[serde(serialize_with = "as_shard")]
    pub shard: Shard,
    /// The run this one goes on from.
    #[serde(serialize_with = "as_text_or_null")]
    pub resumes: Option<Uuid>,
    /// The run whose findings were judged again (`--from`).
    #[serde(serialize_with = "as_text_or_null")]
    pub from_run: Option<Uuid>,
    #[serde(serialize_with = "as_time")]
    pub started_at: Micros,
    #[serde(serialize_with = "as_time")]
    pub finished_at: Micros,
    pub is_full: bool,
    pub window: Option<WindowRecord>,
    /// What happened to each master, where it is known and no window tells it.
    pub episodes: Vec<EpisodeRecord>,
    pub topology_before: TopologyRecord,
    pub topology_after: TopologyRecord,
    /// What the nodes themselves showed.
    pub topology_findings: Vec<TopologyFindingRecord>,
    pub checks: Vec<CheckRecord>,
    pub timings: Vec<Timing>,
    /// Each limit that was reached, as a sentence.
    pub limits_hit: Vec<String>,
    /// Why the run is not simply consistent, as sentences.
    pub remarks: Vec<String>,
    /// Whether `undo.jsonl` holds records.
    pub undo_records: u64,
    #[serde(serialize_with = "as_verdict")]
    pub verdict: RunVerdict,
    pub exit_code: u8,
}

/// `[since, until)` and where it came from.
#[derive(Debug, Clone, Serialize)]
pub struct WindowRecord {
    #[serde(serialize_with = "as_time")]
    pub since: Micros,
    #[serde(serialize_with = "as_time_or_null")]
    pub until: Option<Micros>,
    /// `given`: on the command line; else on what the beginning rests: `heartbeat`, `samples`, `sentinel`, `cluster` or
    /// `last-run`.
    pub found_by: String,
    /// The zone bare times were read in.
    pub time_zone: Option<String>,
    /// `exact to the beat`, `bracketed`, `estimate` or `unknown`; `None`: it was given.
    pub sureness: Option<String>,
    /// What happened, in sentences for people; `None`: it was given.
    pub explanation: Option<String>,
    /// One for each present master; empty: it was given.
    pub episodes: Vec<EpisodeRecord>,
}

/// What happened to one master since a run last dealt with it.
#[derive(Debug, Clone, Serialize)]
pub struct EpisodeRecord {
    /// host:port
    pub address: String,
    pub run_id: String,
    pub replication_id: String,
    /// `0-16383` outside of a Cluster.
    pub slots: String,
    /// `nothing`, `first-sight`, `renewed`, `graceful`, `restart-with-data`, `promotion`, `evidence-gone`,
    /// `restart-from-old-snapshot` or `restart-empty`.
    pub kind: String,
    /// Not yet widened by the skew of the clocks.
    #[serde(serialize_with = "as_time_or_null")]
    pub since: Option<Micros>,
    #[serde(serialize_with = "as_time_or_null")]
    pub until: Option<Micros>,
    pub found_by: String,
    pub sureness: String,
    pub explanation: String,
}

/// The two servers, at the run's start or end; absent where one could not be asked.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TopologyRecord {
    /// Of several masters the first.
    pub redis: Option<RedisRecord>,
    /// Every master that was read and written, in a fixed order: one outside of a Cluster.
    pub masters: Vec<RedisRecord>,
    pub source: Option<SourceRecord>,
    /// Every node that is known; `None` where only one key was asked for.
    pub inventory: Option<InventoryRecord>,
    /// The replicas that sweeps read instead; absent where they read the servers above.
    pub sweep_redis: Option<RedisRecord>,
    pub sweep_source: Option<SourceRecord>,
}

#[derive(Debug, Clone, Serialize)]
pub struct RedisRecord {
    pub address: String,
    pub server: String,
    pub version: String,
    pub run_id: String,
    /// `master` or `replica`.
    pub role: String,
    pub replication_id: String,
    pub replication_id2: String,
    pub offset: i64,
    /// First byte not shared with the history of `replication_id2`; -1 without one.
    pub second_offset: i64,
    pub replicas_online: u64,
    pub eviction_policy: Option<String>,
    /// The server's clock less this host's, in microseconds.
    pub clock_ahead_us: Option<i64>,
}

#[derive(Debug, Clone, Serialize)]
pub struct SourceRecord {
    /// `@@server_uuid`, or host name, port and server id.
    pub identity: String,
    pub version: String,
    pub is_mariadb: bool,
    pub is_read_only: bool,
    /// The server's clock less this host's, in microseconds.
    pub clock_ahead_us: Option<i64>,
}

/// One check: what was looked at, what was found.
#[derive(Debug, Clone, Serialize)]
pub struct CheckRecord {
    pub name: String,
    #[serde(serialize_with = "as_coverage")]
    pub coverage: Coverage,
    /// What was not looked at, each as a sentence; empty: everything was.
    pub not_searched: Vec<String>,
    pub findings: Vec<RuleCount>,
    /// `None`: not drawn, e.g. because every pair was looked at under `--from`.
    pub control: Option<ControlRecord>,
    pub tolerances: Vec<ToleranceRecord>,
    pub slices: u64,
    /// Slices begun again after a topology change.
    pub slices_restarted: u64,
    #[serde(serialize_with = "as_seconds")]
    pub took: Duration,
}

/// Findings of one rule with one verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleCount {
    pub rule: String,
    pub severity: String,
    pub verdict: String,
    pub count: u64,
    /// Of `count`: put right, or right already when judged again.
    pub repaired: u64,
}

/// The control sample: pairs from outside the window.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ControlRecord {
    pub sampled: u64,
    pub mismatched: u64,
    /// Share of the sample that may be wrong.
    pub allowed: f64,
    /// More was wrong than allowed: the mapping is doubted, nothing was repaired.
    pub is_refused: bool,
}

/// A leeway the job declares for a field, so that the report says what "equal" meant.
#[derive(Debug, Clone, Serialize)]
pub struct ToleranceRecord {
    pub field: String,
    pub tolerance: Option<String>,
    pub scale: Option<u32>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Timing {
    pub stage: String,
    #[serde(serialize_with = "as_seconds")]
    pub took: Duration,
}

impl RunRecord {
    /// The format this program writes.
    pub const FORMAT: u32 = 1;

    /// Findings of all checks.
    pub fn findings(&self) -> u64 {
        self.checks
            .iter()
            .flat_map(|c| &c.findings)
            .map(|f| f.count)
            .sum()
    }
}

pub(super) const FILE_NAME: &str = "run.json";

#[derive(Serialize)]
struct ShardTwin {
    index: u8,
    count: u8,
}

fn as_shard<S: Serializer>(shard: &Shard, serializer: S) -> Result<S::Ok, S::Error> {
    let (index, count) = (shard.index(), shard.count());
    ShardTwin { index, count }.serialize(serializer)
}

fn as_text<S: Serializer>(id: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

fn as_text_or_null<S: Serializer>(id: &Option<Uuid>, serializer: S) -> Result<S::Ok, S::Error> {
    id.map(|id| id.to_string()).serialize(serializer)
}

pub(super) fn as_time<S: Serializer>(time: &Micros, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.to_rfc3339())
}

pub(super) fn as_time_or_null<S: Serializer>(
    time: &Option<Micros>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    time.map(Micros::to_rfc3339).serialize(serializer)
}

fn as_seconds<S: Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(took.as_secs_f64())
}

fn as_verdict<S: Serializer>(verdict: &RunVerdict, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(verdict.name())
}

#[cfg(test)]
pub(super) mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::super::topology_json;
    use super::*;

    /// A repair of one check that found ten and repaired nine.
    pub(in crate::report) fn record(run_id: Uuid) -> RunRecord {
        let redis = RedisRecord {
            address: "127.0.0.1:6379".into(),
            server: "redis".into(),
            version: "7.0.15".into(),
            run_id: "aa".into(),
            role: "master".into(),
            replication_id: "bb".into(),
            replication_id2: "cc".into(),
            offset: 4_633,
            second_offset: 3_004,
            replicas_online: 1,
            eviction_policy: Some("noeviction".into()),
            clock_ahead_us: Some(-15),
        };
        let source = SourceRecord {
            identity: "db1:3306:1".into(),
            version: "10.11.19-MariaDB".into(),
            is_mariadb: true,
            is_read_only: false,
            clock_ahead_us: None,
        };
        RunRecord {
            auditor_run: RunRecord::FORMAT,
            program_version: "0.1.0".into(),
            run_id,
            job: "auction".into(),
            job_path: "jobs/auction.toml".into(),
            config_hash: "c0ffee".into(),
            command: "repair".into(),
            arguments: vec!["repair".into(), "jobs/auction.toml".into()],
            is_dry_run: false,
            shard: Shard::WHOLE,
            resumes: None,
            from_run: None,
            started_at: Micros(1_000_000),
            finished_at: Micros(4_500_000),
            is_full: false,
            window: Some(WindowRecord {
                since: Micros(0),
                until: None,
                found_by: "given".into(),
                time_zone: Some("Asia/Seoul".into()),
                sureness: None,
                explanation: None,
                episodes: Vec::new(),
            }),
            episodes: Vec::new(),
            topology_before: TopologyRecord {
                inventory: Some(topology_json::tests::inventory(&redis)),
                masters: vec![redis.clone()],
                redis: Some(redis),
                source: Some(source),
                ..TopologyRecord::default()
            },
            topology_after: TopologyRecord::default(),
            topology_findings: vec![topology_json::tests::finding()],
            checks: vec![CheckRecord {
                name: "profile".into(),
                coverage: Coverage {
                    observed: 1_000,
                    matched: 990,
                    suspect: 10,
                    confirmed: 10,
                    applied: 9,
                    refused: 1,
                    ..Coverage::default()
                },
                not_searched: vec!["keys that no row explains (no --full)".into()],
                findings: vec![RuleCount {
                    rule: "version-regression".into(),
                    severity: "high".into(),
                    verdict: "confirmed".into(),
                    count: 10,
                    repaired: 9,
                }],
                control: Some(ControlRecord {
                    sampled: 1_000,
                    mismatched: 0,
                    allowed: 0.05,
                    is_refused: false,
                }),
                tolerances: vec![ToleranceRecord {
                    field: "/rating".into(),
                    tolerance: Some("0.01".into()),
                    scale: Some(2),
                }],
                slices: 4,
                slices_restarted: 0,
                took: Duration::from_millis(2_500),
            }],
            timings: vec![Timing {
                stage: "sweep".into(),
                took: Duration::from_millis(2_500),
            }],
            limits_hit: Vec::new(),
            remarks: vec!["1 finding could not be repaired".into()],
            undo_records: 9,
            verdict: RunVerdict::FindingsRemain,
            exit_code: 1,
        }
    }

    #[test]
    fn the_format_is_what_machines_were_told() {
        let json = serde_json::to_string_pretty(&record(Uuid::nil())).unwrap();
        insta::with_settings!({snapshot_path => "../../tests/fixtures/report", prepend_module_to_snapshot => false, omit_expression => true}, {
            insta::assert_snapshot!("run.json", json);
        });
    }

    #[test]
    fn every_field_is_explained() {
        fn names(value: &serde_json::Value, into: &mut Vec<String>) {
            match value {
                serde_json::Value::Object(fields) => fields.iter().for_each(|(name, value)| {
                    into.push(name.clone());
                    names(value, into);
                }),
                serde_json::Value::Array(items) => items.iter().for_each(|item| names(item, into)),
                _ => {}
            }
        }
        let manual = include_str!("../../output/README.md");
        let mut all = Vec::new();
        names(
            &serde_json::to_value(record(Uuid::nil())).unwrap(),
            &mut all,
        );
        assert!(all.len() > 60, "{all:?}");
        all.retain(|name| !manual.contains(&format!("`{name}`")));
        assert!(all.is_empty(), "output/README.md does not explain {all:?}");
    }
}
