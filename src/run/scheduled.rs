//! `auditor run`: what cron calls. Finds out whether there was a failover; repairs what it lost.

use std::io::Write;
use std::time::{Duration, Instant};

use super::RunError;
use super::execute::{Found as Order, ending, repair_found};
use super::marks::{self, Copies};
use super::outlook::{Found, look_back, remembered_in_folder};
use super::request::{Console, Ending, Format, RunRequest};
use super::stop::Stop;
use super::window::no_later_than;
use crate::failover::{Due, EpisodeKind, is_dealt_with};
use crate::job::{self, Endpoint, Job};
use crate::model::node::NodeFacts;
use crate::model::outcome::RunVerdict;
use crate::model::time::Micros;
use crate::store::redis::{Redis, RedisError};

/// How long two masters are waited for to become one. Sentinel demotes the old one some 10 s after it can.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long nobody at all is waited for: the next call of cron comes soon.
const PATIENCE_WITH_SILENCE: Duration = Duration::from_secs(30);
/// Sentinel takes a master for dead after half a minute, if nobody told it otherwise, and then elects another.
const PATIENCE_WITH_FAILOVER: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(500);
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// A failover in the middle of finding out about one begins it again, so often.
const ATTEMPTS: u32 = 3;

pub(super) async fn scheduled(request: &RunRequest, console: &mut Console) -> Ending {
    ending(run(request, console).await)
}

async fn run(request: &RunRequest, console: &mut Console) -> Result<Ending, RunError> {
    let job = job::load(&request.job_path, &|name| std::env::var(name).ok())
        .map_err(|faults| RunError::Job(Box::new(faults)))?;
    let budget = request.time_budget.or(job.limits.time_budget);
    let scheduled = Scheduled {
        stop: Stop::watching(console.stop.clone(), None),
        patience: budget.unwrap_or(PATIENCE),
        began_at: Micros::now(),
        began: Instant::now(),
        request,
        job,
    };
    let mut attempt = 1;
    loop {
        match scheduled.attempt(console).await {
            Err(RunError::TopologyChanged(why)) if attempt < ATTEMPTS => {
                tracing::warn!("{why}; looking again");
                attempt += 1;
            }
            other => return other,
        }
    }
}

struct Scheduled<'a> {
    request: &'a RunRequest,
    job: Job,
    stop: Stop,
    patience: Duration,
    began_at: Micros,
    began: Instant,
}

/// What a look at the masters gave.
enum Glance {
    /// Every history is dealt with; since when.
    Handled(Vec<NodeFacts>),
    Found(Box<Found>),
}

