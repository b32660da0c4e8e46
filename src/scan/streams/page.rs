//! Pages of a merged pass over a stream and its group's pending list: every id once, whole on both sides.

use std::collections::HashMap;

use super::bounded::{PAGE_BYTES, bounded_by_id, bounded_entries, weight};
use super::dead_letters::DeadLetters;
use super::delivery::{Delivery, delivery};
use super::evidence::{Read, dead_lettered, identities, weigh};
use super::owner::{has_entry, has_id, has_tuple};
use crate::model::shard::Shard;
use crate::model::stream::{Entry, EntryLook, IdRange, StreamFacts, StreamId};
use crate::model::time::Micros;
use crate::rules::StreamJudge;
use crate::scan::ScanError;
use crate::store::mysql::{Mysql, WitnessedEvidence};
use crate::store::redis::Redis;

/// Pending rows read for a page of entries at least, however short the pending list.
const PENDING_ROWS_MIN: u64 = 100;
/// How much denser than on average the pending list may lie before it cuts a page of entries short.
const PENDING_DENSITY: u64 = 2;
/// Where the entries around pending ids are no denser than this, they are read in one range, the others between
/// them included.
const ENTRIES_PER_PENDING: usize = 2;

/// One page, both sides. Its looks have only one half (`after` is what was `before`): good for suspects, not for
/// a verdict.
#[derive(Debug)]
pub struct EntryPage {
    /// Every entry of the check, and every pending id whose entry is gone, in the order of ids; those of one shard.
    pub looks: Vec<EntryLook>,
    /// The place of each of `looks` among those of all shards.
    pub places: Vec<u64>,
    /// Other shards' entries of which this one has the tuple.
    pub others: Vec<Entry>,
    /// How many places there are.
    pub length: u64,
    /// How many of `looks` the group has not been given yet (or there is no group).
    pub undelivered: u64,
    /// Entries of other types, left alone; pending or not.
    pub foreign: u64,
    /// The first id of the next page; `None`: the range is done.
    pub next: Option<StreamId>,
    /// Entries that Redis sent, those of other types included.
    pub entries_read: u64,
    /// Pending rows that Redis sent.
    pub pending_read: u64,
}

/// Redis's half of a page. Where the next page begins is known, so it can be read while this one is weighed.
#[derive(Debug)]
pub struct PageReads {
    reads: Vec<Read>,
    places: Vec<u64>,
    others: Vec<Entry>,
    length: u64,
    cursor: Option<StreamId>,
    cache_time: Micros,
    foreign_ids: Vec<StreamId>,
    pub next: Option<StreamId>,
    pub entries_read: u64,
    pub pending_read: u64,
}

/// One page of all ids of `range`, of at most `limit` entries.
pub async fn entry_page(
    source: &Mysql,
    cache: &Redis,
    judge: &StreamJudge,
    dead: &DeadLetters,
    range: IdRange,
    limit: usize,
) -> Result<EntryPage, ScanError> {
    let reads = read_entries(cache, judge, range, Shard::WHOLE, limit).await?;
    reads.weigh(source, cache, judge, dead).await
}

/// One page of the pending ids of `range` only, at most `limit` of them. Entries that are not pending are no
/// part of it.
pub async fn pending_page(
    source: &Mysql,
    cache: &Redis,
    judge: &StreamJudge,
    dead: &DeadLetters,
    range: IdRange,
    limit: usize,
) -> Result<EntryPage, ScanError> {
    let reads = read_pending(cache, judge, range, Shard::WHOLE, limit).await?;
    reads.weigh(source, cache, judge, dead).await
}

/// Redis's half of [`entry_page`]. It is read whole, because only what an entry holds says whose it is.
pub async fn read_entries(
    cache: &Redis,
    judge: &StreamJudge,
    range: IdRange,
    shard: Shard,
    limit: usize,
) -> Result<PageReads, ScanError> {
    let limit = limit.max(1);
    let check = &judge.mapping().check;
    let delivery = delivery(cache, check, range, |facts, pending| {
        pending_limit(facts, pending, limit)
    })
    .await?;
    // The pending list is known up to `whole_to` only, so entries after it belong to the next page.
    let known = IdRange {
        last: delivery.whole_to,
        ..range
    };
    let (entries, is_whole) = bounded_entries(cache, &check.key, known, limit).await?;
    let end = match entries.last() {
        Some(last) if !is_whole => last.id,
        _ => known.last,
    };
    let entries_read = entries.len() as u64;
    let reads = reads_of(judge, delivery, entries, range, end, entries_read);
    Ok(reads.part_of(shard, judge))
}

/// Redis's half of [`pending_page`].
pub async fn read_pending(
    cache: &Redis,
    judge: &StreamJudge,
    range: IdRange,
    shard: Shard,
    limit: usize,
) -> Result<PageReads, ScanError> {
    let check = &judge.mapping().check;
    let delivery = delivery(cache, check, range, |_, _| limit).await?;
    let ids: Vec<StreamId> = delivery.pending.iter().map(|p| p.row.id).collect();
    let found = entries_of(cache, &check.key, &ids).await?;
    let end = found.known_to.unwrap_or(delivery.whole_to);
    let reads = reads_of(judge, delivery, found.entries, range, end, found.sent);
    Ok(reads.part_of(shard, judge))
}

impl PageReads {
    /// How many places the page has, over all shards.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Leaves what is the shard's.
    fn part_of(mut self, shard: Shard, judge: &StreamJudge) -> Self {
        if shard.is_whole() {
            return self;
        }
        let all = std::mem::take(&mut self.reads).into_iter();
        self.places.clear();
        for (read, place) in all.zip(0..) {
            if has_entry(shard, judge, read.id, read.entry.as_ref()) {
                self.reads.push(read);
                self.places.push(place);
            } else if let Some(entry) = read.entry {
                let tuple = judge.entry_tuple(&entry);
                let is_wanted = tuple.is_some_and(|tuple| has_tuple(shard, &tuple));
                self.others.extend(is_wanted.then_some(entry));
            }
        }
        self.foreign_ids.retain(|id| has_id(shard, *id));
        self
    }

