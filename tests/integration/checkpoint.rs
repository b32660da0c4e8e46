//! Heartbeats, their evidence and what is kept of them, on real servers.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use auditor::failover::sampler::{self, Beaten};
use auditor::failover::{Heartbeat, Known, Remembered};
use auditor::job::{self, Job};
use auditor::lab::servers::{RedisOptions, RedisProgram, RedisServer};
use auditor::lab::wait;
use auditor::store::redis::{RedisError, Sampler};
use tempfile::TempDir;

use crate::support::Run;

mod beats;
mod clusters;
mod copies;
mod folders;
mod grants;
mod histories;
mod neighbours;
mod readers;
mod sidecars;

const LIMIT: Duration = Duration::from_secs(30);
const HEARTBEAT: &str = "auditor:shop:heartbeat";
const EVIDENCE: &str = "auditor:shop:evidence";
const STATE: &str = "auditor:shop:state";

/// A folder with a job file whose MySQL is not there, since a checkpoint needs none.
struct Site {
    folder: TempDir,
}

impl Site {
    /// `url` is that of Redis; `checkpoint` are lines of its table.
    fn new(url: &str, checkpoint: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let site = Self { folder };
        site.write_job(url, checkpoint);
        site
    }

    fn write_job(&self, url: &str, checkpoint: &str) {
        let text = format!(
            "name = \"shop\"\n[mysql]\nurl = \"mysql://nobody@127.0.0.1:1/none\"\n[redis]\nurl = \"{url}\"\n\
             [checkpoint]\n{checkpoint}\n[[cache]]\nname = \"c\"\nkey = \"k:{{id}}\"\nvalue = \"string\"\n\
             table = \"t\"\nchanged_at = \"u\"\ndeletes = \"never\"\nfields = [{{ column = \"v\" }}]\n"
        );
        std::fs::write(self.path().join("job.toml"), text).unwrap();
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn state(&self) -> std::path::PathBuf {
        self.path().join("state/shop")
    }

    fn job(&self) -> Job {
        job::load(&self.path().join("job.toml"), &|_| None).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_auditor"));
        command
            .arg("checkpoint")
            .arg(self.path().join("job.toml"))
            .args(arguments)
            .env_remove("RUST_LOG")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .current_dir("/");
        command
    }

    /// One checkpoint, run to its end.
    fn checkpoint(&self, arguments: &[&str]) -> Run {
        Run::of(self.command(arguments).output().unwrap(), self.path())
    }

    /// Everything that is remembered in the folder.
    fn remembered(&self) -> Remembered {
        auditor::failover::state::StateFolder::open(&self.job())
            .read()
            .unwrap()
    }
}

async fn server(program: Option<&RedisProgram>, lines: &[&str]) -> RedisServer {
    let options = RedisOptions {
        program: program.map(|program| program.path.clone()),
        lines: lines.iter().map(|line| (*line).to_owned()).collect(),
        ..RedisOptions::default()
    };
    RedisServer::start(options).await.unwrap()
}

/// A replica of `master`, in step with it.
async fn replica(program: Option<&RedisProgram>, master: &RedisServer) -> RedisServer {
    let options = RedisOptions {
        program: program.map(|program| program.path.clone()),
        replica_of: Some(master.port()),
        ..RedisOptions::default()
    };
    let replica = RedisServer::start(options).await.unwrap();
    master.wait_for_replicas(1).await.unwrap();
    replica
}

/// Waits until `replica` holds the bytes that `master` holds under the heartbeat's key.
async fn in_step(master: &RedisServer, replica: &RedisServer) {
    let wanted = text(master, HEARTBEAT).await;
    wait::until("the heartbeat is replicated", LIMIT, async || {
        text(replica, HEARTBEAT).await == wanted
    })
    .await
    .unwrap();
}

/// The replica takes nothing more, the master dies, the replica is promoted.
async fn fail_over(master: &RedisServer, replica: &RedisServer) {
    master.kill().unwrap();
    replica.command(&["REPLICAOF", "NO", "ONE"]).await.unwrap();
    replica.command(&["CLIENT", "UNPAUSE"]).await.unwrap();
}

/// What is written to the master from now on will not reach the replica.
async fn stall(replica: &RedisServer) {
    replica
        .command(&["CLIENT", "PAUSE", "60000", "WRITE"])
        .await
        .unwrap();
}

async fn text(server: &RedisServer, key: &str) -> Option<String> {
    match server.command(&["GET", key]).await.unwrap() {
        redis::Value::BulkString(bytes) => Some(String::from_utf8(bytes).unwrap()),
        redis::Value::Nil => None,
        other => panic!("{other:?}"),
    }
}

async fn length(server: &RedisServer, stream: &str) -> i64 {
    match server.command(&["XLEN", stream]).await.unwrap() {
        redis::Value::Int(count) => count,
        other => panic!("{other:?}"),
    }
}

/// The heartbeat that lies on the server.
async fn heartbeat(server: &RedisServer) -> Heartbeat {
    let text = text(server, HEARTBEAT).await.unwrap();
    Heartbeat::decode(text.as_bytes()).unwrap()
}

async fn masters(job: &Job) -> Vec<Sampler> {
    sampler::connect(job).await.unwrap()
}

/// One beat by somebody who remembers `remembered`.
async fn beat(
    masters: &[Sampler],
    job: &Job,
    remembered: &Remembered,
) -> Result<Beaten, RedisError> {
    let known = Known::of(remembered);
    let mut answers = sampler::beat(masters, job, &known).await;
    assert_eq!(answers.len(), 1);
    answers.remove(0)
}
