//! The application as a whole: many clerks under load, with a stop handle.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::Rng;
use sqlx::ConnectOptions;
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::cache::MasterName;
use super::clerk::{AppError, Clerk, Shares};
use super::log::CacheWrite;
use super::seed::Stock;
use crate::lab::servers::{MysqlServer, RedisServer};
use crate::lab::{LabError, wait};

/// How long a clerk waits before it asks again for a master that does not answer.
const RETRY_AFTER: Duration = Duration::from_millis(20);

/// Knows its servers and its stock; many can run one after the other on the same rows.
pub struct App {
    options: MySqlConnectOptions,
    master: MasterName,
    stock: Stock,
    shares: Shares,
}

/// How hard the application works.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub clerks: u64,
    /// Requests a second, all clerks together; `None`: as fast as they go.
    pub per_second: Option<u32>,
    pub seed: u64,
}

/// Requests so far. `acknowledged` ones were written to both servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    pub acknowledged: u64,
    pub failed: u64,
}

/// A running application. Dropping it ends it wherever it is; [`Running::stop`] ends it between two requests.
pub struct Running {
    shared: Arc<Shared>,
    clerks: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Shared {
    stopped: AtomicBool,
    acknowledged: AtomicU64,
    failed: AtomicU64,
}

impl App {
    /// Makes the database anew and fills both servers.
    pub async fn open(
        database: &MysqlServer,
        name: &str,
        cache: &RedisServer,
        master: MasterName,
        stock: Stock,
    ) -> Result<Self, LabError> {
        database.create_database(name).await?;
        let mut rows = database.connect(name).await?;
        stock.write(&mut rows, &mut cache.connect().await?).await?;
        let options = MySqlConnectOptions::new()
            .host("127.0.0.1")
            .port(database.port())
            .username("root")
            .database(name)
            .ssl_mode(MySqlSslMode::Disabled)
            .disable_statement_logging();
        Ok(Self {
            options,
            master,
            stock,
            shares: Shares::default(),
        })
    }

    pub fn stock(&self) -> Stock {
        self.stock
    }

    /// One clerk who has every row, for requests made by hand. Never beside a running load.
    pub async fn clerk(&self, seed: u64) -> Result<Clerk, AppError> {
        Clerk::hire(
            (0, 1),
            self.options.clone(),
            self.master.clone(),
            self.shares.clone(),
            seed,
        )
        .await
    }

    /// The application's own connections to Redis, as MONITOR prints them (`127.0.0.1:PORT`). Grows while
    /// it runs.
    pub fn addresses(&self) -> Arc<Mutex<HashSet<String>>> {
        self.shares.addresses.clone()
    }

    /// What was written to Redis since this was last asked for, in order, as its senders know it.
    pub fn take_cache_writes(&self) -> Vec<CacheWrite> {
        self.shares.log.take()
    }

    /// From now on one request in eight waits up to `max` between its commit and its cache write, which an
    /// audit must not take for a loss. None waits at first.
    pub fn lag_cache_writes(&self, max: Duration) {
        self.shares.lag.set(max);
    }

    /// Starts working. Every clerk has read its rows when this returns.
    pub async fn run(&self, load: Load) -> Result<Running, LabError> {
        let shared = Arc::new(Shared::default());
        let mut clerks = JoinSet::new();
        for number in 0..load.clerks {
            let place = (number, load.clerks);
            let clerk = Clerk::hire(
                place,
                self.options.clone(),
                self.master.clone(),
                self.shares.clone(),
                load.seed,
            )
            .await
            .map_err(|error| LabError::Unfit(format!("a clerk could not start: {error}")))?;
            clerks.spawn(work(clerk, self.stock, load, shared.clone()));
        }
        Ok(Running { shared, clerks })
    }
}

impl Running {
    pub fn tally(&self) -> Tally {
        Tally {
            acknowledged: self.shared.acknowledged.load(Ordering::Relaxed),
            failed: self.shared.failed.load(Ordering::Relaxed),
        }
    }

    /// Waits until `count` more requests were acknowledged than now.
    pub async fn wait_for(&self, count: u64, limit: Duration) -> Result<(), LabError> {
        let goal = self.tally().acknowledged + count;
        wait::until(
            format!("{count} more requests are acknowledged"),
            limit,
            async || self.tally().acknowledged >= goal,
        )
        .await
    }

    /// Lets every clerk finish its request; after this nothing of the application is in flight.
    pub async fn stop(mut self) -> Tally {
        self.shared.stopped.store(true, Ordering::Relaxed);
        while self.clerks.join_next().await.is_some() {}
        self.tally()
    }
}

async fn work(mut clerk: Clerk, stock: Stock, load: Load, shared: Arc<Shared>) {
    let pause = load
        .per_second
        .map(|rate| Duration::from_secs_f64(load.clerks as f64 / f64::from(rate.max(1))));
    let mut next = Instant::now();
    while !shared.stopped.load(Ordering::Relaxed) {
        match clerk.serve(stock).await {
            Ok(()) => {
                shared.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            // Nothing was waited for, so the other tasks of this thread are let in here.
            Err(AppError::NoSuchRow) => tokio::task::yield_now().await,
            Err(AppError::Database(_) | AppError::Cache(_)) => {
                shared.failed.fetch_add(1, Ordering::Relaxed);
                sleep(RETRY_AFTER).await;
            }
        }
        if let Some(pause) = pause {
            next += pause;
            sleep_until(next).await;
        }
    }
    clerk.leave().await;
}

impl Clerk {
    /// One request drawn at random, for one of this clerk's rows.
    async fn serve(&mut self, stock: Stock) -> Result<(), AppError> {
        self.get_ready().await?;
        let user = self.own_id(stock.served_user_ids());
        let auction = self.own_id(stock.served_auction_ids());
        let newcomer = self.own_id(stock.expected_user_ids());
        let lot = self.own_id(stock.expected_auction_ids());
        let points = self.random.random_range(-50..=50);
        match self.random.random_range(0..100) {
            0..36 => self.change_profile(user?).await,
            36..54 => self.change_balance(user?).await,
            54..68 => self.change_points(user?, points).await,
            68..85 => self.bid(auction?).await,
            85..89 => self.extend(auction?).await,
            89..91 => self.advance(auction?).await,
            91..93 => self.delete(user?).await,
            93..96 => self.register(newcomer?).await,
            96..98 => self.open(lot?).await,
            _ => self.view(user?).await,
        }
    }

    /// One of the ids that this clerk serves.
    fn own_id(&mut self, ids: RangeInclusive<u64>) -> Result<u64, AppError> {
        if ids.is_empty() {
            return Err(AppError::NoSuchRow);
        }
        let drawn = self.random.random_range(ids.clone());
        let own = drawn - drawn % self.clerks + self.number;
        ids.contains(&own).then_some(own).ok_or(AppError::NoSuchRow)
    }
}
