//! The lines of `undo.jsonl` about streams: whose message it was, what the entry said, where the group stood.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::cell::escape;
use crate::model::finding::Remedy;
use crate::model::stream::{PendingRow, StreamId};
use crate::model::time::Micros;

/// What a step on a stream is about to change or take away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettlementRecord {
    pub check: String,
    pub key: Vec<u8>,
    pub group: Vec<u8>,
    pub remedy: Remedy,
    /// `None`: the step is about the group.
    pub entry_id: Option<StreamId>,
    /// Whose message it is, if it is pending.
    pub pending: Option<PendingRow>,
    /// When it was delivered last, by Redis's clock.
    pub delivered_at: Option<Micros>,
    /// Fields and values of the entry; `None`: it is gone, or the step is about the group.
    pub fields: Option<Vec<(Vec<u8>, Vec<u8>)>>,
    /// The group's last delivered id; `None`: there is no such group.
    pub cursor: Option<StreamId>,
    /// The stream's last generated id, where the step changes it.
    pub last_id: Option<StreamId>,
    /// The id to which a group or a stream is moved.
    pub to_id: Option<StreamId>,
    /// The consumer that gets the message.
    pub to_consumer: Option<Vec<u8>>,
    /// The stream that gets the entry.
    pub to_stream: Option<Vec<u8>>,
    /// Columns and cells of the row that is inserted; empty: none is.
    pub row: Vec<(String, Option<Vec<u8>>)>,
    pub at: Micros,
}

/// One line as people find it: what it is about, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettlementPlace {
    /// Of the line in `undo.jsonl`, from 1.
    pub line: u64,
    pub sequence: u64,
    pub check: String,
    pub remedy: String,
    /// The id of the entry, or the name of the group, as a CSV cell spells it.
    pub subject: String,
}

#[derive(Serialize)]
pub(super) struct SettlementLine<'a> {
    kind: &'static str,
    sequence: u64,
    run_id: &'a str,
    check: &'a str,
    key_text: String,
    key: String,
    group_text: String,
    group: String,
    remedy: &'static str,
    entry_id: Option<String>,
    consumer: Option<String>,
    deliveries: Option<u64>,
    idle_ms: Option<u64>,
    delivered_at_ms: Option<i64>,
    fields: Option<Vec<NamedBytes>>,
    cursor: Option<String>,
    last_id: Option<String>,
    to_id: Option<String>,
    to_consumer: Option<String>,
    to_stream: Option<String>,
    row: Option<Vec<Cell<'a>>>,
    at: String,
    at_us: i64,
}

/// What is read back of a line.
#[derive(Deserialize)]
pub(super) struct SettlementHead {
    sequence: u64,
    check: String,
    remedy: String,
    entry_id: Option<String>,
    group_text: String,
}

#[derive(Serialize)]
struct NamedBytes {
    name: String,
    value: String,
}

#[derive(Serialize)]
struct Cell<'a> {
    column: &'a str,
    value: Option<String>,
}

impl<'a> SettlementLine<'a> {
    pub(super) fn new(run_id: &'a str, sequence: u64, record: &'a SettlementRecord) -> Self {
        let encode = |bytes: &[u8]| STANDARD.encode(bytes);
        let text = |id: Option<StreamId>| id.map(|id| id.to_string());
        let pending = record.pending.as_ref();
        let fields = record.fields.as_ref().map(|fields| {
            let named = fields.iter().map(|(name, value)| NamedBytes {
                name: encode(name),
                value: encode(value),
            });
            named.collect()
        });
        let row = record.row.iter().map(|(column, cell)| Cell {
            column,
            value: cell.as_deref().map(encode),
        });
        Self {
            kind: "settlement",
            sequence,
            run_id,
            check: &record.check,
            key_text: escape(&record.key),
            key: encode(&record.key),
            group_text: escape(&record.group),
            group: encode(&record.group),
            remedy: record.remedy.name(),
            entry_id: text(record.entry_id),
            consumer: pending.map(|p| encode(&p.consumer)),
            deliveries: pending.map(|p| p.deliveries),
            idle_ms: pending.map(|p| p.idle_millis),
            delivered_at_ms: record.delivered_at.map(|at| at.0.div_euclid(1000)),
            fields,
            cursor: text(record.cursor),
            last_id: text(record.last_id),
            to_id: text(record.to_id),
            to_consumer: record.to_consumer.as_deref().map(encode),
            to_stream: record.to_stream.as_deref().map(encode),
            row: (!record.row.is_empty()).then(|| row.collect()),
            at: record.at.to_rfc3339(),
            at_us: record.at.0,
        }
    }
}

