//! `findings.csv`: one row a finding, written as they come.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::ReportError;
use super::cell::{escape, escape_id, guard};
use super::csv_file::CsvFile;
use crate::model::check::{CacheCheck, Locator};
use crate::model::finding::Finding;

/// Appends rows to `findings.csv.partial`; holds none of them.
pub struct FindingsWriter {
    file: CsvFile,
    run_id: String,
    rows: u64,
}

pub(super) const FILE_NAME: &str = "findings.csv";

/// The columns, append-only.
pub(super) const COLUMNS: [&str; 20] = [
    "run_id",
    "check",
    "rule",
    "severity",
    "verdict",
    "key",
    "id",
    "subject",
    "field",
    "cache_value",
    "source_value",
    "cache_version",
    "source_version",
    "changed_at",
    "remedy",
    "outcome",
    "reason",
    "observed_at",
    "settled_at",
    "attribution",
];

/// A longer value is cut here, with its length and digest behind: a spreadsheet cell holds 32,767
/// characters, and one byte may take four of them.
const VALUE_BYTES_MAX: usize = 8_000;

impl FindingsWriter {
    pub(super) fn create(folder: &Path, run_id: Uuid) -> Result<Self, ReportError> {
        let file = CsvFile::create(folder, FILE_NAME, &COLUMNS)?;
        Ok(Self {
            file,
            run_id: run_id.to_string(),
            rows: 0,
        })
    }

    /// Writes one finding of `check`, whose redacted values are digests already; `None` where it is about the nodes
    /// themselves.
    pub fn write(
        &mut self,
        finding: &Finding,
        check: Option<&CacheCheck>,
    ) -> Result<(), ReportError> {
        let time =
            |t: Option<crate::model::time::Micros>| t.map(|t| t.to_rfc3339()).unwrap_or_default();
        let cells = [
            self.run_id.clone(),
            finding.check.clone(),
            finding.suspect.rule.to_string(),
            finding.suspect.severity.name().to_owned(),
            finding.verdict.name().to_owned(),
            escape(&finding.subject.key),
            escape_id(&finding.subject.id),
            value(finding.compensated.as_deref()),
            field(finding, check),
            value(finding.cache_value.as_deref()),
            value(finding.source_value.as_deref()),
            value(finding.cache_version.as_deref()),
            value(finding.source_version.as_deref()),
            time(finding.changed_at),
            finding.remedy.name().to_owned(),
            finding.outcome.map_or("", |o| o.name()).to_owned(),
            reason(&finding.reason),
            finding.observed_at.to_rfc3339(),
            time(finding.settled_at),
            finding.attribution.name().to_owned(),
        ];
        self.rows += 1;
        self.file.write(&cells.map(guard))
    }

    /// Rows written so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Hands the rows so far to the operating system; called when a slice is done.
    pub fn flush(&mut self) -> Result<(), ReportError> {
        self.file.flush()
    }

    /// Puts the rows so far onto the disk.
    pub fn sync(&mut self) -> Result<(), ReportError> {
        self.file.sync()
    }

    /// Makes the file whole and gives its path.
    pub fn finish(self) -> Result<PathBuf, ReportError> {
        self.file.finish()
    }
}

/// The member, else the field as the job file spells it; empty where the finding is about the key.
fn field(finding: &Finding, check: Option<&CacheCheck>) -> String {
    if let Some(member) = &finding.subject.member {
        return escape(member);
    }
    match finding
        .suspect
        .field
        .and_then(|index| check?.fields.get(index))
        .map(|f| &f.cache)
    {
        None | Some(Locator::Whole) => String::new(),
        Some(Locator::HashField(name)) => escape(name),
        Some(locator) => escape(locator.to_string().as_bytes()),
    }
}

/// Empty for "nothing there", which an empty value (`\e`) is not.
pub(super) fn value(bytes: Option<&[u8]>) -> String {
    let Some(bytes) = bytes else {
        return String::new();
    };
    if bytes.len() <= VALUE_BYTES_MAX {
        return escape(bytes);
    }
    let digest = hex::encode(Sha256::digest(bytes));
    format!(
        "{}\\…({} bytes, sha256 {digest})",
        escape(&bytes[..VALUE_BYTES_MAX]),
        bytes.len()
    )
}

