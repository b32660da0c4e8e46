//! One `mariadbd` or `mysqld`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, MySqlConnection, Row};

use super::certificates::Certificates;
use super::mysql_program::MysqlProgram;
use super::mysql_template::{fill, redo_log_option};
use super::ports::free_port;
use super::process::{Process, Signal};
use super::program::{is_root, log_tail};
use crate::lab::{LabError, wait};

const START_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(30);
const PORT_ATTEMPTS: usize = 5;

/// Root without a password from this machine only, whatever the server makes of 127.0.0.1's name. No replica
/// shall hear of it, and none shall have a transaction of its own for it.
const ROOT_BY_ADDRESS: &str = "SET SESSION sql_log_bin = 0;\n\
     CREATE USER IF NOT EXISTS 'root'@'127.0.0.1';\n\
     GRANT ALL PRIVILEGES ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;\n";

/// Which of the two families of servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flavor {
    MariaDb,
    MySql,
}

impl Flavor {
    /// The program as it is called on disk.
    pub fn program_name(self) -> &'static str {
        match self {
            Flavor::MariaDb => "mariadbd",
            Flavor::MySql => "mysqld",
        }
    }
}

/// What differs from a small server that does not sync to disk.
#[derive(Debug, Clone)]
pub struct MysqlOptions {
    pub flavor: Flavor,
    /// Further arguments; later ones win.
    pub arguments: Vec<String>,
    /// Gives the server a certificate of our own making, see [`MysqlServer::certificates`]. MySQL has one
    /// of its own without it.
    pub tls: bool,
}

/// A running server in a folder of its own. Dropping it kills it.
pub struct MysqlServer {
    port: u16,
    options: MysqlOptions,
    program: MysqlProgram,
    certificates: Option<Certificates>,
    process: Mutex<Option<Process>>,
    // Last, so that the process is gone before its folder.
    folder: tempfile::TempDir,
}

impl MysqlServer {
    /// Starts a server with small buffers on a free port and waits until it answers.
    pub async fn start(flavor: Flavor) -> Result<Self, LabError> {
        Self::start_with(MysqlOptions {
            flavor,
            arguments: Vec::new(),
            tls: false,
        })
        .await
    }

    /// Starts whichever flavour is installed, MariaDB first.
    pub async fn start_any() -> Result<Self, LabError> {
        Self::start(MysqlProgram::find_any()?.flavor).await
    }

