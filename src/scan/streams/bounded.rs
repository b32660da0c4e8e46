//! Entries in pages that memory can hold, however large each of them is.

use crate::model::stream::{Entry, IdRange, StreamId};
use crate::scan::ScanError;
use crate::store::redis::Redis;

/// What the entries of a page may weigh together, about.
pub(super) const PAGE_BYTES: usize = 8 << 20;
/// Ids that are asked for together where entries may be large; what one answer holds is bounded apart.
const IDS_AT_ONCE: usize = 100;

/// The first entries of `range`, `limit` at most and of some megabytes together; and whether there are no more.
pub(super) async fn bounded_entries(
    cache: &Redis,
    key: &[u8],
    range: IdRange,
    limit: usize,
) -> Result<(Vec<Entry>, bool), ScanError> {
    let within = cache.entries_within(key, range, limit, PAGE_BYTES);
    Ok(within.await?)
}

/// The entries of the first `ids` that are there, of `bytes_max` together, about; and how many ids that was.
pub(super) async fn bounded_by_id(
    cache: &Redis,
    key: &[u8],
    ids: &[StreamId],
    bytes_max: usize,
) -> Result<(Vec<Entry>, usize), ScanError> {
    let found = cache.entries_by_id_within(key, ids, bytes_max).await?;
    let asked = found.len();
    Ok((found.into_iter().flatten().collect(), asked))
}

/// Which of `ids` have an entry. None of them is held.
pub(super) async fn are_there(
    cache: &Redis,
    key: &[u8],
    ids: &[StreamId],
) -> Result<Vec<bool>, ScanError> {
    let mut there = Vec::with_capacity(ids.len());
    for ids in ids.chunks(IDS_AT_ONCE) {
        let found = cache.entries_by_id(key, ids).await?;
        there.extend(found.iter().map(Option::is_some));
    }
    Ok(there)
}

pub(super) fn weight(entries: &[Entry]) -> usize {
    entries.iter().map(Entry::weight).sum()
}
