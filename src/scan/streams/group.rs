//! The walk over a stream that says how far a group provably came.

use std::time::Duration;

use futures_util::future::try_join;

use super::bounded::bounded_entries;
use super::dead_letters::DeadLetters;
use super::delivery::cursor;
use super::evidence::{Read, dead_lettered, identities, weigh};
use super::pace::Pace;
use super::source_ids::stand_in_source;
use crate::model::identity::SourceIdentity;
use crate::model::stream::{Entry, GroupLook, IdRange, StreamCheck, StreamId, StreamState};
use crate::model::time::Micros;
use crate::rules::StreamJudge;
use crate::scan::ScanError;
use crate::store::mysql::Mysql;
use crate::store::redis::Redis;

/// Entries of the walk's first page: most walks end at once, because what follows the cursor is not read yet.
const FIRST_ENTRIES: usize = 50;
const PAGE_ENTRIES: usize = 1_000;

/// A check of the group, with its dead letters.
#[derive(Clone, Copy)]
pub struct Claimant<'a> {
    pub judge: &'a StreamJudge,
    pub dead: &'a DeadLetters,
}

/// Both stores.
#[derive(Clone, Copy)]
struct Stores<'a> {
    source: &'a Mysql,
    cache: &'a Redis,
}

/// Some entries, and where those after them begin.
#[derive(Default)]
struct Page {
    entries: Vec<Entry>,
    next: Option<StreamId>,
}

/// How far the walk came.
struct Walk {
    proven_to: Option<StreamId>,
    proven_count: u64,
    /// The first server that answered, or the one that was another.
    witness: Option<(SourceIdentity, Micros)>,
}

