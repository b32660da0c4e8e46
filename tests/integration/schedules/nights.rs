//! The shipped job, crontab and hook with the real program: quiet minutes, a failover that loses writes, and the minute after.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use auditor::lab::servers::{
    Flavor, MysqlServer, RedisOptions, RedisServer, SentinelGroup, SentinelOptions,
};
use auditor::lab::wait;
use tempfile::TempDir;

use super::hook::HOOK;
use super::*;
use crate::support::report::Report;

const LIMIT: Duration = Duration::from_secs(90);
/// Thirty are enough for a control sample.
const USERS: usize = 40;
const LOST: [usize; 3] = [3, 7, 12];

const SCHEMA: &str = "
CREATE TABLE users (
  id BIGINT PRIMARY KEY, name VARCHAR(40) NOT NULL, balance BIGINT NOT NULL, version BIGINT NOT NULL DEFAULT 1,
  deleted_at DATETIME(6) NULL, updated_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
  KEY (updated_at));
CREATE USER auditor_repair@'%' IDENTIFIED BY 'p@ss/word';
GRANT SELECT, LOCK TABLES ON shop.* TO auditor_repair@'%'";

/// What `sql/grants.sql` gives to the repair of caches and to the checkpoint, together.
const ACL: &str = "user auditor_repair on >geheim resetkeys ~* -@all +@read +@connection +info +time +role +eval +evalsha \
    +script|load +wait +set +del +hset +hdel +hincrby +incrby +zadd +zrem +sadd +srem +persist +pexpire +pexpireat +xadd";

/// Two servers, their Sentinels with the hook, a MariaDB, and a folder that stands for the host's own.
struct Night {
    mysql: MysqlServer,
    old: RedisServer,
    new: RedisServer,
    sentinels: SentinelGroup,
    folder: TempDir,
}

impl Night {
    async fn begin() -> Self {
        let mysql = MysqlServer::start(Flavor::MariaDb).await.unwrap();
        mysql.create_database("shop").await.unwrap();
        mysql.execute("shop", SCHEMA).await.unwrap();
        let options = |replica_of| RedisOptions {
            replica_of,
            lines: vec![ACL.into(), "repl-diskless-sync-delay 0".into()],
            ..RedisOptions::default()
        };
        let old = RedisServer::start(options(None)).await.unwrap();
        let new = RedisServer::start(options(Some(old.port()))).await.unwrap();
        old.wait_for_replicas(1).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let wrapper = lay(folder.path());
        let line = format!("sentinel client-reconfig-script mymaster {wrapper}");
        let options = SentinelOptions {
            lines: vec![line],
            ..SentinelOptions::default()
        };
        let sentinels = SentinelGroup::start_with(old.port(), "mymaster", options)
            .await
            .unwrap();
        sentinels.wait_until_ready(1).await.unwrap();
        let night = Self {
            mysql,
            old,
            new,
            sentinels,
            folder,
        };
        night.write_job();
        night
    }

    /// The shipped job with this night's addresses, folder and quick waits; a link under the master's name, for the hook.
    fn write_job(&self) {
        let ports = self.sentinels.ports();
        let sentinels: Vec<String> = ports
            .iter()
            .map(|port| format!("127.0.0.1:{port}"))
            .collect();
        let text = read(JOB)
            .replace(
                "mysql.shop:3306",
                &format!("127.0.0.1:{}", self.mysql.port()),
            )
            .replace(
                "sentinel-1.shop:26379,sentinel-2.shop:26379,sentinel-3.shop:26379",
                &sentinels.join(","),
            )
            .replace(
                "/var/lib/auditor",
                &self.folder.path().display().to_string(),
            )
            .replace(
                "[limits]\n",
                "[limits]\nsettle = \"100ms\"\ncache_delay = \"200ms\"\ncommit_margin = \"1s\"\n",
            );
        std::fs::write(self.path("scheduled.toml"), text).unwrap();
        std::os::unix::fs::symlink(self.path("scheduled.toml"), self.path("mymaster.toml"))
            .unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Every command of the crontab, one after the other; what would be mailed.
    fn minute(&self) -> String {
        let crontab = crontab::shipped();
        let mut mail = Vec::new();
        for entry in &crontab.entries {
            let folder = self.folder.path().display().to_string();
            let command = entry
                .command
                .replace("/etc/auditor", &folder)
                .replace("/var/lib/auditor", &folder);
            let output = Command::new("sh")
                .args(["-c", &command])
                .env_clear()
                .env("PATH", format!("{folder}/bin:/usr/bin:/bin"))
                .env("CREDENTIALS_DIRECTORY", self.path("secrets"))
                .output()
                .unwrap();
            mail.extend([output.stdout, output.stderr].concat());
        }
        String::from_utf8(mail).unwrap()
    }

    /// The application: MySQL first, then the master of the moment.
    async fn pay(&self, master: &RedisServer, user: usize, balance: usize) {
        let update = format!("UPDATE users SET balance = {balance} WHERE id = {user}");
        self.mysql.execute("shop", &update).await.unwrap();
        let key = format!("user:{user}:balance");
        master
            .command(&["SET", &key, &balance.to_string()])
            .await
            .unwrap();
    }

    async fn cached(&self, user: usize) -> String {
        let value = self
            .new
            .command(&["GET", &format!("user:{user}:balance")])
            .await
            .unwrap();
        redis::from_redis_value(value).unwrap()
    }

    fn runs(&self) -> Vec<PathBuf> {
        let runs = std::fs::read_dir(self.path("output/scheduled"));
        runs.into_iter()
            .flatten()
            .map(|entry| entry.unwrap().path())
            .collect()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("hook.log")).unwrap_or_default()
    }
}

