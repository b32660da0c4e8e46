//! The rows of a finished run's CSV files, cell by cell as they stand there.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::report::csv_file::unreadable;
use crate::report::{ReportError, compensation, findings, ranges};

/// The files that are merged.
pub(super) const FILES: [&str; 3] = [
    findings::FILE_NAME,
    ranges::FILE_NAME,
    compensation::FILE_NAME,
];

/// Rows of one file, each with as many cells as this version writes.
pub(super) struct Rows {
    path: PathBuf,
    records: csv::StringRecordsIntoIter<File>,
    columns: usize,
    /// Of the row last read. The header is line 1, and no cell holds a line's end.
    line: u64,
}

impl Rows {
    /// Opens `name` in `folder`. Columns are append-only: a file with fewer is older and reads as empty
    /// cells, one with more is of a later version and refused.
    pub(super) fn open(folder: &Path, name: &str, columns: &[&str]) -> Result<Self, ReportError> {
        let path = folder.join(name);
        let file = File::open(&path).map_err(unreadable(&path))?;
        let mut reader = csv::Reader::from_reader(file);
        let header = reader
            .headers()
            .map_err(|fault| malformed(&path, 1, &fault))?;
        let is_known = header.iter().zip(columns).all(|(have, want)| have == *want);
        if header.is_empty() || !is_known {
            let what = format!("the columns are not {}", columns.join(", "));
            return Err(malformed(&path, 1, &what));
        }
        if header.len() > columns.len() {
            let what = "it has more columns than this version knows; use the version that wrote it";
            return Err(malformed(&path, 1, &what));
        }
        Ok(Self {
            path,
            records: reader.into_records(),
            columns: columns.len(),
            line: 1,
        })
    }

    /// An error about the row last read.
    pub(super) fn fault(&self, what: &dyn std::fmt::Display) -> ReportError {
        malformed(&self.path, self.line, what)
    }
}

impl Iterator for Rows {
    type Item = Result<csv::StringRecord, ReportError>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = self.records.next()?;
        self.line += 1;
        Some(match record {
            Ok(mut row) => {
                while row.len() < self.columns {
                    row.push_field("");
                }
                Ok(row)
            }
            Err(fault) => Err(self.fault(&fault)),
        })
    }
}

fn malformed(path: &Path, line: u64, what: &dyn std::fmt::Display) -> ReportError {
    ReportError::Malformed {
        path: path.to_owned(),
        line,
        what: what.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn read(text: &str) -> Result<Vec<Vec<String>>, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("x.csv"), text).unwrap();
        let rows = Rows::open(folder.path(), "x.csv", &["a", "b", "c"]);
        let rows = rows.map_err(|fault| fault.to_string())?;
        rows.map(|row| {
            let row = row.map_err(|fault| fault.to_string())?;
            Ok(row.iter().map(str::to_owned).collect())
        })
        .collect()
    }

    #[test]
    fn columns_are_only_ever_appended() {
        assert_eq!(read("a,b,c\n1,2,3\n").unwrap(), [["1", "2", "3"]]);
        assert_eq!(read("a,b\n1,2\n").unwrap(), [["1", "2", ""]]);
        assert!(read("a,b,c,d\n").unwrap_err().contains("more columns"));
        for foreign in ["", "a,x,c\n", "b\n"] {
            let fault = read(foreign).unwrap_err();
            assert!(
                fault.contains("line 1: the columns are not a, b, c"),
                "{fault}"
            );
        }
    }

    #[test]
    fn a_row_of_another_length_is_named_with_its_line() {
        let fault = read("a,b,c\n1,2,3\n1,2\n").unwrap_err();
        assert!(fault.contains("x.csv, line 3"), "{fault}");
    }
}
