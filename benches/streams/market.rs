//! What is audited: bids that travel through a stream, and the rows in which they end.
//!
//! Entry `n` (from 1) was added at a time of its own, in steps of fifty milliseconds; its identity looks random,
//! so that neighbours of the stream are none in the index.

use std::error::Error;
use std::fmt::Write;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use auditor::lab::servers::{MysqlOptions, MysqlProgram, MysqlServer, RedisOptions, RedisServer};
use redis::aio::MultiplexedConnection;
use tempfile::TempDir;

use super::measured::{Measured, measure, sent};

/// The window of the windowed runs: longer than the bench takes after the new entries came.
pub(crate) const SINCE: &str = "30m";
const DATABASE: &str = "market";
const STEP_MILLIS: u64 = 50;
/// The last entry of the fill is older than any window.
const AGE: Duration = Duration::from_secs(86_400);
/// The new entries are older than `commit_margin` and `cache_delay` together: a younger one that has no row is waited
/// for that long, whatever else there is to do.
const AGE_OF_NEW: Duration = Duration::from_secs(300);
/// Of the entries that the group is done with, every so many-th has no row.
const WITHOUT_ROW_EVERY: u64 = 10_000;
/// Of the pending entries, every so many-th has its row.
const PENDING_WITH_ROW_EVERY: u64 = 10_000;
/// Every so many-th entry says what the one before it says, under another identity.
const TWIN_EVERY: u64 = 50_000;
/// Every so many-th entry is of another type.
const FOREIGN_EVERY: u64 = 50;
/// Of the new entries, every so many-th has no row.
const LOST_EVERY: u64 = 100;
/// Entries of one loading script, and rows of one INSERT.
const LOADED_AT_ONCE: u64 = 20_000;
const INSERTED_AT_ONCE: u64 = 100_000;
/// The control sample, the sweep and the duplicates wait a second each.
const WAITS_MAX: Duration = Duration::from_secs(3);

/// Two servers, the job, and what is in them so far.
pub(crate) struct Market {
    pub(crate) mysql: MysqlServer,
    pub(crate) redis: RedisServer,
    pub(crate) folder: TempDir,
    cache: MultiplexedConnection,
    entries: u64,
    pending: u64,
    base_millis: u64,
    has_lost_acknowledgements: bool,
}

