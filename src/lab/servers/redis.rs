//! One `redis-server`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, TlsCertificates};

use super::certificates::Certificates;
use super::ports::free_port;
use super::process::{Process, Signal};
use super::program::{find, log_tail};
use crate::lab::{LabError, wait};

const PACKAGE: &str = "install the Debian package redis-server";
/// A server on a loaded machine starts in well under a second; past this it never will.
const START_LIMIT: Duration = Duration::from_secs(30);
/// A master waits up to `shutdown-timeout` (10 s) for a replica that lags.
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// Ports are guessed, so another process may win one; five losses in a row are no accident.
const PORT_ATTEMPTS: usize = 5;

/// What differs from a plain master without persistence.
#[derive(Clone, Default)]
pub struct RedisOptions {
    /// Further lines of the configuration file; later lines win.
    pub lines: Vec<String>,
    /// The port of the master on this machine.
    pub replica_of: Option<u16>,
    /// TLS only; the certificate is made on the spot, see [`RedisServer::certificates`].
    pub tls: bool,
    /// With TLS: of another server, which this one and its clients shall trust, in place of one of its own.
    pub certificates: Option<Certificates>,
    pub password: Option<String>,
    /// Another `redis-server` or `valkey-server` than the one on PATH, see [`super::RedisProgram`].
    pub program: Option<PathBuf>,
}

/// A running server in a folder of its own. Dropping it kills it.
pub struct RedisServer {
    port: u16,
    options: RedisOptions,
    program: PathBuf,
    certificates: Option<Certificates>,
    process: Mutex<Option<Process>>,
    // Last, so that the process is gone before its folder.
    folder: tempfile::TempDir,
}

