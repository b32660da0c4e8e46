//! `report.json`: the merged report for machines. Fields are append-only; `auditor_report` names the format.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::sums::{CheckSum, SplitRecord};
use super::totals::{Sum, Totals};
use crate::model::time::Micros;
use crate::report::money::Money;
use crate::report::run_read::EarlierRun;

/// Everything a merged report has to say of itself. Times are RFC 3339 in UTC, money is exact decimal text.
#[derive(Debug, Clone)]
pub struct MergeRecord {
    pub report_id: Uuid,
    /// Where the merged files lie.
    pub folder: PathBuf,
    pub job: String,
    pub config_hash: String,
    pub made_at: Micros,
    pub runs: Vec<MergedRun>,
    /// What shards, and runs that went on from one another, come to together.
    pub splits: Vec<SplitRecord>,
    /// Rows of the merged `findings.csv`.
    pub findings: u64,
    /// Fields of one customer with several exposures, because the values were others or right in between.
    pub places_repeated: u64,
    /// What the audited windows are answerable for.
    pub(super) counted: Totals,
    /// `outside` and `unknown`.
    pub(super) apart: Totals,
}

/// A run that went into the report.
#[derive(Debug, Clone)]
pub struct MergedRun {
    pub run: EarlierRun,
    /// Rows of its `compensation.csv`.
    pub rows: u64,
    /// Of these: exposures that no earlier run had seen.
    pub new_exposures: u64,
}

pub(super) const FILE_NAME: &str = "report.json";

/// Version of the format.
const FORMAT: u32 = 1;

impl MergeRecord {
    /// Exposures the totals count.
    pub fn exposures(&self) -> u64 {
        self.counted.exposures
    }

    /// Exposures attributed to no audited window.
    pub fn exposures_apart(&self) -> u64 {
        self.apart.exposures
    }

    pub(super) fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(RecordTwin::of(self)).expect("plain fields always make JSON")
    }
}

/// The report as one JSON object on one line: `report.json`, and `folder`.
pub fn write_merge_json(out: &mut dyn Write, record: &MergeRecord) -> io::Result<()> {
    let mut json = record.to_json();
    json["folder"] = record.folder.to_string_lossy().into();
    serde_json::to_writer(&mut *out, &json)?;
    writeln!(out)
}

#[derive(Serialize)]
struct RecordTwin<'a> {
    auditor_report: u32,
    program_version: &'static str,
    report_id: String,
    job: &'a str,
    config_hash: &'a str,
    made_at: String,
    runs: Vec<RunTwin<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    splits: Vec<SplitTwin<'a>>,
    findings: u64,
    places_repeated: u64,
    counted: TotalsTwin<'a>,
    apart: TotalsTwin<'a>,
}

#[derive(Serialize)]
struct SplitTwin<'a> {
    run_ids: &'a [String],
    shards: u8,
    missing: &'a [u8],
    gone: &'a [String],
    verdict: &'static str,
    exit_code: u8,
    checks: &'a [CheckSum],
}

#[derive(Serialize)]
struct RunTwin<'a> {
    run_id: &'a str,
    folder: String,
    command: &'a str,
    is_dry_run: bool,
    verdict: &'a str,
    started_at: &'a str,
    since: Option<&'a str>,
    until: Option<&'a str>,
    findings: u64,
    compensation_rows: u64,
    new_exposures: u64,
}

#[derive(Serialize)]
struct TotalsTwin<'a> {
    exposures: u64,
    by_currency: Vec<SumTwin<'a>>,
    by_check: Vec<SumTwin<'a>>,
    by_subject: Vec<SumTwin<'a>>,
}

#[derive(Serialize)]
struct SumTwin<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    currency: &'a str,
    exposures: u64,
    open: u64,
    #[serde(serialize_with = "as_amount")]
    delta: Money,
    #[serde(serialize_with = "as_amount")]
    too_little: Money,
    #[serde(serialize_with = "as_amount")]
    too_much: Money,
    /// An amount had more than a thousand digits: the sums that are null are not known.
    is_summable: bool,
}

impl<'a> RecordTwin<'a> {
    fn of(record: &'a MergeRecord) -> Self {
        Self {
            auditor_report: FORMAT,
            program_version: env!("CARGO_PKG_VERSION"),
            report_id: record.report_id.to_string(),
            job: &record.job,
            config_hash: &record.config_hash,
            made_at: record.made_at.to_rfc3339(),
            runs: record.runs.iter().map(RunTwin::of).collect(),
            splits: record.splits.iter().map(SplitTwin::of).collect(),
            findings: record.findings,
            places_repeated: record.places_repeated,
            counted: TotalsTwin::of(&record.counted),
            apart: TotalsTwin::of(&record.apart),
        }
    }
}

impl<'a> SplitTwin<'a> {
    fn of(split: &'a SplitRecord) -> Self {
        Self {
            run_ids: &split.run_ids,
            shards: split.shards,
            missing: &split.missing,
            gone: &split.gone,
            verdict: split.verdict.name(),
            exit_code: split.verdict.exit_code(),
            checks: &split.checks,
        }
    }
}

impl<'a> RunTwin<'a> {
    fn of(merged: &'a MergedRun) -> Self {
        let run = &merged.run;
        let window = run.window.as_ref();
        Self {
            run_id: &run.run_id,
            folder: run.folder.to_string_lossy().into_owned(),
            command: &run.command,
            is_dry_run: run.is_dry_run,
            verdict: &run.verdict,
            started_at: &run.started_at,
            since: window.map(|w| w.0.as_str()),
            until: window.and_then(|w| w.1.as_deref()),
            findings: run.findings,
            compensation_rows: merged.rows,
            new_exposures: merged.new_exposures,
        }
    }
}

impl<'a> TotalsTwin<'a> {
    fn of(totals: &'a Totals) -> Self {
        let by_subject = totals.money_first().flat_map(|currency| {
            let largest_first = totals.largest_first(currency).into_iter();
            largest_first.map(|(subject, sum)| SumTwin {
                subject: Some(subject),
                ..SumTwin::of(currency, sum)
            })
        });
        let by_check = totals
            .checks
            .iter()
            .map(|((check, currency), sum)| SumTwin {
                check: Some(check),
                ..SumTwin::of(currency, sum)
            });
        Self {
            exposures: totals.exposures,
            by_currency: totals
                .money_first()
                .map(|currency| SumTwin::of(currency, &totals.currencies[currency]))
                .collect(),
            by_check: by_check.collect(),
            by_subject: by_subject.collect(),
        }
    }
}

impl<'a> SumTwin<'a> {
    fn of(currency: &'a str, sum: &Sum) -> Self {
        let delta = sum.delta();
        Self {
            check: None,
            subject: None,
            currency,
            exposures: sum.exposures,
            open: sum.open,
            is_summable: delta != Money::Unsummable,
            delta,
            too_little: sum.too_little.clone(),
            too_much: sum.too_much.clone(),
        }
    }
}

/// Text, because a JSON number would be read as a float; null where there is no sum.
fn as_amount<S: Serializer>(money: &Money, serializer: S) -> Result<S::Ok, S::Error> {
    match money {
        Money::Sum(_) => serializer.serialize_some(&money.cell()),
        Money::None | Money::Unsummable => serializer.serialize_none(),
    }
}

/// `report.json` below `folder`.
pub(super) fn path_in(folder: &Path) -> PathBuf {
    folder.join(FILE_NAME)
}
