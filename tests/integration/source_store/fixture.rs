//! A server with one database, and mappings bound to its tables.

use std::sync::Arc;
use std::time::Duration;

use auditor::job::{MysqlSpec, TlsFiles};
use auditor::lab::servers::{Flavor, MysqlServer};
use auditor::model::check::{
    CacheCheck, Deletes, Expiry, Guard, Layout, Named, RepairMode, RepairOrphans, Source,
    TimeColumn, TimeForm, Tombstone, ValueKind, Window, Writes,
};
use auditor::model::mapping::Mapping;
use auditor::model::rows::{RowRef, Rows};
use auditor::model::secret::Secret;
use auditor::model::template::Template;
use auditor::model::time::Micros;
use auditor::store::mysql::{KeyRange, Mysql, Selection, SweepKey};
use rand::Rng;
use rand::SeedableRng;
use rand::rngs::StdRng;

pub(super) const CONNECTIONS: usize = 4;

pub(super) struct Fixture {
    pub(super) server: MysqlServer,
    pub(super) mysql: Mysql,
}

impl Fixture {
    /// A server with an empty database `t`, filled by `statements`.
    pub(super) async fn start(flavor: Flavor, statements: &str) -> Self {
        let server = MysqlServer::start(flavor).await.unwrap();
        server.create_database("t").await.unwrap();
        server.execute("t", statements).await.unwrap();
        let mysql = Mysql::connect(&spec(&server.url("t")), CONNECTIONS)
            .await
            .unwrap();
        Self { server, mysql }
    }

    /// All columns of `table`, keyed by its primary key; `change` edits the check first.
    pub(super) async fn table(&self, table: &str, change: impl FnOnce(&mut CacheCheck)) -> Mapping {
        let schema = self.mysql.table_schema(table).await.unwrap().unwrap();
        let key: Vec<String> = schema.primary_key.clone();
        let mut check = check(
            Source::Table {
                table: named(table),
                explains: None,
            },
            &key,
        );
        change(&mut check);
        let place = |name: &str| {
            schema
                .columns
                .iter()
                .position(|c| c.name.eq_ignore_ascii_case(name))
                .unwrap()
        };
        let sweep_key: Vec<usize> = key.iter().map(|name| place(name)).collect();
        let explains = matches!(
            &check.source,
            Source::Table {
                explains: Some(_),
                ..
            }
        );
        let condition = matches!(&check.deletes, Deletes::Tombstone(Tombstone::Condition(_)));
        let width = schema.columns.len();
        Mapping {
            table: Some((schema.schema.clone(), schema.table.clone())),
            key_cells: sweep_key.clone(),
            sweep_key,
            explains_cell: explains.then_some(width),
            tombstone_cell: condition.then_some(width + usize::from(explains)),
            columns: schema.columns,
            rows_estimated: schema.rows_estimated,
            ..unbound(check)
        }
    }

    /// All columns of a SELECT, keyed by `id`.
    pub(super) async fn sql(
        &self,
        select: &str,
        id: &[&str],
        change: impl FnOnce(&mut CacheCheck),
    ) -> Mapping {
        let columns = self.mysql.select_schema(select).await.unwrap();
        let key: Vec<String> = id.iter().map(|&name| name.to_owned()).collect();
        let source = Source::Sql {
            text: select.to_owned(),
            path: None,
            span: 0..0,
            id: key.iter().map(|name| named(name)).collect(),
            lock_sql: None,
        };
        let mut check = check(source, &key);
        change(&mut check);
        let place = |name: &&str| columns.iter().position(|c| c.name == **name).unwrap();
        let sweep_key: Vec<usize> = id.iter().map(place).collect();
        Mapping {
            key_cells: sweep_key.clone(),
            sweep_key,
            columns,
            ..unbound(check)
        }
    }

    /// Every row of `selection` by pages of random sizes, each a joined line; pages must be in bounds.
    pub(super) async fn sweep(&self, mapping: &Mapping, selection: Selection, seed: u64) -> Swept {
        let mut random = StdRng::seed_from_u64(seed);
        let mut swept = Swept::default();
        let mut range = Some(KeyRange::default());
        while let Some(this) = range {
            let limit = random.random_range(1..=9);
            let page = self
                .mysql
                .page(mapping, &this, selection, limit)
                .await
                .unwrap();
            assert!(
                page.rows.len() <= limit,
                "{} rows for {limit}",
                page.rows.len()
            );
            swept.lines.extend(lines(&page.rows));
            swept
                .keys
                .extend(page.rows.iter().map(|row| key_of(mapping, row)));
            swept.ids_without_row.extend(page.ids_without_row);
            range = page.next;
        }
        swept
    }

