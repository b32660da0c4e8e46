//! The connection that listens.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::ledger::{Ledger, StreamWrite, Violation, Writer};
use super::monitor::parse;
use crate::lab::servers::RedisServer;
use crate::lab::truth::cached_fields;
use crate::lab::{LabError, wait};

/// Reading far behind the server is possible under full load; never returning is not.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(30);

/// Listens to one server until it is dropped; another master needs another watcher.
///
/// What it finds at the start is what nothing may fall below. It may start while the application writes:
/// it then misses the moments between its reading and its listening, and objects to nothing on their account.
/// Of values without a direction it judges rightly only while the application's own cache writes succeed.
pub struct Watcher {
    ledger: Arc<Mutex<Ledger>>,
    marks: Arc<Mutex<HashSet<String>>>,
    listener: JoinHandle<()>,
    server: redis::aio::MultiplexedConnection,
}

impl Watcher {
    /// `app` are the application's own addresses, as [`crate::lab::app::App::addresses`] has them.
    pub async fn start(
        server: &RedisServer,
        app: Arc<Mutex<HashSet<String>>>,
    ) -> Result<Self, LabError> {
        let mut connection = server.connect().await?;
        let mut ledger = Ledger::default();
        let fields = cached_fields(&mut connection)
            .await
            .map_err(LabError::redis("read every key"))?;
        for (key, field, value) in fields {
            ledger.begin_with(&key, &field, &value);
        }
        let mut socket = TcpStream::connect(("127.0.0.1", server.port()))
            .await
            .map_err(LabError::io("connect for MONITOR"))?;
        socket
            .write_all(b"MONITOR\r\n")
            .await
            .map_err(LabError::io("send MONITOR"))?;
        let ledger = Arc::new(Mutex::new(ledger));
        let marks = Arc::new(Mutex::new(HashSet::new()));
        let listener = tokio::spawn(listen(socket, ledger.clone(), marks.clone(), app));
        let watcher = Self {
            ledger,
            marks,
            listener,
            server: connection,
        };
        watcher.catch_up().await?;
        Ok(watcher)
    }

    /// Everything that was wrong among the commands executed until now.
    pub async fn violations(&self) -> Result<Vec<Violation>, LabError> {
        self.catch_up().await?;
        Ok(lock(&self.ledger).violations())
    }

    /// How often each command was executed until now, by whom; scripts' calls count as the script's.
    pub async fn commands(&self) -> Result<BTreeMap<(Writer, String), u64>, LabError> {
        self.catch_up().await?;
        Ok(lock(&self.ledger).commands())
    }

    /// Every command until now that changed a stream, a group or a pending list and was not the application's,
    /// in order. A scan and a dry run have none; a repair's come from scripts only.
    pub async fn stream_writes(&self) -> Result<Vec<StreamWrite>, LabError> {
        self.catch_up().await?;
        Ok(lock(&self.ledger).stream_writes())
    }

    /// Waits until the listener has heard a word that was said now.
    async fn catch_up(&self) -> Result<(), LabError> {
        let word = format!("mark-{}", uuid::Uuid::now_v7());
        wait::until(
            "MONITOR repeats what was said",
            CATCH_UP_LIMIT,
            async || {
                // Said again until it is heard: at the start MONITOR may not be on yet.
                let said = redis::cmd("ECHO")
                    .arg(&word)
                    .query_async::<String>(&mut self.server.clone())
                    .await;
                said.is_err() || lock(&self.marks).contains(&word) || self.listener.is_finished()
            },
        )
        .await?;
        if lock(&self.marks).remove(&word) {
            return Ok(());
        }
        Err(LabError::Unfit(
            "the server stopped answering the watcher: what it did since is not known".into(),
        ))
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

async fn listen(
    socket: TcpStream,
    ledger: Arc<Mutex<Ledger>>,
    marks: Arc<Mutex<HashSet<String>>>,
    app: Arc<Mutex<HashSet<String>>>,
) {
    let mut reader = BufReader::with_capacity(256 * 1024, socket);
    let mut line = Vec::new();
    while let Ok(1..) = reader.read_until(b'\n', &mut line).await {
        if let Some(executed) = parse(line.trim_ascii_end()) {
            let word = executed
                .words
                .get(1)
                .filter(|word| word.starts_with(b"mark-"));
            match word {
                Some(word) => {
                    lock(&marks).insert(String::from_utf8_lossy(word).into_owned());
                }
                None => {
                    let writer = match executed.client.as_str() {
                        "lua" => Writer::Script,
                        client if lock(&app).contains(client) => Writer::App,
                        _ => Writer::Other,
                    };
                    lock(&ledger).note(&executed, writer);
                }
            }
        }
        line.clear();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
