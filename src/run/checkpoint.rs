//! `auditor checkpoint`: a heartbeat through each master, and what it found kept in the state folder. Needs no MySQL.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::Rng;

use super::RunError;
use super::checkpoint_said::{Said, say};
use super::execute::ending;
use super::masters::{Learnt, Renewal};
use super::request::{CheckpointRequest, Console, Ending};
use super::stop::Stop;
use crate::failover::sampler::{self, Beaten};
use crate::failover::state::{StateError, StateFolder};
use crate::failover::{Change, Known, Remembered};
use crate::job::{self, Job};
use crate::model::outcome::RunVerdict;
use crate::store::redis::{RedisError, Sampler};

/// The copy in Redis is a second chance, not a record: once a minute is enough where nothing changed.
const COPY_EVERY: Duration = Duration::from_secs(60);
/// Between attempts to connect again; a Sentinel needs some seconds for a failover, and every attempt asks it anew.
const PAUSE_FIRST: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Once, for cron, or again and again until it is told to stop.
pub(super) async fn checkpoint(request: &CheckpointRequest, console: &mut Console) -> Ending {
    ending(run(request, console).await)
}

async fn run(request: &CheckpointRequest, console: &mut Console) -> Result<Ending, RunError> {
    let job = job::load(&request.job_path, &|name| std::env::var(name).ok())
        .map_err(|faults| RunError::Job(Box::new(faults)))?;
    let stop = Stop::watching(console.stop.clone(), None);
    let mut sidecar = Sidecar {
        folder: StateFolder::open(&job),
        renewal: Renewal::default(),
        job: Arc::new(job),
        session: None,
        copied_at: None,
        state_fault: None,
    };
    match request.every {
        None => once(&mut sidecar, request, console, &stop).await,
        Some(every) => again_and_again(&mut sidecar, every, request, console, &stop).await,
    }
}

async fn once(
    sidecar: &mut Sidecar,
    request: &CheckpointRequest,
    console: &mut Console,
    stop: &Stop,
) -> Result<Ending, RunError> {
    let said = tokio::select! {
        said = sidecar.beat() => said,
        () = stop.requested() => return Err(RunError::NothingJudged("stopped before a heartbeat was answered".to_owned())),
    };
    let said = said.map_err(|fault| RunError::NothingJudged(fault.to_string()))?;
    say(console, request.format, &said);
    if said.beats.is_empty() {
        return Err(RunError::NothingJudged(said.failures.join("; ")));
    }
    let is_whole = said.failures.is_empty() && sidecar.state_fault.is_none();
    Ok(if is_whole {
        Ending::Done
    } else {
        Ending::Verdict(RunVerdict::Partial)
    })
}

async fn again_and_again(
    sidecar: &mut Sidecar,
    every: Duration,
    request: &CheckpointRequest,
    console: &mut Console,
    stop: &Stop,
) -> Result<Ending, RunError> {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut pause = PAUSE_FIRST;
    // What was said last: only what differs is worth a line.
    let mut before = Success::None;
    let mut has_beaten = false;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.requested() => return Ok(Ending::Done),
        }
        let outcome = tokio::select! {
            outcome = sidecar.beat() => outcome,
            () = stop.requested() => return Ok(Ending::Done),
        };
        let said = match outcome {
            Ok(said) => said,
            Err(fault @ RedisError::Refused(_)) if !has_beaten => {
                return Err(RunError::NothingJudged(fault.to_string()));
            }
            Err(fault) => Said::failed(fault.to_string()),
        };
        // While it is lost the reasons alternate (refused, no majority, a replica): the first one says it.
        let success = Success::of(&said);
        let is_news = !has_beaten && success == Success::Whole || success != before;
        if is_news || !said.changes.is_empty() || !said.warnings.is_empty() {
            say(console, request.format, &said);
        }
        before = success;
        has_beaten |= !said.beats.is_empty();
        if success != Success::None {
            pause = PAUSE_FIRST;
            continue;
        }
        if !stop.sleep(jittered(pause)).await {
            return Ok(Ending::Done);
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// How many of the masters were beaten through.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Success {
    Whole,
    Partial,
    None,
}

impl Success {
    fn of(said: &Said) -> Self {
        match (said.beats.is_empty(), said.failures.is_empty()) {
            (_, true) => Self::Whole,
            (false, false) => Self::Partial,
            (true, false) => Self::None,
        }
    }
}

/// What goes on from beat to beat.
struct Sidecar {
    job: Arc<Job>,
    folder: StateFolder,
    session: Option<Session>,
    /// Connecting anew, beside the beats.
    renewal: Renewal,
    copied_at: Option<Instant>,
    /// Why the state folder could not be used last time, so that it is said once.
    state_fault: Option<String>,
}

/// The connections to the masters, each until it fails.
struct Session {
    masters: Vec<Sampler>,
    /// Why further masters have none.
    missing: Vec<String>,
    known: Known,
}

