//! One clerk: the only writer of its users and auctions, one request after the other.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::SmallRng;
use sqlx::MySqlConnection;
use sqlx::mysql::MySqlConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::cache::{Cache, MasterName};
use super::log::WriteLog;
use super::rows::{Auction, User, load_auctions, load_users};

/// Why a request was not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// Nothing, or an unknown part, happened; the clerk reads its rows again before it goes on.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// The row is committed, the cache may or may not have been written.
    #[error("the cache failed after the commit: {0}")]
    Cache(#[from] redis::RedisError),
    #[error("there is no such row, or it cannot change any more")]
    NoSuchRow,
}

/// Works on the ids whose remainder by `clerks` is `number`.
pub struct Clerk {
    pub(super) number: u64,
    pub(super) clerks: u64,
    pub(super) users: BTreeMap<u64, User>,
    pub(super) auctions: BTreeMap<u64, Auction>,
    pub(super) random: SmallRng,
    pub(super) cache: Cache,
    pub(super) lag: Lag,
    options: MySqlConnectOptions,
    database: Option<MySqlConnection>,
}

/// What all clerks of an application have in common.
#[derive(Debug, Clone, Default)]
pub(super) struct Shares {
    /// The application's own connections to Redis, as MONITOR prints them.
    pub(super) addresses: Arc<Mutex<HashSet<String>>>,
    pub(super) log: WriteLog,
    pub(super) lag: Lag,
}

/// How long at most a thread is held up between a commit and its cache write.
#[derive(Debug, Clone, Default)]
pub(super) struct Lag {
    millis: Arc<AtomicU64>,
}

impl Lag {
    pub(super) fn set(&self, max: Duration) {
        let millis = u64::try_from(max.as_millis()).unwrap_or(u64::MAX);
        self.millis.store(millis, Ordering::Relaxed);
    }

    pub(super) fn max(&self) -> Duration {
        Duration::from_millis(self.millis.load(Ordering::Relaxed))
    }
}

impl Clerk {
    pub(super) async fn hire(
        (number, clerks): (u64, u64),
        options: MySqlConnectOptions,
        master: MasterName,
        Shares {
            addresses,
            log,
            lag,
        }: Shares,
        seed: u64,
    ) -> Result<Self, AppError> {
        let mut clerk = Self {
            number,
            clerks,
            users: BTreeMap::new(),
            auctions: BTreeMap::new(),
            random: SmallRng::seed_from_u64(seed ^ (number << 32)),
            cache: Cache::new(master, addresses, log),
            lag,
            options,
            database: None,
        };
        clerk.get_ready().await?;
        Ok(clerk)
    }

    /// The users this clerk writes, in id order.
    pub fn users(&self) -> impl Iterator<Item = &User> {
        self.users.values()
    }

    /// The auctions this clerk writes, in id order.
    pub fn auctions(&self) -> impl Iterator<Item = &Auction> {
        self.auctions.values()
    }

    /// Opens a connection where there is none and reads the rows again: what was in flight when the old one
    /// broke may have been committed. Needed before the first request after a database error.
    pub async fn get_ready(&mut self) -> Result<(), AppError> {
        if self.database.is_none() {
            let mut connection = self.options.connect().await?;
            let users = load_users(&mut connection, self.number, self.clerks).await?;
            let auctions = load_auctions(&mut connection, self.number, self.clerks).await?;
            self.users = users.into_iter().map(|user| (user.id, user)).collect();
            self.auctions = auctions
                .into_iter()
                .map(|auction| (auction.id, auction))
                .collect();
            self.database = Some(connection);
        }
        Ok(())
    }

    /// The open connection. It is never opened here, in the middle of a request whose row was drawn up from
    /// what the clerk remembered before.
    pub(super) fn database(&mut self) -> Result<&mut MySqlConnection, AppError> {
        self.database
            .as_mut()
            .ok_or(AppError::Database(sqlx::Error::PoolClosed))
    }

    /// Forgets the connection after an error of the database.
    pub(super) fn forget_database(&mut self) {
        self.database = None;
    }

    pub(super) async fn leave(self) {
        if let Some(database) = self.database {
            // Nothing is in flight; a failed goodbye loses nothing.
            let _ = database.close().await;
        }
    }
}
