//! Looks at single entries: Redis, the primary, Redis again.

use super::dead_letters::DeadLetters;
use super::delivery::{delivery_afterwards, delivery_of_ids};
use super::evidence::{Read, dead_lettered, identities, weigh};
use crate::model::stream::{EntryLook, StreamId};
use crate::model::time::Micros;
use crate::rules::StreamJudge;
use crate::scan::ScanError;
use crate::store::mysql::{Mysql, WitnessedEvidence};
use crate::store::redis::Redis;

/// Ids of one look; more are cut into several, so that a look stays short.
const LOOK_IDS: usize = 500;

/// One look at each of `ids`, in their order: cursor, pending rows, consumers and entries; the primary; pending
/// rows, consumers and cursor again. Each group of 500 is read in one go.
pub async fn look_at_entries(
    source: &Mysql,
    cache: &Redis,
    judge: &StreamJudge,
    dead: &DeadLetters,
    ids: &[StreamId],
) -> Result<Vec<EntryLook>, ScanError> {
    let mut looks = Vec::with_capacity(ids.len());
    for group in ids.chunks(LOOK_IDS) {
        looks.extend(look_once(source, cache, judge, dead, group).await?);
    }
    Ok(looks)
}

async fn look_once(
    source: &Mysql,
    cache: &Redis,
    judge: &StreamJudge,
    dead: &DeadLetters,
    ids: &[StreamId],
) -> Result<Vec<EntryLook>, ScanError> {
    let check = &judge.mapping().check;
    let before = delivery_of_ids(cache, check, ids).await?;
    let entries = cache.entries_by_id(&check.key, ids).await?;
    let reads: Vec<Read> = ids
        .iter()
        .zip(entries)
        .zip(before.pending)
        .map(|((&id, entry), pending)| Read { id, entry, pending })
        .collect();
    let identities = identities(judge, &reads);
    let WitnessedEvidence {
        evidence,
        source,
        source_time,
    } = weigh(source, judge, &identities).await?;
    let dead = dead_lettered(cache, dead, before.cursor, &reads, &identities, &evidence).await?;
    let (cursor_after, after) = delivery_afterwards(cache, check, ids).await?;
    let at = Micros::now();
    let halves = reads.into_iter().zip(after);
    Ok(halves
        .zip(evidence.into_iter().zip(dead))
        .map(|((read, after), (evidence, is_dead_lettered))| EntryLook {
            id: read.id,
            entry: read.entry,
            cursor_before: before.cursor,
            cursor_after,
            before: read.pending,
            after,
            evidence,
            is_dead_lettered,
            source: source.clone(),
            source_time,
            cache_time: before.cache_time,
            at,
        })
        .collect())
}
