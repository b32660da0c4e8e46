//! `undo.jsonl`: what every write replaced, on disk before the write.
//!
//! Line kinds: `run` (the first), `intent` (before a write), `settlement` (before a step on a stream) and
//! `outcome` (after its reply, same sequence number). An intent without an outcome is a write that may or may
//! not have happened.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::ReportError;
use super::cell::escape;
use super::csv_file::{not_writable, sync_folder};
use super::journal_settlement::{SettlementLine, SettlementRecord};
use crate::model::finding::{OutcomeKind, Remedy};
use crate::model::observation::KeyExpiry;
use crate::model::time::Micros;

/// What a write is about to replace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoRecord {
    pub check: String,
    pub key: Vec<u8>,
    /// Member or hash field, where the check's rows are members.
    pub member: Option<Vec<u8>>,
    pub previous: Previous,
    pub expiry: KeyExpiry,
    /// [`digest_of_value`] or [`digest_of_fields`] of what will be there; `None`: nothing will.
    pub digest: Option<[u8; 32]>,
    /// The expiry the write sets, in milliseconds from the write; `None`: it is kept.
    pub ttl_millis: Option<i64>,
    /// Of the row the write is judged by; empty where there is none.
    pub row_fingerprint: Vec<u8>,
    pub id: Vec<Vec<u8>>,
    pub remedy: Remedy,
    pub at: Micros,
}

/// Previous bytes, by the kind of thing they were; `None` is "absent".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Previous {
    /// A string key.
    Text(Option<Vec<u8>>),
    /// The written fields of a hash key.
    HashFields(Vec<(Vec<u8>, Option<Vec<u8>>)>),
    /// A hash key in full, before it is deleted.
    WholeHash(Vec<(Vec<u8>, Vec<u8>)>),
    /// The score of `member`, as Redis prints it.
    Score(Option<Vec<u8>>),
    /// Whether `member` was in the set.
    SetMember(bool),
}

/// What became of the write with this sequence number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoOutcome {
    pub sequence: u64,
    /// `None`: no reply; it may or may not have been written.
    pub outcome: Option<OutcomeKind>,
    pub reason: String,
    pub at: Micros,
}

/// Appends to `undo.jsonl`; the file appears with its first record.
pub struct Journal {
    path: PathBuf,
    header: Header,
    file: Option<File>,
    next: u64,
    is_broken: bool,
}

pub(super) const FILE_NAME: &str = "undo.jsonl";

/// The digest of one value's bytes.
pub fn digest_of_value(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The digest of fields and their values, in the order given: names and values by their lengths, so
/// that no two lists have the same bytes; an absent value differs from an empty one.
pub fn digest_of_fields<'a>(
    fields: impl IntoIterator<Item = (&'a [u8], Option<&'a [u8]>)>,
) -> [u8; 32] {
    let mut digest = Sha256::new();
    for (name, value) in fields {
        digest.update((name.len() as u64).to_be_bytes());
        digest.update(name);
        digest.update([u8::from(value.is_some())]);
        let value = value.unwrap_or_default();
        digest.update((value.len() as u64).to_be_bytes());
        digest.update(value);
    }
    digest.finalize().into()
}

impl Journal {
    pub(super) fn new(folder: &Path, job: &str, run_id: Uuid, config_hash: &str) -> Self {
        Self {
            path: folder.join(FILE_NAME),
            header: Header {
                kind: "run",
                auditor_undo: 1,
                run_id: run_id.to_string(),
                job: job.to_owned(),
                config_hash: config_hash.to_owned(),
            },
            file: None,
            next: 0,
            is_broken: false,
        }
    }

    /// Records taken so far.
    pub fn records(&self) -> u64 {
        self.next
    }

    /// Appends `records` and returns once they are on the disk: only then may the writes be sent.
    /// Gives their sequence numbers. After an error nothing may be written, and no later append
    /// succeeds: what a failed one left behind is not known.
    pub fn append_batch(&mut self, records: &[UndoRecord]) -> Result<Range<u64>, ReportError> {
        let first = self.next;
        if records.is_empty() {
            return Ok(first..first);
        }
        let mut text = Vec::new();
        for (sequence, record) in (first..).zip(records) {
            push_line(
                &Intent::new(&self.header.run_id, sequence, record),
                &mut text,
            );
        }
        self.append(&text, Durable::Yes)?;
        self.next = first + records.len() as u64;
        Ok(first..self.next)
    }

    /// The same for steps on streams; they share the sequence numbers.
    pub fn append_settlements(
        &mut self,
        records: &[SettlementRecord],
    ) -> Result<Range<u64>, ReportError> {
        let first = self.next;
        if records.is_empty() {
            return Ok(first..first);
        }
        let mut text = Vec::new();
        for (sequence, record) in (first..).zip(records) {
            push_line(
                &SettlementLine::new(&self.header.run_id, sequence, record),
                &mut text,
            );
        }
        self.append(&text, Durable::Yes)?;
        self.next = first + records.len() as u64;
        Ok(first..self.next)
    }

