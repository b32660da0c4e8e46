//! A check over bids, entries, rows and looks for the tables of the stream rules' tests.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::StreamJudge;
use crate::model::check::*;
use crate::model::column::ColumnType;
use crate::model::identity::SourceIdentity;
use crate::model::mapping::Mapping;
use crate::model::rows::Row;
use crate::model::stream::*;
use crate::model::time::Micros;
use crate::rules::testing::*;

/// 2026-11-21 14:00:00, when the rows of the tests were last changed.
pub(crate) const CHANGED: i64 = 1_795_269_600;

pub(crate) const AMOUNT: usize = 0;
pub(crate) const BIDDER: usize = 1;

pub(crate) fn id(millis: u64) -> StreamId {
    StreamId::new(millis, 0)
}

pub(crate) fn hash_field(name: &str, column: &str) -> FieldSpec {
    field(Locator::HashField(name.as_bytes().to_vec()), column)
}

/// Bids: entries with `type = BID`, identified by `bidId`, with `amount` and `bidder`; everything else as the job's
/// defaults have it, orphans after a minute.
pub(crate) fn bids() -> StreamCheck {
    let mut rows = check(
        ValueKind::Hash,
        vec![
            hash_field("amount", "amount"),
            hash_field("bidder", "bidder"),
        ],
    );
    rows.window = Some(Window::ChangedAt(TimeColumn {
        column: named("changed_at"),
        form: TimeForm::Native,
    }));
    rows.repair = RepairMode::Report;
    StreamCheck {
        name: named("bids"),
        key: b"bid-stream".to_vec(),
        key_span: 0..0,
        group: b"bid-group".to_vec(),
        matches: vec![(b"type".to_vec(), b"BID".to_vec())],
        identity: Identity::Field(b"bidId".to_vec()),
        identity_column: named("id"),
        rows: Arc::new(rows),
        constants: vec![None, None],
        proof_sql: None,
        rejected_sql: None,
        may_leave_no_row: false,
        unique: Vec::new(),
        orphan_after: Duration::from_secs(60),
        max_deliveries: Some(10),
        on_persisted: OnPersisted::Report,
        on_unpersisted: OnUnpersisted::Report,
        on_skipped: OnSkipped::Report,
        on_rewound: OnRewound::Report,
        on_trimmed: OnTrimmed::Report,
        keeps_entries: false,
        raise_last_id: false,
        dead_letter: None,
        money: Some(AMOUNT),
    }
}

pub(crate) const BID_COLUMNS: [ColumnType; 2] = [
    ColumnType::Decimal { scale: 2 },
    ColumnType::Integer { unsigned: true },
];

/// The check bound to a table whose columns are `kinds`; the identity is text.
pub(crate) fn bound(check: StreamCheck, kinds: &[ColumnType]) -> StreamJudge {
    let mut rows: Mapping = mapping(CacheCheck::clone(&check.rows), kinds);
    rows.columns[0].kind = ColumnType::Text;
    rows.tombstone_cell = None;
    rows.explains_cell = None;
    StreamJudge::new(Arc::new(StreamMapping {
        check: Arc::new(check),
        rows: Arc::new(rows),
        identity_is_unique: false,
        tuple_is_unique: false,
    }))
}

pub(crate) fn judge_of(check: StreamCheck) -> StreamJudge {
    bound(check, &BID_COLUMNS)
}

pub(crate) fn entry_of(at: StreamId, fields: &[(&str, &str)]) -> Entry {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    Entry {
        id: at,
        fields: fields
            .iter()
            .map(|(name, value)| (bytes(name), bytes(value)))
            .collect(),
    }
}

pub(crate) fn bid(amount: &str) -> Entry {
    entry_of(
        id(1000),
        &[
            ("type", "BID"),
            ("bidId", "b1"),
            ("amount", amount),
            ("bidder", "7"),
        ],
    )
}