fn reason(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        value(Some(text.as_bytes()))
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use std::time::Duration;

    use super::*;
    use crate::model::check::*;
    use crate::model::finding::*;
    use crate::model::observation::{Position, Subject};
    use crate::model::template::Template;
    use crate::model::time::Micros;

    fn named(text: &str) -> Named {
        Named {
            text: text.to_owned(),
            span: 0..0,
        }
    }

    /// A check with the fields `locators`.
    pub(in crate::report) fn check(
        value: ValueKind,
        layout: Layout,
        locators: Vec<Locator>,
    ) -> CacheCheck {
        let field = |cache| FieldSpec {
            cache,
            column: named("c"),
            form: None,
            time_zone: None,
            compare: Compare::Equal,
            states: Vec::new(),
            tolerance: None,
            scale: None,
            min: None,
            max: None,
            null: None,
            follows: None,
            balance: false,
            redact: false,
        };
        CacheCheck {
            name: named("profile"),
            key: Template::parse("user:{id}").unwrap(),
            key_span: 0..0,
            value,
            layout,
            source: Source::Table {
                table: named("users"),
                explains: None,
            },
            window: None,
            deletes: Deletes::Never,
            version: None,
            fields: locators.into_iter().map(field).collect(),
            ignore: Vec::new(),
            lazy: false,
            expiry: Expiry::Any,
            ttl: None,
            absent: Vec::new(),
            expect_present: false,
            order: None,
            writes: Writes::Set,
            ahead_ok: false,
            subject: None,
            currency: None,
            repair: RepairMode::Report,
            repair_orphans: RepairOrphans::Report,
            guard: Guard::Auto,
            settle: Duration::ZERO,
            cache_delay: Duration::ZERO,
        }
    }

    /// A confirmed `value-mismatch` of `profile` at `position`.
    pub(in crate::report) fn finding(position: Position, key: &[u8], id: &[&[u8]]) -> Finding {
        Finding {
            check: "profile".into(),
            subject: Subject {
                key: key.to_vec(),
                member: None,
                id: id.iter().map(|p| p.to_vec()).collect(),
            },
            position,
            stream_id: None,
            suspect: Suspect {
                rule: RuleId("value-mismatch"),
                severity: Severity::Medium,
                direction: Direction::Behind,
                field: Some(0),
                detail: None,
            },
            verdict: Verdict::Confirmed,
            attribution: Attribution::Window,
            cache_value: Some(b"old".to_vec()),
            source_value: Some(b"new".to_vec()),
            cache_version: None,
            source_version: None,
            compensated: None,
            changed_at: Some(Micros(1_000_000)),
            money_delta: None,
            remedy: Remedy::Overwrite,
            outcome: None,
            reason: String::new(),
            observed_at: Micros(2_000_000),
            settled_at: None,
            compensations: Vec::new(),
        }
    }

    fn written(findings: &[Finding], check: &CacheCheck) -> String {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = FindingsWriter::create(folder.path(), Uuid::nil()).unwrap();
        findings
            .iter()
            .for_each(|f| writer.write(f, Some(check)).unwrap());
        assert_eq!(writer.rows(), findings.len() as u64);
        assert!(
            !folder.path().join(FILE_NAME).exists(),
            "not before it is whole"
        );
        std::fs::read_to_string(writer.finish().unwrap()).unwrap()
    }

    #[test]
    fn writes_every_column_in_its_place() {
        let check = check(
            ValueKind::Json,
            Layout::KeyPerRow,
            vec![Locator::Pointer(vec!["a/b".into()])],
        );
        let mut full = finding(Position::default(), b"user:7", &[b"7", b"a,b"]);
        full.compensated = Some(b"=cmd|' /C calc'!A0".to_vec());
        full.cache_value = Some(b"".to_vec());
        full.source_value = Some(b"-12.50".to_vec());
        full.cache_version = Some(b"41".to_vec());
        full.source_version = Some(b"42".to_vec());
        full.outcome = Some(OutcomeKind::Refused);
        full.reason = "two\nlines, \"quoted\"".into();
        full.settled_at = Some(Micros(3_000_000));
        insta::with_settings!({snapshot_path => "../../tests/fixtures/report", prepend_module_to_snapshot => false, omit_expression => true}, {
            insta::assert_snapshot!("findings.csv", written(&[full], &check).replace("\r\n", "\n"));
        });
    }

    #[test]
    fn names_a_member_before_a_field_and_leaves_the_whole_value_unnamed() {
        let zset = check(
            ValueKind::Zset,
            Layout::RowPerMember(Template::parse("{id}").unwrap()),
            vec![Locator::Score],
        );
        let mut member = finding(Position::default(), b"queue", &[b"7"]);
        member.subject.member = Some(b"".to_vec());
        assert_eq!(field(&member, Some(&zset)), "\\e");
        let string = check(ValueKind::String, Layout::KeyPerRow, vec![Locator::Whole]);
        assert_eq!(
            field(&finding(Position::default(), b"k", &[]), Some(&string)),
            ""
        );
        let hash = check(
            ValueKind::Hash,
            Layout::KeyPerRow,
            vec![Locator::HashField(b"\xff".to_vec())],
        );
        assert_eq!(
            field(&finding(Position::default(), b"k", &[]), Some(&hash)),
            "\\xFF"
        );
    }

    #[test]
    fn cuts_a_value_no_spreadsheet_could_hold() {
        let cell = value(Some(&vec![b'a'; 10_000]));
        assert!(cell.contains("\\…(10000 bytes, sha256 "), "{cell}");
        assert!(cell.len() < VALUE_BYTES_MAX + 120);
        assert_eq!(value(None), "");
    }

    #[test]
    fn every_column_is_explained() {
        let manual = include_str!("../../output/README.md");
        let columns = COLUMNS
            .iter()
            .chain(&super::super::ranges::COLUMNS)
            .chain(&super::super::compensation::COLUMNS);
        let missing: Vec<_> = columns
            .filter(|name| !manual.contains(&format!("`{name}`")))
            .collect();
        assert!(
            missing.is_empty(),
            "output/README.md does not explain {missing:?}"
        );
    }
}