/// Lays out what a host has: the program, the secrets, the hook with Sentinel's environment, whose path it gives back.
fn lay(folder: &Path) -> String {
    for name in ["bin", "secrets", "state", "output"] {
        std::fs::create_dir(folder.join(name)).unwrap();
    }
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_auditor"), folder.join("bin/auditor")).unwrap();
    // Inside a URL a slash and an at sign are percent-encoded.
    std::fs::write(folder.join("secrets/mysql_password"), "p%40ss%2Fword\n").unwrap();
    std::fs::write(folder.join("secrets/redis_password"), "geheim\n").unwrap();
    let here = folder.display();
    let script = format!(
        "#!/bin/sh\nexport PATH='{here}/bin:/usr/bin:/bin' CREDENTIALS_DIRECTORY='{here}/secrets' AUDITOR_JOBS='{here}'\n\
         export AUDITOR_OUTPUT='{here}/output' AUDITOR_LOG='{here}/hook.log'\nexec '{}' \"$@\"\n",
        repository().join(HOOK).display()
    );
    let path = folder.join("hook");
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path.display().to_string()
}

async fn offset(server: &RedisServer, field: &str) -> u64 {
    server.info(field).await.unwrap().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_failover_at_night_is_repaired_before_anyone_is_awake() {
    let night = Night::begin().await;
    let (old, new) = (&night.old, &night.new);
    for user in 1..=USERS {
        let insert =
            format!("INSERT INTO users VALUES ({user}, 'U{user}', {user}, 1, NULL, '2026-01-01')");
        night.mysql.execute("shop", &insert).await.unwrap();
        let key = format!("user:{user}:balance");
        old.command(&["SET", &key, &user.to_string()])
            .await
            .unwrap();
    }
    // It begins to watch, and then there is nothing new.
    assert_eq!(night.minute(), "");
    assert_eq!(night.minute(), "");
    assert_eq!(night.runs(), [""; 0].map(PathBuf::from));

    let kept = offset(old, "master_repl_offset").await;
    let level = wait::until("the replica is level", LIMIT, async || {
        offset(new, "slave_repl_offset").await >= kept
    });
    level.await.unwrap();
    new.command(&["CLIENT", "PAUSE", "60000", "WRITE"])
        .await
        .unwrap();
    for user in LOST {
        night.pay(old, user, 5_000 + user).await;
    }
    // A beat that is lost too: it must not be taken for the last one that was kept.
    assert_eq!(night.minute(), "");
    old.kill().unwrap();
    let alone = wait::until("the replica's link is down", LIMIT, async || {
        let status = new.info("master_link_status").await;
        status.is_ok_and(|status| status.as_deref() == Some("down"))
    });
    alone.await.unwrap();
    new.command(&["CLIENT", "UNPAUSE"]).await.unwrap();

    let ended = wait::until("Sentinel's hook has run it", LIMIT, async || {
        night.log().contains("exit code")
    });
    ended
        .await
        .unwrap_or_else(|e| panic!("{e}: {}", night.log()));
    assert!(
        night.log().contains("exit code 0 of: auditor run"),
        "{}",
        night.log()
    );
    for user in LOST {
        assert_eq!(night.cached(user).await, (5_000 + user).to_string());
    }
    let runs = night.runs();
    assert_eq!(runs.len(), 1);
    let report = Report::read(&runs[0]);
    let mut expected =
        LOST.map(|user| format!("value-mismatch user:{user}:balance confirmed applied"));
    expected.sort();
    let lines = report.lines();
    let of_values: Vec<&String> = lines.iter().filter(|line| line.contains("user:")).collect();
    assert_eq!(of_values, expected.iter().collect::<Vec<_>>());
    assert_eq!(
        report.run["window"]["found_by"], "heartbeat",
        "{}",
        report.run["window"]
    );

    // The minutes after: handled, and nobody is told.
    assert_eq!(night.minute(), "");
    assert_eq!(night.runs(), runs);
}
