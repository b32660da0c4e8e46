//! What a report says of an application that went on writing, held against the application's own log of what reached
//! which server (see [`Lost`]), and against what is wrong in the end.

use std::collections::BTreeSet;

use auditor::lab::truth::Lost;
use chrono::{DateTime, Utc};

use super::auction::Named;
use super::report::{Record, Report};

/// Confirmed findings about places that nothing had made wrong when they were looked at.
pub fn false_alarms(report: &Report, lost: &Lost) -> BTreeSet<String> {
    let confirmed = report
        .findings
        .iter()
        .filter(|f| f["verdict"] == "confirmed");
    confirmed
        .filter(|finding| {
            let at: DateTime<Utc> = finding["observed_at"].parse().unwrap();
            !lost.explains(&finding["key"], member(finding), at)
        })
        .map(|finding| format!("{finding:?}"))
        .collect()
}

/// What is wrong in the end though the application wrote it well: somebody else did that.
pub fn unexplained<'a>(left: &'a BTreeSet<Named>, lost: &Lost) -> BTreeSet<&'a Named> {
    let is_explained = |(check, _, key, field): &Named| {
        let member = if check == "closing-queue" { field } else { "" };
        lost.explains(key, member, Utc::now())
    };
    left.iter().filter(|named| !is_explained(named)).collect()
}

/// What was reported as repaired, and is wrong in the end.
pub fn undone(repair: &Report, left: &BTreeSet<Named>) -> BTreeSet<String> {
    let applied = repair.findings.iter().filter(|f| f["outcome"] == "applied");
    applied
        .filter(|finding| {
            let is_same = |(check, _, key, field): &&Named| {
                *check == finding["check"] && *key == finding["key"] && *field == finding["field"]
            };
            left.iter().any(|named| is_same(&named))
        })
        .map(|finding| format!("{finding:?}"))
        .collect()
}

/// What is wrong in the end, was wrong all the while, and was not even mentioned.
pub fn missed<'a>(repair: &Report, left: &'a BTreeSet<Named>) -> BTreeSet<&'a Named> {
    let mentioned = |(check, _, key, field): &Named| {
        let is_member = check == "closing-queue";
        let mut rows = repair.findings.iter();
        rows.any(|f| f["key"] == *key && (!is_member || f["field"] == *field))
    };
    left.iter().filter(|named| !mentioned(named)).collect()
}

fn member(finding: &Record) -> &str {
    match finding["check"].as_str() {
        "closing-queue" => &finding["field"],
        _ => "",
    }
}
