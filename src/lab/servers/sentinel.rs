//! Sentinels, usually three, that watch one master.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Client, TlsCertificates};

use super::certificates::Certificates;
use super::ports::free_port;
use super::process::Process;
use super::program::{find, log_tail};
use super::redis::connection_of;
use crate::lab::{LabError, wait};

const SENTINELS: usize = 3;
/// A Redis that gets no processor for a second on a busy machine is not dead: a failover that nobody asked
/// for would follow.
const DOWN_AFTER_MS: u32 = 3_000;
const FAILOVER_TIMEOUT_MS: u32 = 5_000;
const START_LIMIT: Duration = Duration::from_secs(30);
/// Measured at 2.4 s; an aborted first attempt adds two failover timeouts.
const FAILOVER_LIMIT: Duration = Duration::from_secs(45);

/// What differs from three open Sentinels that know the master by its address.
#[derive(Clone, Default)]
pub struct SentinelOptions {
    /// `None`: three. More than half of them promote.
    pub count: Option<usize>,
    /// Further lines of the configuration file; later lines win.
    pub lines: Vec<String>,
    /// What clients of the Sentinels say, and they to each other.
    pub password: Option<String>,
    /// What the Sentinels say to the nodes.
    pub node_password: Option<String>,
    /// TLS only, to everyone; the nodes need it, too.
    pub certificates: Option<Certificates>,
    /// Whom they are told to watch, in place of 127.0.0.1. A name is resolved, and named to whoever asks.
    pub host_name: Option<String>,
}

/// Dropping it kills all of them.
pub struct SentinelGroup {
    name: String,
    options: SentinelOptions,
    sentinels: Vec<Sentinel>,
}

struct Sentinel {
    port: u16,
    log: PathBuf,
    process: Option<Process>,
    _folder: tempfile::TempDir,
}

impl SentinelGroup {
    /// Starts three Sentinels for the master at `master_port` under `name` and waits until they know
    /// each other.
    pub async fn start(master_port: u16, name: &str) -> Result<Self, LabError> {
        Self::start_with(master_port, name, SentinelOptions::default()).await
    }

