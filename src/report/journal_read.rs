//! `undo.jsonl` read back: every intent with what became of it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::ReportError;
use super::csv_file::unreadable;
use super::journal::{FILE_NAME, Previous, UndoOutcome, UndoRecord};
use super::journal_settlement::{SettlementHead, SettlementPlace};
use crate::model::finding::{OutcomeKind, Remedy};
use crate::model::observation::KeyExpiry;
use crate::model::time::Micros;

/// One intended write and, if the run lived to write it down, its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoEntry {
    pub sequence: u64,
    pub record: UndoRecord,
    /// `None`: the run ended before it knew; the write may or may not have happened.
    pub outcome: Option<UndoOutcome>,
}

/// A journal, checked from end to end. It keeps where each record lies, never the records.
#[derive(Debug)]
pub struct JournalReader {
    path: PathBuf,
    file: File,
    pub run_id: String,
    pub job: String,
    pub config_hash: String,
    /// The last line was torn off by a kill: an intent whose write never began, or an outcome that
    /// is not known. Tell the person.
    pub is_torn: bool,
    places: Vec<Place>,
    settlements: Vec<SettlementPlace>,
    outcomes: HashMap<u64, UndoOutcome>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    line: u64,
    offset: u64,
    length: usize,
}

impl JournalReader {
    /// Reads the journal of the run in `folder`.
    pub fn open(folder: &Path) -> Result<Self, ReportError> {
        let path = folder.join(FILE_NAME);
        let file = File::open(&path).map_err(unreadable(&path))?;
        let second = file.try_clone().map_err(unreadable(&path))?;
        let mut reader = Self {
            path,
            file: second,
            run_id: String::new(),
            job: String::new(),
            config_hash: String::new(),
            is_torn: false,
            places: Vec::new(),
            settlements: Vec::new(),
            outcomes: HashMap::new(),
        };
        reader.index(BufReader::new(file))?;
        Ok(reader)
    }

    /// The steps on streams in their order, each with what became of it: they are not taken back by an undo,
    /// but a person may read what they changed.
    pub fn settlements(&self) -> impl Iterator<Item = (SettlementPlace, Option<&UndoOutcome>)> {
        self.settlements
            .iter()
            .map(|place| (place.clone(), self.outcomes.get(&place.sequence)))
    }

    /// How many intents it holds: writes of values, which can be put back.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Newest first: the order in which writes are taken back.
    pub fn newest_first(&self) -> impl Iterator<Item = Result<UndoEntry, ReportError>> {
        self.places.iter().rev().map(|&place| self.entry(place))
    }

    fn entry(&self, place: Place) -> Result<UndoEntry, ReportError> {
        let mut text = vec![0; place.length];
        let mut file = &self.file;
        file.seek(SeekFrom::Start(place.offset))
            .and_then(|_| file.read_exact(&mut text))
            .map_err(unreadable(&self.path))?;
        let intent: Intent =
            serde_json::from_slice(&text).map_err(|fault| self.malformed(place.line, fault))?;
        let sequence = intent.sequence;
        let record = intent
            .record()
            .map_err(|what| self.malformed(place.line, what))?;
        Ok(UndoEntry {
            sequence,
            record,
            outcome: self.outcomes.get(&sequence).cloned(),
        })
    }

    fn index(&mut self, mut reader: BufReader<File>) -> Result<(), ReportError> {
        let (mut offset, mut number) = (0, 0);
        let mut text = Vec::new();
        loop {
            text.clear();
            let length = reader
                .read_until(b'\n', &mut text)
                .map_err(unreadable(&self.path))?;
            if length == 0 {
                break;
            }
            number += 1;
            if text.last() != Some(&b'\n') {
                self.is_torn = true;
                break;
            }
            self.take_line(
                &text,
                Place {
                    line: number,
                    offset,
                    length,
                },
            )?;
            offset += length as u64;
        }
        if self.run_id.is_empty() && !self.is_torn {
            return Err(self.malformed(1, "there is no line that names the run"));
        }
        Ok(())
    }

