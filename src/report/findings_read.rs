//! `findings.csv` of an earlier run, read back for `--from RUN`.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::ReportError;
use super::cell::{unescape, unescape_id, unguard};
use super::csv_file::unreadable;
use super::findings::{COLUMNS, FILE_NAME};
use crate::model::check::{CacheCheck, Layout};
use crate::model::observation::Subject;

/// What an earlier run said, as far as it is needed to look there again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlierFinding {
    pub check: String,
    pub rule: String,
    /// `confirmed`, `transient`, `hot` or `unknown`.
    pub verdict: String,
    pub key: Vec<u8>,
    pub id: Vec<Vec<u8>>,
    /// The member where the check's rows are members, else the field's name; `None`: the whole key.
    pub field: Option<Vec<u8>>,
}

/// Rows of `findings.csv`, one at a time.
pub struct FindingsReader {
    path: PathBuf,
    rows: csv::StringRecordsIntoIter<File>,
    columns: Columns,
}

/// Where this file has the columns; later versions may append some, and older ones have fewer.
struct Columns {
    check: usize,
    rule: usize,
    verdict: usize,
    key: usize,
    id: usize,
    field: usize,
}

impl EarlierFinding {
    /// Who it was about; `check` tells whether `field` is a member.
    pub fn subject(&self, check: &CacheCheck) -> Subject {
        let member = match check.layout {
            Layout::KeyPerRow => None,
            Layout::RowPerMember(_) => self.field.clone(),
        };
        Subject {
            key: self.key.clone(),
            member,
            id: self.id.clone(),
        }
    }
}

impl FindingsReader {
    /// Opens `findings.csv` of the run in `folder`; a run that never finished has none.
    pub fn open(folder: &Path) -> Result<Self, ReportError> {
        let path = folder.join(FILE_NAME);
        let file = File::open(&path).map_err(unreadable(&path))?;
        let mut reader = csv::Reader::from_reader(file);
        let header = reader
            .headers()
            .map_err(|fault| malformed(&path, 1, &fault))?
            .clone();
        let find = |name: &str| {
            header
                .iter()
                .position(|h| h == name)
                .ok_or_else(|| ReportError::Malformed {
                    path: path.clone(),
                    line: 1,
                    what: format!(
                        "there is no column `{name}`; expected {}",
                        COLUMNS.join(", ")
                    ),
                })
        };
        let columns = Columns {
            check: find("check")?,
            rule: find("rule")?,
            verdict: find("verdict")?,
            key: find("key")?,
            id: find("id")?,
            field: find("field")?,
        };
        Ok(Self {
            path,
            rows: reader.into_records(),
            columns,
        })
    }

    fn rebuild(&self, row: &csv::StringRecord) -> Result<EarlierFinding, ReportError> {
        let line = row.position().map_or(0, csv::Position::line);
        let cell = |column: usize| unguard(row.get(column).unwrap_or_default());
        let fault = |fault| malformed(&self.path, line, &fault);
        let field = cell(self.columns.field);
        Ok(EarlierFinding {
            check: cell(self.columns.check).to_owned(),
            rule: cell(self.columns.rule).to_owned(),
            verdict: cell(self.columns.verdict).to_owned(),
            key: unescape(cell(self.columns.key)).map_err(fault)?,
            id: unescape_id(cell(self.columns.id)).map_err(fault)?,
            field: (!field.is_empty())
                .then(|| unescape(field))
                .transpose()
                .map_err(fault)?,
        })
    }
}

impl Iterator for FindingsReader {
    type Item = Result<EarlierFinding, ReportError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(match self.rows.next()? {
            Ok(row) => self.rebuild(&row),
            Err(fault) => {
                let line = fault.position().map_or(0, csv::Position::line);
                Err(malformed(&self.path, line, &fault))
            }
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
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::super::findings::FindingsWriter;
    use super::super::findings::tests::{check, finding};
    use super::*;
    use crate::model::check::ValueKind;
    use crate::model::observation::Position;
    use crate::model::template::Template;

    fn round_trip(subject: &Subject) -> Subject {
        let layout = match subject.member {
            Some(_) => Layout::RowPerMember(Template::parse("{id}").unwrap()),
            None => Layout::KeyPerRow,
        };
        let check = check(ValueKind::Set, layout, Vec::new());
        let folder = tempfile::tempdir().unwrap();
        let mut writer = FindingsWriter::create(folder.path(), Uuid::nil()).unwrap();
        let mut written = finding(Position::default(), b"", &[]);
        written.subject = subject.clone();
        written.cache_value = Some(subject.key.clone());
        writer.write(&written, Some(&check)).unwrap();
        writer.finish().unwrap();
        let mut read = FindingsReader::open(folder.path()).unwrap();
        let first = read.next().unwrap().unwrap();
        assert!(read.next().is_none());
        assert_eq!(
            (
                first.check.as_str(),
                first.rule.as_str(),
                first.verdict.as_str()
            ),
            ("profile", "value-mismatch", "confirmed")
        );
        first.subject(&check)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_subject_comes_back(
            key: Vec<u8>,
            member: Option<Vec<u8>>,
            id: Vec<Vec<u8>>,
        ) {
            let subject = Subject { key, member, id };
            prop_assert_eq!(round_trip(&subject), subject);
        }
    }

    #[test]
    fn an_unfinished_run_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let _open = FindingsWriter::create(folder.path(), Uuid::nil()).unwrap();
        let fault = FindingsReader::open(folder.path())
            .err()
            .unwrap()
            .to_string();
        assert!(fault.contains("findings.csv"), "{fault}");
    }

    #[test]
    fn a_foreign_file_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("findings.csv"), "a,b\n1,2\n").unwrap();
        let fault = FindingsReader::open(folder.path())
            .err()
            .unwrap()
            .to_string();
        assert!(
            fault.contains("line 1") && fault.contains("`check`"),
            "{fault}"
        );
        let header = COLUMNS.join(",");
        let row = [
            "r", "c", "r", "s", "v", "bad\\q", "", "", "", "", "", "", "", "", "", "", "", "", "",
            "",
        ];
        std::fs::write(
            folder.path().join("findings.csv"),
            format!("{header}\n{}\n", row.join(",")),
        )
        .unwrap();
        let fault = FindingsReader::open(folder.path())
            .unwrap()
            .next()
            .unwrap()
            .err()
            .unwrap()
            .to_string();
        assert!(fault.contains("line 2") && fault.contains("\\q"), "{fault}");
    }
}