impl Scheduled<'_> {
    async fn attempt(&self, console: &mut Console) -> Result<Ending, RunError> {
        let found = match self.one_master(console).await? {
            Glance::Handled(masters) => return self.nothing_new(&masters, console).await,
            Glance::Found(found) => found,
        };
        let outlook = &found.outlook;
        tracing::info!("{}", outlook.explanation());
        match outlook.due(Duration::ZERO) {
            Due::Nothing => self.nothing_lost(&found, console).await,
            Due::Window(_) => {
                self.repair(Order::Window(found.outlook.clone()), &found, console)
                    .await
            }
            Due::FullSweep if self.job.full_repair => {
                self.repair(Order::Everything(found.outlook.clone()), &found, console)
                    .await
            }
            Due::FullSweep => Ok(self.is_due(
                &format!("{} A full sweep is due", outlook.explanation()),
                "--full",
                console,
            )),
            Due::AskForTime => Ok(self.is_due(
                &format!(
                    "{} Somebody has to say since when{}",
                    outlook.explanation(),
                    no_later_than(outlook, Duration::ZERO)
                ),
                "--since TIME",
                console,
            )),
        }
    }

    /// Waits until one master answers for the job and no other node says that it is one.
    async fn one_master(&self, console: &Console) -> Result<Glance, RunError> {
        loop {
            let (reason, patience) = match self.glance().await? {
                Ok(glance) => {
                    console.progress.waiting(None);
                    return Ok(glance);
                }
                Err(reason) => reason,
            };
            let patience = patience.min(self.patience);
            if self.began.elapsed() >= patience {
                return Err(RunError::NothingJudged(format!(
                    "{reason}; waited {} s for that to end: run again",
                    self.began.elapsed().as_secs()
                )));
            }
            console.progress.waiting(Some(&reason));
            if !self.stop.sleep(PAUSE).await {
                return Err(RunError::NothingJudged(
                    "stopped while it waited for one master".into(),
                ));
            }
        }
    }

    /// The inner `Err`: why there is not one master, and how long that may be waited for.
    async fn glance(&self) -> Result<Result<Glance, (String, Duration)>, RunError> {
        let remembered = remembered_in_folder(&self.job)?;
        let (cache, masters) = match self.connect().await {
            Ok(opened) => opened,
            Err(fault @ RedisError::Unreachable(_)) => {
                return Ok(Err((fault.to_string(), self.patience_with_silence())));
            }
            Err(fault @ RedisError::TopologyChanged(_)) => {
                return Ok(Err((fault.to_string(), PATIENCE)));
            }
            Err(fault) => return Err(RunError::NothingJudged(fault.to_string())),
        };
        if let Some(reason) = unready(&masters) {
            return Ok(Err((reason, PATIENCE)));
        }
        if is_dealt_with(&remembered, &masters, Micros::now()) {
            return Ok(Ok(Glance::Handled(masters)));
        }
        let found = look_back(&self.job, &cache, masters).await?;
        Ok(match second_master(&found) {
            Some((one, other)) => Err((
                format!("there are two masters: {one} and {other}"),
                PATIENCE,
            )),
            None => Ok(Glance::Found(Box::new(found))),
        })
    }

    async fn connect(&self) -> Result<(Redis, Vec<NodeFacts>), RedisError> {
        let cache = Redis::connect(&self.job.redis, ANSWER_LIMIT).await?;
        let masters = cache.facts_of_all().await?;
        Ok((cache, masters))
    }

    fn patience_with_silence(&self) -> Duration {
        match self.job.redis.endpoint {
            Endpoint::Sentinel { .. } | Endpoint::Cluster { .. } => PATIENCE_WITH_FAILOVER,
            Endpoint::Tcp { .. } | Endpoint::Unix(_) => PATIENCE_WITH_SILENCE,
        }
    }

    async fn nothing_new(
        &self,
        masters: &[NodeFacts],
        console: &mut Console,
    ) -> Result<Ending, RunError> {
        marks::mark(&self.job, masters, self.began_at, Copies::Begin).await?;
        let addresses: Vec<_> = masters.iter().map(|m| m.address.as_str()).collect();
        let text = format!(
            "nothing to do: no failover of {} since the last run",
            addresses.join(", ")
        );
        self.say("no-failover", &text, 0, console);
        Ok(Ending::Done)
    }

    /// Something happened, and nothing can be lost; or watching begins.
    async fn nothing_lost(&self, found: &Found, console: &mut Console) -> Result<Ending, RunError> {
        self.restore(found)?;
        marks::mark(&self.job, &found.masters, self.began_at, Copies::Begin).await?;
        let begins = found
            .outlook
            .episodes
            .iter()
            .any(|e| e.kind == EpisodeKind::FirstSight);
        let (outcome, beginning) = if begins {
            (
                "begun",
                "nothing to do yet: from now on failovers are noticed.",
            )
        } else {
            ("nothing-lost", "nothing to do.")
        };
        let text = format!("{beginning} {}", found.outlook.explanation());
        self.say(outcome, text.trim_end_matches('.'), 0, console);
        Ok(Ending::Done)
    }

    /// The folder learns what only the copy in Redis knew.
    fn restore(&self, found: &Found) -> Result<(), RunError> {
        let folder = crate::failover::state::StateFolder::open(&self.job);
        let learnt = folder.take_in(found.remembered.clone());
        learnt.map_err(|fault| RunError::NothingJudged(fault.to_string()))
    }

    async fn repair(
        &self,
        order: Order,
        found: &Found,
        console: &mut Console,
    ) -> Result<Ending, RunError> {
        self.restore(found)?;
        match repair_found(self.request, order, console).await {
            Err(RunError::LeaseTaken(_)) if self.is_dealt_with(found) => {
                self.say("handled", HANDLED_MEANWHILE, 0, console);
                Ok(Ending::Done)
            }
            other => other,
        }
    }

    fn is_dealt_with(&self, found: &Found) -> bool {
        let remembered = remembered_in_folder(&self.job);
        remembered.is_ok_and(|remembered| is_dealt_with(&remembered, &found.masters, Micros::now()))
    }

    fn is_due(&self, what: &str, option: &str, console: &mut Console) -> Ending {
        let path = self.request.job_path.display();
        let text = format!("{what}: auditor repair {path} {option} --yes");
        tracing::warn!("{text}");
        self.say("due", &text, RunVerdict::Partial.exit_code(), console);
        Ending::Verdict(RunVerdict::Partial)
    }

    /// The one line of a run that leaves no folder.
    fn say(&self, outcome: &str, text: &str, exit_code: u8, console: &mut Console) {
        say(
            &self.job,
            self.request.format,
            outcome,
            text,
            exit_code,
            console,
        );
    }
}

/// Why these nodes cannot serve as masters yet, if they cannot.
fn unready(masters: &[NodeFacts]) -> Option<String> {
    masters.iter().find_map(|node| {
        if !node.identity.is_master {
            Some(format!("{} is a replica", node.address))
        } else if node.is_loading {
            Some(format!("{} is loading its data", node.address))
        } else {
            None
        }
    })
}

/// Addresses of two masters for the same keys.
fn second_master(found: &Found) -> Option<(String, String)> {
    found.topology.masters().find_map(|node| {
        let is_own = |m: &NodeFacts| m.identity.run_id == node.identity.run_id;
        if found.masters.iter().any(is_own) {
            return None;
        }
        let mut own = found.masters.iter();
        let same = own.find(|m| !m.slots.is_disjoint(&node.slots))?;
        Some((same.address.clone(), node.address.clone()))
    })
}

/// What a run says that came too late to be needed.
pub(super) const HANDLED_MEANWHILE: &str =
    "nothing to do: another run has dealt with the failover meanwhile";

/// One line for a person, or one of JSON.
pub(super) fn say(
    job: &Job,
    format: Format,
    outcome: &str,
    text: &str,
    exit_code: u8,
    console: &mut Console,
) {
    let line = match format {
        Format::Text => text.to_owned(),
        Format::Json => serde_json::json!({
            "command": "run",
            "job": job.name,
            "outcome": outcome,
            "explanation": text,
            "exit_code": exit_code,
        })
        .to_string(),
    };
    // A reader that is gone changes nothing.
    let _ = writeln!(console.out, "{line}");
    let _ = console.out.flush();
}