impl SettlementHead {
    pub(super) fn place(self, line: u64) -> SettlementPlace {
        SettlementPlace {
            line,
            sequence: self.sequence,
            check: self.check,
            remedy: self.remedy,
            subject: self.entry_id.unwrap_or(self.group_text),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use std::path::Path;

    use uuid::Uuid;

    use super::*;
    use crate::model::finding::OutcomeKind;
    use crate::model::observation::KeyExpiry;
    use crate::report::{Journal, JournalReader, Previous, UndoOutcome, UndoRecord};

    fn journal(folder: &Path) -> Journal {
        Journal::new(folder, "auction", Uuid::nil(), "c0ffee")
    }

    fn inserted() -> SettlementRecord {
        SettlementRecord {
            check: "bids".into(),
            key: b"bid-stream".to_vec(),
            group: b"bid-group".to_vec(),
            remedy: Remedy::Insert,
            entry_id: Some(StreamId::new(1001, u64::MAX)),
            pending: Some(PendingRow {
                id: StreamId::new(1001, u64::MAX),
                consumer: b"c\xff1".to_vec(),
                idle_millis: 61_000,
                deliveries: 2,
            }),
            delivered_at: Some(Micros(1_763_700_000_123_456)),
            fields: Some(vec![(b"bidId".to_vec(), b"\x00".to_vec())]),
            cursor: Some(StreamId::new(1005, 0)),
            last_id: None,
            to_id: None,
            to_consumer: None,
            to_stream: None,
            row: vec![
                ("bid_id".into(), Some(b"7".to_vec())),
                ("note".into(), None),
            ],
            at: Micros(1_763_700_000_000_000),
        }
    }

    #[test]
    fn a_settlement_is_written_whole() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(
            journal(folder.path())
                .append_settlements(&[inserted()])
                .unwrap(),
            0..1
        );
        let text = std::fs::read_to_string(folder.path().join("undo.jsonl")).unwrap();
        let line: serde_json::Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
        let expected = serde_json::json!({
            "kind": "settlement", "sequence": 0, "run_id": Uuid::nil().to_string(), "check": "bids",
            "key_text": "bid-stream", "key": "YmlkLXN0cmVhbQ==",
            "group_text": "bid-group", "group": "YmlkLWdyb3Vw", "remedy": "insert",
            "entry_id": "1001-18446744073709551615", "consumer": "Y/8x", "deliveries": 2,
            "idle_ms": 61_000, "delivered_at_ms": 1_763_700_000_123_i64,
            "fields": [{"name": "YmlkSWQ=", "value": "AA=="}],
            "cursor": "1005-0", "last_id": null, "to_id": null, "to_consumer": null, "to_stream": null,
            "row": [{"column": "bid_id", "value": "Nw=="}, {"column": "note", "value": null}],
            "at": "2025-11-21T04:40:00.000000Z", "at_us": 1_763_700_000_000_000_i64,
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn settlements_are_found_beside_intents_and_share_their_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = journal(folder.path());
        let value = UndoRecord {
            check: "balance".into(),
            key: b"k".to_vec(),
            member: None,
            previous: Previous::Text(None),
            expiry: KeyExpiry::Never,
            digest: None,
            ttl_millis: None,
            row_fingerprint: Vec::new(),
            id: Vec::new(),
            remedy: Remedy::Overwrite,
            at: Micros(0),
        };
        let group = SettlementRecord {
            entry_id: None,
            pending: None,
            fields: None,
            remedy: Remedy::RecreateGroup,
            to_id: Some(StreamId::new(5, 0)),
            row: Vec::new(),
            ..inserted()
        };
        assert_eq!(
            journal.append_settlements(&[inserted(), group]).unwrap(),
            0..2
        );
        assert_eq!(journal.append_batch(&[value]).unwrap(), 2..3);
        let applied = |sequence| UndoOutcome {
            sequence,
            outcome: Some(OutcomeKind::Applied),
            reason: String::new(),
            at: Micros(0),
        };
        journal.append_outcomes(&[applied(1), applied(2)]).unwrap();
        let reader = JournalReader::open(folder.path()).unwrap();
        assert_eq!(reader.len(), 1, "values alone can be put back");
        let found: Vec<(u64, u64, String, Option<OutcomeKind>)> = reader
            .settlements()
            .map(|(place, outcome)| {
                let kind = outcome.and_then(|o| o.outcome);
                (place.line, place.sequence, place.subject, kind)
            })
            .collect();
        assert_eq!(
            found,
            [
                (2, 0, "1001-18446744073709551615".to_owned(), None),
                (3, 1, "bid-group".to_owned(), Some(OutcomeKind::Applied)),
            ]
        );
        let entry = reader.newest_first().next().unwrap().unwrap();
        assert_eq!((entry.sequence, entry.outcome.is_some()), (2, true));
    }
}