    /// Asks the primary about what was read.
    pub async fn weigh(
        self,
        source: &Mysql,
        cache: &Redis,
        judge: &StreamJudge,
        dead: &DeadLetters,
    ) -> Result<EntryPage, ScanError> {
        let mut page = EntryPage {
            looks: Vec::with_capacity(self.reads.len()),
            places: self.places,
            others: self.others,
            length: self.length,
            undelivered: 0,
            foreign: self.foreign_ids.len() as u64,
            next: self.next,
            entries_read: self.entries_read,
            pending_read: self.pending_read,
        };
        if self.reads.is_empty() {
            return Ok(page);
        }
        let identities = identities(judge, &self.reads);
        let WitnessedEvidence {
            evidence,
            source,
            source_time,
        } = weigh(source, judge, &identities).await?;
        let dead = dead_lettered(
            cache,
            dead,
            self.cursor,
            &self.reads,
            &identities,
            &evidence,
        )
        .await?;
        let at = Micros::now();
        for ((read, evidence), is_dead_lettered) in self.reads.into_iter().zip(evidence).zip(dead) {
            page.undelivered += u64::from(self.cursor.is_none_or(|cursor| read.id > cursor));
            page.looks.push(EntryLook {
                id: read.id,
                entry: read.entry,
                cursor_before: self.cursor,
                cursor_after: self.cursor,
                before: read.pending.clone(),
                after: read.pending,
                evidence,
                is_dead_lettered,
                source: source.clone(),
                source_time,
                cache_time: self.cache_time,
                at,
            });
        }
        Ok(page)
    }
}

/// How many pending rows to read along with `limit` entries: about as many as lie among them, so that few
/// are read twice.
fn pending_limit(facts: &StreamFacts, pending: u64, limit: usize) -> usize {
    let limit = limit as u64;
    let among = u128::from(PENDING_DENSITY) * u128::from(limit) * u128::from(pending)
        / u128::from(facts.length.max(1));
    let among = u64::try_from(among).unwrap_or(u64::MAX);
    usize::try_from(among.max(PENDING_ROWS_MIN).min(limit.max(PENDING_ROWS_MIN)))
        .unwrap_or(usize::MAX)
}

/// Entries of pending ids.
#[derive(Default)]
struct EntriesOf {
    /// In order; those that are there.
    entries: Vec<Entry>,
    /// How many Redis sent for it.
    sent: u64,
    /// The last id that was asked for; `None`: all were, and the page holds them.
    known_to: Option<StreamId>,
}

async fn entries_of(cache: &Redis, key: &[u8], ids: &[StreamId]) -> Result<EntriesOf, ScanError> {
    let (Some(&first), Some(&last)) = (ids.first(), ids.last()) else {
        return Ok(EntriesOf::default());
    };
    let limit = ids.len() * ENTRIES_PER_PENDING;
    let (mut entries, is_whole) =
        bounded_entries(cache, key, IdRange { first, last }, limit).await?;
    let mut sent = entries.len() as u64;
    let end = entries.last().map(|e| e.id).filter(|_| !is_whole);
    entries.retain(|entry| ids.binary_search(&entry.id).is_ok());
    let Some(end) = end else {
        return Ok(EntriesOf {
            entries,
            sent,
            known_to: None,
        });
    };
    // What lies after a full answer is asked for by its ids, as far as memory allows.
    let rest = &ids[ids.partition_point(|&id| id <= end)..];
    let bytes_left = PAGE_BYTES.saturating_sub(weight(&entries));
    let (found, asked) = bounded_by_id(cache, key, rest, bytes_left).await?;
    sent += found.len() as u64;
    entries.extend(found);
    Ok(EntriesOf {
        entries,
        sent,
        known_to: match asked {
            0 => Some(end),
            asked => (asked < rest.len()).then(|| rest[asked - 1]),
        }
        .filter(|known| *known < last),
    })
}

/// Merges both sides up to `end`; what lies behind it is the next page's.
fn reads_of(
    judge: &StreamJudge,
    delivery: Delivery,
    entries: Vec<Entry>,
    range: IdRange,
    end: StreamId,
    entries_read: u64,
) -> PageReads {
    let pending_read = delivery.pending.len() as u64;
    let mut pending: HashMap<StreamId, _> = delivery
        .pending
        .into_iter()
        .filter(|p| p.row.id <= end)
        .map(|p| (p.row.id, p))
        .collect();
    let mut foreign_ids = Vec::new();
    let mut reads = Vec::with_capacity(entries.len().max(pending.len()));
    for entry in entries {
        let pending = pending.remove(&entry.id);
        if judge.belongs(&entry) {
            reads.push(Read {
                id: entry.id,
                entry: Some(entry),
                pending,
            });
        } else {
            foreign_ids.push(entry.id);
        }
    }
    if !pending.is_empty() {
        reads.extend(pending.into_values().map(|pending| Read {
            id: pending.row.id,
            entry: None,
            pending: Some(pending),
        }));
        reads.sort_unstable_by_key(|read| read.id);
    }
    let length = reads.len() as u64;
    PageReads {
        reads,
        places: (0..length).collect(),
        others: Vec::new(),
        length,
        cursor: delivery.cursor,
        cache_time: delivery.cache_time,
        foreign_ids,
        next: end
            .next()
            .filter(|next| *next <= range.last && end < range.last),
        entries_read,
        pending_read,
    }
}
