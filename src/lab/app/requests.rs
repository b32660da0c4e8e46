//! What customers ask a clerk for. Each request commits to MySQL, then writes to Redis, then returns.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use rand::Rng;
use sqlx::Row;

use super::cache::{ABSENT, CLOSING_QUEUE};
use super::clerk::{AppError, Clerk};
use super::rows::{Auction, Status, User};
use super::seed::new_user;

/// One request in so many lags between its commit and its cache write, where lag is asked for.
const LAGGING_ONE_IN: u32 = 8;

impl Clerk {
    /// Another name or rating, now and then a higher grade.
    pub async fn change_profile(&mut self, id: u64) -> Result<(), AppError> {
        let mut user = self.living(id)?;
        user.rating = self.random.random_range(0..=500);
        if self.random.random_ratio(1, 4) {
            user.grade = user.grade.next();
        }
        if self.random.random_ratio(1, 4) {
            user.name = format!(
                "renamed \"{}\" {id}",
                self.random.random_range(0..1_000_000)
            );
        }
        self.save(user, None).await
    }

    /// Money in or out; never below zero.
    pub async fn change_balance(&mut self, id: u64) -> Result<(), AppError> {
        let mut user = self.living(id)?;
        let change = self.random.random_range(1..50_000);
        user.balance += if user.balance >= change && self.random.random() {
            -change
        } else {
            change
        };
        let command = set(id, "balance", user.balance);
        self.save(user, Some(command)).await
    }

    /// Earns (`change > 0`) or spends points; refused where the committed points do not suffice.
    pub async fn change_points(&mut self, id: u64, change: i64) -> Result<(), AppError> {
        let mut user = self.living(id)?;
        user.points += change;
        if user.points < 0 {
            return Err(AppError::NoSuchRow);
        }
        let (name, amount) = if change < 0 {
            ("DECRBY", -change)
        } else {
            ("INCRBY", change)
        };
        let mut command = redis::cmd(name);
        command.arg(key(id, "points")).arg(amount);
        self.save(user, Some(command)).await
    }

    /// Inserts the user, whom the cache may remember as absent.
    pub async fn register(&mut self, id: u64) -> Result<(), AppError> {
        if self.users.contains_key(&id) {
            return Err(AppError::NoSuchRow);
        }
        let user = new_user(id, &mut self.random);
        let statement = sqlx::query("INSERT INTO users VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)")
            .bind(id)
            .bind(user.name.clone())
            .bind(user.grade.name())
            .bind(user.rating_text())
            .bind(user.version)
            .bind(user.balance)
            .bind(user.points)
            .bind(Utc::now().naive_utc());
        self.commit(statement).await?;
        self.users.insert(id, user.clone());
        let commands = [
            set(id, "profile", document(&user)),
            set(id, "balance", user.balance),
            set(id, "points", user.points),
        ];
        self.tell(&commands).await
    }

    /// Marks the row as deleted and removes every key of the user from the cache.
    pub async fn delete(&mut self, id: u64) -> Result<(), AppError> {
        let mut user = self.living(id)?;
        user.version += 1;
        user.is_deleted = true;
        let now = Utc::now().naive_utc();
        let statement = sqlx::query(
            "UPDATE users SET deleted_at = ?, version = ?, updated_at = ? WHERE id = ?",
        )
        .bind(now)
        .bind(user.version)
        .bind(now)
        .bind(id);
        self.commit(statement).await?;
        self.users.insert(id, user);
        let commands = ["profile", "balance", "points"].map(|part| delete(id, part));
        self.tell(&commands).await
    }

    /// Reads the profile through the cache: a miss is filled from MySQL, a missing user is remembered.
    pub async fn view(&mut self, id: u64) -> Result<(), AppError> {
        let mut get = redis::cmd("GET");
        get.arg(key(id, "profile"));
        let cached: Option<Vec<u8>> = self.cache.run(&get).await?;
        if cached.is_some() {
            return Ok(());
        }
        self.cache.begin_commit();
        let value = match self.users.get(&id) {
            Some(user) if !user.is_deleted => document(user),
            _ => ABSENT.to_owned(),
        };
        self.tell(&[set(id, "profile", value)]).await
    }