/// The row of a bid by bidder 7, at rest for ten minutes when it is looked at.
pub(crate) fn bid_row(amount: &str) -> Row {
    row("1", &[Some(amount), Some("7")])
}

pub(crate) fn rows_of(rows: impl IntoIterator<Item = Row>) -> Evidence {
    Evidence {
        rows: rows.into_iter().collect(),
        ..Evidence::default()
    }
}

/// Pending with c1 for two minutes, delivered once.
pub(crate) fn pending(owner: Option<ConsumerFacts>) -> Pending {
    Pending {
        row: PendingRow {
            id: id(1000),
            consumer: b"c1".to_vec(),
            idle_millis: 120_000,
            deliveries: 1,
        },
        owner,
    }
}

pub(crate) fn consumer(idle_millis: u64, inactive_millis: Option<u64>) -> ConsumerFacts {
    ConsumerFacts {
        name: b"c1".to_vec(),
        pending: 1,
        idle_millis,
        inactive_millis,
    }
}

/// Pending, with nobody to work on it.
pub(crate) fn orphan() -> Pending {
    pending(None)
}

/// Pending with a consumer that asked for entries a moment ago.
pub(crate) fn in_hand() -> Pending {
    pending(Some(consumer(20, None)))
}

/// A look at the bid 1000-0 of 10.50: delivered, acknowledged and in the table.
pub(crate) fn settled_look() -> EntryLook {
    EntryLook {
        id: id(1000),
        entry: Some(bid("10.50")),
        cursor_before: Some(id(2000)),
        cursor_after: Some(id(2000)),
        before: None,
        after: None,
        evidence: rows_of([bid_row("10.50")]),
        is_dead_lettered: false,
        source: primary(),
        source_time: Micros((CHANGED + 600) * 1_000_000),
        cache_time: Micros((CHANGED + 600) * 1_000_000),
        at: Micros((CHANGED + 600) * 1_000_000),
    }
}

pub(crate) fn held(look: EntryLook, pending: Pending) -> EntryLook {
    EntryLook {
        before: Some(pending.clone()),
        after: Some(pending),
        ..look
    }
}

pub(crate) fn without_row(look: EntryLook) -> EntryLook {
    EntryLook {
        evidence: Evidence::default(),
        ..look
    }
}

pub(crate) fn without_entry(look: EntryLook) -> EntryLook {
    EntryLook {
        entry: None,
        ..look
    }
}

pub(crate) fn undelivered(look: EntryLook) -> EntryLook {
    EntryLook {
        cursor_before: Some(id(999)),
        cursor_after: Some(id(999)),
        ..look
    }
}

pub(crate) fn primary() -> SourceIdentity {
    SourceIdentity {
        name: "primary".into(),
        read_only: false,
    }
}

/// The rule that objects to the entry, if any.
pub(crate) fn objection(check: &StreamCheck, look: &EntryLook) -> Option<&'static str> {
    judge_of(check.clone()).judge_entry(look).map(|s| s.rule.0)
}

/// A group that has read everything up to the stream's last id, 2000-0.
pub(crate) fn group_look() -> GroupLook {
    let at = Micros((CHANGED + 600) * 1_000_000);
    GroupLook {
        stream: StreamState::Stream(StreamFacts {
            length: 2,
            last_generated: id(2000),
            first: Some(id(1000)),
            last: Some(id(2000)),
            groups: Vec::new(),
        }),
        cursor_before: Some(id(2000)),
        cursor_after: Some(id(2000)),
        proven_to: None,
        proven_count: 0,
        highest_in_source: None,
        future_in_source: Vec::new(),
        source: primary(),
        source_time: at,
        cache_time: at,
        at,
    }
}

/// What the rules object to about the group.
pub(crate) fn group_objections(check: &StreamCheck, look: &GroupLook) -> Vec<&'static str> {
    let suspects = judge_of(check.clone()).judge_group(look);
    suspects.iter().map(|s| s.rule.0).collect()
}