    /// How many rows the server touched while `work` ran; nothing else may run meanwhile.
    pub(super) async fn rows_touched(&self, work: impl Future<Output = ()>) -> u64 {
        // Asking is counted as well, so what it costs is asked for first.
        let earlier = self.handler_reads().await;
        let before = self.handler_reads().await;
        work.await;
        (self.handler_reads().await - before).saturating_sub(before - earlier)
    }

    async fn handler_reads(&self) -> u64 {
        use sqlx::Row;
        let mut connection = self.server.connect("t").await.unwrap();
        let rows = sqlx::raw_sql("SHOW GLOBAL STATUS LIKE 'Handler_read%'")
            .fetch_all(&mut connection)
            .await
            .unwrap();
        let count = |row: &sqlx::mysql::MySqlRow| -> u64 {
            let text: &[u8] = row.try_get_unchecked(1).unwrap();
            std::str::from_utf8(text).unwrap().parse().unwrap()
        };
        rows.iter().map(count).sum()
    }
}

#[derive(Debug, Default)]
pub(super) struct Swept {
    pub(super) lines: Vec<String>,
    pub(super) keys: Vec<SweepKey>,
    pub(super) ids_without_row: Vec<SweepKey>,
}

pub(super) fn spec(url: &str) -> MysqlSpec {
    MysqlSpec {
        url: Secret::new(url),
        tls: TlsFiles::default(),
    }
}

pub(super) fn named(text: &str) -> Named {
    Named {
        text: text.to_owned(),
        span: 0..0,
    }
}

pub(super) fn at(text: &str) -> Micros {
    Micros(
        chrono::DateTime::parse_from_rfc3339(text)
            .unwrap()
            .timestamp_micros(),
    )
}

pub(super) fn changed_at(column: &str, form: TimeForm) -> Option<Window> {
    Some(Window::ChangedAt(TimeColumn {
        column: named(column),
        form,
    }))
}

/// A key given as text, one cell a word.
pub(super) fn key(cells: &[&str]) -> SweepKey {
    cells.iter().map(|cell| cell.as_bytes().to_vec()).collect()
}

pub(super) fn key_of(mapping: &Mapping, row: RowRef<'_>) -> SweepKey {
    mapping
        .sweep_key
        .iter()
        .map(|&c| row.cell(c).unwrap().to_vec())
        .collect()
}

/// One line a row, cells parted by `|`.
pub(super) fn lines(rows: &Rows) -> Vec<String> {
    let cell = |row: RowRef<'_>, c| {
        row.cell(c).map_or("NULL".to_owned(), |b| {
            String::from_utf8_lossy(b).into_owned()
        })
    };
    rows.iter()
        .map(|row| {
            (0..rows.width())
                .map(|c| cell(row, c))
                .collect::<Vec<_>>()
                .join("|")
        })
        .collect()
}

fn check(source: Source, key: &[String]) -> CacheCheck {
    let template: Vec<String> = key.iter().map(|name| format!("{{{name}}}")).collect();
    CacheCheck {
        name: named("check"),
        key: Template::parse(&format!("k:{}", template.join(":"))).unwrap(),
        key_span: 0..0,
        value: ValueKind::String,
        layout: Layout::KeyPerRow,
        source,
        window: None,
        deletes: Deletes::Never,
        version: None,
        fields: Vec::new(),
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
        settle: Duration::from_secs(2),
        cache_delay: Duration::from_secs(5),
    }
}

fn unbound(check: CacheCheck) -> Mapping {
    Mapping {
        check: Arc::new(check),
        table: None,
        columns: Vec::new(),
        sweep_key: Vec::new(),
        key_cells: Vec::new(),
        member_cells: Vec::new(),
        field_cells: Vec::new(),
        version_cell: None,
        changed_at_cell: None,
        deleted_at_cell: None,
        subject_cell: None,
        explains_cell: None,
        tombstone_cell: None,
        rows_estimated: 0,
    }
}
