//! The servers that sweeps read: replicas where the job names them, else those that verdicts come from.

use std::sync::{Arc, OnceLock};

use super::RunError;
use super::ground::Ground;
use crate::failover::{Fitness, fitness};
use crate::model::node::NodeFacts;
use crate::model::time::Micros;
use crate::scan::ScanError;
use crate::store::mysql::{Mysql, ServerFacts};
use crate::store::redis::Redis;

/// Where the sweeps of a run read.
#[derive(Clone)]
pub(super) struct Reading {
    /// The replica, past what the primary had committed when the master was pinned, or the primary.
    pub source: Mysql,
    /// Of the replica, and when they were so by this host's clock.
    pub source_facts: Option<(ServerFacts, Micros)>,
    pub replica: Option<Arc<KeyReplica>>,
    /// Why replicas that the job names are not read, as a sentence.
    pub remark: Option<String>,
}

/// A Redis replica that was found fit, until it no longer is.
pub(super) struct KeyReplica {
    cache: Redis,
    /// As it was found fit.
    facts: NodeFacts,
    /// By this host's clock.
    found_at: Micros,
    /// The master, as it was pinned.
    master: NodeFacts,
    given_up: OnceLock<String>,
}

/// Where one page, or one walk, is read.
#[derive(Clone)]
pub(super) struct Reader {
    pub cache: Redis,
    replica: Option<Arc<KeyReplica>>,
}

impl Reading {
    /// Everything at the servers that verdicts come from.
    pub(super) fn at_the_masters(source: &Mysql) -> Self {
        Self {
            source: source.clone(),
            source_facts: None,
            replica: None,
            remark: None,
        }
    }

    /// Why a replica that was read at first is read no longer.
    pub(super) fn given_up(&self) -> Option<&str> {
        self.replica.as_ref()?.given_up.get().map(String::as_str)
    }

    /// What is worth saying of it in a run that is whole.
    pub(super) fn remarks(&self) -> impl Iterator<Item = String> {
        let given_up = self.replica.as_ref().and_then(|replica| {
            let why = replica.given_up.get()?;
            Some(format!(
                "the Redis replica {} was not read to the end ({why}); the rest of the sweep read the master",
                replica.facts.address
            ))
        });
        self.remark.clone().into_iter().chain(given_up)
    }
}

impl KeyReplica {
    pub(super) fn new(cache: Redis, facts: NodeFacts, master: NodeFacts) -> Self {
        Self {
            cache,
            facts,
            found_at: Micros::now(),
            master,
            given_up: OnceLock::new(),
        }
    }

    /// As it was found fit, and when.
    pub(super) fn found(&self) -> (&NodeFacts, Micros) {
        (&self.facts, self.found_at)
    }

    /// Why what was just read from it does not count, if it does not.
    async fn fault(&self) -> Option<String> {
        let now = match self.cache.facts().await {
            Ok(now) => now,
            Err(fault) => return Some(fault.to_string()),
        };
        if now.identity.run_id != self.facts.identity.run_id {
            return Some("it is another process now".to_owned());
        }
        match fitness(&self.master, &now) {
            Fitness::Fit => None,
            Fitness::NotYet(why) | Fitness::Foreign(why) | Fitness::Never(why) => {
                Some(format!("it {why}"))
            }
        }
    }

    fn give_up(&self, why: String) {
        if self.given_up.set(why.clone()).is_ok() {
            tracing::warn!(
                "the Redis replica {} is read no longer: {why}; sweeps read the master",
                self.facts.address
            );
        }
    }
}

impl Ground {
    /// Where the next page of keys is read.
    pub(super) fn reader(&self) -> Reader {
        let replica = &self.stores.reading.replica;
        let fit = replica.iter().find(|r| r.given_up.get().is_none());
        Reader {
            cache: fit.map_or_else(|| self.stores.cache.clone(), |r| r.cache.clone()),
            replica: fit.cloned(),
        }
    }

    /// What was read by `reader` counts if the master is still the pinned one and the replica, if it was one, is
    /// still fit. `None`: it is to be read again, at the master; that is always right.
    pub(super) async fn counted<T>(
        &self,
        reader: &Reader,
        read: Result<T, ScanError>,
    ) -> Result<Option<T>, RunError> {
        let Some(replica) = &reader.replica else {
            let read = read?;
            self.still_the_same_nodes().await?;
            return Ok(Some(read));
        };
        let read = match read {
            Ok(read) => read,
            Err(ScanError::Cache(fault)) => {
                replica.give_up(fault.to_string());
                return Ok(None);
            }
            Err(fault) => return Err(fault.into()),
        };
        self.still_the_same_nodes().await?;
        if let Some(why) = replica.fault().await {
            replica.give_up(why);
            return Ok(None);
        }
        Ok(Some(read))
    }

    /// The same of a part of a walk: its cursor means nothing to the master, so that the check begins again.
    pub(super) async fn counted_of_walk<T>(
        &self,
        reader: &Reader,
        read: Result<T, ScanError>,
    ) -> Result<T, RunError> {
        self.counted(reader, read).await?.ok_or_else(walk_broken)
    }

    /// A read of a walk that is proven later, together with others.
    pub(super) fn read_of_walk<T>(
        &self,
        reader: &Reader,
        read: Result<T, ScanError>,
    ) -> Result<T, RunError> {
        match (read, &reader.replica) {
            (Err(ScanError::Cache(fault)), Some(replica)) => {
                replica.give_up(fault.to_string());
                Err(walk_broken())
            }
            (read, _) => Ok(read?),
        }
    }
}

fn walk_broken() -> RunError {
    RunError::TopologyChanged(
        "the Redis replica that was read is no longer fit, and a walk cannot go on elsewhere"
            .to_owned(),
    )
}