    fn take_line(&mut self, text: &[u8], place: Place) -> Result<(), ReportError> {
        let fault = |fault: serde_json::Error| self.malformed(place.line, fault);
        let kind: Kind = serde_json::from_slice(text).map_err(fault)?;
        match (kind.kind.as_str(), place.line) {
            ("run", 1) => {
                let header: Header = serde_json::from_slice(text).map_err(fault)?;
                if header.auditor_undo != 1 {
                    return Err(
                        self.malformed(1, "another version of this program wrote this journal")
                    );
                }
                self.run_id = header.run_id;
                self.job = header.job;
                self.config_hash = header.config_hash;
            }
            (_, 1) => return Err(self.malformed(1, "the first line does not name the run")),
            ("intent", _) => self.places.push(place),
            ("settlement", _) => {
                let head: SettlementHead = serde_json::from_slice(text).map_err(fault)?;
                self.settlements.push(head.place(place.line));
            }
            ("outcome", _) => {
                let line: OutcomeLine = serde_json::from_slice(text).map_err(fault)?;
                let outcome = line
                    .outcome()
                    .map_err(|what| self.malformed(place.line, what))?;
                self.outcomes.insert(outcome.sequence, outcome);
            }
            (other, _) => {
                return Err(
                    self.malformed(place.line, format!("`{other}` is no kind of line here"))
                );
            }
        }
        Ok(())
    }

    fn malformed(&self, line: u64, what: impl std::fmt::Display) -> ReportError {
        ReportError::Malformed {
            path: self.path.clone(),
            line,
            what: what.to_string(),
        }
    }
}

#[derive(Deserialize)]
struct Kind {
    kind: String,
}

#[derive(Deserialize)]
struct Header {
    auditor_undo: u32,
    run_id: String,
    job: String,
    config_hash: String,
}

#[derive(Deserialize)]
struct Intent {
    sequence: u64,
    check: String,
    key: String,
    member: Option<String>,
    id: Vec<String>,
    remedy: String,
    previous_kind: String,
    previous: Option<String>,
    fields: Option<Vec<FieldLine>>,
    present: Option<bool>,
    expiry: String,
    expiry_at_ms: Option<i64>,
    ttl_ms: Option<i64>,
    digest: Option<String>,
    row_fingerprint: String,
    at_us: i64,
}

#[derive(Deserialize)]
struct FieldLine {
    name: String,
    value: Option<String>,
}

#[derive(Deserialize)]
struct OutcomeLine {
    sequence: u64,
    outcome: String,
    reason: String,
    at: String,
}

impl Intent {
    fn record(self) -> Result<UndoRecord, String> {
        let previous = self.previous_value()?;
        let digest = match &self.digest {
            None => None,
            Some(text) => {
                let mut digest = [0; 32];
                hex::decode_to_slice(text, &mut digest).map_err(|_| "`digest` is no SHA-256")?;
                Some(digest)
            }
        };
        Ok(UndoRecord {
            check: self.check,
            key: decode(&self.key)?,
            member: self.member.as_deref().map(decode).transpose()?,
            previous,
            expiry: match (self.expiry.as_str(), self.expiry_at_ms) {
                ("unread", None) => KeyExpiry::Unread,
                ("never", None) => KeyExpiry::Never,
                ("at", Some(at)) => KeyExpiry::AtMillis(at),
                _ => return Err("`expiry` is neither unread, never nor at a time".into()),
            },
            digest,
            ttl_millis: self.ttl_ms,
            row_fingerprint: hex::decode(&self.row_fingerprint)
                .map_err(|_| "`row_fingerprint` is not hexadecimal")?,
            id: self
                .id
                .iter()
                .map(|part| decode(part))
                .collect::<Result<_, _>>()?,
            remedy: remedy(&self.remedy)?,
            at: Micros(self.at_us),
        })
    }

    fn previous_value(&self) -> Result<Previous, String> {
        let bytes = || self.previous.as_deref().map(decode).transpose();
        let fields = || self.fields.as_ref().ok_or("`fields` is missing");
        Ok(match self.previous_kind.as_str() {
            "string" => Previous::Text(bytes()?),
            "score" => Previous::Score(bytes()?),
            "set-member" => Previous::SetMember(self.present.ok_or("`present` is missing")?),
            "hash-fields" => Previous::HashFields(
                fields()?
                    .iter()
                    .map(|f| {
                        Ok((
                            decode(&f.name)?,
                            f.value.as_deref().map(decode).transpose()?,
                        ))
                    })
                    .collect::<Result<_, String>>()?,
            ),
            "hash" => Previous::WholeHash(
                fields()?
                    .iter()
                    .map(|f| {
                        let value = f
                            .value
                            .as_deref()
                            .ok_or("a field of a whole hash has no value")?;
                        Ok((decode(&f.name)?, decode(value)?))
                    })
                    .collect::<Result<_, String>>()?,
            ),
            other => return Err(format!("`{other}` is no kind of previous value")),
        })
    }
}