    pub async fn start_with(options: MysqlOptions) -> Result<Self, LabError> {
        let program = MysqlProgram::find(options.flavor)?;
        let mut attempt = 1;
        loop {
            let folder = tempfile::Builder::new()
                .prefix("auditor-mysql-")
                .tempdir()
                .map_err(LabError::io("make a temporary folder"))?;
            let certificates = if options.tls {
                Some(Certificates::create(folder.path())?)
            } else {
                None
            };
            let data = folder.path().join("data");
            let filler = program.clone();
            tokio::task::spawn_blocking(move || fill(&filler, &data))
                .await
                .map_err(|error| {
                    LabError::Unfit(format!("filling a data folder failed: {error}"))
                })??;
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

    pub fn flavor(&self) -> Flavor {
        self.options.flavor
    }

    /// What the program says of itself.
    pub fn program(&self) -> &MysqlProgram {
        &self.program
    }

    /// `mysql://root@127.0.0.1:PORT/DATABASE`: root, without a password.
    pub fn url(&self, database: &str) -> String {
        format!("mysql://root@127.0.0.1:{}/{database}", self.port)
    }

    /// Present where `tls` was asked for.
    pub fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }

    /// The process number; `None` while it is not running.
    pub fn pid(&self) -> Option<u32> {
        self.process().as_ref().map(Process::id)
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

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
        wait::until("the database server is stopped", START_LIMIT, async || {
            self.process().as_ref().is_some_and(Process::is_stopped)
        })
        .await
    }

    /// SIGCONT.
    pub fn resume(&self) -> Result<(), LabError> {
        self.signal(Signal::Continue)
    }

    /// Kills it if it runs, and starts it again on the same port and data.
    pub async fn restart(&self) -> Result<(), LabError> {
        self.kill()?;
        self.launch().await
    }

    /// One connection as root, the session in UTC; `database` may be empty.
    pub async fn connect(&self, database: &str) -> Result<MySqlConnection, LabError> {
        let mut options = MySqlConnectOptions::new()
            .host("127.0.0.1")
            .port(self.port)
            .username("root")
            .ssl_mode(MySqlSslMode::Disabled)
            .pipes_as_concat(false)
            .no_engine_substitution(false)
            .disable_statement_logging();
        if !database.is_empty() {
            options = options.database(database);
        }
        options.connect().await.map_err(LabError::mysql(format!(
            "connect to MySQL at port {}",
            self.port
        )))
    }

    /// Runs any number of statements, separated by `;`, as root.
    pub async fn execute(&self, database: &str, statements: &str) -> Result<(), LabError> {
        let mut connection = self.connect(database).await?;
        sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))
            .execute(&mut connection)
            .await
            .map_err(LabError::mysql(format!(
                "run the statements that begin with {statements:.16}"
            )))?;
        connection
            .close()
            .await
            .map_err(LabError::mysql("close a connection"))
    }

    /// Drops `name` if it is there and makes it anew, in utf8mb4.
    pub async fn create_database(&self, name: &str) -> Result<(), LabError> {
        let statements = format!(
            "DROP DATABASE IF EXISTS `{name}`; CREATE DATABASE `{name}` CHARACTER SET utf8mb4"
        );
        self.execute("", &statements).await
    }

    async fn launch(&self) -> Result<(), LabError> {
        std::fs::write(self.folder.path().join("init.sql"), ROOT_BY_ADDRESS)
            .map_err(LabError::io("write init.sql"))?;
        let process = Process::spawn(
            &self.program.path,
            &self.arguments(),
            self.folder.path(),
            &self.log(),
        )?;
        *self.process() = Some(process);
        let answer = wait::until("the database server answers", START_LIMIT, async || {
            !self.is_running() || self.is_answering().await
        })
        .await;
        match answer {
            Ok(()) if self.is_running() => Ok(()),
            Ok(()) => Err(self.not_started("it ended at once".into())),
            Err(error) => Err(self.not_started(error.to_string())),
        }
    }

    /// Whether the one who answers at our port has our data folder, and is not another that won the port.
    async fn is_answering(&self) -> bool {
        let Ok(mut connection) = self.connect("").await else {
            return false;
        };
        let answer = sqlx::query("SELECT CAST(@@datadir AS CHAR)")
            .fetch_one(&mut connection)
            .await;
        let folder = answer.and_then(|row| row.try_get::<String, _>(0));
        folder.is_ok_and(|folder| Path::new(&folder) == self.data_dir())
    }

    fn arguments(&self) -> Vec<OsString> {
        let folder = self.folder.path().display();
        let mut arguments = vec![
            "--no-defaults".to_owned(),
            format!("--datadir={folder}/data"),
            format!("--socket={folder}/mysql.sock"),
            format!("--pid-file={folder}/mysql.pid"),
            format!("--init-file={folder}/init.sql"),
            // A server that starts removes the temporary tables it finds in a shared /tmp, also those of others.
            format!("--tmpdir={folder}"),
            // The packaged default names a folder that an unpacked server does not have.
            format!("--secure-file-priv={folder}"),
            format!("--port={}", self.port),
            "--bind-address=127.0.0.1".into(),
            "--skip-networking=0".into(),
            "--skip-name-resolve".into(),
            "--character-set-server=utf8mb4".into(),
            "--default-time-zone=+00:00".into(),
            "--max-connections=200".into(),
            "--innodb-buffer-pool-size=64M".into(),
            // Written at commit and never synced: quick, and safe against the death of the process.
            "--innodb-flush-log-at-trx-commit=2".into(),
            "--performance-schema=OFF".into(),
            "--skip-log-bin".into(),
            redo_log_option(self.options.flavor).into(),
        ];
        if self.options.flavor == Flavor::MySql {
            arguments.push("--mysqlx=OFF".into());
        }
        if is_root() {
            arguments.push("--user=root".into());
        }
        if let Some(certificates) = &self.certificates {
            arguments.push(format!("--ssl-ca={}", certificates.authority().display()));
            arguments.push(format!(
                "--ssl-cert={}",
                certificates.certificate().display()
            ));
            arguments.push(format!("--ssl-key={}", certificates.key().display()));
        }
        arguments.extend(self.options.arguments.iter().cloned());
        arguments.into_iter().map(OsString::from).collect()
    }

    fn signal(&self, signal: Signal) -> Result<(), LabError> {
        self.process()
            .as_mut()
            .ok_or_else(|| {
                LabError::Unfit(format!("the database at port {} is not running", self.port))
            })?
            .signal(signal)
    }

    fn is_running(&self) -> bool {
        self.process().as_ref().is_some_and(Process::is_running)
    }

    fn not_started(&self, reason: String) -> LabError {
        let log = log_tail(&self.log());
        drop(self.process().take());
        LabError::NotStarted {
            server: self.options.flavor.program_name(),
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
