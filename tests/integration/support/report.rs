//! A run's files, read without the program's own code.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One CSV row by column name.
pub type Record = BTreeMap<String, String>;

#[derive(Debug)]
pub struct Report {
    pub folder: PathBuf,
    /// Those about keys, entries and rows.
    pub findings: Vec<Record>,
    /// Those about the nodes themselves.
    pub topology: Vec<Record>,
    pub ranges: Vec<Record>,
    pub run: serde_json::Value,
}

impl Report {
    pub fn read(folder: &Path) -> Self {
        let run = std::fs::read(folder.join("run.json")).unwrap();
        let all = rows(&folder.join("findings.csv")).into_iter();
        let (topology, findings) = all.partition(|row| row["check"] == "topology");
        Self {
            folder: folder.to_owned(),
            findings,
            topology,
            ranges: rows(&folder.join("affected_ranges.csv")),
            run: serde_json::from_slice(&run).unwrap(),
        }
    }

    /// `rule key field verdict outcome` of every finding, sorted; empty parts left out.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .findings
            .iter()
            .map(|f| {
                ["rule", "key", "field", "verdict", "outcome"]
                    .iter()
                    .map(|c| f[*c].as_str())
                    .filter(|part| !part.is_empty())
                    .collect::<Vec<_>>()
                    .join(" ")
            })
            .collect();
        lines.sort();
        lines
    }

    /// `rule id remedy outcome` of every finding, sorted. All of them have to be confirmed.
    #[track_caller]
    pub fn settled(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .findings
            .iter()
            .map(|f| {
                assert_eq!(f["verdict"], "confirmed", "{f:?}");
                let parts = ["rule", "id", "remedy", "outcome"].map(|c| f[c].as_str());
                parts.join(" ").trim_end().to_owned()
            })
            .collect();
        lines.sort();
        lines
    }

    /// The lines of `undo.jsonl`, if there is one.
    pub fn undo(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.folder.join("undo.jsonl")).unwrap_or_default();
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }
}

pub fn rows(path: &Path) -> Vec<Record> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    reader.deserialize().map(|row| row.unwrap()).collect()
}
