//! Entries in pages that memory can hold, however large each of them is.

use crate::model::stream::{Entry, IdRange};
use crate::scan::ScanError;
use crate::store::redis::Redis;

/// What the entries of a page may weigh together, about …
const PAGE_BYTES: usize = 8 << 20;
/// … by what the first of them weigh.
const ENTRIES_TRIED: usize = 100;

/// The first entries of `range`, `limit` at most and of some megabytes together; and whether there are no more.
pub(super) async fn bounded_entries(
    cache: &Redis,
    key: &[u8],
    range: IdRange,
    limit: usize,
) -> Result<(Vec<Entry>, bool), ScanError> {
    let tried = limit.min(ENTRIES_TRIED);
    let mut entries = cache.entries(key, range, tried).await?;
    let Some(last) = entries.last().filter(|_| entries.len() >= tried) else {
        return Ok((entries, true));
    };
    let each = weight(&entries) / tried + 1;
    let more = (PAGE_BYTES / each).min(limit).saturating_sub(tried);
    let rest = last.id.next().filter(|first| *first <= range.last);
    match rest {
        None => Ok((entries, true)),
        Some(_) if more == 0 => Ok((entries, false)),
        Some(first) => {
            let rest = IdRange { first, ..range };
            let rest = cache.entries(key, rest, more).await?;
            let is_whole = rest.len() < more;
            entries.extend(rest);
            Ok((entries, is_whole))
        }
    }
}

fn weight(entries: &[Entry]) -> usize {
    let fields = entries.iter().flat_map(|entry| &entry.fields);
    fields.map(|(name, value)| name.len() + value.len()).sum()
}
