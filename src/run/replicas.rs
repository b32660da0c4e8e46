//! Before the first sweep: replicas are waited for until they have what their masters have, within a bound.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::RunError;
use super::open::RESPONSE_TIMEOUT;
use super::reading::{KeyReplica, Reading};
use super::stop::Stop;
use crate::failover::{Fitness, fitness};
use crate::job::{Job, RedisSpec};
use crate::model::node::NodeFacts;
use crate::model::progress::ProgressSink;
use crate::model::time::Micros;
use crate::store::mysql::{Mysql, Standing};
use crate::store::redis::{Redis, RedisError, ReplicaHabits};

/// A replica that lags by more than this is no help in an incident.
const SOURCE_PATIENCE: Duration = Duration::from_secs(60);
/// The same of Redis.
const CACHE_PATIENCE: Duration = Duration::from_secs(60);
/// A Redis replica that does not come nearer for this long is stuck; the master is there to be read instead.
const STUCK_AFTER: Duration = Duration::from_secs(5);
/// Under Sentinel a former master goes on as one for some 10 s before it is demoted: until then nobody can tell it
/// from a stranger.
const FOREIGN_PATIENCE: Duration = Duration::from_secs(15);
const POLL_EVERY: Duration = Duration::from_millis(100);
/// How often the reason for waiting is said anew.
const SAY_EVERY: Duration = Duration::from_secs(2);
/// Pages of all checks, side by side.
const REPLICA_CONNECTIONS: usize = 8;

/// What the gate needs of a run.
pub(super) struct Gate<'a> {
    pub job: &'a Job,
    /// The primary.
    pub source: &'a Mysql,
    /// As they were pinned, which is one where replicas are read: what is committed after that is not what its
    /// failover lost.
    pub masters: &'a [NodeFacts],
    pub progress: &'a Arc<dyn ProgressSink>,
    pub stop: &'a Stop,
}

impl Gate<'_> {
    /// Opens the replicas that the job names, once they are fit. A MySQL replica that does not become so is an
    /// error, because only its owner can say whether the primary may take the sweep; a Redis replica is done
    /// without, unless it is a stranger.
    pub(super) async fn open(&self) -> Result<Reading, RunError> {
        let mut reading = Reading::at_the_masters(self.source);
        if self.job.mysql_replica.is_none() && self.job.redis_replicas.is_empty() {
            return Ok(reading);
        }
        self.progress.begin(&self.job.name, "replicas", None);
        let opened = self.open_both(&mut reading).await;
        self.progress.waiting(None);
        self.progress.done();
        opened.map(|()| reading)
    }

    async fn open_both(&self, reading: &mut Reading) -> Result<(), RunError> {
        self.open_source(reading).await?;
        self.open_cache(reading).await
    }

    async fn open_source(&self, reading: &mut Reading) -> Result<(), RunError> {
        let Some(spec) = &self.job.mysql_replica else {
            return Ok(());
        };
        let failed = |fault: &dyn std::fmt::Display| RunError::NothingJudged(fault.to_string());
        // Taken after the master was pinned: whatever it lost was committed before this.
        let mark = self.source.mark().await.map_err(|e| failed(&e))?;
        let replica = Mysql::connect(spec, REPLICA_CONNECTIONS)
            .await
            .map_err(|e| failed(&format!("[mysql].replica_url: {e}")))?;
        let mut waiting = Waiting::new(self, SOURCE_PATIENCE);
        loop {
            let standing = replica.standing(self.source, &mark).await;
            match standing.map_err(|e| failed(&e))? {
                Standing::Past => break,
                Standing::Behind(why) => {
                    let reason = format!("the MySQL replica is behind: {why}");
                    if !waiting.go_on(&reason).await {
                        return Err(failed(&format!(
                            "the MySQL replica at [mysql].replica_url did not catch up within {} s: {why}; see \
                             whether it still replicates, or leave replica_url out",
                            waiting.waited().as_secs()
                        )));
                    }
                }
            }
        }
        replica.pin(&mark).await.map_err(|e| failed(&e))?;
        let facts = replica.facts().await.map_err(|e| failed(&e))?;
        tracing::info!("sweeps read the MySQL replica {}", facts.identity.name);
        reading.source = replica;
        reading.source_facts = Some((facts, Micros::now()));
        Ok(())
    }

    async fn open_cache(&self, reading: &mut Reading) -> Result<(), RunError> {
        let [master] = self.masters else {
            // The job refuses replicas of a Cluster.
            return Ok(());
        };
        if self.job.redis_replicas.is_empty() {
            return Ok(());
        }
        let mut waiting = Waiting::new(self, CACHE_PATIENCE);
        let mut said = String::new();
        let mut same_since = Instant::now();
        loop {
            let asked = self.job.redis_replicas.iter().map(|spec| ask(spec, master));
            let (fit, unfit): (Vec<Asked>, Vec<Asked>) = join_all(asked)
                .await
                .into_iter()
                .partition(|asked| matches!(asked, Asked::Fit(_)));
            if let Some(Asked::Fit(replica)) = fit.into_iter().next() {
                tracing::info!(
                    "sweeps read the Redis replica {}",
                    replica.found().0.address
                );
                reading.replica = Some(Arc::new(*replica));
                return Ok(());
            }
            let now = Asked::all(&unfit);
            if now != said {
                said = now;
                same_since = Instant::now();
            }
            let has_foreign = unfit.iter().any(|a| matches!(a, Asked::Foreign(_)));
            let may_come = unfit.iter().any(|a| !matches!(a, Asked::Never(_)));
            let patience = if has_foreign {
                FOREIGN_PATIENCE
            } else {
                STUCK_AFTER
            };
            let reason = format!("no Redis replica is fit to be read: {said}");
            let is_stuck = !may_come || same_since.elapsed() >= patience;
            if is_stuck || !waiting.go_on(&reason).await {
                return match unfit.iter().find(|a| matches!(a, Asked::Foreign(_))) {
                    Some(foreign) => Err(RunError::NothingJudged(format!(
                        "{}: it is no replica of the master {}; correct [redis].read_url, or wait until the failover \
                         is over",
                        foreign.said(),
                        master.address
                    ))),
                    None => {
                        let remark = format!("sweeps read the Redis master, because {reason}");
                        tracing::warn!("{remark}");
                        reading.remark = Some(remark);
                        Ok(())
                    }
                };
            }
        }
    }
}

