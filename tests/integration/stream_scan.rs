//! What both sides say of a stream, read from real servers.

use std::sync::Arc;
use std::time::Duration;

use auditor::job::{Endpoint, MysqlSpec, RedisSpec, TlsFiles};
use auditor::lab::servers::Flavor;
use auditor::model::check::{
    CacheCheck, Compare, Deletes, Expiry, FieldSpec, Guard, Layout, Locator, Named, Order,
    RepairMode, RepairOrphans, Source, ValueKind, Writes,
};
use auditor::model::mapping::Mapping;
use auditor::model::secret::Secret;
use auditor::model::stream::{
    Identity, OnPersisted, OnRewound, OnSkipped, OnTrimmed, OnUnpersisted, StreamCheck, StreamId,
    StreamMapping,
};
use auditor::model::template::Template;
use auditor::rules::StreamJudge;
use auditor::scan::streams::DeadLetters;
use auditor::store::mysql::Mysql;
use auditor::store::redis::Redis;

use crate::support::{DATABASE, World};

mod looks;
mod paces;
mod pages;
mod walks;
mod wholes;

const LIMIT: Duration = Duration::from_secs(20);

/// `bids` and the table its entries end in. The primary key is a number of its own, so that a bid may come twice.
const TABLE: &str = "CREATE TABLE bid (
    n BIGINT PRIMARY KEY AUTO_INCREMENT,
    bid_id VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci,
    bidder_id BIGINT NOT NULL,
    amount DECIMAL(12,2) NOT NULL,
    INDEX (bid_id))";

/// Two servers, read by the program's own stores.
pub(super) struct Bids {
    pub(super) world: World,
    pub(super) source: Mysql,
    pub(super) cache: Redis,
}

impl Bids {
    pub(super) async fn start() -> Self {
        let mut world = World::start(Flavor::MariaDb).await;
        world.sql(TABLE).await;
        let source = MysqlSpec {
            url: Secret::new(world.mysql.url(DATABASE)),
            tls: TlsFiles::default(),
        };
        let source = Mysql::connect(&source, 4).await.unwrap();
        let cache = Redis::connect(&redis_spec(world.redis.port()), LIMIT)
            .await
            .unwrap();
        Self {
            world,
            source,
            cache,
        }
    }

    /// The judge of bids; `change` edits the check first.
    pub(super) async fn judge(&self, change: impl FnOnce(&mut StreamCheck)) -> StreamJudge {
        let schema = self.source.table_schema("bid").await.unwrap().unwrap();
        let place = |name: &str| schema.columns.iter().position(|c| c.name == name).unwrap();
        let rows = rows_check();
        let mapping = Mapping {
            check: Arc::new(rows),
            table: Some((schema.schema.clone(), schema.table.clone())),
            sweep_key: vec![place("n")],
            key_cells: vec![place("bid_id")],
            member_cells: Vec::new(),
            field_cells: vec![place("bidder_id"), place("amount")],
            version_cell: None,
            changed_at_cell: None,
            deleted_at_cell: None,
            subject_cell: Some(place("bidder_id")),
            explains_cell: None,
            tombstone_cell: None,
            rows_estimated: schema.rows_estimated,
            columns: schema.columns,
        };
        let mut check = stream_check(&mapping);
        change(&mut check);
        StreamJudge::new(Arc::new(StreamMapping {
            check: Arc::new(check),
            rows: Arc::new(mapping),
            identity_is_unique: false,
            tuple_is_unique: false,
        }))
    }

    /// Adds a bid by the entry id `id`, with a bidder and an amount that follow from `bid`.
    pub(super) async fn add(&mut self, id: &str, bid: u64) {
        self.add_as(id, bid, "BID").await;
    }

    async fn add_as(&mut self, id: &str, bid: u64, kind: &str) {
        let words = entry(id, bid, kind);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.world.redis::<String>(&words).await;
    }

    /// The row of a bid.
    pub(super) async fn persist(&mut self, bid: u64) {
        self.persist_as(&bid.to_string(), bid).await;
    }