impl Market {
    pub(crate) async fn open() -> Result<Self, Box<dyn Error>> {
        let mysql = MysqlServer::start_with(MysqlOptions {
            flavor: MysqlProgram::find_any()?.flavor,
            // The table fits into memory, as it would on a server of its own.
            arguments: vec![
                "--innodb-buffer-pool-size=2G".into(),
                "--innodb-log-file-size=1G".into(),
                "--innodb-flush-log-at-trx-commit=0".into(),
                "--max-allowed-packet=64M".into(),
            ],
            tls: false,
        })
        .await?;
        mysql.create_database(DATABASE).await?;
        let redis = RedisServer::start(RedisOptions::default()).await?;
        let cache = redis.connect().await?;
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("job.toml"), JOB)?;
        Ok(Self {
            mysql,
            redis,
            folder,
            cache,
            entries: 0,
            pending: 0,
            base_millis: 0,
            has_lost_acknowledgements: false,
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

    pub(crate) fn pending(&self) -> u64 {
        self.pending
    }

    /// A stream of `entries`, the last `pending` of them in the hands of a living consumer, and their rows: all
    /// of what the group is done with, few of what is pending.
    pub(crate) async fn fill(&mut self, entries: u64, pending: u64) -> Result<(), Box<dyn Error>> {
        (self.entries, self.pending) = (entries, pending);
        let now = SystemTime::now().duration_since(UNIX_EPOCH)? - AGE;
        self.base_millis = u64::try_from(now.as_millis())? - entries * STEP_MILLIS;
        redis::cmd("DEL")
            .arg("bid-stream")
            .query_async::<()>(&mut self.cache)
            .await?;
        for first in (1..=entries).step_by(LOADED_AT_ONCE as usize) {
            let last = (first + LOADED_AT_ONCE - 1).min(entries);
            redis::cmd("EVAL")
                .arg(LOAD)
                .arg(1)
                .arg("bid-stream")
                .arg(&[first, last, self.base_millis, STEP_MILLIS])
                .arg(&[TWIN_EVERY, FOREIGN_EVERY])
                .query_async::<()>(&mut self.cache)
                .await?;
        }
        self.deliver(self.id(entries - pending), pending).await?;
        self.mysql.execute(DATABASE, TABLE).await?;
        let done = entries - pending;
        let has_row = format!(
            "n % {FOREIGN_EVERY} <> 0 AND IF(n <= {done}, n % {WITHOUT_ROW_EVERY} <> 17, \
             n % {PENDING_WITH_ROW_EVERY} = 17)"
        );
        self.insert(1, entries, &has_row).await?;
        self.mysql.execute(DATABASE, "ANALYZE TABLE bid").await?;
        Ok(())
    }

    /// How many findings the fill must make at least: entries without a row, pending ones with theirs, and twins
    /// in the stream and in the table.
    pub(crate) fn planted(&self) -> u64 {
        let done = self.entries - self.pending;
        let every = |every: u64, up_to: u64| up_to / every;
        let pending = match self.has_lost_acknowledgements {
            true => self.pending - self.pending / FOREIGN_EVERY - 1,
            false => every(PENDING_WITH_ROW_EVERY, self.pending),
        };
        every(WITHOUT_ROW_EVERY, done)
            + pending
            + every(TWIN_EVERY, self.entries)
            + every(TWIN_EVERY, done)
    }

    /// Adds `count` entries of some minutes ago, with their rows, read and acknowledged; gives how many findings that must make.
    pub(crate) async fn add(&mut self, count: u64) -> Result<u64, Box<dyn Error>> {
        let first = self.entries + 1;
        let last = self.entries + count;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)? - AGE_OF_NEW;
        let base = u64::try_from(now.as_millis())? - (last + 1);
        redis::cmd("EVAL")
            .arg(LOAD)
            .arg(1)
            .arg("bid-stream")
            .arg(&[first, last, base, 1])
            .arg(&[TWIN_EVERY, FOREIGN_EVERY])
            .query_async::<()>(&mut self.cache)
            .await?;
        redis::cmd("XGROUP")
            .arg(&["SETID", "bid-stream", "bid-group", "$"])
            .query_async::<()>(&mut self.cache)
            .await?;
        let has_row = format!("n % {FOREIGN_EVERY} <> 0 AND n % {LOST_EVERY} <> 7");
        self.mysql
            .execute(DATABASE, &insert_of(first, last, base, 1, &has_row))
            .await?;
        Ok((first..=last).filter(|n| n % LOST_EVERY == 7).count() as u64)
    }

    /// Gives every pending entry its row.
    pub(crate) async fn lose_every_acknowledgement(&mut self) -> Result<(), Box<dyn Error>> {
        self.has_lost_acknowledgements = true;
        let has_row = format!("n % {FOREIGN_EVERY} <> 0 AND n % {PENDING_WITH_ROW_EVERY} <> 17");
        self.insert(self.entries - self.pending + 1, self.entries, &has_row)
            .await
    }

    /// A group that has read everything and holds nothing.
    pub(crate) async fn forget_pending(&mut self) -> Result<(), Box<dyn Error>> {
        for words in [
            ["DESTROY", "bid-stream", "bid-group"].as_slice(),
            &["CREATE", "bid-stream", "bid-group", "$"],
        ] {
            redis::cmd("XGROUP")
                .arg(words)
                .query_async::<()>(&mut self.cache)
                .await?;
        }
        Ok(())
    }

    /// Runs `auditor scan` on it.
    pub(crate) async fn audit(&self, scope: &[&str]) -> Result<Measured, Box<dyn Error>> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_auditor"));
        command
            .current_dir(self.folder.path())
            .env("MYSQL_URL", self.mysql.url(DATABASE))
            .env("REDIS_URL", self.redis.url())
            .arg("scan")
            .arg("job.toml")
            .args(scope);
        let servers = [self.mysql.pid(), self.redis.pid()].map(|pid| pid.expect("it runs"));
        let before = sent(&self.redis).await?;
        let mut measured = measure(command, servers, WAITS_MAX)?;
        measured.redis_bytes = sent(&self.redis).await? - before;
        Ok(measured)
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

    pub(crate) fn sql_client(&self) -> Command {
        let mut client = Command::new(match self.mysql.flavor().program_name() {
            "mariadbd" => "mariadb",
            _ => "mysql",
        });
        client.args([
            "--protocol=tcp",
            "-h127.0.0.1",
            "-uroot",
            "--quick",
            "-N",
            "-B",
        ]);
        client.args(["-P", &self.mysql.port().to_string(), DATABASE]);
        client
    }

    /// XRANGE of all entries and XPENDING of all pending ids, a thousand at once.
    pub(crate) fn ranges(&self) -> String {
        let mut text = String::new();
        let mut pages = |command: &str, first: u64| {
            for first in (first..=self.entries).step_by(1_000) {
                let last = (first + 999).min(self.entries);
                let (first, last) = (self.id(first), self.id(last));
                let line = match command {
                    "XRANGE" => format!("XRANGE bid-stream {first} {last} COUNT 1000"),
                    _ => format!("XPENDING bid-stream bid-group {first} {last} 1000"),
                };
                writeln!(text, "{line}").expect("a text takes everything");
            }
        };
        pages("XRANGE", 1);
        pages("XPENDING", self.entries - self.pending + 1);
        text
    }

    pub(crate) fn select_all(&self) -> String {
        format!("SELECT {CELLS} FROM bid;\n")
    }

    /// The rows of all entries, five hundred at once.
    pub(crate) fn selects(&self) -> String {
        let mut text = String::new();
        for first in (1..=self.entries).step_by(500) {
            let last = (first + 499).min(self.entries);
            let of_bids = (first..=last).filter(|n| n % FOREIGN_EVERY != 0);
            let ids: Vec<String> = of_bids.map(|n| format!("'{}'", identity(n))).collect();
            let ids = ids.join(",");
            writeln!(text, "SELECT {CELLS} FROM bid WHERE bid_id IN ({ids});")
                .expect("a text takes everything");
        }
        text
    }

    fn id(&self, n: u64) -> String {
        format!("{}-0", self.base_millis + n * STEP_MILLIS)
    }

    /// Hands `count` entries after `cursor` to one consumer.
    async fn deliver(&mut self, cursor: String, count: u64) -> redis::RedisResult<()> {
        redis::cmd("XGROUP")
            .arg(&["CREATE", "bid-stream", "bid-group"])
            .arg(cursor)
            .query_async::<()>(&mut self.cache)
            .await?;
        let read = "for i = 1, ARGV[1], 1000 do redis.call('XREADGROUP', 'GROUP', 'bid-group', 'worker', 'COUNT', \
                    math.min(1000, ARGV[1] - i + 1), 'STREAMS', KEYS[1], '>') end";
        for first in (0..count).step_by(LOADED_AT_ONCE as usize) {
            redis::cmd("EVAL")
                .arg(read)
                .arg(1)
                .arg("bid-stream")
                .arg(LOADED_AT_ONCE.min(count - first))
                .query_async::<()>(&mut self.cache)
                .await?;
        }
        Ok(())
    }

    async fn insert(&self, first: u64, last: u64, has_row: &str) -> Result<(), Box<dyn Error>> {
        for first in (first..=last).step_by(INSERTED_AT_ONCE as usize) {
            let last = (first + INSERTED_AT_ONCE - 1).min(last);
            let insert = insert_of(first, last, self.base_millis, STEP_MILLIS, has_row);
            self.mysql.execute(DATABASE, &insert).await?;
        }
        Ok(())
    }
}

/// As [`LOAD`] and [`insert_of`] spell it.
fn identity(n: u64) -> String {
    format!("{:08x}-4000-8000-{n:012}", n * SCATTER % (1 << 32))
}

/// Odd, so that no two entries meet; small enough that a script's numbers hold the product exactly.
const SCATTER: u64 = 1_640_531;

/// The rows of `first` to `last` that `has_row` lets have one.
fn insert_of(first: u64, last: u64, base: u64, step: u64, has_row: &str) -> String {
    let digits = "(SELECT 0 AS d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 \
                  UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)";
    format!(
        "INSERT INTO bid (bid_id, auction_id, bidder_id, amount, created_at)
         SELECT CONCAT(LOWER(LPAD(HEX(n * {SCATTER} % 4294967296), 8, '0')), '-4000-8000-', LPAD(n, 12, '0')),
                t % 1000, t % 77777, t / 100, TIMESTAMPADD(MICROSECOND, ({base} + n * {step}) * 1000, '1970-01-01')
         FROM (SELECT n, IF(n % {TWIN_EVERY} = 33, n - 1, n) AS t
               FROM (SELECT {first} + a.d + 10*b.d + 100*c.d + 1000*e.d + 10000*f.d AS n
                     FROM {digits} a, {digits} b, {digits} c, {digits} e, {digits} f) every) bids
         WHERE n <= {last} AND {has_row} ORDER BY n"
    )
}

const CELLS: &str = "id, bid_id, auction_id, bidder_id, amount, created_at";

const TABLE: &str = "
    DROP TABLE IF EXISTS bid;
    CREATE TABLE bid (
      id BIGINT PRIMARY KEY AUTO_INCREMENT, bid_id VARCHAR(40) NOT NULL UNIQUE, auction_id BIGINT NOT NULL,
      bidder_id BIGINT NOT NULL, amount DECIMAL(14,2) NOT NULL, created_at DATETIME(6) NOT NULL, INDEX (created_at))";

/// Arguments: first and last entry, base and step of ids; then the constants of twins and of other types.
const LOAD: &str = r"
local first, last, base, step = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local twin_every, foreign_every = tonumber(ARGV[5]), tonumber(ARGV[6])
for n = first, last do
  local t = n
  if n % twin_every == 33 then t = n - 1 end
  local at = string.format('%.0f', base + n * step)
  local kind = 'BID_SAVE'
  if n % foreign_every == 0 then kind = 'BID_VIEW' end
  local amount = string.format('%.0f.%02.0f', math.floor(t / 100), t % 100)
  redis.call('XADD', KEYS[1], at .. '-0', 'type', kind,
    'bidId', string.format('%08x-4000-8000-%012.0f', (n * 1640531) % 4294967296, n),
    'auctionId', string.format('%.0f', t % 1000), 'bidderId', string.format('%.0f', t % 77777), 'amount', amount,
    'at', at)
end";

const JOB: &str = r#"
name = "market"
time_zone = "UTC"
[mysql]
url = "${MYSQL_URL}"
[redis]
url = "${REDIS_URL}"
[limits]
settle = "1s"
cache_delay = "1s"
max_keys_per_second = "unlimited"
[[stream]]
name = "bids"
key = "bid-stream"
group = "bid-group"
match = { type = "BID_SAVE" }
identity = "bidId"
table = "bid"
identity_column = "bid_id"
columns = { auction_id = "auctionId", bidder_id = "bidderId", amount = "amount", created_at = { field = "at", as = "epoch-ms" } }
unique = ["auction_id", "bidder_id", "amount"]
changed_at = "created_at"
# The consumer was alive when the bench began.
orphan_after = "10h"
subject = "bidder_id"
money = "amount"
"#;
