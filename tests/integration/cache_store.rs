//! The Redis side on real servers: what is read, what is written, and what a lost answer means.

use std::sync::Arc;
use std::time::Duration;

use auditor::job::{Endpoint, RedisSpec, TlsFiles};
use auditor::lab::servers::{RedisOptions, RedisServer};
use auditor::model::check::{
    CacheCheck, Compare, Deletes, Expiry, FieldSpec, Guard, Layout, Locator, Named, RepairMode,
    RepairOrphans, Source, ValueKind, VersionSpec, Writes,
};
use auditor::model::mapping::Mapping;
use auditor::model::observation::Subject;
use auditor::model::secret::Secret;
use auditor::model::template::Template;
use auditor::store::redis::Redis;

mod bench;
mod connecting;
mod fences;
mod lost_replies;
mod reading;
mod sentinels;
mod writing;
mod writing_hashes;

const LIMIT: Duration = Duration::from_secs(20);

async fn plain_server() -> RedisServer {
    RedisServer::start(RedisOptions::default()).await.unwrap()
}

async fn server_with(lines: &[&str]) -> RedisServer {
    let lines = lines.iter().map(|line| (*line).to_owned()).collect();
    let options = RedisOptions {
        lines,
        ..RedisOptions::default()
    };
    RedisServer::start(options).await.unwrap()
}

async fn reader(server: &RedisServer) -> Redis {
    Redis::connect(&spec(server.port()), LIMIT).await.unwrap()
}

/// A plain address without a login.
fn spec(port: u16) -> RedisSpec {
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

fn spec_of_user(port: u16, user: &str, password: &str) -> RedisSpec {
    RedisSpec {
        user: Some(user.into()),
        password: Some(Secret::new(password)),
        ..spec(port)
    }
}

fn named(text: &str) -> Named {
    Named {
        text: text.into(),
        span: 0..0,
    }
}

/// A mapping that says nothing but how its subjects lie in Redis.
pub(super) fn mapping(value: ValueKind, member: Option<&str>, fields: &[Locator]) -> Mapping {
    let layout = match member {
        Some(template) => Layout::RowPerMember(Template::parse(template).unwrap()),
        None => Layout::KeyPerRow,
    };
    let check = CacheCheck {
        name: named("check"),
        key: Template::parse("k:{id}").unwrap(),
        key_span: 0..0,
        value,
        layout,
        source: Source::Table {
            table: named("t"),
            explains: None,
        },
        window: None,
        deletes: Deletes::Never,
        version: None,
        fields: fields.iter().cloned().map(field).collect(),
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
    };
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

fn with_version(mut mapping: Mapping, cache: Locator) -> Mapping {
    let check = Arc::get_mut(&mut mapping.check).unwrap();
    check.version = Some(VersionSpec {
        cache,
        column: named("version"),
    });
    mapping
}

fn field(cache: Locator) -> FieldSpec {
    FieldSpec {
        cache,
        column: named("c"),
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

pub(super) fn hash_field(name: &str) -> Locator {
    Locator::HashField(name.as_bytes().to_vec())
}

fn key(key: impl AsRef<[u8]>) -> Subject {
    Subject {
        key: key.as_ref().to_vec(),
        member: None,
        id: Vec::new(),
    }
}

fn member(of: &str, member: impl AsRef<[u8]>) -> Subject {
    Subject {
        member: Some(member.as_ref().to_vec()),
        ..key(of)
    }
}

/// Runs one command with arguments of any bytes, on a connection of the test's own.
async fn run(server: &RedisServer, name: &str, arguments: &[&[u8]]) -> redis::Value {
    let mut connection = server.connect().await.unwrap();
    let mut command = redis::cmd(name);
    for argument in arguments {
        command.arg(*argument);
    }
    command.query_async(&mut connection).await.unwrap()
}
