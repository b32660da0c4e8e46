//! The streams' application as a whole.

use std::collections::HashSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use chrono::Utc;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use sqlx::ConnectOptions;
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};

use super::super::cache::{Cache, MasterName};
use super::super::clerk::AppError;
use super::super::log::WriteLog;
use super::super::seed::SCHEMA;
use super::consumer::Consumer;
use super::layout::Layout;
use super::log::{StreamAct, StreamEvent, StreamLog};
use super::producer::Producer;
use crate::lab::LabError;
use crate::lab::servers::{MysqlServer, RedisServer};

/// Knows its servers; producers and consumers are hired from it.
pub struct StreamApp {
    options: MySqlConnectOptions,
    master: MasterName,
    /// Connections to Redis of this application, as MONITOR prints them.
    addresses: Arc<Mutex<HashSet<String>>>,
    log: StreamLog,
    drawn: Arc<AtomicU64>,
}

impl StreamApp {
    /// Makes the database anew, with the tables of the whole auction house, and on `cache` the two groups that
    /// are made with their streams. A database of its own: the cached prices of [`super::super::App`] follow
    /// the bids of its clerks and of nobody else.
    pub async fn open(
        database: &MysqlServer,
        name: &str,
        cache: &RedisServer,
        master: MasterName,
    ) -> Result<Self, LabError> {
        database.create_database(name).await?;
        database.execute(name, SCHEMA).await?;
        let options = MySqlConnectOptions::new()
            .host("127.0.0.1")
            .port(database.port())
            .username("root")
            .database(name)
            .ssl_mode(MySqlSslMode::Disabled)
            .disable_statement_logging();
        let app = Self {
            options,
            master,
            addresses: Arc::default(),
            log: StreamLog::default(),
            drawn: Arc::default(),
        };
        for layout in [Layout::ByBidId, Layout::ByEntryId] {
            app.create_group(cache, layout, "0").await?;
        }
        Ok(app)
    }

    /// Other connections of the same application, such as [`super::super::App::addresses`], so that one witness
    /// knows them all.
    pub fn share_addresses(&mut self, addresses: Arc<Mutex<HashSet<String>>>) {
        self.addresses = addresses;
    }

    /// The application's own connections to Redis, as MONITOR prints them. Grows while it runs.
    pub fn addresses(&self) -> Arc<Mutex<HashSet<String>>> {
        self.addresses.clone()
    }

    /// Everything that was done since this was last asked for.
    pub fn take_events(&self) -> Vec<StreamEvent> {
        self.log.take()
    }

    /// A consumer of this name. Nothing is opened before it is needed.
    pub fn consumer(&self, layout: Layout, name: &str) -> Consumer {
        Consumer::new(
            name.to_owned(),
            layout,
            self.cache(),
            self.options.clone(),
            self.log.clone(),
        )
    }

    pub fn producer(&self, seed: u64) -> Producer {
        let random = SmallRng::seed_from_u64(seed);
        Producer::new(self.cache(), self.log.clone(), random, self.drawn.clone())
    }

    /// XGROUP CREATE … MKSTREAM, as a deployment does it.
    pub async fn create_group(
        &self,
        cache: &RedisServer,
        layout: Layout,
        at: &str,
    ) -> Result<(), LabError> {
        let words = [
            "XGROUP",
            "CREATE",
            layout.stream(),
            layout.group(),
            at,
            "MKSTREAM",
        ];
        let answer = cache.command(&words).await;
        self.note(layout, StreamAct::CreateGroup, "", cache, answer.is_ok());
        answer.map(drop)
    }

    /// XDEL, as a housekeeper does it.
    pub async fn delete(
        &self,
        cache: &RedisServer,
        layout: Layout,
        id: &str,
    ) -> Result<(), LabError> {
        let answer = cache.command(&["XDEL", layout.stream(), id]).await;
        self.note(layout, StreamAct::Delete, id, cache, answer.is_ok());
        answer.map(drop)
    }

    /// XTRIM MINID, as a housekeeper does it: everything before `id` goes.
    pub async fn trim(
        &self,
        cache: &RedisServer,
        layout: Layout,
        id: &str,
    ) -> Result<(), LabError> {
        let words = ["XTRIM", layout.stream(), "MINID", "=", id];
        let answer = cache.command(&words).await;
        self.note(layout, StreamAct::Trim, id, cache, answer.is_ok());
        answer.map(drop)
    }

    fn note(
        &self,
        layout: Layout,
        act: StreamAct,
        id: &str,
        cache: &RedisServer,
        is_acknowledged: bool,
    ) {
        self.log.note(StreamEvent {
            layout,
            act,
            actor: "housekeeper".to_owned(),
            id: id.to_owned(),
            bid_id: String::new(),
            is_acknowledged,
            port: Some(cache.port()),
            at: Utc::now(),
        });
    }

    fn cache(&self) -> Cache {
        Cache::new(
            self.master.clone(),
            self.addresses.clone(),
            WriteLog::default(),
        )
    }
}

/// A step by hand that must succeed.
pub(in crate::lab) fn unfit(error: AppError) -> LabError {
    LabError::Unfit(format!("a step of the bidding application failed: {error}"))
}