impl Sidecar {
    /// One beat through every master. An error: there was not even a connection.
    async fn beat(&mut self) -> Result<Said, RedisError> {
        let mut said = Said {
            state: self.folder.path().to_owned(),
            ..Said::default()
        };
        let mut session = self.session(&mut said).await?;
        let mut beaten = Vec::new();
        let answers = sampler::beat(&session.masters, &self.job, &session.known).await;
        let asked = std::mem::take(&mut session.masters);
        for (master, answer) in asked.into_iter().zip(answers) {
            match answer {
                Ok(beat) => {
                    beaten.push(beat);
                    session.masters.push(master);
                }
                Err(fault) => session.missing.push(fault.to_string()),
            }
        }
        self.keep(&beaten, &mut session, &mut said);
        said.failures.extend(session.missing.iter().cloned());
        if session.masters.is_empty() {
            // Where the masters are is asked anew, and nothing is beaten through until that is known.
            return Ok(said);
        }
        let is_due = self.copied_at.is_none_or(|at| at.elapsed() >= COPY_EVERY);
        if is_due || !said.changes.is_empty() {
            self.copy(&session.masters, &mut said).await;
            self.copied_at = Some(Instant::now());
        }
        // In a Cluster slots move without any connection noticing, and masters join.
        let is_cluster = session.masters.iter().any(|m| m.facts().is_cluster);
        if !session.missing.is_empty() {
            self.renewal.begin_in_a_while(&self.job);
        } else if is_due && is_cluster {
            self.renewal.begin(&self.job);
        }
        self.session = Some(session);
        Ok(said)
    }

    /// The connections of the last beat, or newer ones if there are; without any, they are waited for.
    async fn session(&mut self, said: &mut Said) -> Result<Session, RedisError> {
        let renewed = self.renewal.done();
        match (self.session.take(), renewed) {
            (old, Some(Ok(learnt))) => Ok(self.take_over(learnt, old, said)),
            // What failed is said by the beats, and tried again.
            (Some(session), None | Some(Err(_))) => Ok(session),
            (None, _) => {
                let learnt = Learnt::of(&self.job).await?;
                Ok(self.take_over(learnt, None, said))
            }
        }
    }

    /// Goes on with new connections; where some masters could not be reached, with older ones to them, too.
    fn take_over(&mut self, learnt: Learnt, old: Option<Session>, said: &mut Said) -> Session {
        let Learnt {
            mut masters,
            missing,
            elsewhere,
            warnings,
        } = learnt;
        said.warnings.extend(warnings);
        let (old, before) = match old {
            Some(old) => (old.masters, Some(old.known)),
            None => (Vec::new(), None),
        };
        if !missing.is_empty() {
            let is_new = |old: &Sampler| masters.iter().all(|m| m.address() != old.address());
            let kept: Vec<Sampler> = old.into_iter().filter(is_new).collect();
            masters.extend(kept);
        }
        let known = match self.learn(elsewhere.clone()) {
            Ok((remembered, news)) => {
                said.changes.extend(news);
                Known::of(&remembered)
            }
            Err(fault) => {
                self.state_fault(&fault, said);
                before.unwrap_or_else(|| Known::of(&elsewhere))
            }
        };
        Session {
            masters,
            missing,
            known,
        }
    }

    /// Takes into the folder what it does not have; everything it has then, and the changes that were news to it.
    fn learn(&self, elsewhere: Remembered) -> Result<(Remembered, Vec<Change>), StateError> {
        let before = self.folder.read()?;
        self.folder.take_in(elsewhere)?;
        let after = self.folder.read()?;
        // A folder that is new learns of what others dealt with long ago: that is no news.
        let is_first = before == Remembered::default();
        let is_news = |change: &&Change| {
            let handled = after.handled.iter();
            let mut handled = handled.map(|h| (&h.run_id, &h.replication_id));
            !is_first
                && !before.changes.iter().any(|known| known.is_same(change))
                && !handled.any(|history| history == (&change.run_id, &change.replication_id))
        };
        let news = after.changes.iter().filter(is_news).cloned().collect();
        Ok((after, news))
    }

    /// Keeps what was answered in the folder.
    fn keep(&mut self, beaten: &[Beaten], session: &mut Session, said: &mut Said) {
        let samples: Vec<_> = beaten.iter().map(|beat| beat.sample.clone()).collect();
        let changes = beaten.iter().filter_map(|beat| beat.change.clone());
        let remembered = Remembered {
            changes: changes.collect(),
            ..Remembered::default()
        };
        said.changes.extend(remembered.changes.iter().cloned());
        said.warnings
            .extend(beaten.iter().filter_map(|beat| beat.warning.clone()));
        let kept = match remembered.changes.is_empty() {
            true => Ok(()),
            // Before the samples: with them the history counts as known.
            false => self.folder.take_in(remembered),
        };
        if let Err(fault) = kept.and_then(|()| self.folder.add_samples(&samples)) {
            self.state_fault(&fault, said);
        }
        let changes = beaten.iter().filter_map(|beat| beat.change.as_ref());
        changes.for_each(|change| session.known.learn_change(change));
        samples
            .iter()
            .for_each(|sample| session.known.learn(sample));
        said.beats.extend(samples);
    }

    async fn copy(&mut self, masters: &[Sampler], said: &mut Said) {
        let remembered = match self.folder.read() {
            Ok(remembered) => remembered,
            Err(fault) => return self.state_fault(&fault, said),
        };
        // Appending samples says nothing of the file beside them; only reading both does.
        self.state_fault = None;
        // Only runs move it: a sidecar with a folder of its own would put back what it read long ago.
        let remembered = Remembered {
            audited_until: None,
            ..remembered
        };
        if let Err(fault) = sampler::keep_copies(masters, &self.job, &remembered).await {
            said.warnings
                .push(format!("the state was not copied to Redis: {fault}"));
        }
    }

    fn state_fault(&mut self, fault: &StateError, said: &mut Said) {
        let fault = format!(
            "{fault}; heartbeats go on, but no sample is kept and a failover is dated less exactly"
        );
        if self.state_fault.as_deref() != Some(&fault) {
            said.warnings.push(fault.clone());
            self.state_fault = Some(fault);
        }
    }
}

/// Up to a quarter more, so that those who lost the same server do not return as one.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(1.0 + rand::rng().random_range(0.0..0.25))
}
