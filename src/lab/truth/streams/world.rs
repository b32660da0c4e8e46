//! Everything there is of one layout, on both sides, held in memory: a lab is small.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use sqlx::{AssertSqlSafe, MySqlConnection, Row};

use super::entry_id::EntryId;
use crate::lab::LabError;
use crate::lab::app::streams::Layout;
use crate::lab::servers::{MysqlServer, RedisServer};

const PAGE: usize = 1_000;

/// One layout as it was when it was read. The application must be quiet, or at rest with what it holds.
#[derive(Debug, Clone)]
pub struct StreamWorld {
    pub layout: Layout,
    pub entries: BTreeMap<EntryId, EntryFacts>,
    pub pending: BTreeMap<EntryId, PendingFacts>,
    /// Consumers that the group lists, with the milliseconds since each last tried anything.
    pub consumers: BTreeMap<String, u64>,
    /// The group's last delivered id; `None`: there is no group.
    pub cursor: Option<EntryId>,
    /// `None`: there is no stream.
    pub last_generated: Option<EntryId>,
    /// What lies in the dead letters.
    pub dead: Vec<EntryFacts>,
    /// By identity.
    pub rows: BTreeMap<String, Vec<RowFacts>>,
    pub effects: BTreeSet<String>,
    pub rejected: BTreeSet<String>,
    /// The server's clock, in milliseconds.
    pub time_ms: u64,
}

/// An entry's fields; of a name that occurs twice the last value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EntryFacts {
    pub fields: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingFacts {
    pub consumer: String,
    pub idle_ms: u64,
    pub deliveries: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowFacts {
    pub auction: String,
    pub bidder: String,
    pub amount: String,
    /// Milliseconds, where the layout keeps them.
    pub at_ms: Option<i64>,
}

type RawEntries = Vec<(String, Vec<Vec<u8>>)>;
type RawPending = Vec<(String, String, u64, u64)>;

impl StreamWorld {
    pub async fn read(
        database: &MysqlServer,
        name: &str,
        cache: &RedisServer,
        layout: Layout,
    ) -> Result<Self, LabError> {
        let mut world = Self {
            layout,
            entries: BTreeMap::new(),
            pending: BTreeMap::new(),
            consumers: BTreeMap::new(),
            cursor: None,
            last_generated: None,
            dead: Vec::new(),
            rows: BTreeMap::new(),
            effects: BTreeSet::new(),
            rejected: BTreeSet::new(),
            time_ms: 0,
        };
        world
            .read_redis(&mut cache.connect().await?)
            .await
            .map_err(LabError::redis("read a stream"))?;
        world
            .read_mysql(&mut database.connect(name).await?)
            .await
            .map_err(LabError::mysql("read the rows of a stream"))?;
        Ok(world)
    }

    /// What names the effect of an entry.
    pub fn identity(&self, id: EntryId) -> Option<String> {
        if self.layout.is_by_entry_id() {
            return Some(id.to_string());
        }
        self.entries.get(&id)?.fields.get("bidId").cloned()
    }

    /// Whether everyone but those alive has been idle for so long, and so has every message they hold.
    pub fn are_idle(&self, least: Duration, is_alive: impl Fn(&str) -> bool) -> bool {
        let is_old = |millis: u64| u128::from(millis) >= least.as_millis();
        let mut consumers = self.consumers.iter().filter(|(name, _)| !is_alive(name));
        let mut held = self
            .pending
            .values()
            .filter(|held| !is_alive(&held.consumer));
        consumers.all(|(_, idle)| is_old(*idle)) && held.all(|held| is_old(held.idle_ms))
    }

    async fn read_redis(&mut self, redis: &mut MultiplexedConnection) -> redis::RedisResult<()> {
        let (stream, group) = (self.layout.stream(), self.layout.group());
        let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(redis).await?;
        self.time_ms = seconds * 1_000 + micros / 1_000;
        for (_, facts) in all_entries(redis, self.layout.dead_letter()).await? {
            self.dead.push(facts);
        }
        let is_there: bool = redis::cmd("EXISTS").arg(stream).query_async(redis).await?;
        if !is_there {
            return Ok(());
        }
        self.entries = all_entries(redis, stream).await?;
        let facts: BTreeMap<String, redis::Value> = redis::cmd("XINFO")
            .arg("STREAM")
            .arg(stream)
            .query_async(redis)
            .await?;
        self.last_generated = facts.get("last-generated-id").and_then(id_of);
        let groups: Vec<BTreeMap<String, redis::Value>> = redis::cmd("XINFO")
            .arg("GROUPS")
            .arg(stream)
            .query_async(redis)
            .await?;
        let own = groups
            .iter()
            .find(|facts| facts.get("name").and_then(text_of).as_deref() == Some(group));
        self.cursor = own.and_then(|facts| facts.get("last-delivered-id").and_then(id_of));
        if self.cursor.is_some() {
            self.pending = all_pending(redis, stream, group).await?;
            let consumers: Vec<BTreeMap<String, redis::Value>> = redis::cmd("XINFO")
                .arg("CONSUMERS")
                .arg(stream)
                .arg(group)
                .query_async(redis)
                .await?;
            for facts in consumers {
                let idle = facts
                    .get("idle")
                    .cloned()
                    .map(redis::from_redis_value::<u64>);
                if let (Some(name), Some(idle)) = (facts.get("name").and_then(text_of), idle) {
                    self.consumers.insert(name, idle?);
                }
            }
        }
        Ok(())
    }

    async fn read_mysql(&mut self, sql: &mut MySqlConnection) -> sqlx::Result<()> {
        let (table, identity) = (self.layout.table(), self.layout.identity_column());
        let at = match self.layout.is_by_entry_id() {
            true => "CAST(ROUND(UNIX_TIMESTAMP(placed_at) * 1000) AS SIGNED)",
            false => "CAST(NULL AS SIGNED)",
        };
        let select = format!(
            "SELECT CAST({identity} AS CHAR), CAST(auction_id AS CHAR), CAST(bidder_id AS CHAR), \
             CAST(amount AS CHAR), {at} FROM {table}"
        );
        for row in sqlx::query(AssertSqlSafe(select))
            .fetch_all(&mut *sql)
            .await?
        {
            let facts = RowFacts {
                auction: row.try_get(1)?,
                bidder: row.try_get(2)?,
                amount: row.try_get(3)?,
                at_ms: row.try_get(4)?,
            };
            self.rows.entry(row.try_get(0)?).or_default().push(facts);
        }
        if self.layout.has_effects() {
            self.effects = identities(sql, "SELECT CAST(bid_id AS CHAR) FROM bid_effect").await?;
            self.rejected =
                identities(sql, "SELECT CAST(bid_id AS CHAR) FROM bid_rejected").await?;
        }
        Ok(())
    }
}

impl EntryFacts {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }
}