impl OutcomeLine {
    fn outcome(self) -> Result<UndoOutcome, String> {
        const ALL: [OutcomeKind; 5] = [
            OutcomeKind::Applied,
            OutcomeKind::LostRace,
            OutcomeKind::AlreadyRight,
            OutcomeKind::Refused,
            OutcomeKind::Failed,
        ];
        let outcome = ALL.into_iter().find(|kind| kind.name() == self.outcome);
        if outcome.is_none() && self.outcome != "unknown" {
            return Err(format!("`{}` is no outcome", self.outcome));
        }
        let at = chrono::DateTime::parse_from_rfc3339(&self.at)
            .map_err(|fault| format!("`at` is no time: {fault}"))?;
        let at = Micros(at.timestamp_micros());
        Ok(UndoOutcome {
            sequence: self.sequence,
            outcome,
            reason: self.reason,
            at,
        })
    }
}

fn decode(text: &str) -> Result<Vec<u8>, String> {
    STANDARD
        .decode(text)
        .map_err(|fault| format!("not base64: {fault}"))
}

fn remedy(text: &str) -> Result<Remedy, String> {
    const ALL: [Remedy; 5] = [
        Remedy::Overwrite,
        Remedy::Invalidate,
        Remedy::Increment,
        Remedy::SetTtl,
        Remedy::None,
    ];
    ALL.into_iter()
        .find(|remedy| remedy.name() == text)
        .ok_or_else(|| format!("`{text}` is no remedy"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;
    use uuid::Uuid;

    use super::super::journal::{Journal, digest_of_fields};
    use super::*;

    fn record(key: &[u8], previous: Previous) -> UndoRecord {
        UndoRecord {
            check: "profile".into(),
            key: key.to_vec(),
            member: None,
            previous,
            expiry: KeyExpiry::AtMillis(1_763_700_000_123),
            digest: Some([7; 32]),
            ttl_millis: Some(60_000),
            row_fingerprint: vec![1, 2, 255],
            id: vec![b"7".to_vec(), b"\xff".to_vec()],
            remedy: Remedy::Overwrite,
            at: Micros(-1),
        }
    }

    fn journal(folder: &Path) -> Journal {
        Journal::new(folder, "auction", Uuid::nil(), "c0ffee")
    }

    fn applied(sequence: u64) -> UndoOutcome {
        UndoOutcome {
            sequence,
            outcome: Some(OutcomeKind::Applied),
            reason: "a \"reason\"\n".into(),
            at: Micros(9_000_001),
        }
    }

    #[test]
    fn the_file_appears_with_its_first_record_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        let mut journal = journal(folder.path());
        assert_eq!(journal.append_batch(&[]).unwrap(), 0..0);
        journal.append_outcomes(&[]).unwrap();
        assert!(!path.exists());
        journal
            .append_batch(&[record(b"k", Previous::Text(None))])
            .unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn an_older_journal_is_never_touched_and_a_failed_one_stays_closed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE_NAME), "old").unwrap();
        let mut journal = journal(folder.path());
        let one = [record(b"k", Previous::Text(None))];
        assert!(matches!(
            journal.append_batch(&one),
            Err(ReportError::Exists(_))
        ));
        std::fs::rename(folder.path().join(FILE_NAME), folder.path().join("kept")).unwrap();
        assert!(matches!(
            journal.append_batch(&one),
            Err(ReportError::JournalBroken(_))
        ));
        assert_eq!(
            std::fs::read_to_string(folder.path().join("kept")).unwrap(),
            "old"
        );
    }

    #[test]
    fn intents_and_outcomes_are_paired_newest_first() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = journal(folder.path());
        let first = record(b"a", Previous::Text(Some(b"\x00\xff".to_vec())));
        let second = record(b"b", Previous::SetMember(true));
        assert_eq!(
            journal
                .append_batch(&[first.clone(), second.clone()])
                .unwrap(),
            0..2
        );
        journal.append_outcomes(&[applied(0)]).unwrap();
        assert_eq!(
            journal.append_batch(std::slice::from_ref(&first)).unwrap(),
            2..3
        );
        let unknown = UndoOutcome {
            outcome: None,
            ..applied(2)
        };
        journal
            .append_outcomes(std::slice::from_ref(&unknown))
            .unwrap();
        journal.sync().unwrap();
        let reader = JournalReader::open(folder.path()).unwrap();
        assert_eq!(
            (reader.job.as_str(), reader.config_hash.as_str()),
            ("auction", "c0ffee")
        );
        assert!(!reader.is_torn);
        let entries: Vec<UndoEntry> = reader.newest_first().map(Result::unwrap).collect();
        assert_eq!(
            entries,
            [
                UndoEntry {
                    sequence: 2,
                    record: first.clone(),
                    outcome: Some(unknown)
                },
                UndoEntry {
                    sequence: 1,
                    record: second,
                    outcome: None
                },
                UndoEntry {
                    sequence: 0,
                    record: first,
                    outcome: Some(applied(0))
                },
            ]
        );
    }

    #[test]
    fn a_file_torn_anywhere_keeps_every_whole_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        let mut journal = journal(folder.path());
        journal
            .append_batch(&[
                record(b"a", Previous::Text(None)),
                record(b"b", Previous::Text(None)),
            ])
            .unwrap();
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let lines = whole[..length].iter().filter(|b| **b == b'\n').count();
            match JournalReader::open(folder.path()) {
                Ok(reader) => {
                    assert_eq!(
                        reader.is_torn,
                        whole[..length].last() != Some(&b'\n'),
                        "at {length}"
                    );
                    assert_eq!(reader.len(), lines.saturating_sub(1), "at {length}");
                    assert!(reader.newest_first().all(|e| e.is_ok()), "at {length}");
                }
                Err(fault) => assert_eq!(length, 0, "{fault}"),
            }
        }
    }

    #[test]
    fn damage_in_the_middle_is_an_error_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = journal(folder.path());
        journal
            .append_batch(&[record(b"a", Previous::Text(None))])
            .unwrap();
        let path = folder.path().join(FILE_NAME);
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap();
        file.write_all(b"{\"kind\":\"int\n").unwrap();
        let fault = JournalReader::open(folder.path()).unwrap_err().to_string();
        assert!(fault.contains("undo.jsonl, line 3"), "{fault}");
    }

    #[test]
    fn digests_tell_absent_from_empty_and_where_a_name_ends() {
        let of = |fields: &[(&'static str, Option<&'static str>)]| {
            digest_of_fields(
                fields
                    .iter()
                    .map(|(n, v)| (n.as_bytes(), v.map(str::as_bytes))),
            )
        };
        assert_ne!(of(&[("a", None)]), of(&[("a", Some(""))]));
        assert_ne!(of(&[("ab", Some("c"))]), of(&[("a", Some("bc"))]));
        assert_ne!(
            of(&[("a", Some("b")), ("c", None)]),
            of(&[("c", None), ("a", Some("b"))])
        );
    }

    fn previous() -> impl Strategy<Value = Previous> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..8);
        let maybe = move || proptest::option::of(bytes());
        prop_oneof![
            maybe().prop_map(Previous::Text),
            maybe().prop_map(Previous::Score),
            any::<bool>().prop_map(Previous::SetMember),
            proptest::collection::vec((bytes(), maybe()), 0..4).prop_map(Previous::HashFields),
            proptest::collection::vec((bytes(), bytes()), 0..4).prop_map(Previous::WholeHash),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_record_comes_back(
            key: Vec<u8>,
            member: Option<Vec<u8>>,
            previous in previous(),
            expiry in prop_oneof![
                Just(KeyExpiry::Unread), Just(KeyExpiry::Never), any::<i64>().prop_map(KeyExpiry::AtMillis)
            ],
            digest: Option<[u8; 32]>,
            ttl_millis: Option<i64>,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let mut written = record(&key, previous);
            written.member = member;
            written.expiry = expiry;
            written.digest = digest;
            written.ttl_millis = ttl_millis;
            journal(folder.path()).append_batch(std::slice::from_ref(&written)).unwrap();
            let reader = JournalReader::open(folder.path()).unwrap();
            let entries: Vec<UndoEntry> = reader.newest_first().map(Result::unwrap).collect();
            prop_assert_eq!(entries.len(), 1);
            prop_assert_eq!(&entries[0].record, &written);
        }
    }
}
