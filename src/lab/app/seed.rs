//! The rows and keys that are there before anything happens.

use std::fmt::Write as _;
use std::ops::RangeInclusive;

use chrono::{DateTime, Duration, Utc};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use redis::aio::MultiplexedConnection;
use sqlx::{AssertSqlSafe, MySqlConnection};

use super::cache::{ABSENT, CLOSING_QUEUE};
use super::rows::{Grade, User};
use crate::lab::LabError;

pub(super) const SCHEMA: &str = include_str!("../../../sql/demo_schema.sql");
const BATCH: usize = 1_000;

/// Names that no encoder may get wrong.
const NAMES: [&str; 6] = [
    "Kim Minsu",
    "이서연",
    "O'Brien \"Bob\"",
    "back\\slash",
    "Zoë 🎯",
    "<b>tab\there</b>",
];

/// How many rows there are, and the seed of all that is random about them.
#[derive(Debug, Clone, Copy)]
pub struct Stock {
    pub users: u64,
    pub auctions: u64,
    /// Ids past `users` for which the cache already says "no such user", to be inserted under load.
    pub expected_users: u64,
    /// Auction ids past `auctions`, to be opened under load.
    pub expected_auctions: u64,
    /// Users past the expected ones whom the load leaves alone; requests made by hand are for them.
    pub guests: u64,
    pub seed: u64,
    /// How long before now everything was written, so that the seeding lies outside any window.
    pub age: Duration,
}

impl Stock {
    /// Rows as they would be after two hours of quiet.
    pub fn new(users: u64, auctions: u64, seed: u64) -> Self {
        Self {
            users,
            auctions,
            expected_users: users / 10,
            expected_auctions: auctions / 2,
            guests: 10,
            seed,
            age: Duration::hours(2),
        }
    }

    /// Ids that the load asks for, registered or not.
    pub fn served_user_ids(&self) -> RangeInclusive<u64> {
        1..=self.users + self.expected_users
    }

    pub fn expected_user_ids(&self) -> RangeInclusive<u64> {
        self.users + 1..=self.users + self.expected_users
    }

    pub fn guest_ids(&self) -> RangeInclusive<u64> {
        let last_served = self.users + self.expected_users;
        last_served + 1..=last_served + self.guests
    }

    /// Ids that the load asks for, opened or not.
    pub fn served_auction_ids(&self) -> RangeInclusive<u64> {
        1..=self.auctions + self.expected_auctions
    }

    pub fn expected_auction_ids(&self) -> RangeInclusive<u64> {
        self.auctions + 1..=self.auctions + self.expected_auctions
    }

    /// Makes the tables in the (empty) database and writes every row and key.
    pub(super) async fn write(
        &self,
        database: &mut MySqlConnection,
        cache: &mut MultiplexedConnection,
    ) -> Result<(), LabError> {
        execute(database, SCHEMA.to_owned()).await?;
        let mut random = SmallRng::seed_from_u64(self.seed);
        let born = Utc::now() - self.age;
        let ids: Vec<u64> = (1..=self.users).chain(self.guest_ids()).collect();
        for ids in ids.chunks(BATCH) {
            let users: Vec<User> = ids.iter().map(|id| new_user(*id, &mut random)).collect();
            write_users(&users, born, database, cache).await?;
        }
        for first in (1..=self.auctions).step_by(BATCH) {
            let last = self.auctions.min(first + BATCH as u64 - 1);
            let ends: Vec<(u64, i64)> = (first..=last)
                .map(|id| (id, random.random_range(3_600_000..86_400_000)))
                .collect();
            write_auctions(&ends, born, database, cache).await?;
        }
        let mut pipeline = redis::pipe();
        for id in self.expected_user_ids() {
            pipeline.set(format!("user:{id}:profile"), ABSENT).ignore();
        }
        send(pipeline, cache).await
    }
}

/// A user as it is at its insertion.
pub(super) fn new_user(id: u64, random: &mut SmallRng) -> User {
    let name = NAMES[random.random_range(0..NAMES.len())];
    User {
        id,
        name: format!("{name} {id}"),
        grade: Grade::Basic,
        rating: random.random_range(0..=500),
        version: 1,
        balance: random.random_range(0..1_000_000),
        points: random.random_range(0..100),
        is_deleted: false,
    }
}

async fn write_users(
    users: &[User],
    born: DateTime<Utc>,
    database: &mut MySqlConnection,
    cache: &mut MultiplexedConnection,
) -> Result<(), LabError> {
    let time = born.format("%F %T%.6f").to_string();
    let mut statement = "INSERT INTO users VALUES ".to_owned();
    let mut pipeline = redis::pipe();
    for (index, user) in users.iter().enumerate() {
        let _ = write!(
            statement,
            "{}({}, '{}', '{}', {}, {}, {}, {}, '{time}', NULL)",
            if index == 0 { "" } else { ", " },
            user.id,
            user.name.replace('\\', "\\\\").replace('\'', "''"),
            user.grade.name(),
            user.rating_text(),
            user.version,
            user.balance,
            user.points,
        );
        pipeline
            .set(
                format!("user:{}:profile", user.id),
                user.profile(&born.to_rfc3339()),
            )
            .ignore();
        pipeline
            .set(format!("user:{}:balance", user.id), user.balance)
            .ignore();
        pipeline
            .set(format!("user:{}:points", user.id), user.points)
            .ignore();
    }
    execute(database, statement).await?;
    send(pipeline, cache).await
}

async fn write_auctions(
    ends: &[(u64, i64)],
    born: DateTime<Utc>,
    database: &mut MySqlConnection,
    cache: &mut MultiplexedConnection,
) -> Result<(), LabError> {
    let time = born.format("%F %T%.6f").to_string();
    let mut statement = "INSERT INTO auction VALUES ".to_owned();
    let mut pipeline = redis::pipe();
    for (index, (id, after_ms)) in ends.iter().enumerate() {
        let ends_at = Utc::now() + Duration::milliseconds(*after_ms);
        let _ = write!(
            statement,
            "{}({id}, 'Lot {id}', 'OPEN', '{}', '{time}')",
            if index == 0 { "" } else { ", " },
            ends_at.format("%F %T%.3f"),
        );
        pipeline
            .set(format!("auction:{id}:status"), "OPEN")
            .ignore();
        pipeline
            .zadd(CLOSING_QUEUE, id, ends_at.timestamp_millis())
            .ignore();
    }
    execute(database, statement).await?;
    send(pipeline, cache).await
}

async fn execute(database: &mut MySqlConnection, statement: String) -> Result<(), LabError> {
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(database)
        .await
        .map(drop)
        .map_err(LabError::mysql("write the first rows"))
}

async fn send(
    pipeline: redis::Pipeline,
    cache: &mut MultiplexedConnection,
) -> Result<(), LabError> {
    if pipeline.is_empty() {
        return Ok(());
    }
    pipeline
        .query_async(cache)
        .await
        .map_err(LabError::redis("write the first keys"))
}