    /// A higher bid of some user on an open auction.
    pub async fn bid(&mut self, auction: u64) -> Result<(), AppError> {
        let row = self.auctions.get(&auction).ok_or(AppError::NoSuchRow)?;
        if row.status == Status::Closed {
            return Err(AppError::NoSuchRow);
        }
        let amount = row.top_amount + self.random.random_range(1..1_000);
        let bidder = self.random.random_range(1..=1_000_u64);
        let number: u128 = self.random.random();
        let statement = sqlx::query("INSERT INTO bid VALUES (?, ?, ?, ?, ?)")
            .bind(uuid::Uuid::from_u128(number).to_string())
            .bind(auction)
            .bind(bidder)
            .bind(amount)
            .bind(Utc::now().naive_utc());
        self.commit(statement).await?;
        if let Some(row) = self.auctions.get_mut(&auction) {
            row.top_amount = amount;
        }
        let count = self.count_bids(auction).await?;
        let mut command = redis::cmd("HSET");
        command.arg(format!("auction:{auction}"));
        command
            .arg("currentPrice")
            .arg(amount)
            .arg("totalBidCount")
            .arg(count)
            .arg("topBidderId")
            .arg(bidder);
        self.tell(&[command]).await
    }

    /// A new auction, which joins the queue.
    pub async fn open(&mut self, auction: u64) -> Result<(), AppError> {
        if self.auctions.contains_key(&auction) {
            return Err(AppError::NoSuchRow);
        }
        let now = Utc::now();
        let ends_at_ms = now.timestamp_millis() + self.random.random_range(3_600_000..86_400_000);
        let statement = sqlx::query("INSERT INTO auction VALUES (?, ?, ?, ?, ?)")
            .bind(auction)
            .bind(format!("Lot {auction}"))
            .bind(Status::Open.name())
            .bind(
                DateTime::from_timestamp_millis(ends_at_ms)
                    .unwrap_or_default()
                    .naive_utc(),
            )
            .bind(now.naive_utc());
        self.commit(statement).await?;
        self.auctions.insert(
            auction,
            Auction {
                id: auction,
                status: Status::Open,
                ends_at_ms,
                top_amount: 0,
            },
        );
        let commands = [
            set_status(auction, Status::Open),
            queue(auction, ends_at_ms),
        ];
        self.tell(&commands).await
    }

    /// OPEN becomes CLOSING and leaves the queue; CLOSING becomes CLOSED.
    pub async fn advance(&mut self, auction: u64) -> Result<(), AppError> {
        let row = self.auctions.get(&auction).ok_or(AppError::NoSuchRow)?;
        if row.status == Status::Closed {
            return Err(AppError::NoSuchRow);
        }
        let next = row.status.next();
        let statement = sqlx::query("UPDATE auction SET status = ?, updated_at = ? WHERE id = ?")
            .bind(next.name())
            .bind(Utc::now().naive_utc())
            .bind(auction);
        self.commit(statement).await?;
        if let Some(row) = self.auctions.get_mut(&auction) {
            row.status = next;
        }
        let mut commands = vec![set_status(auction, next)];
        if next == Status::Closing {
            let mut command = redis::cmd("ZREM");
            command.arg(CLOSING_QUEUE).arg(auction);
            commands.push(command);
        }
        self.tell(&commands).await
    }

