//! Stream mappings bound to the tables of a fixture.

use std::sync::Arc;
use std::time::Duration;

use auditor::model::stream::{
    Identity, OnPersisted, OnRewound, OnSkipped, OnTrimmed, OnUnpersisted, StreamCheck,
    StreamMapping,
};

use super::fixture::{Fixture, named};

/// All columns of `table`; the identity is `column`, and pages are cut by the primary key. `change` edits the
/// check first.
pub(super) async fn stream(
    fixture: &Fixture,
    table: &str,
    column: &str,
    change: impl FnOnce(&mut StreamCheck),
) -> StreamMapping {
    let mut rows = fixture.table(table, |_| {}).await;
    let identity = rows.columns.iter().position(|c| c.name == column).unwrap();
    rows.key_cells = vec![identity];
    let mut check = StreamCheck {
        name: named("check"),
        key: b"s".to_vec(),
        key_span: 0..0,
        group: b"g".to_vec(),
        matches: Vec::new(),
        identity: Identity::Field(b"id".to_vec()),
        identity_column: named(column),
        rows: Arc::clone(&rows.check),
        constants: Vec::new(),
        proof_sql: None,
        rejected_sql: None,
        may_leave_no_row: false,
        unique: Vec::new(),
        orphan_after: Duration::from_secs(60),
        max_deliveries: None,
        on_persisted: OnPersisted::Ack,
        on_unpersisted: OnUnpersisted::Insert,
        on_skipped: OnSkipped::Report,
        on_rewound: OnRewound::Report,
        on_trimmed: OnTrimmed::Report,
        keeps_entries: false,
        raise_last_id: false,
        dead_letter: None,
        money: None,
    };
    change(&mut check);
    StreamMapping {
        check: Arc::new(check),
        rows: Arc::new(rows),
        identity_is_unique: false,
        tuple_is_unique: false,
    }
}
