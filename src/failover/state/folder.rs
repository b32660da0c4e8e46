//! The state folder of a job, which a sidecar, a cron job and a person may use at once.

use std::path::{Path, PathBuf};

use super::file::{self, Lock};
use super::record::StateRecord;
use super::shards::{self, ShardDone};
use super::{StateError, samples};
use crate::failover::{Change, Handled, Remembered, Sample};
use crate::job::Job;
use crate::model::time::Micros;

/// `state_dir/<job>/`. Reading writes nothing and takes no lock; the first write makes what is missing.
#[derive(Debug, Clone)]
pub struct StateFolder {
    path: PathBuf,
    job: String,
}

impl StateFolder {
    /// Touches nothing yet.
    pub fn open(job: &Job) -> Self {
        Self {
            path: job.state_folder(),
            job: job.name.clone(),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Everything that is remembered here; nothing where there is no folder.
    pub fn read(&self) -> Result<Remembered, StateError> {
        let mut remembered = self.read_state()?;
        remembered.samples = samples::read(&self.samples(), &self.job)?;
        Ok(remembered)
    }

    pub fn add_sample(&self, sample: &Sample) -> Result<(), StateError> {
        self.add_samples(std::slice::from_ref(sample))
    }

    pub fn add_samples(&self, samples: &[Sample]) -> Result<(), StateError> {
        let _lock = Lock::take(&self.path)?;
        samples::append(&self.samples(), &self.job, samples)
    }

    /// Adds a change; one that is known already changes nothing.
    pub fn add_change(&self, change: &Change) -> Result<(), StateError> {
        self.take_in(Remembered {
            changes: vec![change.clone()],
            ..Remembered::default()
        })
    }

    /// Adds these histories to those that need no run any more, all at the latest moment of any.
    pub fn mark_handled(&self, handled: &[Handled]) -> Result<(), StateError> {
        self.change_state(|state| *state = std::mem::take(state).marked(handled.to_vec()))
    }

    /// Notes that a shard has dealt with its part. Once all of its repair have, `handled` needs no run any more, and everything
    /// was audited until the first of them began, which is given.
    pub fn note_shard(
        &self,
        done: ShardDone,
        handled: &[Handled],
    ) -> Result<Option<Micros>, StateError> {
        let _lock = Lock::take(&self.path)?;
        let path = self.path.join("shards.json");
        let (left, oldest) = shards::joined(shards::read(&path, &self.job)?, done);
        if let Some(oldest) = oldest {
            self.change_locked(|state| {
                *state = std::mem::take(state).marked(handled.to_vec());
                state.audited_until = Some(oldest);
            })?;
        }
        shards::write(&path, &self.job, &left)?;
        Ok(oldest)
    }

    /// Moves it, forwards or back: the caller knows what it audited.
    pub fn set_audited_until(&self, instant: Micros) -> Result<(), StateError> {
        self.change_state(|state| state.audited_until = Some(instant))
    }

    /// Adds what is remembered elsewhere, in the copy in Redis or by another folder. Its *audited until* is taken only where
    /// there is none here.
    pub fn take_in(&self, other: Remembered) -> Result<(), StateError> {
        if !other.samples.is_empty() {
            let _lock = Lock::take(&self.path)?;
            let known = samples::read(&self.samples(), &self.job)?;
            let mut new = other.samples.clone();
            new.retain(|sample| !known.contains(sample));
            samples::append(&self.samples(), &self.job, &new)?;
        }
        self.change_state(|state| {
            let audited_until = state.audited_until.or(other.audited_until);
            let other = other.with_marks_until(Micros::now());
            *state = std::mem::take(state).united(Remembered {
                samples: Vec::new(),
                ..other
            });
            state.audited_until = audited_until;
        })
    }

    fn change_state(&self, change: impl FnOnce(&mut Remembered)) -> Result<(), StateError> {
        let _lock = Lock::take(&self.path)?;
        self.change_locked(change)
    }

    /// Needs the lock.
    fn change_locked(&self, change: impl FnOnce(&mut Remembered)) -> Result<(), StateError> {
        let old = self.read_state()?;
        let mut new = old.clone();
        change(&mut new);
        if new == old {
            return Ok(());
        }
        let record = StateRecord::of(&self.job, &new);
        let text = serde_json::to_vec_pretty(&record)
            .expect("a record of texts and numbers can be written");
        file::replace(&self.state(), &text)
    }

    /// Without samples.
    fn read_state(&self) -> Result<Remembered, StateError> {
        let path = self.state();
        match file::read(&path)? {
            Some(text) => StateRecord::read(&text, &self.job, &path.display().to_string()),
            None => Ok(Remembered::default()),
        }
    }

    fn state(&self) -> PathBuf {
        self.path.join("state.json")
    }

    fn samples(&self) -> PathBuf {
        self.path.join("samples.jsonl")
    }
}
