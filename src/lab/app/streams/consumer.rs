//! One consumer of a group: reads, writes the rows, acknowledges; and dies where it is told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::Utc;
use sqlx::mysql::MySqlConnectOptions;
use sqlx::{ConnectOptions, MySqlConnection};

use super::super::cache::Cache;
use super::super::clerk::AppError;
use super::entry::{Message, RawEntries, messages};
use super::layout::Layout;
use super::log::{StreamAct, StreamEvent, StreamLog};

/// How long a read waits for an entry.
const BLOCK_MS: u64 = 20;
/// No entry of its own is past it, so that reading its history from there gives nothing and changes nothing.
const PAST_EVERYTHING: &str = "18446744073709551614-0";

/// Between which steps a consumer dies. Before the acknowledgement is `AfterInsert`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KillAt {
    /// It has the message and nothing is written.
    BeforeInsert,
    /// The bid's row is there, its second effect is not.
    AfterRow,
    /// Everything is in MySQL, nothing is acknowledged.
    AfterInsert,
    /// All is done.
    AfterAck,
}

/// What became of a message in a consumer's hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Done,
    /// The consumer died with it.
    Died,
}

/// Works by hand, or under load (see [`super::StreamApp::run`]).
pub struct Consumer {
    pub(super) name: String,
    pub(super) layout: Layout,
    pub(super) log: StreamLog,
    pub(super) database: Option<MySqlConnection>,
    cache: Cache,
    options: MySqlConnectOptions,
}

/// Keeps a consumer alive in the eyes of the group, with whatever it holds, until dropped.
pub struct Alive {
    stopped: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl KillAt {
    pub const ALL: [KillAt; 4] = [
        KillAt::BeforeInsert,
        KillAt::AfterRow,
        KillAt::AfterInsert,
        KillAt::AfterAck,
    ];
}

impl Consumer {
    pub(super) fn new(
        name: String,
        layout: Layout,
        cache: Cache,
        options: MySqlConnectOptions,
        log: StreamLog,
    ) -> Self {
        Self {
            name,
            layout,
            log,
            database: None,
            cache,
            options,
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Up to `count` entries that nobody was given before.
    pub async fn read(&mut self, count: usize) -> Result<Vec<Message>, AppError> {
        let read = self.read_from(count, ">").await?;
        for message in &read {
            self.note(StreamAct::Read, message, true);
        }
        Ok(read)
    }

    /// Up to `count` of the messages that it was given before and has not acknowledged, after `after`.
    /// The server counts another delivery of each.
    pub async fn read_history(
        &mut self,
        after: &str,
        count: usize,
    ) -> Result<Vec<Message>, AppError> {
        self.read_from(count, after).await
    }

    /// Shows the group that it is there, without being given anything.
    pub async fn show_up(&mut self) -> Result<(), AppError> {
        self.read_from(1, PAST_EVERYTHING).await.map(drop)
    }

    /// Takes these messages over from whoever has them.
    pub async fn claim(&mut self, ids: &[&str]) -> Result<Vec<Message>, AppError> {
        let mut command = redis::cmd("XCLAIM");
        command
            .arg(self.layout.stream())
            .arg(self.layout.group())
            .arg(&self.name)
            .arg(0)
            .arg(ids);
        let raw: RawEntries = self.cache.run(&command).await?;
        let claimed = messages(raw);
        for message in &claimed {
            self.note(StreamAct::Claim, message, true);
        }
        Ok(claimed)
    }

    /// The whole way of a message, up to where it is told to die.
    pub async fn process(
        &mut self,
        message: &Message,
        kill: Option<KillAt>,
    ) -> Result<Fate, AppError> {
        let is_killed = |at| kill == Some(at);
        if is_killed(KillAt::BeforeInsert) {
            return Ok(self.die(message));
        }
        if let Some(bid) = &message.bid {
            self.persist_row(&message.id, bid).await?;
            if is_killed(KillAt::AfterRow) {
                return Ok(self.die(message));
            }
            self.persist_effect(&message.id, bid).await?;
        }
        if is_killed(KillAt::AfterRow) || is_killed(KillAt::AfterInsert) {
            return Ok(self.die(message));
        }
        self.acknowledge(message).await?;
        if is_killed(KillAt::AfterAck) {
            return Ok(self.die(message));
        }
        Ok(Fate::Done)
    }

    /// XACK; whether the message was still pending.
    pub async fn acknowledge(&mut self, message: &Message) -> Result<bool, AppError> {
        let mut command = redis::cmd("XACK");
        command
            .arg(self.layout.stream())
            .arg(self.layout.group())
            .arg(&message.id);
        let acknowledged: Result<u64, _> = self.cache.run(&command).await;
        self.note(StreamAct::Ack, message, acknowledged.is_ok());
        Ok(acknowledged? == 1)
    }

    /// Lets the consumer show up every `every` and do nothing else, as one does whose work takes long.
    /// It follows the master like the rest of the application.
    pub fn stay_alive(mut self, every: Duration) -> Alive {
        let stopped = Arc::new(AtomicBool::new(false));
        let is_stopped = stopped.clone();
        let task = tokio::spawn(async move {
            while !is_stopped.load(Ordering::Relaxed) {
                // It comes back by itself: an error drops the connection.
                let _ = self.show_up().await;
                tokio::time::sleep(every).await;
            }
        });
        Alive { stopped, task }
    }

    pub(super) fn note(&self, act: StreamAct, message: &Message, is_acknowledged: bool) {
        let is_in_redis = matches!(act, StreamAct::Read | StreamAct::Claim | StreamAct::Ack);
        let bid_id = message.bid.as_ref().map(|bid| bid.bid_id.clone());
        self.log.note(StreamEvent {
            layout: self.layout,
            act,
            actor: self.name.clone(),
            id: message.id.clone(),
            bid_id: bid_id.unwrap_or_default(),
            is_acknowledged,
            port: self.cache.port().filter(|_| is_in_redis),
            at: Utc::now(),
        });
    }

    /// The open connection to MySQL. Nothing is remembered between messages, so a new one is as good.
    pub(super) async fn database(&mut self) -> Result<&mut MySqlConnection, AppError> {
        if self.database.is_none() {
            self.database = Some(self.options.connect().await?);
        }
        self.database
            .as_mut()
            .ok_or(AppError::Database(sqlx::Error::PoolClosed))
    }

    fn die(&self, message: &Message) -> Fate {
        self.note(StreamAct::Die, message, true);
        Fate::Died
    }

    async fn read_from(&mut self, count: usize, from: &str) -> Result<Vec<Message>, AppError> {
        let mut command = redis::cmd("XREADGROUP");
        command
            .arg("GROUP")
            .arg(self.layout.group())
            .arg(&self.name)
            .arg("COUNT")
            .arg(count)
            .arg("BLOCK")
            .arg(BLOCK_MS)
            .arg("STREAMS")
            .arg(self.layout.stream())
            .arg(from);
        let answer: Option<Vec<(String, RawEntries)>> = self.cache.run(&command).await?;
        let streams = answer.unwrap_or_default();
        Ok(streams
            .into_iter()
            .flat_map(|(_, entries)| messages(entries))
            .collect())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.task.abort();
    }
}
