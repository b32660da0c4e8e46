//! `compensation.csv`: what each customer was served, and what was true.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::ReportError;
use super::cell::{escape, escape_id, guard};
use super::csv_file::CsvFile;
use super::digest_map::{DigestMap, SubjectDigest};
use super::findings::{self, value};
use crate::model::finding::{Compensation, Finding, Verdict};
use crate::model::time::Micros;

/// Appends rows to `compensation.csv.partial`; holds none of them, and of every subject reported a few bits.
pub struct CompensationWriter {
    file: CsvFile,
    run_id: String,
    rows: u64,
    /// The first row, and how many, by the subject they were reported for. A subject that is reported again, because a sweep began
    /// again, must not be compensated twice.
    written: DigestMap,
    superseded: BTreeSet<u64>,
}

pub(super) const FILE_NAME: &str = "compensation.csv";

/// The columns, append-only.
pub(super) const COLUMNS: [&str; 15] = [
    "run_id",
    "subject",
    "check",
    "rule",
    "key",
    "field",
    "served_value",
    "true_value",
    "delta",
    "currency",
    "exposed_from",
    "exposed_until",
    "attribution",
    "evidence",
    "id",
];

impl CompensationWriter {
    pub(super) fn create(folder: &Path, run_id: Uuid) -> Result<Self, ReportError> {
        Ok(Self {
            file: CsvFile::create(folder, FILE_NAME, &COLUMNS)?,
            run_id: run_id.to_string(),
            rows: 0,
            written: DigestMap::new(folder),
            superseded: BTreeSet::new(),
        })
    }

    /// Writes what all `findings` of one reported subject mean for the customer; they stand in
    /// `findings.csv` one after the other, the first of them `first_row` rows below its header. Only confirmed
    /// findings that name a customer count, and each value once. Rows that the same subject had before
    /// are replaced.
    pub fn write(
        &mut self,
        reported: SubjectDigest,
        findings: &[Finding],
        first_row: u64,
    ) -> Result<(), ReportError> {
        let begin = self.rows;
        let mut met = BTreeSet::new();
        for (row, finding) in (first_row..).zip(findings) {
            if finding.verdict != Verdict::Confirmed {
                continue;
            }
            let Some(customer) = finding.compensated.as_deref() else {
                continue;
            };
            for compensation in &finding.compensations {
                let subject = &finding.subject;
                if met.insert((
                    &subject.key,
                    &subject.member,
                    &subject.id,
                    &compensation.field,
                )) {
                    self.write_row(customer, finding, compensation, row)?;
                }
            }
        }
        if begin < self.rows
            && let Some([first, count]) =
                self.written.insert(reported, [begin, self.rows - begin])?
        {
            self.superseded.extend(first..first + count);
        }
        Ok(())
    }

    /// Hands the rows so far to the operating system.
    pub fn flush(&mut self) -> Result<(), ReportError> {
        self.file.flush()
    }

    /// Puts the rows so far onto the disk.
    pub fn sync(&mut self) -> Result<(), ReportError> {
        self.file.sync()
    }

    /// Makes the file whole and gives its path.
    pub fn finish(self) -> Result<PathBuf, ReportError> {
        self.file.finish_without(&self.superseded)
    }

