//! Everything there is, on both sides, held in memory: a lab is small.

use std::collections::BTreeMap;

use redis::aio::MultiplexedConnection;
use sqlx::{MySqlConnection, Row};

const PAGE: usize = 1_000;

pub(super) enum Cached {
    Text(Vec<u8>),
    Hash(BTreeMap<String, String>),
    Scores(BTreeMap<String, f64>),
    Other,
}

pub(super) struct UserRow {
    pub(super) name: String,
    pub(super) grade: String,
    pub(super) rating: String,
    pub(super) version: u64,
    pub(super) balance: i64,
    pub(super) points: i64,
    pub(super) is_deleted: bool,
}

pub(super) struct AuctionRow {
    pub(super) status: String,
    pub(super) ends_at_ms: i64,
}

/// The highest bid of an auction, and how many there are.
#[derive(Default)]
pub(super) struct Bids {
    pub(super) count: i64,
    pub(super) top_amount: i64,
    pub(super) top_bidder: u64,
}

#[derive(Default)]
pub(super) struct Rows {
    pub(super) users: BTreeMap<u64, UserRow>,
    pub(super) auctions: BTreeMap<u64, AuctionRow>,
    pub(super) bids: BTreeMap<u64, Bids>,
}

/// Every key of database 0, whose names the application made from letters, digits and colons.
pub(super) async fn all_keys(
    connection: &mut MultiplexedConnection,
) -> redis::RedisResult<BTreeMap<String, Cached>> {
    let names: Vec<String> = redis::cmd("KEYS").arg("*").query_async(connection).await?;
    let mut keys = BTreeMap::new();
    for page in names.chunks(PAGE) {
        let mut types = redis::pipe();
        for name in page {
            types.cmd("TYPE").arg(name);
        }
        let types: Vec<String> = types.query_async(connection).await?;
        let mut reads = redis::pipe();
        for (name, kind) in page.iter().zip(&types) {
            match kind.as_str() {
                "hash" => reads.cmd("HGETALL").arg(name),
                "zset" => reads
                    .cmd("ZRANGE")
                    .arg(name)
                    .arg(0)
                    .arg(-1)
                    .arg("WITHSCORES"),
                "string" => reads.cmd("GET").arg(name),
                _ => reads.cmd("EXISTS").arg(name),
            };
        }
        let values: Vec<redis::Value> = reads.query_async(connection).await?;
        for ((name, kind), value) in page.iter().zip(types).zip(values) {
            keys.insert(name.clone(), cached(&kind, value)?);
        }
    }
    Ok(keys)
}

/// Key, hash field (empty for a string) and value of every string and hash.
pub(in crate::lab) async fn cached_fields(
    connection: &mut MultiplexedConnection,
) -> redis::RedisResult<Vec<(String, String, String)>> {
    let mut fields = Vec::new();
    for (key, cached) in all_keys(connection).await? {
        match cached {
            Cached::Text(text) => fields.push((
                key,
                String::new(),
                String::from_utf8_lossy(&text).into_owned(),
            )),
            Cached::Hash(hash) => {
                fields.extend(
                    hash.into_iter()
                        .map(|(field, value)| (key.clone(), field, value)),
                );
            }
            Cached::Scores(_) | Cached::Other => {}
        }
    }
    Ok(fields)
}

fn cached(kind: &str, value: redis::Value) -> redis::RedisResult<Cached> {
    Ok(match kind {
        "string" => Cached::Text(redis::from_redis_value(value)?),
        "hash" => Cached::Hash(redis::from_redis_value(value)?),
        "zset" => {
            let pairs: Vec<(String, f64)> = redis::from_redis_value(value)?;
            Cached::Scores(pairs.into_iter().collect())
        }
        _ => Cached::Other,
    })
}

pub(super) async fn all_rows(connection: &mut MySqlConnection) -> sqlx::Result<Rows> {
    let mut rows = Rows::default();
    let users = "SELECT id, name, CAST(grade AS CHAR), CAST(rating AS CHAR), version, balance, points, \
                 CAST(deleted_at IS NOT NULL AS SIGNED) FROM users";
    for row in sqlx::query(users).fetch_all(&mut *connection).await? {
        rows.users.insert(
            row.try_get(0)?,
            UserRow {
                name: row.try_get(1)?,
                grade: row.try_get(2)?,
                rating: row.try_get(3)?,
                version: row.try_get(4)?,
                balance: row.try_get(5)?,
                points: row.try_get(6)?,
                is_deleted: row.try_get::<i64, _>(7)? != 0,
            },
        );
    }
    for row in sqlx::query("SELECT id, CAST(status AS CHAR), ends_at FROM auction")
        .fetch_all(&mut *connection)
        .await?
    {
        let ends_at: chrono::NaiveDateTime = row.try_get(2)?;
        let ends_at_ms = ends_at.and_utc().timestamp_millis();
        rows.auctions.insert(
            row.try_get(0)?,
            AuctionRow {
                status: row.try_get(1)?,
                ends_at_ms,
            },
        );
    }
    for row in sqlx::query("SELECT auction_id, bidder_id, amount FROM bid")
        .fetch_all(connection)
        .await?
    {
        let bids: &mut Bids = rows.bids.entry(row.try_get(0)?).or_default();
        let amount: i64 = row.try_get(2)?;
        bids.count += 1;
        if amount > bids.top_amount {
            bids.top_amount = amount;
            bids.top_bidder = row.try_get(1)?;
        }
    }
    Ok(rows)
}
