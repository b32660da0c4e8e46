//! The rows of a finished run's CSV files, cell by cell as they stand there.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Take};
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
    records: csv::StringRecordsIntoIter<Take<File>>,
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
        Self::of(path, file.take(u64::MAX), columns)
    }

    /// The same of a run that was killed: its file may still be partial, and its last row torn off.
    pub(super) fn open_torn(
        folder: &Path,
        name: &str,
        columns: &[&str],
    ) -> Result<Self, ReportError> {
        let partial = folder.join(format!("{name}.partial"));
        if !partial.exists() {
            return Self::open(folder, name, columns);
        }
        let mut file = File::open(&partial).map_err(unreadable(&partial))?;
        let whole = whole_lines(&mut file).map_err(unreadable(&partial))?;
        if whole == 0 {
            // Not even the header was written out.
            return Ok(Self {
                path: partial,
                records: csv::Reader::from_reader(file.take(0)).into_records(),
                columns: columns.len(),
                line: 1,
            });
        }
        Self::of(partial, file.take(whole), columns)
    }

    fn of(path: PathBuf, file: Take<File>, columns: &[&str]) -> Result<Self, ReportError> {
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

    /// Of the row last read.
    pub(super) fn line(&self) -> u64 {
        self.line
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

/// How many bytes of the file are whole lines; it stands at its beginning then. No cell holds a line's end.
fn whole_lines(file: &mut File) -> std::io::Result<u64> {
    const CHUNK: u64 = 1 << 16;
    let mut end = file.seek(SeekFrom::End(0))?;
    let mut chunk = Vec::new();
    while end > 0 {
        let begin = end.saturating_sub(CHUNK);
        file.seek(SeekFrom::Start(begin))?;
        chunk.clear();
        file.by_ref().take(end - begin).read_to_end(&mut chunk)?;
        if let Some(at) = chunk.iter().rposition(|&byte| byte == b'\n') {
            end = begin + at as u64 + 1;
            break;
        }
        end = begin;
    }
    file.rewind()?;
    Ok(end)
}

pub(super) fn malformed(path: &Path, line: u64, what: &dyn std::fmt::Display) -> ReportError {
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
    fn a_row_that_a_kill_tore_off_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.csv.partial");
        let rows = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let rows = Rows::open_torn(folder.path(), "x.csv", &["a", "b"]);
            rows.map(|rows| rows.map(Result::unwrap).count())
        };
        assert_eq!(rows("a,b\r\n1,2\r\n3,4\r\n").unwrap(), 2);
        assert_eq!(rows("a,b\r\n1,2\r\n3,\"4").unwrap(), 1);
        assert_eq!(rows("a,b\r\n1,2\r\n3,4").unwrap(), 1);
        let long = "9".repeat(200_000);
        assert_eq!(rows(&format!("a,b\r\n1,2\r\n{long}")).unwrap(), 1);
        assert_eq!(rows("a,").unwrap(), 0, "not even a header");
        assert_eq!(rows("").unwrap(), 0);
        assert!(rows("b,a\r\n").is_err());
    }

    #[test]
    fn a_row_of_another_length_is_named_with_its_line() {
        let fault = read("a,b,c\n1,2,3\n1,2\n").unwrap_err();
        assert!(fault.contains("x.csv, line 3"), "{fault}");
    }
}
