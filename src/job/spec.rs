//! A job with no invalid state in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;

use crate::model::check::CacheCheck;
use crate::model::secret::Secret;
use crate::model::shard::Shard;
use crate::model::stream::StreamCheck;

/// One job file: two stores, the checks, the limits.
#[derive(Debug, Clone)]
pub struct Job {
    pub name: String,
    /// Where it was read from, as given on the command line.
    pub path: PathBuf,
    /// The file's text with passwords masked, byte for byte as long: spans in [`CacheCheck`] are
    /// ranges of it.
    pub text: Arc<str>,
    /// SHA-256 of the file and of every SQL file it names, hex; environment values are not part of it.
    pub config_hash: String,
    pub time_zone: Option<Tz>,
    /// As the file has it; [`Job::state_folder`] says where that is.
    pub state_dir: PathBuf,
    pub full_repair: bool,
    pub checkpoint: CheckpointSpec,
    pub mysql: MysqlSpec,
    /// Where sweeps read rows instead of at the primary.
    pub mysql_replica: Option<MysqlSpec>,
    pub redis: RedisSpec,
    /// Nodes at which sweeps may read keys instead of at the master, the preferred one first: each a plain address.
    pub redis_replicas: Vec<RedisSpec>,
    pub limits: Limits,
    pub caches: Vec<Arc<CacheCheck>>,
    pub streams: Vec<Arc<StreamCheck>>,
}

/// `[checkpoint]`: where heartbeat, evidence and state copy lie in Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointSpec {
    /// Without braces: in a Cluster the slot is chosen by a hash tag behind it.
    pub prefix: String,
    /// How many old heartbeats the evidence stream keeps.
    pub evidence_max: u32,
}

/// A server. `url` is `mysql://user:password@host:port/database`.
#[derive(Debug, Clone)]
pub struct MysqlSpec {
    pub url: Secret,
    pub tls: TlsFiles,
}

#[derive(Debug, Clone, Default)]
pub struct TlsFiles {
    pub ca: Option<PathBuf>,
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

#[derive(Debug, Clone)]
pub struct RedisSpec {
    pub endpoint: Endpoint,
    pub user: Option<String>,
    pub password: Option<Secret>,
    pub database: i64,
    /// `rediss://`, `rediss-sentinel://` or `rediss-cluster://`.
    pub tls: bool,
    pub tls_files: TlsFiles,
    pub sentinel_user: Option<String>,
    pub sentinel_password: Option<Secret>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    Tcp {
        host: String,
        port: u16,
    },
    Unix(PathBuf),
    /// `redis-sentinel://s1:26379,s2:26379/mymaster`
    Sentinel {
        nodes: Vec<(String, u16)>,
        master: String,
    },
    /// `redis-cluster://h1:6379,h2:6379`: some of its nodes, masters or not.
    Cluster {
        nodes: Vec<(String, u16)>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    Unlimited,
    PerSecond(u32),
}

/// `[limits]`, each with its default.
#[derive(Debug, Clone)]
pub struct Limits {
    pub settle: Duration,
    pub cache_delay: Duration,
    pub commit_margin: Duration,
    pub max_keys_per_second: Rate,
    pub max_invalidations_per_second: Rate,
    pub max_threads_running: u32,
    /// `None`: those online at the run's start, at most 1.
    pub min_replicas: Option<u32>,
    pub max_repairs: u64,
    pub control_sample: u32,
    /// Share of the control sample, 0 to 1.
    pub max_control_mismatch: f64,
    pub time_budget: Option<Duration>,
    pub keep_runs: u32,
}

impl Job {
    /// The folder of what outlives a run: `state_dir`, which starts at the job file's folder so that cron and a person
    /// mean the same one, and in it the job's name.
    pub fn state_folder(&self) -> PathBuf {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        folder.join(&self.state_dir).join(&self.name)
    }
}

impl CheckpointSpec {
    pub const EVIDENCE_MAX: u32 = 1_000;

    /// What holds unless the job says otherwise.
    pub fn of_job(name: &str) -> Self {
        Self {
            prefix: format!("auditor:{name}"),
            evidence_max: Self::EVIDENCE_MAX,
        }
    }
}

impl Limits {
    /// What is left of them for one of several shards: what is a load or a bound of the whole job is divided.
    pub fn share_of(self, shard: Shard) -> Self {
        let rate = |rate| match rate {
            Rate::Unlimited => Rate::Unlimited,
            Rate::PerSecond(all) => {
                let share = u32::try_from(shard.share(all.into()));
                Rate::PerSecond(share.expect("a share is no more than the whole"))
            }
        };
        let sample = u32::try_from(shard.share(self.control_sample.into()));
        Self {
            max_keys_per_second: rate(self.max_keys_per_second),
            max_invalidations_per_second: rate(self.max_invalidations_per_second),
            max_repairs: shard.share(self.max_repairs),
            control_sample: match self.control_sample {
                0 => 0,
                _ => sample.expect("a share is no more than the whole"),
            },
            ..self
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            settle: Duration::from_secs(2),
            cache_delay: Duration::from_secs(5),
            commit_margin: Duration::from_secs(60),
            max_keys_per_second: Rate::PerSecond(50_000),
            max_invalidations_per_second: Rate::PerSecond(500),
            max_threads_running: 25,
            min_replicas: None,
            max_repairs: 100_000,
            control_sample: 1_000,
            max_control_mismatch: 0.05,
            time_budget: None,
            keep_runs: 100,
        }
    }
}
