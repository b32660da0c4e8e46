//! The three checks, from a job file, bound to one table.

use std::sync::Arc;
use std::time::Duration;

use auditor::model::column::{Column, ColumnType, TableSchema};
use auditor::model::mapping::Mapping;
use auditor::plan::{SourceSchema, bind};

use super::world::Kind;

pub(crate) const SETTLE: Duration = Duration::from_millis(200);
pub(crate) const CACHE_DELAY: Duration = Duration::from_millis(500);
pub(crate) const COMMIT_MARGIN: Duration = Duration::from_millis(1_000);

const JOB: &str = r#"
name = "simulated"
[mysql]
url = "mysql://u:p@127.0.0.1/shop"
[redis]
url = "redis://127.0.0.1"
[limits]
settle = "200ms"
cache_delay = "500ms"
commit_margin = "1s"

[[cache]]
name = "document"
key = "user:{id}:profile"
value = "json"
table = "users"
changed_at = "updated_at"
deletes = "never"
version = { cache = "/version", column = "version" }
fields = [{ cache = "/balance", column = "balance" }]
order = "source-first"
repair = "overwrite"

[[cache]]
name = "balance"
key = "user:{id}:balance"
value = "integer"
table = "users"
changed_at = "updated_at"
deletes = "never"
fields = [{ column = "balance", balance = true }]
order = "source-first"
repair = "overwrite"

[[cache]]
name = "points"
key = "user:{id}:points"
value = "integer"
table = "users"
changed_at = "updated_at"
deletes = "never"
fields = [{ column = "balance" }]
writes = "delta"
order = "source-first"
repair = "overwrite"
"#;

pub(crate) fn mapping(kind: Kind) -> Arc<Mapping> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job.toml");
    std::fs::write(&path, JOB).unwrap();
    let job = auditor::job::load(&path, &|_| None).unwrap();
    let name = match kind {
        Kind::Document => "document",
        Kind::Balance => "balance",
        Kind::Points => "points",
    };
    let check = job.caches.iter().find(|c| c.name.text == name).unwrap();
    bind(check, &SourceSchema::Table(users())).unwrap().mapping
}

fn users() -> TableSchema {
    let column = |name: &str, kind| Column {
        name: name.into(),
        kind,
        nullable: false,
        collation: None,
        zerofill: false,
        padded_to: None,
    };
    TableSchema {
        schema: "shop".into(),
        table: "users".into(),
        columns: vec![
            column("id", ColumnType::Integer { unsigned: true }),
            column("version", ColumnType::Integer { unsigned: true }),
            column("balance", ColumnType::Integer { unsigned: false }),
            column("updated_at", ColumnType::DateTime),
        ],
        primary_key: vec!["id".into()],
        unique_keys: Vec::new(),
        leading_index_columns: vec!["id".into(), "updated_at".into()],
        rows_estimated: 1,
    }
}