    /// The same, but for `options`.
    pub async fn start_with(
        master_port: u16,
        name: &str,
        options: SentinelOptions,
    ) -> Result<Self, LabError> {
        let program = find(
            "redis-server",
            "install the Debian packages redis-server and redis-sentinel",
        )?;
        let count = options.count.unwrap_or(SENTINELS);
        let mut sentinels = Vec::with_capacity(count);
        for _ in 0..count {
            sentinels.push(Sentinel::spawn(&program, master_port, name, &options)?);
        }
        let group = Self {
            name: name.to_owned(),
            options,
            sentinels,
        };
        for sentinel in &group.sentinels {
            let met = wait::until("the Sentinels know each other", START_LIMIT, async || {
                group.field(sentinel.port, "num-other-sentinels").await == Some(count - 1)
            });
            met.await.map_err(|error| LabError::NotStarted {
                server: "a Sentinel",
                reason: error.to_string(),
                log: log_tail(&sentinel.log),
            })?;
        }
        Ok(group)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn ports(&self) -> Vec<u16> {
        self.sentinels
            .iter()
            .map(|sentinel| sentinel.port)
            .collect()
    }

    /// `redis-sentinel://127.0.0.1:P1,127.0.0.1:P2,127.0.0.1:P3/NAME`, as a job file has it; `rediss-sentinel` with TLS.
    /// A password has to be told apart.
    pub fn url(&self) -> String {
        let nodes: Vec<String> = self
            .ports()
            .iter()
            .map(|port| format!("127.0.0.1:{port}"))
            .collect();
        let scheme = match self.options.certificates {
            Some(_) => "rediss-sentinel",
            None => "redis-sentinel",
        };
        format!("{scheme}://{}/{}", nodes.join(","), self.name)
    }

    /// Whom the first Sentinel that answers names as the master.
    pub async fn master_port(&self) -> Result<u16, LabError> {
        for sentinel in &self.sentinels {
            if let Ok((_, port)) = self.ask_address(sentinel.port).await {
                return Ok(port);
            }
        }
        Err(LabError::Unfit("no Sentinel answers".into()))
    }

    /// Waits until every Sentinel counts `replicas` living replicas, without which none can be promoted.
    pub async fn wait_until_ready(&self, replicas: usize) -> Result<(), LabError> {
        for port in self.ports() {
            let cause = format!("the Sentinel at port {port} knows {replicas} living replicas");
            wait::until(cause, START_LIMIT, async || {
                self.living_replicas(port)
                    .await
                    .is_ok_and(|living| living >= replicas)
            })
            .await?;
        }
        Ok(())
    }

    /// Waits until every living Sentinel names one master other than `old`, and returns its port.
    pub async fn wait_for_new_master(&self, old: u16) -> Result<u16, LabError> {
        let cause = format!("the Sentinels name another master than port {old}");
        wait::until(cause, FAILOVER_LIMIT, async || {
            let mut named = Vec::new();
            for port in self.ports() {
                if let Ok((_, master)) = self.ask_address(port).await {
                    named.push(master);
                }
            }
            named
                .first()
                .is_some_and(|first| *first != old && named.iter().all(|port| port == first))
        })
        .await?;
        self.master_port().await
    }

    /// `SENTINEL FAILOVER`: what an operator does to move a living master. The old one is demoted some 10 s later, and
    /// whoever is still connected to it is acknowledged until then.
    pub async fn ask_for_failover(&self) -> Result<(), LabError> {
        let action = || "ask a Sentinel for a failover".to_owned();
        let sentinel = self.sentinels.first();
        let sentinel = sentinel.ok_or_else(|| LabError::Unfit("there are no Sentinels".into()))?;
        let mut connection = self
            .connect(sentinel.port)
            .await
            .map_err(LabError::redis(action()))?;
        redis::cmd("SENTINEL")
            .arg("FAILOVER")
            .arg(&self.name)
            .query_async(&mut connection)
            .await
            .map_err(LabError::redis(action()))
    }

    /// SIGKILL of the Sentinel at `index` (0 to 2).
    pub fn kill(&mut self, index: usize) -> Result<(), LabError> {
        let process = self
            .sentinels
            .get_mut(index)
            .and_then(|sentinel| sentinel.process.take());
        process.map_or(Ok(()), Process::kill)
    }

    /// A connection to the Sentinel at `port`, logged in.
    pub async fn connect(&self, port: u16) -> redis::RedisResult<MultiplexedConnection> {
        let scheme = match self.options.certificates {
            Some(_) => "rediss",
            None => "redis",
        };
        let password = self.options.password.as_ref();
        let login = password.map_or(String::new(), |p| format!(":{p}@"));
        let url = format!("{scheme}://{login}127.0.0.1:{port}");
        let client = match &self.options.certificates {
            Some(certificates) => Client::build_with_tls(
                url,
                TlsCertificates {
                    client_tls: None,
                    root_cert: certificates.authority_pem().ok(),
                },
            )?,
            None => Client::open(url)?,
        };
        connection_of(&client).await
    }

    async fn ask_address(&self, port: u16) -> redis::RedisResult<(String, u16)> {
        let mut connection = self.connect(port).await?;
        redis::cmd("SENTINEL")
            .arg("GET-MASTER-ADDR-BY-NAME")
            .arg(&self.name)
            .query_async(&mut connection)
            .await
    }

    /// Replicas that the Sentinel at `port` can reach. Servers that once were replicas, or masters, stay on its
    /// list when they are dead.
    async fn living_replicas(&self, port: u16) -> redis::RedisResult<usize> {
        let mut connection = self.connect(port).await?;
        let replicas: Vec<HashMap<String, String>> = redis::cmd("SENTINEL")
            .arg("REPLICAS")
            .arg(&self.name)
            .query_async(&mut connection)
            .await?;
        let is_living = |facts: &&HashMap<String, String>| {
            let flags = facts.get("flags").map_or("", String::as_str);
            flags == "slave"
                && facts
                    .get("master-link-status")
                    .is_some_and(|status| status == "ok")
        };
        Ok(replicas.iter().filter(is_living).count())
    }

    async fn field(&self, port: u16, field: &str) -> Option<usize> {
        let mut connection = self.connect(port).await.ok()?;
        let facts: HashMap<String, String> = redis::cmd("SENTINEL")
            .arg("MASTER")
            .arg(&self.name)
            .query_async(&mut connection)
            .await
            .ok()?;
        facts.get(field)?.parse().ok()
    }
}

impl Sentinel {
    fn spawn(
        program: &Path,
        master_port: u16,
        name: &str,
        options: &SentinelOptions,
    ) -> Result<Self, LabError> {
        let port = free_port()?;
        let folder = tempfile::Builder::new()
            .prefix("auditor-sentinel-")
            .tempdir()
            .map_err(LabError::io("make a temporary folder"))?;
        let configuration = folder.path().join("sentinel.conf");
        let text = configuration_of(port, folder.path(), master_port, name, options);
        std::fs::write(&configuration, text).map_err(LabError::io("write sentinel.conf"))?;
        let log = folder.path().join("log");
        let arguments = [configuration.into(), "--sentinel".into()];
        let process = Process::spawn(program, &arguments, folder.path(), &log)?;
        Ok(Self {
            port,
            log,
            process: Some(process),
            _folder: folder,
        })
    }
}

fn configuration_of(
    port: u16,
    folder: &Path,
    master_port: u16,
    name: &str,
    options: &SentinelOptions,
) -> String {
    let quorum = options.count.unwrap_or(SENTINELS) / 2 + 1;
    let host = options.host_name.as_deref().unwrap_or("127.0.0.1");
    let mut text = match &options.certificates {
        Some(certificates) => format!(
            "port 0\ntls-port {port}\ntls-cert-file {}\ntls-key-file {}\ntls-ca-cert-file {}\n\
             tls-auth-clients no\ntls-replication yes\n",
            certificates.certificate().display(),
            certificates.key().display(),
            certificates.authority().display(),
        ),
        None => format!("port {port}\n"),
    };
    if options.host_name.is_some() {
        // Before the name is used.
        text.push_str("sentinel resolve-hostnames yes\nsentinel announce-hostnames yes\n");
    }
    let _ = write!(
        text,
        "bind 127.0.0.1\ndir {}\nlogfile \"\"\n\
         sentinel monitor {name} {host} {master_port} {quorum}\n\
         sentinel down-after-milliseconds {name} {DOWN_AFTER_MS}\n\
         sentinel failover-timeout {name} {FAILOVER_TIMEOUT_MS}\n",
        folder.display()
    );
    if let Some(password) = &options.password {
        let _ = write!(
            text,
            "requirepass {password}\nsentinel sentinel-pass {password}\n"
        );
    }
    if let Some(password) = &options.node_password {
        let _ = writeln!(text, "sentinel auth-pass {name} {password}");
    }
    for line in &options.lines {
        let _ = writeln!(text, "{line}");
    }
    text
}
