//! The application's rows as its clerks remember them.

use sqlx::{MySqlConnection, Row};

/// One row of `users`. A clerk is the only writer of its users, so its memory is the truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub id: u64,
    pub name: String,
    pub grade: Grade,
    /// Hundredths, 0 to 500.
    pub rating: u32,
    pub version: u64,
    pub balance: i64,
    pub points: i64,
    pub is_deleted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    Basic,
    Silver,
    Vip,
}

/// One row of `auction`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auction {
    pub id: u64,
    pub status: Status,
    pub ends_at_ms: i64,
    pub top_amount: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    Open,
    Closing,
    Closed,
}

impl Grade {
    pub fn name(self) -> &'static str {
        match self {
            Grade::Basic => "BASIC",
            Grade::Silver => "SILVER",
            Grade::Vip => "VIP",
        }
    }

    /// Nobody is ever graded down.
    pub(super) fn next(self) -> Self {
        match self {
            Grade::Basic => Grade::Silver,
            Grade::Silver | Grade::Vip => Grade::Vip,
        }
    }

    fn parse(text: &str) -> Self {
        match text {
            "VIP" => Grade::Vip,
            "SILVER" => Grade::Silver,
            _ => Grade::Basic,
        }
    }
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Status::Open => "OPEN",
            Status::Closing => "CLOSING",
            Status::Closed => "CLOSED",
        }
    }

    pub(super) fn next(self) -> Self {
        match self {
            Status::Open => Status::Closing,
            Status::Closing | Status::Closed => Status::Closed,
        }
    }

    fn parse(text: &str) -> Self {
        match text {
            "CLOSED" => Status::Closed,
            "CLOSING" => Status::Closing,
            _ => Status::Open,
        }
    }
}

impl User {
    /// Every tenth user's profile is deleted on write and filled on read (cache-aside).
    pub fn is_cache_aside(&self) -> bool {
        self.id % 10 == 8
    }

    pub(super) fn rating_text(&self) -> String {
        format!("{}.{:02}", self.rating / 100, self.rating % 100)
    }

    /// The cached document. `lastSeen` is nobody's truth and differs with every write.
    pub(super) fn profile(&self, last_seen: &str) -> String {
        let name = serde_json::Value::from(self.name.as_str());
        format!(
            r#"{{"id":{},"name":{name},"grade":"{}","rating":{},"version":{},"lastSeen":"{last_seen}"}}"#,
            self.id,
            self.grade.name(),
            self.rating_text(),
            self.version
        )
    }
}

pub(super) async fn load_users(
    database: &mut MySqlConnection,
    clerk: u64,
    clerks: u64,
) -> sqlx::Result<Vec<User>> {
    let rows = sqlx::query(
        "SELECT id, name, CAST(grade AS CHAR), CAST(ROUND(rating * 100) AS UNSIGNED), version, \
         balance, points, CAST(deleted_at IS NOT NULL AS SIGNED) FROM users WHERE MOD(id, ?) = ? ORDER BY id",
    )
    .bind(clerks)
    .bind(clerk)
    .fetch_all(database)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(User {
                id: row.try_get(0)?,
                name: row.try_get(1)?,
                grade: Grade::parse(row.try_get(2)?),
                rating: u32::try_from(row.try_get::<u64, _>(3)?).unwrap_or(u32::MAX),
                version: row.try_get(4)?,
                balance: row.try_get(5)?,
                points: row.try_get(6)?,
                is_deleted: row.try_get::<i64, _>(7)? != 0,
            })
        })
        .collect()
}

pub(super) async fn load_auctions(
    database: &mut MySqlConnection,
    clerk: u64,
    clerks: u64,
) -> sqlx::Result<Vec<Auction>> {
    let rows = sqlx::query(
        "SELECT a.id, CAST(a.status AS CHAR), a.ends_at, CAST(COALESCE(MAX(b.amount), 0) AS SIGNED) \
         FROM auction a LEFT JOIN bid b ON b.auction_id = a.id \
         WHERE MOD(a.id, ?) = ? GROUP BY a.id, a.status, a.ends_at ORDER BY a.id",
    )
    .bind(clerks)
    .bind(clerk)
    .fetch_all(database)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Auction {
                id: row.try_get(0)?,
                status: Status::parse(row.try_get(1)?),
                ends_at_ms: row
                    .try_get::<chrono::NaiveDateTime, _>(2)?
                    .and_utc()
                    .timestamp_millis(),
                top_amount: row.try_get(3)?,
            })
        })
        .collect()
}
