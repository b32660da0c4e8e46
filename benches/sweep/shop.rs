//! What is audited: users with a versioned JSON profile and a balance each, one in a thousand stale.

use std::error::Error;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use auditor::lab::servers::{MysqlOptions, MysqlProgram, MysqlServer, RedisOptions, RedisServer};
use redis::aio::MultiplexedConnection;
use tempfile::TempDir;

use super::measured::{Measured, measure, sent};

/// The window of the windowed run: longer than the bench takes after the change.
pub(crate) const SINCE: &str = "30m";
/// Every so many-th user's profile and balance are of an earlier version.
const STALE_EVERY: u64 = 1_000;
/// Of the rows that change for the windowed run, every so many-th never reaches Redis.
const LOST_EVERY: u64 = 100;
/// The control sample and the sweep wait a second each; while one check waited longer the other worked.
const WAITS_MAX: Duration = Duration::from_secs(2);
const DATABASE: &str = "shop";
/// Keys of one MSET.
const KEYS_PER_COMMAND: u64 = 1_000;

/// Which rows and keys the floor is measured with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Workload {
    All,
    Changed,
}

/// Two servers, the job, and what is in them so far.
pub(crate) struct Shop {
    pub(crate) mysql: MysqlServer,
    pub(crate) redis: RedisServer,
    pub(crate) folder: TempDir,
    cache: MultiplexedConnection,
    rows: u64,
    changed_every: u64,
}

pub(crate) fn stale_among(rows: u64) -> u64 {
    rows / STALE_EVERY
}

impl Shop {
    pub(crate) async fn open() -> Result<Self, Box<dyn Error>> {
        let mysql = MysqlServer::start_with(MysqlOptions {
            flavor: MysqlProgram::find_any()?.flavor,
            // The table fits into memory, as it would on a server of its own.
            arguments: vec!["--innodb-buffer-pool-size=1G".into()],
            tls: false,
        })
        .await?;
        mysql.create_database(DATABASE).await?;
        mysql
            .execute(
                DATABASE,
                "CREATE TABLE users (
                   id BIGINT PRIMARY KEY, name VARCHAR(40) NOT NULL, email VARCHAR(60) NOT NULL,
                   grade VARCHAR(10) NOT NULL, rating DECIMAL(3,2) NOT NULL, city VARCHAR(20) NOT NULL,
                   balance BIGINT NOT NULL, version BIGINT NOT NULL, updated_at DATETIME(6) NOT NULL,
                   INDEX (updated_at))",
            )
            .await?;
        let redis = RedisServer::start(RedisOptions::default()).await?;
        let cache = redis.connect().await?;
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("job.toml"), JOB)?;
        Ok(Self {
            mysql,
            redis,
            folder,
            cache,
            rows: 0,
            changed_every: 0,
        })
    }

    /// One sentence on what is used.
    pub(crate) fn told(&self) -> String {
        format!(
            "{} and redis-server on this machine; max_keys_per_second = \"unlimited\", settle = \"1s\", \
             cache_delay = \"1s\"",
            self.mysql.flavor().program_name()
        )
    }

    /// Adds users until there are `rows`.
    pub(crate) async fn fill_to(&mut self, rows: u64) -> Result<(), Box<dyn Error>> {
        let digits = "(SELECT 0 AS d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 \
                      UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)";
        let from = self.rows + 1;
        for first in (from..=rows).step_by(100_000) {
            let last = (first + 99_999).min(rows);
            let insert = format!(
                "INSERT INTO users
                 SELECT id, CONCAT('User number ', id), CONCAT('user', id, '@example.com'),
                        ELT(1 + id % 3, 'BASIC', 'SILVER', 'VIP'), (id % 500) / 100, CONCAT('City ', id % 1000),
                        id * 7, 3, '2025-01-01'
                 FROM (SELECT {first} + a.d + 10*b.d + 100*c.d + 1000*e.d + 10000*f.d AS id
                       FROM {digits} a, {digits} b, {digits} c, {digits} e, {digits} f) n
                 WHERE id <= {last} ORDER BY id"
            );
            self.mysql.execute(DATABASE, &insert).await?;
        }
        self.mysql.execute(DATABASE, "ANALYZE TABLE users").await?;
        let stale = |id: u64| if id % STALE_EVERY == 7 { 2 } else { 3 };
        self.write((from..=rows).map(|id| (id, stale(id)))).await?;
        self.rows = rows;
        Ok(())
    }

    /// Changes `count` rows all over the table; gives how many findings that must make.
    pub(crate) async fn change(&mut self, count: u64) -> Result<u64, Box<dyn Error>> {
        self.changed_every = (self.rows / count).max(1);
        let every = self.changed_every;
        self.mysql
            .execute(
                DATABASE,
                &format!(
                    "UPDATE users SET version = 4, balance = id * 7 + 1, updated_at = UTC_TIMESTAMP(6)
                     WHERE id % {every} = 0"
                ),
            )
            .await?;
        let changed = (1..=self.rows / every).map(|n| n * every);
        let arrived = changed
            .clone()
            .filter(|id| !(id / every).is_multiple_of(LOST_EVERY));
        self.write(arrived.map(|id| (id, 4))).await?;
        // Each lost user is one finding in the profile and one in the balance.
        Ok(2 * changed
            .filter(|id| (id / every).is_multiple_of(LOST_EVERY))
            .count() as u64)
    }

    async fn write(&mut self, users: impl Iterator<Item = (u64, u64)>) -> redis::RedisResult<()> {
        let mut users = users.peekable();
        while users.peek().is_some() {
            let mut set = redis::cmd("MSET");
            for (id, version) in users.by_ref().take(KEYS_PER_COMMAND as usize / 2) {
                set.arg(format!("user:{id}:profile"))
                    .arg(profile(id, version));
                set.arg(format!("user:{id}:balance"))
                    .arg(balance(id, version));
            }
            set.query_async::<()>(&mut self.cache).await?;
        }
        Ok(())
    }

    /// Runs `auditor scan` on it.
    pub(crate) async fn audit(&self, scope: &[&str]) -> Result<Measured, Box<dyn Error>> {
        let mut command = self.auditor();
        command.arg("scan").arg("job.toml").args(scope);
        let servers = [self.mysql.pid(), self.redis.pid()].map(|pid| pid.expect("it runs"));
        let before = sent(&self.redis).await?;
        let mut measured = measure(command, servers, WAITS_MAX)?;
        measured.redis_bytes = sent(&self.redis).await? - before;
        Ok(measured)
    }

    pub(crate) fn auditor(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_auditor"));
        command
            .current_dir(self.folder.path())
            .env("MYSQL_URL", self.mysql.url(DATABASE))
            .env("REDIS_URL", self.redis.url());
        command
    }

    /// For a profiler.
    pub(crate) fn how_to_run_it(&self) -> String {
        format!(
            "\nholding; Enter ends it. To run it under a profiler:\ncd {} && MYSQL_URL={} REDIS_URL={} \
             perf record -g {} scan job.toml --full",
            self.folder.path().display(),
            self.mysql.url(DATABASE),
            self.redis.url(),
            env!("CARGO_BIN_EXE_auditor")
        )
    }

    /// The command line of the SQL client, and one SELECT for each check.
    pub(crate) fn sql_client(&self, workload: Workload) -> (PathBuf, Vec<String>, String) {
        let condition = match workload {
            Workload::All => "1".to_owned(),
            Workload::Changed => "updated_at >= UTC_TIMESTAMP(6) - INTERVAL 30 MINUTE".to_owned(),
        };
        let selects = format!(
            "SELECT id, name, email, grade, rating, city, version, updated_at FROM users WHERE {condition};\n\
             SELECT id, balance, updated_at FROM users WHERE {condition};\n"
        );
        let program = match self.mysql.flavor().program_name() {
            "mariadbd" => "mariadb",
            _ => "mysql",
        };
        let port = self.mysql.port().to_string();
        let words = [
            "--protocol=tcp",
            "-h127.0.0.1",
            "-uroot",
            "--quick",
            "-N",
            "-B",
            "-P",
            &port,
            DATABASE,
        ];
        let words = words.iter().map(|w| (*w).to_owned()).collect();
        (PathBuf::from(program), words, selects)
    }

    /// MGETs of a thousand keys, one a line.
    pub(crate) fn gets(&self, workload: Workload) -> String {
        let every = match workload {
            Workload::All => 1,
            Workload::Changed => self.changed_every,
        };
        let ids: Vec<u64> = (1..=self.rows / every).map(|n| n * every).collect();
        let mut text = String::new();
        for kind in ["profile", "balance"] {
            for group in ids.chunks(KEYS_PER_COMMAND as usize) {
                text.push_str("MGET");
                group
                    .iter()
                    .for_each(|id| text.push_str(&format!(" user:{id}:{kind}")));
                text.push('\n');
            }
        }
        text
    }
}

