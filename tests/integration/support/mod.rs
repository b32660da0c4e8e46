//! What the integration tests share: a world of two real servers, a job file and the program itself.

pub mod auction;
pub mod bidding;
pub mod bids;
pub mod gate;
pub mod monitor;
pub mod profiles;
pub mod report;
pub mod shop;
mod spoken;
pub mod witness;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use auditor::lab::servers::{Flavor, MysqlServer, RedisOptions, RedisServer};
use auditor::lab::wait;
use redis::aio::MultiplexedConnection;
use sqlx::{AssertSqlSafe, MySqlConnection, Row};
use tempfile::TempDir;

use report::Report;

/// One MySQL or MariaDB, one Redis master with as many replicas as asked, one folder.
pub struct World {
    pub mysql: MysqlServer,
    pub redis: RedisServer,
    pub replicas: Vec<RedisServer>,
    pub folder: TempDir,
    pub sql: MySqlConnection,
    pub cache: MultiplexedConnection,
}

pub const DATABASE: &str = "shop";

impl World {
    pub async fn start(flavor: Flavor) -> Self {
        Self::with_replicas(flavor, 0).await
    }

    pub async fn with_replicas(flavor: Flavor, count: usize) -> Self {
        Self::around(MysqlServer::start(flavor).await.unwrap(), count).await
    }

    /// The same with a server that was started otherwise.
    pub async fn around(mysql: MysqlServer, count: usize) -> Self {
        mysql.create_database(DATABASE).await.unwrap();
        let redis = RedisServer::start(RedisOptions {
            lines: vec!["repl-diskless-sync-delay 0".into()],
            ..RedisOptions::default()
        })
        .await
        .unwrap();
        let mut replicas = Vec::new();
        for _ in 0..count {
            let options = RedisOptions {
                replica_of: Some(redis.port()),
                ..RedisOptions::default()
            };
            replicas.push(RedisServer::start(options).await.unwrap());
        }
        redis.wait_for_replicas(count).await.unwrap();
        let sql = mysql.connect(DATABASE).await.unwrap();
        let cache = redis.connect().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        Self {
            mysql,
            redis,
            replicas,
            folder,
            sql,
            cache,
        }
    }

    /// Runs statements one after the other.
    pub async fn sql(&mut self, statements: &str) {
        sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))
            .execute(&mut self.sql)
            .await
            .unwrap();
    }

    /// The first cell of the first row, as text.
    pub async fn sql_text(&mut self, select: &str) -> Option<String> {
        let row = sqlx::raw_sql(AssertSqlSafe(select.to_owned()))
            .fetch_optional(&mut self.sql)
            .await
            .unwrap()?;
        let bytes: Option<&[u8]> = row.try_get_unchecked(0).unwrap();
        bytes.map(|b| String::from_utf8_lossy(b).into_owned())
    }

    /// One command, words as they are.
    pub async fn redis<T: redis::FromRedisValue>(&mut self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        for word in &words[1..] {
            command.arg(*word);
        }
        command.query_async(&mut self.cache).await.unwrap()
    }

    /// A job file of this world: stores and quick limits, then `checks`.
    pub fn job(&self, checks: &str) -> PathBuf {
        self.job_with_limits("", checks)
    }

    /// The same with more lines in `[limits]`.
    pub fn job_with_limits(&self, limits: &str, checks: &str) -> PathBuf {
        let text = format!(
            r#"
name = "shop"
time_zone = "UTC"
[mysql]
url = "${{MYSQL_URL}}"
[redis]
url = "${{REDIS_URL}}"
[limits]
settle = "100ms"
cache_delay = "200ms"
commit_margin = "1s"
{limits}
{checks}
"#
        );
        let path = self.folder.path().join("job.toml");
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The program with this world's environment, its reports in this world's folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_auditor"));
        command
            .args(arguments)
            .env("MYSQL_URL", self.mysql.url(DATABASE))
            .env("REDIS_URL", self.redis.url())
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .current_dir(self.folder.path());
        command
    }

    /// Runs the program to its end.
    pub fn auditor(&self, arguments: &[&str]) -> Run {
        Run::of(
            self.command(arguments).output().unwrap(),
            self.folder.path(),
        )
    }

    /// Starts the program and gives it back running.
    pub fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Waits until a run has opened its report: it has its lease then, and its sweep begins.
    pub async fn has_begun(&self) {
        let runs = self.folder.path().join("output/shop");
        let is_there =
            async || std::fs::read_dir(&runs).is_ok_and(|mut folders| folders.next().is_some());
        wait::until(
            "the run opens its folder",
            Duration::from_secs(30),
            is_there,
        )
        .await
        .unwrap();
    }

    /// `scan job.toml --full`
    pub fn scan_full(&self) -> Run {
        self.auditor(&["scan", "job.toml", "--full"])
    }

    /// `repair job.toml --full --yes`, whatever the control sample says.
    pub fn repair_full(&self) -> Run {
        self.auditor(&["repair", "job.toml", "--full", "--yes", "--accept-control"])
    }
}

/// An ended run of the program.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    folder: PathBuf,
}

impl Run {
    pub fn of(output: Output, folder: &Path) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            folder: folder.to_owned(),
        }
    }

    /// Panics with everything the program said unless it ended with `code`.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "--- stdout\n{}\n--- stderr\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// The report it names in its last line.
    #[track_caller]
    pub fn report(&self) -> Report {
        let last = self.stdout.lines().last().unwrap_or_default();
        let place = last
            .rsplit(' ')
            .next()
            .unwrap_or_default()
            .trim_end_matches('.');
        let folder = self.folder.join(place);
        assert!(
            folder.is_dir(),
            "no report folder in the last line {last:?}\n{}",
            self.stderr
        );
        Report::read(&folder)
    }
}
