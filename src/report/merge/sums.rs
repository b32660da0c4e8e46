//! What the runs of a split come to together, as one run would have said it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::sequence::{Found, Known, column};
use super::splits::Split;
use crate::model::outcome::{Coverage, RunVerdict};
use crate::report::coverage_json::as_coverage;
use crate::report::run_json::{ControlRecord, RuleCount};
use crate::report::run_read::EarlierCheck;

/// A split in sums.
#[derive(Debug, Clone)]
pub struct SplitRecord {
    pub run_ids: Vec<String>,
    /// How many shards there are, those included that are missing.
    pub shards: u8,
    /// Indexes of shards without a finished run here.
    pub missing: Vec<u8>,
    /// Runs that were gone on from and are not there any more.
    pub gone: Vec<String>,
    pub verdict: RunVerdict,
    pub checks: Vec<CheckSum>,
}

/// A check over all runs of a split.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckSum {
    pub name: String,
    #[serde(serialize_with = "as_coverage")]
    pub coverage: Coverage,
    pub not_searched: Vec<String>,
    pub findings: Vec<RuleCount>,
    pub control: Option<ControlRecord>,
}

/// Findings counted as they are written.
#[derive(Debug, Default)]
pub(super) struct Counts {
    of: BTreeMap<[String; 4], (u64, u64)>,
}

impl Counts {
    pub(super) fn count(&mut self, found: &Found) {
        let cells = [
            column::CHECK,
            column::RULE,
            column::SEVERITY,
            column::VERDICT,
        ];
        let kind = cells.map(|at| found.row[at].to_owned());
        let is_settled = &kind[3] == "confirmed" && !found.row[column::SETTLED_AT].is_empty();
        let (count, repaired) = self.of.entry(kind).or_default();
        *count += 1;
        *repaired += u64::from(is_settled);
    }

    fn of_check(&self, name: &str) -> Vec<RuleCount> {
        let of_check = self.of.iter().filter(|([check, ..], _)| check == name);
        of_check
            .map(
                |([_, rule, severity, verdict], &(count, repaired))| RuleCount {
                    rule: rule.clone(),
                    severity: severity.clone(),
                    verdict: verdict.clone(),
                    count,
                    repaired,
                },
            )
            .collect()
    }
}

/// The sums of what was `known` and counted.
pub(super) fn record_of(known: &Known<'_>, counts: &Counts) -> SplitRecord {
    let split = known.split;
    SplitRecord {
        run_ids: split.runs().map(|run| run.run_id.clone()).collect(),
        shards: split.count(),
        missing: split.missing(),
        gone: split
            .strands
            .iter()
            .filter_map(|s| s.gone.clone())
            .collect(),
        verdict: split.verdict(),
        checks: known
            .checks
            .iter()
            .map(|name| check_sum(split, name, counts))
            .collect(),
    }
}

/// A run counts what those counted that it went on from, so that the last one of each shard speaks for it.
fn check_sum(split: &Split, name: &str, counts: &Counts) -> CheckSum {
    let mut sum = CheckSum {
        name: name.to_owned(),
        coverage: Coverage::default(),
        not_searched: Vec::new(),
        findings: counts.of_check(name),
        control: None,
    };
    for strand in &split.strands {
        let mut of_run = strand.last().checks.iter();
        if let Some(check) = of_run.find(|check| check.name == name) {
            sum.add(check);
        }
    }
    sum
}

impl CheckSum {
    fn add(&mut self, check: &EarlierCheck) {
        self.coverage.add(&check.coverage);
        for why in &check.not_searched {
            if !self.not_searched.contains(why) {
                self.not_searched.push(why.clone());
            }
        }
        let Some(control) = &check.control else {
            return;
        };
        let sum = self.control.get_or_insert(ControlRecord {
            sampled: 0,
            mismatched: 0,
            ..control.clone()
        });
        sum.sampled += control.sampled;
        sum.mismatched += control.mismatched;
        sum.is_refused |= control.is_refused;
    }
}