    /// A late bid moves the end of an open auction.
    pub async fn extend(&mut self, auction: u64) -> Result<(), AppError> {
        let row = self.auctions.get(&auction).ok_or(AppError::NoSuchRow)?;
        if row.status != Status::Open {
            return Err(AppError::NoSuchRow);
        }
        let ends_at_ms = row.ends_at_ms + self.random.random_range(1_000..60_000);
        let ends_at = DateTime::from_timestamp_millis(ends_at_ms)
            .unwrap_or_default()
            .naive_utc();
        let statement = sqlx::query("UPDATE auction SET ends_at = ?, updated_at = ? WHERE id = ?")
            .bind(ends_at)
            .bind(Utc::now().naive_utc())
            .bind(auction);
        self.commit(statement).await?;
        if let Some(row) = self.auctions.get_mut(&auction) {
            row.ends_at_ms = ends_at_ms;
        }
        self.tell(&[queue(auction, ends_at_ms)]).await
    }

    fn living(&self, id: u64) -> Result<User, AppError> {
        self.users
            .get(&id)
            .filter(|user| !user.is_deleted)
            .cloned()
            .ok_or(AppError::NoSuchRow)
    }

    /// The next version of a row: committed, remembered, its profile written or deleted, and then `more`.
    async fn save(&mut self, mut user: User, more: Option<redis::Cmd>) -> Result<(), AppError> {
        user.version += 1;
        let statement = sqlx::query(
            "UPDATE users SET name = ?, grade = ?, rating = ?, version = ?, balance = ?, points = ?, \
             updated_at = ? WHERE id = ?",
        )
        .bind(user.name.clone())
        .bind(user.grade.name())
        .bind(user.rating_text())
        .bind(user.version)
        .bind(user.balance)
        .bind(user.points)
        .bind(Utc::now().naive_utc())
        .bind(user.id);
        self.commit(statement).await?;
        self.users.insert(user.id, user.clone());
        let profile = if user.is_cache_aside() {
            delete(user.id, "profile")
        } else {
            set(user.id, "profile", document(&user))
        };
        let commands: Vec<_> = std::iter::once(profile).chain(more).collect();
        self.tell(&commands).await
    }

    /// Runs the commands that follow a commit, now and then a while later: threads are held up, too.
    async fn tell(&mut self, commands: &[redis::Cmd]) -> Result<(), AppError> {
        let lag_max = self.lag.max();
        if !lag_max.is_zero() && self.random.random_ratio(1, LAGGING_ONE_IN) {
            tokio::time::sleep(self.random.random_range(Duration::ZERO..=lag_max)).await;
        }
        Ok(self.cache.run_all(commands).await?)
    }

    async fn commit(
        &mut self,
        statement: sqlx::query::Query<'_, sqlx::MySql, sqlx::mysql::MySqlArguments>,
    ) -> Result<(), AppError> {
        self.cache.begin_commit();
        let result = statement.execute(self.database()?).await;
        if result.is_err() {
            self.forget_database();
        }
        Ok(result.map(drop)?)
    }

    async fn count_bids(&mut self, auction: u64) -> Result<i64, AppError> {
        let query = sqlx::query("SELECT COUNT(*) FROM bid WHERE auction_id = ?").bind(auction);
        let row = query.fetch_one(self.database()?).await;
        if row.is_err() {
            self.forget_database();
        }
        Ok(row?.try_get(0)?)
    }
}

fn document(user: &User) -> String {
    user.profile(&Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true))
}

fn key(user: u64, part: &str) -> String {
    format!("user:{user}:{part}")
}

fn set(user: u64, part: &str, value: impl redis::ToRedisArgs) -> redis::Cmd {
    let mut command = redis::cmd("SET");
    command.arg(key(user, part)).arg(value);
    command
}

fn delete(user: u64, part: &str) -> redis::Cmd {
    let mut command = redis::cmd("DEL");
    command.arg(key(user, part));
    command
}

fn set_status(auction: u64, status: Status) -> redis::Cmd {
    let mut command = redis::cmd("SET");
    command
        .arg(format!("auction:{auction}:status"))
        .arg(status.name());
    command
}

fn queue(auction: u64, ends_at_ms: i64) -> redis::Cmd {
    let mut command = redis::cmd("ZADD");
    command.arg(CLOSING_QUEUE).arg(ends_at_ms).arg(auction);
    command
}
