//! Checks and rows for the tables of the rules' tests.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Judge, JudgeContext};
use crate::model::check::*;
use crate::model::column::{Column, ColumnType};
use crate::model::finding::Suspect;
use crate::model::mapping::Mapping;
use crate::model::observation::{Cached, CachedState, KeyExpiry};
use crate::model::rows::{Row, Rows};
use crate::model::template::Template;

pub(crate) fn named(text: &str) -> Named {
    Named {
        text: text.to_owned(),
        span: 0..0,
    }
}

pub(crate) fn pointer(name: &str) -> Locator {
    Locator::Pointer(name.split('/').skip(1).map(str::to_owned).collect())
}

pub(crate) fn field(cache: Locator, column: &str) -> FieldSpec {
    FieldSpec {
        cache,
        column: named(column),
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
    }
}

pub(crate) fn column(name: &str, kind: ColumnType) -> Column {
    Column {
        name: name.to_owned(),
        kind,
        nullable: true,
        collation: None,
        zerofill: false,
        padded_to: None,
    }
}

/// A check over `fields`, source-first, repaired by overwriting, with nothing else set.
pub(crate) fn check(value: ValueKind, fields: Vec<FieldSpec>) -> CacheCheck {
    CacheCheck {
        name: named("test"),
        key: Template::parse("k:{id}").unwrap(),
        key_span: 0..0,
        value,
        layout: Layout::KeyPerRow,
        source: Source::Table {
            table: named("t"),
            explains: None,
        },
        window: None,
        deletes: Deletes::Never,
        version: None,
        fields,
        ignore: Vec::new(),
        lazy: true,
        expiry: Expiry::Any,
        ttl: None,
        absent: Vec::new(),
        expect_present: false,
        order: Some(Order::SourceFirst),
        writes: Writes::Set,
        ahead_ok: false,
        subject: None,
        currency: None,
        repair: RepairMode::Overwrite,
        repair_orphans: RepairOrphans::Report,
        guard: Guard::Auto,
        settle: Duration::from_secs(2),
        cache_delay: Duration::from_secs(5),
    }
}

/// Columns `id`, `version`, `changed_at`, then one of `kinds` per field; then the tombstone and the
/// `where` cell.
pub(crate) fn mapping(check: CacheCheck, kinds: &[ColumnType]) -> Mapping {
    let integer = ColumnType::Integer { unsigned: false };
    let mut columns = vec![
        column("id", integer),
        column("version", integer),
        column("changed_at", ColumnType::DateTime),
    ];
    columns.extend(
        check
            .fields
            .iter()
            .zip(kinds)
            .map(|(f, kind)| column(&f.column.text, *kind)),
    );
    let width = columns.len();
    Mapping {
        table: None,
        sweep_key: vec![0],
        key_cells: vec![0],
        member_cells: if check.layout == Layout::KeyPerRow {
            Vec::new()
        } else {
            vec![0]
        },
        field_cells: (3..width).collect(),
        version_cell: check.version.is_some().then_some(1),
        changed_at_cell: Some(2),
        deleted_at_cell: None,
        subject_cell: None,
        explains_cell: Some(width + 1),
        tombstone_cell: Some(width),
        rows_estimated: 1,
        columns,
        check: Arc::new(check),
    }
}

pub(crate) fn judge(check: CacheCheck, kinds: &[ColumnType]) -> Judge {
    Judge::new(Arc::new(mapping(check, kinds)), JudgeContext::default())
}

/// A live row with id 7: its version, and one cell per field.
pub(crate) fn row(version: &str, cells: &[Option<&str>]) -> Row {
    row_with(version, "2026-11-21 14:00:00", cells, ["0", "1"])
}

pub(crate) fn tombstone(version: &str, cells: &[Option<&str>]) -> Row {
    row_with(version, "2026-11-21 14:00:00", cells, ["1", "1"])
}

pub(crate) fn excluded(version: &str, cells: &[Option<&str>]) -> Row {
    row_with(version, "2026-11-21 14:00:00", cells, ["0", "0"])
}

pub(crate) fn row_with(
    version: &str,
    changed_at: &str,
    cells: &[Option<&str>],
    computed: [&str; 2],
) -> Row {
    let mut rows = Rows::with_width(5 + cells.len());
    [Some("7"), Some(version), Some(changed_at)]
        .into_iter()
        .chain(cells.iter().copied())
        .chain(computed.map(Some))
        .for_each(|cell| rows.push_cell(cell.map(str::as_bytes)));
    rows.row(0).to_owned_row()
}

pub(crate) fn value(text: &str) -> CachedState {
    CachedState {
        cached: Cached::Value(Bytes::copy_from_slice(text.as_bytes())),
        expiry: KeyExpiry::Unread,
    }
}

pub(crate) fn hash(fields: &[Option<&str>]) -> CachedState {
    let fields = fields
        .iter()
        .map(|f| f.map(|f| Bytes::copy_from_slice(f.as_bytes())))
        .collect();
    CachedState {
        cached: Cached::Fields(fields),
        expiry: KeyExpiry::Unread,
    }
}

pub(crate) fn missing(key_exists: bool) -> CachedState {
    CachedState {
        cached: Cached::Missing { key_exists },
        expiry: KeyExpiry::Unread,
    }
}

/// Rule ids with the field each objects to.
pub(crate) fn ids(suspects: &[Suspect]) -> Vec<(&'static str, Option<usize>)> {
    suspects.iter().map(|s| (s.rule.0, s.field)).collect()
}

/// What the rules object to, checked against the hot path on the way.
pub(crate) fn found(
    judge: &Judge,
    row: Option<&Row>,
    state: &CachedState,
) -> Vec<(&'static str, Option<usize>)> {
    let row = row.map(Row::as_ref);
    let suspects = judge.suspects(row, state);
    let agrees = suspects.is_empty() && !judge.case(row, state).is_ahead_legal();
    assert_eq!(
        judge.agrees(row, state),
        agrees,
        "the hot path says otherwise: {suspects:?}"
    );
    ids(&suspects)
}