async fn identities(
    sql: &mut MySqlConnection,
    select: &'static str,
) -> sqlx::Result<BTreeSet<String>> {
    let found: Vec<String> = sqlx::query_scalar(select).fetch_all(sql).await?;
    Ok(found.into_iter().collect())
}

async fn all_entries(
    redis: &mut MultiplexedConnection,
    stream: &str,
) -> redis::RedisResult<BTreeMap<EntryId, EntryFacts>> {
    let mut entries = BTreeMap::new();
    let mut from = "-".to_owned();
    loop {
        let page: RawEntries = redis::cmd("XRANGE")
            .arg(stream)
            .arg(&from)
            .arg("+")
            .arg("COUNT")
            .arg(PAGE)
            .query_async(redis)
            .await?;
        let Some((last, _)) = page.last() else {
            return Ok(entries);
        };
        from = format!("({last}");
        for (id, words) in page {
            let lossy = |word: &Vec<u8>| String::from_utf8_lossy(word).into_owned();
            let pairs = words
                .chunks_exact(2)
                .map(|pair| (lossy(&pair[0]), lossy(&pair[1])));
            let fields = pairs.collect();
            entries.insert(parsed(&id)?, EntryFacts { fields });
        }
    }
}

async fn all_pending(
    redis: &mut MultiplexedConnection,
    stream: &str,
    group: &str,
) -> redis::RedisResult<BTreeMap<EntryId, PendingFacts>> {
    let mut pending = BTreeMap::new();
    let mut from = "-".to_owned();
    loop {
        let page: RawPending = redis::cmd("XPENDING")
            .arg(stream)
            .arg(group)
            .arg(&from)
            .arg("+")
            .arg(PAGE)
            .query_async(redis)
            .await?;
        let Some((last, ..)) = page.last() else {
            return Ok(pending);
        };
        from = format!("({last}");
        for (id, consumer, idle_ms, deliveries) in page {
            let facts = PendingFacts {
                consumer,
                idle_ms,
                deliveries,
            };
            pending.insert(parsed(&id)?, facts);
        }
    }
}

fn parsed(id: &str) -> redis::RedisResult<EntryId> {
    EntryId::parse(id).ok_or_else(|| (redis::ErrorKind::UnexpectedReturnType, "no entry id").into())
}

fn id_of(value: &redis::Value) -> Option<EntryId> {
    EntryId::parse(&text_of(value)?)
}

fn text_of(value: &redis::Value) -> Option<String> {
    redis::from_redis_value(value.clone()).ok()
}
