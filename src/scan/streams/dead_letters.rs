//! What lies in the dead letters counts as settled.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use tokio::sync::{Mutex, MutexGuard};

use super::bounded::bounded_entries;
use crate::model::stream::{Entry, IdRange, Identity, StreamId};
use crate::rules::StreamJudge;
use crate::scan::ScanError;
use crate::store::redis::Redis;

/// The field of a dead letter that says which entry it was.
const ORIGINAL_ID: &[u8] = b"original_id";

/// Dead letters that are remembered, some seventy megabytes at most. A stream of more is not read whole.
const DEAD_LETTERS_MAX: usize = 1_000_000;
const PAGE_ENTRIES: usize = 1_000;

/// Which entries the `dead_letter` stream of a check holds: by their original id, and (unless the id is the
/// identity) by their identity, because an application's own dead letters know no `original_id`.
///
/// Read when first asked and from there on, and only remembered as digests. It belongs to one history of one Redis:
/// after a failover it must begin anew.
#[derive(Debug)]
pub struct DeadLetters {
    key: Option<Vec<u8>>,
    matches: Vec<(Vec<u8>, Vec<u8>)>,
    identity: Option<Vec<u8>>,
    max: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
pub(super) struct Held {
    /// Up to which id the stream was read.
    read_to: Option<StreamId>,
    letters: usize,
    digests: HashSet<u128>,
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
            matches: check.matches.clone(),
            identity: match &check.identity {
                Identity::Field(name) => Some(name.clone()),
                Identity::EntryId => None,
            },
            max,
            held: Mutex::default(),
        }
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
        let is_anothers = self
            .matches
            .iter()
            .any(|(name, value)| letter.field(name).is_some_and(|v| v != value));
        if is_anothers {
            return;
        }
        held.letters += 1;
        if let Some(id) = letter.field(ORIGINAL_ID).and_then(|id| StreamId::parse(id)) {
            held.insert(Some(id), None);
        }
        if let Some(identity) = self.identity.as_ref().and_then(|name| letter.field(name)) {
            held.insert(None, Some(identity));
        }
    }
}

impl Held {
    pub(super) fn holds(&self, id: StreamId, identity: Option<&[u8]>) -> bool {
        self.digests.contains(&self.digest(Some(id), None))
            || identity.is_some_and(|i| self.digests.contains(&self.digest(None, Some(i))))
    }

    fn insert(&mut self, id: Option<StreamId>, identity: Option<&[u8]>) {
        let digest = self.digest(id, identity);
        self.digests.insert(digest);
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