/// About 150 bytes.
fn profile(id: u64, version: u64) -> String {
    let grade = ["BASIC", "SILVER", "VIP"][(id % 3) as usize];
    format!(
        "{{\"version\":{version},\"name\":\"User number {id}\",\"email\":\"user{id}@example.com\",\"grade\":\"{grade}\",\
         \"rating\":{}.{:02},\"city\":\"City {}\",\"lastSeen\":{}}}",
        id % 500 / 100,
        id % 100,
        id % 1000,
        1_735_689_600_000 + id
    )
}

fn balance(id: u64, version: u64) -> u64 {
    // Of version 3 as inserted, of version 4 one more, of version 2 one less.
    id * 7 + version - 3
}

const JOB: &str = r#"
name = "shop"
time_zone = "UTC"
[mysql]
url = "${MYSQL_URL}"
[redis]
url = "${REDIS_URL}"
[limits]
settle = "1s"
cache_delay = "1s"
max_keys_per_second = "unlimited"
[[cache]]
name = "profile"
key = "user:{id}:profile"
value = "json"
table = "users"
changed_at = "updated_at"
deletes = "never"
version = { cache = "/version", column = "version" }
fields = [
  { cache = "/name", column = "name" },
  { cache = "/email", column = "email" },
  { cache = "/grade", column = "grade", states = ["BASIC", "SILVER", "VIP"] },
  { cache = "/rating", column = "rating" },
  { cache = "/city", column = "city" },
]
ignore = ["/lastSeen"]
order = "source-first"
[[cache]]
name = "balance"
key = "user:{id}:balance"
value = "integer"
table = "users"
changed_at = "updated_at"
deletes = "never"
fields = [{ column = "balance", balance = true }]
subject = "id"
currency = "KRW"
order = "source-first"
"#;
