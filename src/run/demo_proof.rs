//! What the demo holds against what: the findings in the CSV against the planted truth.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::lab::LabError;
use crate::lab::demo_streams::StreamSides;
use crate::lab::truth::streams::StreamExpected;
use crate::lab::truth::{Expected, Truth};

/// check, rule, key, field; of a stream: check, rule, key, id
type Named = [String; 4];

/// How the program's findings compare with what was planted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Proof {
    planted: usize,
    missed: BTreeSet<Named>,
    false_alarms: BTreeSet<Named>,
}

/// A row by column name.
type Record = BTreeMap<String, String>;

/// Columns of `affected_ranges.csv` that a person reads first, and how they are headed.
const SHOWN: [(&str, &str); 8] = [
    ("check", "check"),
    ("rule", "rule"),
    ("first_id", "first id"),
    ("last_id", "last id"),
    ("keys_affected", "keys"),
    ("max_version_gap", "versions behind"),
    ("money_delta", "money"),
    ("repaired", "repaired"),
];
const ROWS_SHOWN: usize = 16;

impl Proof {
    /// Reads `findings.csv` in `folder`, whatever the verdict of a row.
    pub(super) fn of(
        folder: &Path,
        truth: &Truth,
        streams: &BTreeSet<StreamExpected>,
    ) -> Result<Self, LabError> {
        let findings = rows(&folder.join("findings.csv"))?;
        let caches = truth.expected.iter().map(as_reported);
        let planted = caches.chain(streams.iter().map(as_reported_of_stream));
        // What the nodes themselves show was not planted.
        let of_data = findings.iter();
        let of_data = of_data.filter(|row| row.get("check").is_none_or(|c| c != "topology"));
        let found = of_data.map(named);
        Ok(Self::compare(&planted.collect(), &found.collect()))
    }

    pub(super) fn holds(&self) -> bool {
        self.missed.is_empty() && self.false_alarms.is_empty()
    }

    /// One plain sentence, and an example where it does not hold.
    pub(super) fn sentence(&self) -> String {
        let planted = self.planted;
        if self.holds() {
            return format!("All {planted} planted losses were found, and nothing else.");
        }
        let example = |names: &BTreeSet<Named>| {
            names
                .first()
                .map(|name| format!(" (such as {})", name.join(" ").trim_end()))
                .unwrap_or_default()
        };
        format!(
            "Of {planted} planted losses {} were NOT found{}, and {} finding(s) were NOT planted{}.",
            self.missed.len(),
            example(&self.missed),
            self.false_alarms.len(),
            example(&self.false_alarms)
        )
    }

    fn compare(planted: &BTreeSet<Named>, found: &BTreeSet<Named>) -> Self {
        Self {
            planted: planted.len(),
            missed: planted.difference(found).cloned().collect(),
            false_alarms: found.difference(planted).cloned().collect(),
        }
    }
}

/// The longest range of every rule in `affected_ranges.csv`, a few of its columns, aligned.
pub(super) fn ranges_table(path: &Path) -> Result<Vec<String>, LabError> {
    let ranges = rows(path)?;
    let keys = |row: &Record| -> u64 {
        let cell = row.get("keys_affected").and_then(|cell| cell.parse().ok());
        cell.unwrap_or_default()
    };
    let mut longest: BTreeMap<&str, &Record> = BTreeMap::new();
    for row in &ranges {
        let rule = row.get("rule").map_or("", String::as_str);
        let kept = longest.entry(rule).or_insert(row);
        if keys(row) > keys(kept) {
            *kept = row;
        }
    }
    let mut cells = vec![SHOWN.map(|(_, heading)| heading.to_owned())];
    let shown = longest.values().take(ROWS_SHOWN);
    let count = shown.len();
    cells
        .extend(shown.map(|row| SHOWN.map(|(name, _)| row.get(name).cloned().unwrap_or_default())));
    let mut lines = aligned(&cells);
    if ranges.len() > count {
        lines.push(format!("… and {} more ranges", ranges.len() - count));
    }
    Ok(lines)
}

