//! The application's side of Redis: who the master is, and a connection to it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisResult};
use tokio::sync::watch;

use super::log::WriteLog;

/// How the application remembers "no such user".
pub const ABSENT: &str = "__NULL__";
/// The one sorted set of every open auction.
pub const CLOSING_QUEUE: &str = "auction:closing";

/// Longer than any pause the lab makes by itself; a dead server is noticed by its closed socket.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// How the application learns which port of this machine is the master.
#[derive(Debug, Clone)]
pub enum MasterName {
    /// Told by whoever promotes.
    Watched(watch::Receiver<u16>),
    /// Asked of Sentinels at these ports.
    Sentinel { ports: Vec<u16>, name: String },
}

impl MasterName {
    async fn port(&self) -> RedisResult<u16> {
        match self {
            MasterName::Watched(port) => Ok(*port.borrow()),
            MasterName::Sentinel { ports, name } => {
                let mut result = Err((redis::ErrorKind::Io, "no Sentinel was named").into());
                for port in ports {
                    result = ask(*port, name).await;
                    if result.is_ok() {
                        break;
                    }
                }
                result
            }
        }
    }
}

/// A connection that is opened when it is needed and dropped at the first error.
pub(super) struct Cache {
    master: MasterName,
    /// With the port it leads to.
    connection: Option<(MultiplexedConnection, u16)>,
    log: WriteLog,
    /// When the clerk last began to commit, or to fill a miss.
    committed_at: DateTime<Utc>,
    /// Addresses of the application's own connections, as MONITOR prints them.
    addresses: Arc<Mutex<HashSet<String>>>,
}

impl Cache {
    pub(super) fn new(
        master: MasterName,
        addresses: Arc<Mutex<HashSet<String>>>,
        log: WriteLog,
    ) -> Self {
        Self {
            master,
            connection: None,
            log,
            committed_at: Utc::now(),
            addresses,
        }
    }

    /// From now on the database may show what the next commands carry.
    pub(super) fn begin_commit(&mut self) {
        self.committed_at = Utc::now();
    }

    /// Runs one command. After an error the outcome is unknown, and the next command asks anew
    /// for the master.
    pub(super) async fn run<T: redis::FromRedisValue>(
        &mut self,
        command: &redis::Cmd,
    ) -> RedisResult<T> {
        let opened = match self.connection.take() {
            Some(opened) => Ok(opened),
            None => self.connect().await,
        };
        let (mut connection, port) = match opened {
            Ok(opened) => opened,
            Err(fault) => {
                self.log.note(command, None, false, self.committed_at);
                return Err(fault);
            }
        };
        let answer = command.query_async(&mut connection).await;
        self.log
            .note(command, Some(port), answer.is_ok(), self.committed_at);
        if answer.is_ok() {
            self.connection = Some((connection, port));
        }
        answer
    }

    /// The next command asks anew for the master.
    pub(super) fn hang_up(&mut self) {
        self.connection = None;
    }

    /// The server that answered last; `None` after an error.
    pub(super) fn port(&self) -> Option<u16> {
        self.connection.as_ref().map(|(_, port)| *port)
    }

    /// Runs the commands one after the other up to the first error; the log has the others as sent to nobody.
    pub(super) async fn run_all(&mut self, commands: &[redis::Cmd]) -> RedisResult<()> {
        let mut left = commands.iter();
        while let Some(command) = left.next() {
            if let Err(fault) = self.run::<redis::Value>(command).await {
                for unsent in left {
                    self.log.note(unsent, None, false, self.committed_at);
                }
                return Err(fault);
            }
        }
        Ok(())
    }

    async fn connect(&self) -> RedisResult<(MultiplexedConnection, u16)> {
        let port = self.master.port().await?;
        let mut connection = open(port).await?;
        let facts: String = redis::cmd("CLIENT")
            .arg("INFO")
            .query_async(&mut connection)
            .await?;
        if let Some(address) = facts.split(' ').find_map(|fact| fact.strip_prefix("addr=")) {
            let mut addresses = self
                .addresses
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            addresses.insert(address.to_owned());
        }
        // A demoted master still answers: only who says "master" may be written to.
        let role: redis::Value = redis::cmd("ROLE").query_async(&mut connection).await?;
        match role {
            redis::Value::Array(words)
                if words.first() == Some(&redis::Value::BulkString(b"master".to_vec())) =>
            {
                Ok((connection, port))
            }
            _ => Err((redis::ErrorKind::Client, "the named master is none").into()),
        }
    }
}

async fn ask(sentinel: u16, name: &str) -> RedisResult<u16> {
    let mut connection = open(sentinel).await?;
    let (_, port): (String, u16) = redis::cmd("SENTINEL")
        .arg("GET-MASTER-ADDR-BY-NAME")
        .arg(name)
        .query_async(&mut connection)
        .await?;
    Ok(port)
}

async fn open(port: u16) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(ANSWER_LIMIT))
        .set_response_timeout(Some(ANSWER_LIMIT));
    Client::open(("127.0.0.1", port))?
        .get_multiplexed_async_connection_with_config(&config)
        .await
}