    /// Appends what became of writes. Not forced to the disk: a lost line reads as "unknown", which
    /// is true.
    pub fn append_outcomes(&mut self, outcomes: &[UndoOutcome]) -> Result<(), ReportError> {
        if outcomes.is_empty() {
            return Ok(());
        }
        let mut text = Vec::new();
        for outcome in outcomes {
            let line = OutcomeLine {
                kind: "outcome",
                sequence: outcome.sequence,
                outcome: outcome.outcome.map_or("unknown", OutcomeKind::name),
                reason: &outcome.reason,
                at: outcome.at.to_rfc3339(),
            };
            push_line(&line, &mut text);
        }
        self.append(&text, Durable::No)
    }

    /// Forces everything to the disk.
    pub fn sync(&mut self) -> Result<(), ReportError> {
        match &self.file {
            Some(file) => file.sync_all().map_err(not_writable(&self.path)),
            None => Ok(()),
        }
    }

    fn append(&mut self, text: &[u8], durable: Durable) -> Result<(), ReportError> {
        if self.is_broken {
            return Err(ReportError::JournalBroken(self.path.clone()));
        }
        let result = self.try_append(text, durable);
        self.is_broken = result.is_err();
        result
    }

    fn try_append(&mut self, text: &[u8], durable: Durable) -> Result<(), ReportError> {
        let fault = not_writable(&self.path);
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let mut file = create(&self.path)?;
                let mut header = Vec::new();
                push_line(&self.header, &mut header);
                file.write_all(&header).map_err(&fault)?;
                sync_folder(
                    self.path
                        .parent()
                        .expect("the journal lies in a run's folder"),
                )?;
                self.file.insert(file)
            }
        };
        file.write_all(text).map_err(&fault)?;
        if durable == Durable::Yes {
            file.sync_data().map_err(&fault)?;
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Durable {
    Yes,
    No,
}

#[derive(Serialize)]
struct Header {
    kind: &'static str,
    auditor_undo: u32,
    run_id: String,
    job: String,
    config_hash: String,
}

#[derive(Serialize)]
struct Intent<'a> {
    kind: &'static str,
    sequence: u64,
    run_id: &'a str,
    check: &'a str,
    key_text: String,
    key: String,
    member: Option<String>,
    id: Vec<String>,
    remedy: &'static str,
    previous_kind: &'static str,
    previous: Option<String>,
    fields: Option<Vec<FieldLine>>,
    present: Option<bool>,
    expiry: &'static str,
    expiry_at_ms: Option<i64>,
    ttl_ms: Option<i64>,
    digest: Option<String>,
    row_fingerprint: String,
    at: String,
    at_us: i64,
}

#[derive(Serialize)]
struct FieldLine {
    name: String,
    value: Option<String>,
}

#[derive(Serialize)]
struct OutcomeLine<'a> {
    kind: &'static str,
    sequence: u64,
    outcome: &'static str,
    reason: &'a str,
    at: String,
}

impl<'a> Intent<'a> {
    fn new(run_id: &'a str, sequence: u64, record: &'a UndoRecord) -> Self {
        let encode = |bytes: &[u8]| STANDARD.encode(bytes);
        let maybe = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|b| STANDARD.encode(b));
        let field = |name: &[u8], value: Option<&[u8]>| FieldLine {
            name: encode(name),
            value: value.map(encode),
        };
        let (mut previous, mut fields, mut present) = (None, None, None);
        let previous_kind = match &record.previous {
            Previous::Text(bytes) => {
                previous = maybe(bytes);
                "string"
            }
            Previous::Score(bytes) => {
                previous = maybe(bytes);
                "score"
            }
            Previous::HashFields(list) => {
                fields = Some(list.iter().map(|(n, v)| field(n, v.as_deref())).collect());
                "hash-fields"
            }
            Previous::WholeHash(list) => {
                fields = Some(list.iter().map(|(n, v)| field(n, Some(v))).collect());
                "hash"
            }
            Previous::SetMember(was_there) => {
                present = Some(*was_there);
                "set-member"
            }
        };
        let (expiry, expiry_at_ms) = match record.expiry {
            KeyExpiry::Unread => ("unread", None),
            KeyExpiry::Never => ("never", None),
            KeyExpiry::AtMillis(at) => ("at", Some(at)),
        };
        Self {
            kind: "intent",
            sequence,
            run_id,
            check: &record.check,
            key_text: escape(&record.key),
            key: encode(&record.key),
            member: maybe(&record.member),
            id: record.id.iter().map(|p| encode(p)).collect(),
            remedy: record.remedy.name(),
            previous_kind,
            previous,
            fields,
            present,
            expiry,
            expiry_at_ms,
            ttl_ms: record.ttl_millis,
            digest: record.digest.map(hex::encode),
            row_fingerprint: hex::encode(&record.row_fingerprint),
            at: record.at.to_rfc3339(),
            at_us: record.at.0,
        }
    }
}

fn push_line(line: &impl Serialize, text: &mut Vec<u8>) {
    serde_json::to_writer(&mut *text, line).expect("plain fields always make JSON");
    text.push(b'\n');
}

/// The values of whole documents lie in here, so only the owner may read it.
fn create(path: &Path) -> Result<File, ReportError> {
    OpenOptions::new()
        .append(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|fault| match fault.kind() {
            std::io::ErrorKind::AlreadyExists => ReportError::Exists(path.to_owned()),
            _ => not_writable(path)(fault),
        })
}