    fn write_row(
        &mut self,
        customer: &[u8],
        finding: &Finding,
        compensation: &Compensation,
        row: u64,
    ) -> Result<(), ReportError> {
        let time = |t: Option<Micros>| t.map(Micros::to_rfc3339).unwrap_or_default();
        let subject = &finding.subject;
        let field = match &subject.member {
            Some(member) => escape(member),
            None if compensation.field.is_empty() => String::new(),
            None => escape(compensation.field.as_bytes()),
        };
        // The header is line 1, and no cell ever holds a line's end.
        let evidence = format!("{}/{} line {}", self.run_id, findings::FILE_NAME, row + 2);
        let cells = [
            self.run_id.clone(),
            value(Some(customer)),
            finding.check.clone(),
            finding.suspect.rule.to_string(),
            escape(&subject.key),
            field,
            value(compensation.served.as_deref()),
            value(compensation.true_value.as_deref()),
            compensation.delta.clone().unwrap_or_default(),
            compensation.currency.clone().unwrap_or_default(),
            time(compensation.exposed_from),
            time(compensation.exposed_until),
            finding.attribution.name().to_owned(),
            evidence,
            escape_id(&subject.id),
        ];
        self.rows += 1;
        self.file.write(&cells.map(guard))
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::super::findings::tests::finding;
    use super::*;
    use crate::model::observation::Position;

    /// Served `served` where `truth` was true, in field `/balance` of the key `key`, for customer 7.
    pub(in crate::report) fn compensated(key: &str, served: &str, truth: &str) -> Finding {
        let delta = crate::model::value::number::difference(
            &crate::model::value::Number::parse(truth.as_bytes()).unwrap(),
            &crate::model::value::Number::parse(served.as_bytes()).unwrap(),
        );
        let mut finding = finding(Position::default(), key.as_bytes(), &[b"7"]);
        finding.compensated = Some(b"7".to_vec());
        finding.compensations = vec![Compensation {
            field: "/balance".into(),
            served: Some(served.into()),
            true_value: Some(truth.into()),
            delta,
            currency: Some("KRW".into()),
            exposed_from: Some(Micros(1_000_000)),
            exposed_until: None,
        }];
        finding
    }

    fn writer(folder: &Path) -> CompensationWriter {
        CompensationWriter::create(folder, Uuid::nil()).unwrap()
    }

    fn text(writer: CompensationWriter) -> String {
        std::fs::read_to_string(writer.finish().unwrap()).unwrap()
    }

    #[test]
    fn writes_every_column_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = writer(folder.path());
        let mut full = compensated("user:7", "-1.5", "18446744073709551616.00");
        full.compensated = Some(b"=7".to_vec());
        full.compensations[0].exposed_until = Some(Micros(2_000_000));
        let mut other = full.compensations[0].clone();
        other.field = String::new();
        (other.served, other.delta, other.currency) = (None, None, None);
        full.compensations.push(other);
        let mut member = compensated("top", "1", "2");
        member.subject.member = Some(b"\xff".to_vec());
        writer.write([1; 16], &[full, member], 40).unwrap();
        insta::with_settings!({snapshot_path => "../../tests/fixtures/report", prepend_module_to_snapshot => false, omit_expression => true}, {
            insta::assert_snapshot!("compensation.csv", text(writer).replace("\r\n", "\n"));
        });
    }

    #[test]
    fn only_confirmed_findings_with_a_customer_count_and_each_value_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = writer(folder.path());
        let lost = compensated("user:7", "1", "2");
        let mut hot = lost.clone();
        hot.verdict = Verdict::Hot;
        let mut nobodys = lost.clone();
        nobodys.compensated = None;
        let again = lost.clone();
        writer
            .write([1; 16], &[hot, nobodys, lost, again], 0)
            .unwrap();
        let text = text(writer);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains("findings.csv line 4,"), "{text}");
    }

    #[test]
    fn what_is_reported_again_replaces_what_was_said_before() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = writer(folder.path());
        let other = compensated("user:8", "1", "3");
        writer
            .write([1; 16], &[compensated("user:7", "1", "2")], 0)
            .unwrap();
        writer.write([2; 16], &[other], 1).unwrap();
        let mut repaired = compensated("user:7", "1", "2");
        repaired.compensations[0].exposed_until = Some(Micros(5_000_000));
        writer.write([1; 16], &[repaired], 2).unwrap();
        let mut healed = compensated("user:7", "1", "2");
        healed.verdict = Verdict::Transient;
        writer.write([1; 16], &[healed], 3).unwrap();
        let text = text(writer);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[1].contains("user:8"), "{text}");
        assert!(
            lines[2].contains("user:7") && lines[2].contains("00:00:05"),
            "{text}"
        );
        let files = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(files, 1, "nothing is left beside the file");
    }
}
