//! The check, bound to the table of bids.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use auditor::model::check::{
    CacheCheck, Compare, Deletes, Expiry, FieldSpec, Guard, Layout, Locator, Named, Order,
    RepairMode, RepairOrphans, Source, TimeColumn, TimeForm, ValueKind, Window, Writes,
};
use auditor::model::column::{Column, ColumnType};
use auditor::model::mapping::Mapping;
use auditor::model::stream::{
    Identity, OnPersisted, OnRewound, OnSkipped, OnTrimmed, OnUnpersisted, StreamCheck,
    StreamMapping,
};
use auditor::model::template::Template;
use rand::Rng;
use rand::rngs::StdRng;

pub(super) const SETTLE: Duration = Duration::from_secs(2);
/// The longest from a delivery to its effect.
pub(super) const CACHE_DELAY: Duration = Duration::from_secs(5);
pub(super) const COMMIT_MARGIN: Duration = Duration::from_secs(1);
pub(super) const ORPHAN_AFTER: Duration = Duration::from_secs(60);
pub(super) const DELIVERIES_MAX: u64 = 3;
pub(super) const RECOVERY: &[u8] = b"recovery";

/// What differs from seed to seed.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    pub(super) by_id: bool,
    /// The row is not the whole effect.
    pub(super) has_second_effect: bool,
    pub(super) on_unpersisted: OnUnpersisted,
    pub(super) on_skipped: OnSkipped,
    pub(super) on_trimmed: OnTrimmed,
}

pub(super) fn setup(random: &mut StdRng) -> Setup {
    let has_second_effect = random.random_bool(0.3);
    let on_unpersisted = match random.random_range(0..4) {
        0 if !has_second_effect => OnUnpersisted::Insert,
        0 | 1 => OnUnpersisted::Requeue,
        2 => OnUnpersisted::Claim(RECOVERY.to_vec()),
        _ => OnUnpersisted::Report,
    };
    let on_skipped = match random.random_range(0..3) {
        0 if !has_second_effect => OnSkipped::Insert,
        0 | 1 => OnSkipped::Requeue,
        _ => OnSkipped::Report,
    };
    let on_trimmed = if random.random_bool(0.5) {
        OnTrimmed::Ack
    } else {
        OnTrimmed::Report
    };
    Setup {
        by_id: random.random_bool(0.5),
        has_second_effect,
        on_unpersisted,
        on_skipped,
        on_trimmed,
    }
}

/// Cells: id, amount, bidder, created_at.
pub(super) fn mapping(setup: &Setup) -> Arc<StreamMapping> {
    let identity = if setup.by_id {
        Identity::EntryId
    } else {
        Identity::Field(b"bidId".to_vec())
    };
    let rows = Arc::new(rows());
    let check = StreamCheck {
        name: named("bids"),
        key: b"bid-stream".to_vec(),
        key_span: Range::default(),
        group: b"bid-group".to_vec(),
        matches: vec![(b"type".to_vec(), b"BID".to_vec())],
        identity,
        identity_column: named("id"),
        rows: rows.clone(),
        constants: vec![None, None],
        proof_sql: setup.has_second_effect.then(|| named("SELECT …")),
        rejected_sql: Some(named("SELECT …")),
        may_leave_no_row: false,
        unique: Vec::new(),
        orphan_after: ORPHAN_AFTER,
        max_deliveries: Some(DELIVERIES_MAX),
        on_persisted: OnPersisted::Ack,
        on_unpersisted: setup.on_unpersisted.clone(),
        on_skipped: setup.on_skipped,
        on_rewound: OnRewound::Advance,
        on_trimmed: setup.on_trimmed,
        keeps_entries: false,
        raise_last_id: true,
        dead_letter: Some(b"bid-stream:dead".to_vec()),
        money: Some(0),
    };
    let columns = vec![
        column("id", ColumnType::Text),
        column("amount", ColumnType::Decimal { scale: 2 }),
        column("bidder", ColumnType::Integer { unsigned: true }),
        column("created_at", ColumnType::DateTime),
    ];
    Arc::new(StreamMapping {
        check: Arc::new(check),
        rows: Arc::new(Mapping {
            check: rows,
            table: Some(("shop".into(), "bid".into())),
            columns,
            sweep_key: vec![0],
            key_cells: vec![0],
            member_cells: Vec::new(),
            field_cells: vec![1, 2],
            version_cell: None,
            changed_at_cell: Some(3),
            deleted_at_cell: None,
            subject_cell: Some(2),
            explains_cell: None,
            tombstone_cell: None,
            rows_estimated: 1,
        }),
        identity_is_unique: true,
        tuple_is_unique: false,
    })
}

fn rows() -> CacheCheck {
    CacheCheck {
        name: named("bids"),
        key: Template::parse("{id}").unwrap(),
        key_span: Range::default(),
        value: ValueKind::Hash,
        layout: Layout::KeyPerRow,
        source: Source::Table {
            table: named("bid"),
            explains: None,
        },
        window: Some(Window::ChangedAt(TimeColumn {
            column: named("created_at"),
            form: TimeForm::Native,
        })),
        deletes: Deletes::Never,
        version: None,
        fields: vec![field("amount"), field("bidder")],
        ignore: Vec::new(),
        lazy: false,
        expiry: Expiry::Any,
        ttl: None,
        absent: Vec::new(),
        expect_present: false,
        order: Some(Order::SourceFirst),
        writes: Writes::Set,
        ahead_ok: false,
        subject: Some(named("bidder")),
        currency: None,
        repair: RepairMode::Report,
        repair_orphans: RepairOrphans::Report,
        guard: Guard::Auto,
        settle: SETTLE,
        cache_delay: CACHE_DELAY,
    }
}

fn field(name: &str) -> FieldSpec {
    FieldSpec {
        cache: Locator::HashField(name.as_bytes().to_vec()),
        column: named(name),
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

fn named(text: &str) -> Named {
    Named {
        text: text.to_owned(),
        span: 0..0,
    }
}

fn column(name: &str, kind: ColumnType) -> Column {
    Column {
        name: name.into(),
        kind,
        nullable: false,
        collation: None,
        zerofill: false,
        padded_to: None,
    }
}