/// One look at a group: its cursor; the entries that follow it (without a group: all entries from the
/// stream's first) up to the first one that is not proven; the cursor again.
///
/// `claimants` are the checks of this key and group, the one the look is for first. An entry is proven if each
/// check that it belongs to says so, and an entry that belongs to none ends the walk: nobody can say what
/// became of it. `carried` are entry ids that rows were seen to carry ([`super::SourceIds`]); they are read
/// again.
///
/// Bounded memory, whatever the stream's length. `pace` is asked between two pages; told to stop, it gives
/// `ScanError::Stopped`.
pub async fn look_at_group(
    source: &Mysql,
    cache: &Redis,
    claimants: &[Claimant<'_>],
    carried: &[StreamId],
    skew: Duration,
    pace: &dyn Pace,
) -> Result<GroupLook, ScanError> {
    let own = claimants.first().expect("a group is looked at for a check");
    let stores = Stores { source, cache };
    let check = &own.judge.mapping().check;
    let cache_time = cache.time_of(&check.key).await?;
    let stream = cache.stream_state(&check.key).await?;
    let cursor_before = stream
        .facts()
        .and_then(|facts| facts.group(&check.group))
        .map(|group| group.last_delivered);
    let mut walk = Walk {
        // Without a group the place before the very first entry is safe, come what may.
        proven_to: match (&stream, cursor_before) {
            (StreamState::WrongType(_), _) | (_, Some(_)) => None,
            (StreamState::Missing | StreamState::Stream(_), None) => Some(StreamId::MIN),
        },
        proven_count: 0,
        witness: None,
    };
    let first = match cursor_before {
        None => Some(StreamId::MIN),
        Some(cursor) => cursor.next(),
    };
    if let (Some(first), Some(_)) = (first, stream.facts()) {
        walk.go(stores, claimants, first, pace).await?;
    }
    let stand = stand_in_source(source, own.judge, carried, cache_time, skew).await?;
    walk.witnessed(stand.source, stand.source_time);
    let cursor_after = match &stream {
        StreamState::WrongType(_) => None,
        StreamState::Missing | StreamState::Stream(_) => cursor(cache, check).await?,
    };
    let (source, source_time) = walk.witness.expect("the stand in the source has a witness");
    Ok(GroupLook {
        stream,
        cursor_before,
        cursor_after,
        proven_to: walk.proven_to,
        proven_count: walk.proven_count,
        highest_in_source: stand.highest,
        future_in_source: stand.future,
        source,
        source_time,
        cache_time,
        at: Micros::now(),
    })
}

impl Walk {
    /// Across proven entries from `first` on. The next page is read while one is weighed; it is paid for before
    /// it is weighed itself, and before yet another one is read.
    async fn go(
        &mut self,
        stores: Stores<'_>,
        claimants: &[Claimant<'_>],
        first: StreamId,
        pace: &dyn Pace,
    ) -> Result<(), ScanError> {
        let check = &claimants[0].judge.mapping().check;
        let mut page = page(stores.cache, check, Some(first), FIRST_ENTRIES).await?;
        while !page.entries.is_empty() {
            pace.take(page.entries.len()).await;
            if pace.should_stop() {
                return Err(ScanError::Stopped);
            }
            let ids: Vec<StreamId> = page.entries.iter().map(|entry| entry.id).collect();
            let (proven, following) = try_join(
                self.proven(stores, claimants, page.entries),
                self::page(stores.cache, check, page.next, PAGE_ENTRIES),
            )
            .await?;
            if let Some(end) = proven.checked_sub(1) {
                self.proven_to = Some(ids[end]);
                self.proven_count += proven as u64;
            }
            if proven < ids.len() {
                break;
            }
            page = following;
        }
        Ok(())
    }

    /// How many of the first entries of a page are proven without a gap.
    async fn proven(
        &mut self,
        stores: Stores<'_>,
        claimants: &[Claimant<'_>],
        page: Vec<Entry>,
    ) -> Result<usize, ScanError> {
        let claimed = page
            .iter()
            .position(|entry| !claimants.iter().any(|c| c.judge.belongs(entry)))
            .unwrap_or(page.len());
        let mut proven = claimed;
        for claimant in claimants {
            proven = self.proven_by(stores, *claimant, &page[..proven]).await?;
        }
        Ok(proven)
    }

    /// The same by one check alone, to which the entries of others are as good as proven.
    async fn proven_by(
        &mut self,
        stores: Stores<'_>,
        claimant: Claimant<'_>,
        page: &[Entry],
    ) -> Result<usize, ScanError> {
        let Claimant { judge, dead } = claimant;
        let own: Vec<usize> = (0..page.len())
            .filter(|&place| judge.belongs(&page[place]))
            .collect();
        if own.is_empty() {
            return Ok(page.len());
        }
        let reads: Vec<Read> = own
            .iter()
            .map(|&place| Read {
                id: page[place].id,
                entry: Some(page[place].clone()),
                pending: None,
            })
            .collect();
        let identities = identities(judge, &reads);
        let answer = weigh(stores.source, judge, &identities).await?;
        self.witnessed(answer.source, answer.source_time);
        let all = Some(StreamId::MAX);
        let dead = dead_lettered(
            stores.cache,
            dead,
            all,
            &reads,
            &identities,
            &answer.evidence,
        )
        .await?;
        let unproven = reads.iter().zip(&answer.evidence).zip(dead).position(
            |((read, evidence), is_dead_lettered)| {
                let proof = judge.proof(read.id, read.entry.as_ref(), evidence);
                !proof.settles() && !is_dead_lettered
            },
        );
        Ok(unproven.map_or(page.len(), |nth| own[nth]))
    }

    fn witnessed(&mut self, source: SourceIdentity, at: Micros) {
        match &mut self.witness {
            None => self.witness = Some((source, at)),
            // One that differs is kept, because by it the look does not count.
            Some((first, _)) if *first != source => *first = source,
            Some(_) => {}
        }
    }
}

/// The page that begins at `first`; an empty one where nothing begins there.
async fn page(
    cache: &Redis,
    check: &StreamCheck,
    first: Option<StreamId>,
    limit: usize,
) -> Result<Page, ScanError> {
    let Some(first) = first else {
        return Ok(Page::default());
    };
    let last = StreamId::MAX;
    let (entries, is_whole) =
        bounded_entries(cache, &check.key, IdRange { first, last }, limit).await?;
    let next = entries.last().and_then(|entry| entry.id.next());
    Ok(Page {
        entries,
        next: next.filter(|_| !is_whole),
    })
}