/// Every column as wide as its widest cell; numbers to the right.
fn aligned(rows: &[[String; SHOWN.len()]]) -> Vec<String> {
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or_default()
    };
    let is_number = |column: usize| {
        let mut below = rows.iter().skip(1).map(|row| &row[column]);
        below.all(|cell| cell.is_empty() || cell.parse::<f64>().is_ok())
    };
    let line = |row: &[String; SHOWN.len()]| {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = width(column);
            match is_number(column) {
                true => format!("{cell:>width$}"),
                false => format!("{cell:<width$}"),
            }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// The truth's words in the program's: a version is about the whole document, so that the program names no
/// field; and `field` is the member where there are members.
fn as_reported(expected: &Expected) -> Named {
    let field = match (expected.member.as_str(), expected.field.as_str()) {
        ("", "/version") => "",
        ("", field) => field,
        (member, _) => member,
    };
    [expected.check, expected.rule, &expected.key, field].map(str::to_owned)
}

/// A group's finding is named by the group, wherever the group belongs, and so is a last id that is too low.
fn as_reported_of_stream(expected: &StreamExpected) -> Named {
    let check = expected.check.as_str();
    let id = match expected.rule {
        "group-missing" | "group-rewound" | "lost-entry" => StreamSides::group_of(check),
        _ => &expected.id,
    };
    [check, expected.rule, StreamSides::key_of(check), id].map(str::to_owned)
}

/// What a row of `findings.csv` is about.
fn named(row: &Record) -> Named {
    let cell = |name: &str| row.get(name).cloned().unwrap_or_default();
    let is_stream = !StreamSides::key_of(&cell("check")).is_empty();
    let place = if is_stream { "id" } else { "field" };
    ["check", "rule", "key", place].map(cell)
}

fn rows(path: &Path) -> Result<Vec<Record>, LabError> {
    let action = format!("read {}", path.display());
    let unreadable = |fault: csv::Error| LabError::Io {
        action: action.clone(),
        source: fault.into(),
    };
    let mut reader = csv::Reader::from_path(path).map_err(unreadable)?;
    reader
        .deserialize()
        .collect::<Result<_, _>>()
        .map_err(unreadable)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use std::collections::BTreeSet;

    use super::{Named, Proof, ranges_table};
    use crate::lab::truth::streams::StreamExpected;
    use crate::lab::truth::{Expected, Truth};

    const HEAD: &str = "run_id,check,rule,key,field,verdict,id\n";

    fn truth() -> Truth {
        let expected = |check, rule, key: &str, member: &str, field: &str| Expected {
            check,
            rule,
            key: key.to_owned(),
            member: member.to_owned(),
            field: field.to_owned(),
        };
        Truth {
            expected: BTreeSet::from([
                expected(
                    "profile",
                    "version-regression",
                    "user:1:profile",
                    "",
                    "/version",
                ),
                expected("queue", "value-mismatch", "auction:closing", "7", "score"),
            ]),
            keys: 2,
            rows: 2,
        }
    }

    fn streams() -> BTreeSet<StreamExpected> {
        let expected = |check: &str, rule, id: &str| StreamExpected {
            check: check.to_owned(),
            rule,
            id: id.to_owned(),
        };
        BTreeSet::from([
            expected("bids", "orphan-pending", "7-1"),
            expected("late-bids", "group-missing", "9-0"),
        ])
    }

    fn proof(findings: &str) -> Proof {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("findings.csv"),
            format!("{HEAD}{findings}"),
        )
        .unwrap();
        Proof::of(folder.path(), &truth(), &streams()).unwrap()
    }

    #[test]
    fn all_of_it_and_nothing_else() {
        let all = "r,profile,version-regression,user:1:profile,,confirmed,1\n\
                   r,queue,value-mismatch,auction:closing,7,confirmed,7\n\
                   r,bids,orphan-pending,bid-stream,,confirmed,7-1\n\
                   r,late-bids,group-missing,bid3-stream,,confirmed,bid3-group\n";
        let proof = proof(all);
        assert!(proof.holds());
        assert_eq!(
            proof.sentence(),
            "All 4 planted losses were found, and nothing else."
        );
    }

    #[test]
    fn a_loss_that_was_missed_and_a_finding_too_many_are_said() {
        let proof = proof(
            "r,profile,version-regression,user:1:profile,,confirmed,1\n\
             r,queue,value-mismatch,auction:closing,7,confirmed,7\n\
             r,bids,orphan-pending,bid-stream,,confirmed,7-2\n\
             r,late-bids,group-missing,bid3-stream,,confirmed,bid3-group\n",
        );
        assert!(!proof.holds());
        assert_eq!(
            proof.sentence(),
            "Of 4 planted losses 1 were NOT found (such as bids orphan-pending bid-stream 7-1), and 1 \
             finding(s) were NOT planted (such as bids orphan-pending bid-stream 7-2)."
        );
        let planted: BTreeSet<Named> = BTreeSet::new();
        assert!(Proof::compare(&planted, &planted).holds());
    }

    #[test]
    fn the_table_shows_the_longest_of_each_kind_and_counts_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("affected_ranges.csv");
        let text = "check,rule,first_id,last_id,keys_affected,max_version_gap,money_delta,repaired,job\n\
                    profile,version-regression,40,40,1,1,,1,auction\n\
                    profile,version-regression,101,130,30,2,,30,auction\n\
                    points,negative-balance,7,7,1,,1000,1,auction\n";
        std::fs::write(&path, text).unwrap();
        assert_eq!(
            ranges_table(&path).unwrap(),
            [
                "check    rule                first id  last id  keys  versions behind  money  repaired",
                "points   negative-balance           7        7     1                    1000         1",
                "profile  version-regression       101      130    30                2               30",
                "… and 1 more ranges",
            ]
        );
    }
}