async fn ask(spec: &RedisSpec, master: &NodeFacts) -> Asked {
    let opened = async {
        let cache = Redis::connect(spec, RESPONSE_TIMEOUT).await?;
        let facts = cache.facts().await?;
        let habits = cache.replica_habits().await?;
        Ok::<_, RedisError>((cache, facts, habits))
    };
    let (cache, facts, habits) = match opened.await {
        Ok(opened) => opened,
        Err(fault @ RedisError::Refused(_)) => return Asked::Never(fault.to_string()),
        Err(fault) => return Asked::NotYet(fault.to_string()),
    };
    let about = |why: &str| format!("{} {why}", facts.address);
    match fitness(master, &facts) {
        Fitness::NotYet(why) => Asked::NotYet(about(&why)),
        Fitness::Foreign(why) => Asked::Foreign(about(&why)),
        Fitness::Never(why) => Asked::Never(about(&why)),
        Fitness::Fit => match own_ways(habits) {
            Some(why) => Asked::Never(about(why)),
            None => Asked::Fit(Box::new(KeyReplica::new(cache, facts, master.clone()))),
        },
    }
}

/// Why a replica may hold something else than its master for all its offset says. A key that it evicted by itself
/// would pass for one that is not cached, whatever the master shows.
fn own_ways(habits: ReplicaHabits) -> Option<&'static str> {
    if habits.takes_writes {
        return Some("takes writes of its own (replica-read-only no)");
    }
    match habits.leaves_eviction {
        Some(false) if habits.has_eviction => {
            Some("evicts keys by itself (replica-ignore-maxmemory no)")
        }
        None if habits.has_eviction => Some(
            "may evict keys by itself, and does not say (let the user call CONFIG GET, for \
             replica-ignore-maxmemory)",
        ),
        _ => None,
    }
}

/// What became of asking one replica; reasons name it.
enum Asked {
    Fit(Box<KeyReplica>),
    NotYet(String),
    Foreign(String),
    Never(String),
}

impl Asked {
    fn said(&self) -> &str {
        match self {
            Asked::Fit(replica) => &replica.found().0.address,
            Asked::NotYet(why) | Asked::Foreign(why) | Asked::Never(why) => why,
        }
    }

    fn all(asked: &[Self]) -> String {
        let said: Vec<&str> = asked.iter().map(Self::said).collect();
        said.join("; ")
    }
}

/// Waiting that says why, up to a bound.
struct Waiting<'a> {
    gate: &'a Gate<'a>,
    began: Instant,
    patience: Duration,
    said_at: Option<Instant>,
}

impl<'a> Waiting<'a> {
    fn new(gate: &'a Gate<'a>, patience: Duration) -> Self {
        Self {
            gate,
            began: Instant::now(),
            patience,
            said_at: None,
        }
    }

    fn waited(&self) -> Duration {
        self.began.elapsed()
    }

    /// Waits a little; false: not any longer, because the bound is reached or the run is to stop.
    async fn go_on(&mut self, reason: &str) -> bool {
        if self.waited() >= self.patience {
            return false;
        }
        if self.said_at.is_none_or(|at| at.elapsed() >= SAY_EVERY) {
            self.gate.progress.waiting(Some(reason));
            self.said_at = Some(Instant::now());
        }
        self.gate.stop.sleep(POLL_EVERY).await
    }
}