impl RedisServer {
    /// Starts a server on a free port and waits until it answers (a replica may still be syncing).
    pub async fn start(options: RedisOptions) -> Result<Self, LabError> {
        let program = match &options.program {
            Some(program) => program.clone(),
            None => find("redis-server", PACKAGE)?,
        };
        let mut attempt = 1;
        loop {
            let folder = tempfile::Builder::new()
                .prefix("auditor-redis-")
                .tempdir()
                .map_err(LabError::io("make a temporary folder"))?;
            let certificates = match &options.certificates {
                _ if !options.tls => None,
                Some(shared) => Some(shared.clone()),
                None => Some(Certificates::create(folder.path())?),
            };
            let server = Self {
                port: free_port()?,
                options: options.clone(),
                program: program.clone(),
                certificates,
                process: Mutex::new(None),
                folder,
            };
            match server.launch().await {
                Err(LabError::NotStarted { log, .. })
                    if log.contains("in use") && attempt < PORT_ATTEMPTS =>
                {
                    attempt += 1
                }
                result => return result.map(|()| server),
            }
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// `redis://127.0.0.1:PORT`, `rediss://` with TLS; the password, if any, included.
    pub fn url(&self) -> String {
        let scheme = if self.options.tls { "rediss" } else { "redis" };
        let user = self
            .options
            .password
            .as_ref()
            .map_or(String::new(), |p| format!(":{p}@"));
        format!("{scheme}://{user}127.0.0.1:{}", self.port)
    }

    /// The unix socket it listens on as well.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    /// Present with TLS.
    pub fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }

    /// The process number; `None` while it is not running.
    pub fn pid(&self) -> Option<u32> {
        self.process().as_ref().map(Process::id)
    }

    /// Where its RDB and AOF files lie.
    pub fn data_dir(&self) -> &Path {
        self.folder.path()
    }

    /// What it has logged so far.
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// SIGKILL, waited for. Nothing to do if it is not running.
    pub fn kill(&self) -> Result<(), LabError> {
        let process = self.process().take();
        process.map_or(Ok(()), Process::kill)
    }

    /// SIGTERM, waited for. Nothing to do if it is not running.
    pub async fn stop(&self) -> Result<(), LabError> {
        let process = self.process().take();
        match process {
            Some(process) => process.stop(STOP_LIMIT).await,
            None => Ok(()),
        }
    }

    /// SIGSTOP, waited for: connections stay open, nothing is answered.
    pub async fn pause(&self) -> Result<(), LabError> {
        self.signal(Signal::Stop)?;
        wait::until("redis-server is stopped", START_LIMIT, async || {
            self.process().as_ref().is_some_and(Process::is_stopped)
        })
        .await
    }

    /// SIGCONT.
    pub fn resume(&self) -> Result<(), LabError> {
        self.signal(Signal::Continue)
    }

    /// Kills it if it runs, and starts it again on the same port and folder. What Sentinel or
    /// `CONFIG REWRITE` changed in its configuration is forgotten; `REPLICAOF` too.
    pub async fn restart(&self) -> Result<(), LabError> {
        self.kill()?;
        self.launch().await
    }

    /// A connection that never reconnects, with a patient response timeout.
    pub async fn connect(&self) -> Result<MultiplexedConnection, LabError> {
        let action = || format!("connect to Redis at port {}", self.port);
        let client = match &self.certificates {
            Some(certificates) => Client::build_with_tls(
                self.url(),
                TlsCertificates {
                    client_tls: None,
                    root_cert: Some(certificates.authority_pem()?),
                },
            ),
            None => Client::open(self.url()),
        }
        .map_err(LabError::redis(action()))?;
        connection_of(&client)
            .await
            .map_err(LabError::redis(action()))
    }

    /// One command on a connection of its own, for steps of a test or a failover.
    pub async fn command(&self, words: &[&str]) -> Result<redis::Value, LabError> {
        let mut connection = self.connect().await?;
        let mut command = redis::cmd(words.first().copied().unwrap_or("PING"));
        for word in words.iter().skip(1) {
            command.arg(*word);
        }
        command
            .query_async(&mut connection)
            .await
            // Only the first word: the others may hold a password.
            .map_err(LabError::redis(format!(
                "run {} on Redis at port {}",
                words.first().unwrap_or(&"PING"),
                self.port
            )))
    }

    /// One line of INFO by its name, e.g. `master_repl_offset`.
    pub async fn info(&self, field: &str) -> Result<Option<String>, LabError> {
        let mut connection = self.connect().await?;
        info_of(&mut connection, field)
            .await
            .map_err(LabError::redis(format!(
                "ask Redis at port {} for {field}",
                self.port
            )))
    }

    /// Waits until this master lists `count` replicas as `state=online`. The replica's own
    /// `master_link_status:up` comes earlier, and what is written in between can be lost.
    pub async fn wait_for_replicas(&self, count: usize) -> Result<(), LabError> {
        let mut connection = self.connect().await?;
        for number in 0..count {
            let field = format!("slave{number}");
            wait::until(
                format!("replica {number} of port {} is online", self.port),
                START_LIMIT,
                async || {
                    info_of(&mut connection.clone(), &field)
                        .await
                        .is_ok_and(|line| line.is_some_and(|line| line.contains("state=online")))
                },
            )
            .await?;
        }
        let _: redis::Value = redis::cmd("PING")
            .query_async(&mut connection)
            .await
            .map_err(LabError::redis("ping the master"))?;
        Ok(())
    }

    async fn launch(&self) -> Result<(), LabError> {
        let configuration = self.folder.path().join("redis.conf");
        std::fs::write(&configuration, self.configuration())
            .map_err(LabError::io(format!("write {}", configuration.display())))?;
        let process = Process::spawn(
            &self.program,
            &[configuration.into()],
            self.folder.path(),
            &self.log(),
        )?;
        let id = process.id();
        *self.process() = Some(process);
        let answer = wait::until("redis-server answers", START_LIMIT, async || {
            !self.is_running() || self.answers_as(id).await
        })
        .await;
        match answer {
            Ok(()) if self.is_running() => Ok(()),
            Ok(()) => Err(self.not_started("it ended at once".into())),
            Err(error) => Err(self.not_started(error.to_string())),
        }
    }

    /// Whether the one who answers at our port is our own process, not another that won the port.
    async fn answers_as(&self, id: u32) -> bool {
        let process_id = self.info("process_id").await;
        process_id.is_ok_and(|answer| answer == Some(id.to_string()))
    }

    fn configuration(&self) -> String {
        let (plain, tls) = if self.options.tls {
            (0, self.port)
        } else {
            (self.port, 0)
        };
        let folder = self.folder.path().display();
        let mut text = format!(
            "bind 127.0.0.1\nport {plain}\ndir {folder}\nunixsocket {}\nsave \"\"\nappendonly no\n\
             repl-diskless-sync-delay 0\nprotected-mode no\ndaemonize no\nlogfile \"\"\n",
            self.socket().display()
        );
        if let Some(certificates) = &self.certificates {
            let _ = write!(
                text,
                "tls-port {tls}\ntls-cert-file {}\ntls-key-file {}\ntls-ca-cert-file {}\n\
                 tls-auth-clients no\ntls-replication yes\n",
                certificates.certificate().display(),
                certificates.key().display(),
                certificates.authority().display(),
            );
        }
        if let Some(password) = &self.options.password {
            let _ = write!(text, "requirepass {password}\nmasterauth {password}\n");
        }
        if let Some(master) = self.options.replica_of {
            let _ = writeln!(text, "replicaof 127.0.0.1 {master}");
        }
        for line in &self.options.lines {
            let _ = writeln!(text, "{line}");
        }
        text
    }

    fn signal(&self, signal: Signal) -> Result<(), LabError> {
        self.process()
            .as_mut()
            .ok_or_else(|| LabError::Unfit(format!("Redis at port {} is not running", self.port)))?
            .signal(signal)
    }

    fn is_running(&self) -> bool {
        self.process().as_ref().is_some_and(Process::is_running)
    }

    fn not_started(&self, reason: String) -> LabError {
        let log = log_tail(&self.log());
        drop(self.process().take());
        LabError::NotStarted {
            server: "redis-server",
            reason,
            log,
        }
    }

    fn process(&self) -> std::sync::MutexGuard<'_, Option<Process>> {
        self.process
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The crate's own limits (half a second for an answer) are too short for a loaded machine.
pub(super) async fn connection_of(client: &Client) -> redis::RedisResult<MultiplexedConnection> {
    const LIMIT: Duration = Duration::from_secs(10);
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(LIMIT))
        .set_response_timeout(Some(LIMIT));
    client
        .get_multiplexed_async_connection_with_config(&config)
        .await
}

async fn info_of(
    connection: &mut MultiplexedConnection,
    field: &str,
) -> redis::RedisResult<Option<String>> {
    let text: String = redis::cmd("INFO").query_async(connection).await?;
    Ok(text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
        .map(|value| value.trim().to_owned()))
}
