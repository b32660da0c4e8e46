//! What lies in the dead letters counts as settled.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use tokio::sync::{Mutex, MutexGuard};

use super::bounded::bounded_entries;
use super::pace::{Pace, Unpaced};
use crate::model::stream::{Entry, IdRange, Identity, StreamId};
use crate::rules::StreamJudge;
use crate::scan::ScanError;
use crate::store::redis::Redis;

/// The field of a dead letter that says which entry it was.
const ORIGINAL_ID: &[u8] = b"original_id";
/// The one that says of which stream, where our script wrote it.
const ORIGINAL_STREAM: &[u8] = b"original_stream";

/// Dead letters that are remembered, some ninety megabytes at most. A stream of more is not read whole.
const DEAD_LETTERS_MAX: usize = 1_000_000;
const PAGE_ENTRIES: usize = 1_000;

/// Which entries the `dead_letter` stream of a check holds. A letter that names its `original_id` is about that entry
/// alone, and about no other one that has its id in another stream: where it tells an identity too, both must be the
/// entry's. An application's own letters know no original id; they are about the entries with their identity that were
/// there before them, so that one that is tried again later can be lost like any other.
///
/// Read when first asked and from there on, and only remembered as digests. It belongs to one history of one Redis:
/// after a failover it must begin anew.
pub struct DeadLetters {
    key: Option<Vec<u8>>,
    /// The stream whose entries are asked for.
    stream: Vec<u8>,
    matches: Vec<(Vec<u8>, Vec<u8>)>,
    identity: Option<Vec<u8>>,
    max: usize,
    pace: Arc<dyn Pace>,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
pub(super) struct Held {
    /// Up to which id the stream was read.
    read_to: Option<StreamId>,
    letters: usize,
    /// Digests of original ids, alone or with the identity.
    entries: HashSet<u128>,
    /// By the digest of an identity the id of the last letter that has it and no original id.
    last_letters: HashMap<u128, StreamId>,
    lanes: [RandomState; 2],
}

impl DeadLetters {
    /// None read yet. A check without `dead_letter` never reads any.
    pub fn new(judge: &StreamJudge) -> Self {
        Self::with_max(judge, DEAD_LETTERS_MAX)
    }

    fn with_max(judge: &StreamJudge, max: usize) -> Self {
        let check = &judge.mapping().check;
        Self {
            key: check.dead_letter.clone(),
            stream: check.key.clone(),
            matches: check.matches.clone(),
            identity: match &check.identity {
                Identity::Field(name) => Some(name.clone()),
                Identity::EntryId => None,
            },
            max,
            pace: Arc::new(Unpaced),
            held: Mutex::default(),
        }
    }

    /// The same, asking `pace` for every letter it reads. What is read is needed whole, so that a stop is not heeded.
    pub fn paced(self, pace: Arc<dyn Pace>) -> Self {
        Self { pace, ..self }
    }

    /// Reads what was added since, and gives all that is known.
    pub(super) async fn refresh(&self, cache: &Redis) -> Result<MutexGuard<'_, Held>, ScanError> {
        let mut held = self.held.lock().await;
        let Some(key) = &self.key else {
            return Ok(held);
        };
        loop {
            let first = match held.read_to {
                None => StreamId::MIN,
                Some(id) => match id.next() {
                    Some(next) => next,
                    None => return Ok(held),
                },
            };
            let last = StreamId::MAX;
            let (page, is_whole) =
                bounded_entries(cache, key, IdRange { first, last }, PAGE_ENTRIES).await?;
            self.pace.take(page.len()).await;
            for letter in &page {
                self.remember(&mut held, letter);
            }
            if held.letters > self.max {
                return Err(ScanError::TooManyDeadLetters {
                    key: key.escape_ascii().to_string(),
                    max: self.max,
                });
            }
            held.read_to = page.last().map(|letter| letter.id).or(held.read_to);
            if is_whole {
                return Ok(held);
            }
        }
    }

    fn remember(&self, held: &mut Held, letter: &Entry) {
        // Several streams may share their dead letters. A letter that says it is another's is; one that does
        // not say, because the application wraps it, may be ours.
        let is_anothers = letter
            .field(ORIGINAL_STREAM)
            .is_some_and(|stream| *stream != self.stream)
            || self
                .matches
                .iter()
                .any(|(name, value)| letter.field(name).is_some_and(|v| v != value));
        if is_anothers {
            return;
        }
        held.letters += 1;
        let identity = self.identity.as_ref().and_then(|name| letter.field(name));
        let identity = identity.map(AsRef::as_ref);
        match letter.field(ORIGINAL_ID).map(|id| StreamId::parse(id)) {
            Some(Some(id)) => {
                let digest = held.digest(Some(id), identity);
                held.entries.insert(digest);
            }
            // It names an entry, but none that can be.
            Some(None) => {}
            None if identity.is_some() => {
                let digest = held.digest(None, identity);
                held.last_letters.insert(digest, letter.id);
            }
            None => {}
        }
    }
}

impl Held {
    pub(super) fn holds(&self, id: StreamId, identity: Option<&[u8]>) -> bool {
        let names = |identity| self.entries.contains(&self.digest(Some(id), identity));
        let is_older = |identity| {
            let letter = self.last_letters.get(&self.digest(None, Some(identity)));
            letter.is_some_and(|letter| id < *letter)
        };
        names(None) || identity.is_some_and(|i| names(Some(i)) || is_older(i))
    }

    /// Keyed at random, so that nobody can choose identities that meet.
    fn digest(&self, id: Option<StreamId>, identity: Option<&[u8]>) -> u128 {
        let [high, low] = self
            .lanes
            .each_ref()
            .map(|lane| lane.hash_one((id, identity)));
        (u128::from(high) << 64) | u128::from(low)
    }
}
