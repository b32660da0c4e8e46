//! Connecting a checkpoint to its masters, at once or beside its beats.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::failover::Remembered;
use crate::failover::sampler::{self, SamplerError};
use crate::job::Job;
use crate::store::Backoff;
use crate::store::redis::{RedisError, Sampler};

/// A master that is dead and has no replica is looked for as long as that lasts; each search begins the pauses anew.
const SEARCH: Duration = Duration::from_secs(60);

/// New connections, and what the masters behind them know.
pub(super) struct Learnt {
    pub masters: Vec<Sampler>,
    /// Why further masters have no connection.
    pub missing: Vec<String>,
    /// By the copies of the state, and by evidence of beats that nobody got an answer to.
    pub elsewhere: Remembered,
    pub warnings: Vec<String>,
}

impl Learnt {
    /// Connects to all masters that can be reached. An error: there is none.
    pub(super) async fn of(job: &Job) -> Result<Self, RedisError> {
        let (masters, mut missing) = sampler::connect_living(job).await?;
        if masters.is_empty()
            && let Some(fault) = missing.pop()
        {
            return Err(fault);
        }
        let mut warnings = Vec::new();
        let elsewhere = match sampler::copies(&masters, job).await {
            Ok(remembered) => remembered,
            Err(SamplerError::Redis(fault)) => return Err(fault),
            Err(SamplerError::State(fault)) => {
                warnings.push(format!("{fault}; it is left as it is"));
                Remembered::default()
            }
        };
        let elsewhere = elsewhere.united(Remembered {
            changes: sampler::changes_in_evidence(&masters).await?,
            ..Remembered::default()
        });
        Ok(Self {
            masters,
            missing: missing.iter().map(RedisError::to_string).collect(),
            elsewhere,
            warnings,
        })
    }
}

/// Connecting anew while the old connections go on being beaten through. Dropping it ends it.
#[derive(Default)]
pub(super) struct Renewal {
    /// At most one.
    task: JoinSet<Result<Learnt, RedisError>>,
    pauses: Option<Backoff>,
}

impl Renewal {
    /// Begins at once, unless one is under way.
    pub(super) fn begin(&mut self, job: &Arc<Job>) {
        self.pauses = None;
        self.start(job, Instant::now());
    }

    /// Begins after a pause that grows from one to the next, unless one is under way.
    pub(super) fn begin_in_a_while(&mut self, job: &Arc<Job>) {
        if !self.task.is_empty() {
            return;
        }
        let pauses = self.pauses.get_or_insert_with(|| Backoff::within(SEARCH));
        let pause = pauses.next_pause();
        if pause.is_none() {
            self.pauses = None;
        }
        self.start(job, Instant::now() + pause.unwrap_or_default());
    }

    /// What came of it; `None`: none is under way, or it is not done yet.
    pub(super) fn done(&mut self) -> Option<Result<Learnt, RedisError>> {
        let ended = self.task.try_join_next()?;
        Some(ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic())))
    }

    fn start(&mut self, job: &Arc<Job>, at: Instant) {
        if self.task.is_empty() {
            let job = Arc::clone(job);
            self.task.spawn(async move {
                sleep_until(at).await;
                Learnt::of(&job).await
            });
        }
    }
}