    async fn persist_as(&mut self, identity: &str, bid: u64) {
        self.world
            .sql(&format!(
                "INSERT INTO bid (bid_id, bidder_id, amount) VALUES ('{identity}', {}, {bid}.50)",
                bid % 7
            ))
            .await;
    }

    /// Reads as `consumer` whatever was not delivered yet.
    pub(super) async fn deliver(&mut self, consumer: &str) {
        let words = [
            "XREADGROUP",
            "GROUP",
            "g",
            consumer,
            "COUNT",
            "100000",
            "STREAMS",
            "bids",
            ">",
        ];
        self.world.redis::<redis::Value>(&words).await;
    }

    pub(super) async fn create_group(&mut self) {
        let words = ["XGROUP", "CREATE", "bids", "g", "0", "MKSTREAM"];
        self.world.redis::<()>(&words).await;
    }
}

/// The words that add a bid.
fn entry(id: &str, bid: u64, kind: &str) -> Vec<String> {
    let amount = format!("{bid}.5");
    let bidder = (bid % 7).to_string();
    let bid = bid.to_string();
    [
        "XADD", "bids", id, "type", kind, "bidId", &bid, "bidderId", &bidder, "amount", &amount,
    ]
    .map(str::to_owned)
    .to_vec()
}

/// `millis-sequence`, as Redis prints it.
pub(super) fn id(text: &str) -> StreamId {
    StreamId::parse(text.as_bytes()).unwrap()
}

/// No dead letters are known to the check.
fn none(judge: &StreamJudge) -> DeadLetters {
    assert_eq!(judge.mapping().check.dead_letter, None);
    DeadLetters::new(judge)
}

pub(super) fn redis_spec(port: u16) -> RedisSpec {
    RedisSpec {
        endpoint: Endpoint::Tcp {
            host: "127.0.0.1".into(),
            port,
        },
        user: None,
        password: None,
        database: 0,
        tls: false,
        tls_files: TlsFiles::default(),
        sentinel_user: None,
        sentinel_password: None,
    }
}

pub(super) fn named(text: &str) -> Named {
    Named {
        text: text.to_owned(),
        span: 0..0,
    }
}

fn field(entry: &str, column: &str) -> FieldSpec {
    FieldSpec {
        cache: Locator::HashField(entry.into()),
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

fn rows_check() -> CacheCheck {
    CacheCheck {
        name: named("bids"),
        key: Template::parse("{bid_id}").unwrap(),
        key_span: 0..0,
        value: ValueKind::Hash,
        layout: Layout::KeyPerRow,
        source: Source::Table {
            table: named("bid"),
            explains: None,
        },
        window: None,
        deletes: Deletes::Never,
        version: None,
        fields: vec![field("bidderId", "bidder_id"), field("amount", "amount")],
        ignore: Vec::new(),
        lazy: false,
        expiry: Expiry::Any,
        ttl: None,
        absent: Vec::new(),
        expect_present: false,
        order: Some(Order::SourceFirst),
        writes: Writes::Set,
        ahead_ok: false,
        subject: Some(named("bidder_id")),
        currency: None,
        repair: RepairMode::Report,
        repair_orphans: RepairOrphans::Report,
        guard: Guard::Auto,
        settle: Duration::from_millis(100),
        cache_delay: Duration::from_millis(200),
    }
}

fn stream_check(rows: &Mapping) -> StreamCheck {
    StreamCheck {
        name: named("bids"),
        key: b"bids".to_vec(),
        key_span: 0..0,
        group: b"g".to_vec(),
        matches: vec![(b"type".to_vec(), b"BID".to_vec())],
        identity: Identity::Field(b"bidId".to_vec()),
        identity_column: named("bid_id"),
        rows: Arc::clone(&rows.check),
        constants: vec![None; rows.check.fields.len()],
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
        keeps_entries: true,
        raise_last_id: false,
        dead_letter: None,
        money: None,
    }
}
