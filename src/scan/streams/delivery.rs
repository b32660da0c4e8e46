//! How far a group came: its cursor, what is pending, and who holds it.

use std::collections::HashMap;

use crate::model::stream::{
    ConsumerFacts, IdRange, Pending, PendingRow, StreamCheck, StreamFacts, StreamId, StreamState,
};
use crate::model::time::Micros;
use crate::scan::ScanError;
use crate::store::redis::Redis;

/// The cursor, and after it the pending rows of a range with their owners.
pub(super) struct Delivery {
    /// Redis's clock before the pending list was read.
    pub cache_time: Micros,
    /// `None`: there is no such group, and so nothing is pending.
    pub cursor: Option<StreamId>,
    pub pending: Vec<Pending>,
    /// The last id up to which `pending` is whole.
    pub whole_to: StreamId,
}

/// The same of single ids, in their order.
pub(super) struct DeliveryOfIds {
    pub cache_time: Micros,
    pub cursor: Option<StreamId>,
    pub pending: Vec<Option<Pending>>,
}

/// Reads the pending rows of `range`, at most as many as `limit` gives for this stream.
pub(super) async fn delivery(
    cache: &Redis,
    check: &StreamCheck,
    range: IdRange,
    limit: impl FnOnce(&StreamFacts, u64) -> usize,
) -> Result<Delivery, ScanError> {
    let cache_time = cache.time_of(&check.key).await?;
    let nothing = Delivery {
        cache_time,
        cursor: None,
        pending: Vec::new(),
        whole_to: range.last,
    };
    let Some(facts) = facts(cache, &check.key).await? else {
        return Ok(nothing);
    };
    let Some(group) = facts.group(&check.group) else {
        return Ok(nothing);
    };
    let limit = limit(&facts, group.pending).max(1);
    let rows = cache
        .pending(&check.key, &check.group, range, limit)
        .await?;
    // A group that is gone by now has no cursor either: one from before would make whatever is not pending
    // look acknowledged.
    let Some(rows) = rows else {
        return Ok(nothing);
    };
    let whole_to = match rows.last() {
        Some(last) if rows.len() >= limit => last.id,
        _ => range.last,
    };
    let Some(pending) = with_owners(cache, check, rows).await? else {
        return Ok(nothing);
    };
    Ok(Delivery {
        cache_time,
        cursor: Some(group.last_delivered),
        pending,
        whole_to,
    })
}

/// Cursor first, then the pending rows of `ids`, then the consumers.
pub(super) async fn delivery_of_ids(
    cache: &Redis,
    check: &StreamCheck,
    ids: &[StreamId],
) -> Result<DeliveryOfIds, ScanError> {
    let cache_time = cache.time_of(&check.key).await?;
    let cursor = cursor(cache, check).await?;
    let pending = match cursor {
        Some(_) => pending_of_ids(cache, check, ids).await?,
        None => None,
    };
    Ok(DeliveryOfIds {
        cache_time,
        cursor: cursor.filter(|_| pending.is_some()),
        pending: pending.unwrap_or_else(|| vec![None; ids.len()]),
    })
}

/// The second half of a look: pending rows first, then the cursor.
pub(super) async fn delivery_afterwards(
    cache: &Redis,
    check: &StreamCheck,
    ids: &[StreamId],
) -> Result<(Option<StreamId>, Vec<Option<Pending>>), ScanError> {
    let pending = pending_of_ids(cache, check, ids).await?;
    let cursor = cursor(cache, check).await?;
    Ok((
        cursor.filter(|_| pending.is_some()),
        pending.unwrap_or_else(|| vec![None; ids.len()]),
    ))
}

/// The group's last delivered id; `None`: there is no such group.
pub(super) async fn cursor(
    cache: &Redis,
    check: &StreamCheck,
) -> Result<Option<StreamId>, ScanError> {
    let facts = facts(cache, &check.key).await?;
    Ok(facts.and_then(|f| f.group(&check.group).map(|g| g.last_delivered)))
}

async fn facts(cache: &Redis, key: &[u8]) -> Result<Option<StreamFacts>, ScanError> {
    match cache.stream_state(key).await? {
        StreamState::Missing => Ok(None),
        StreamState::Stream(facts) => Ok(Some(facts)),
        StreamState::WrongType(kind) => Err(ScanError::NotAStream {
            key: key.escape_ascii().to_string(),
            kind,
        }),
    }
}

/// `None`: the group is gone.
async fn pending_of_ids(
    cache: &Redis,
    check: &StreamCheck,
    ids: &[StreamId],
) -> Result<Option<Vec<Option<Pending>>>, ScanError> {
    let Some(rows) = cache.pending_by_id(&check.key, &check.group, ids).await? else {
        return Ok(None);
    };
    let places: Vec<bool> = rows.iter().map(Option::is_some).collect();
    let found = rows.into_iter().flatten().collect();
    let Some(found) = with_owners(cache, check, found).await? else {
        return Ok(None);
    };
    let mut found = found.into_iter();
    Ok(Some(
        places
            .into_iter()
            .map(|is_there| if is_there { found.next() } else { None })
            .collect(),
    ))
}

/// Consumers are read after the rows, so that one who came back meanwhile is seen alive. `None`: the group
/// is gone.
async fn with_owners(
    cache: &Redis,
    check: &StreamCheck,
    rows: Vec<PendingRow>,
) -> Result<Option<Vec<Pending>>, ScanError> {
    if rows.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let Some(consumers) = cache.consumers(&check.key, &check.group).await? else {
        return Ok(None);
    };
    let by_name: HashMap<&[u8], &ConsumerFacts> =
        consumers.iter().map(|c| (c.name.as_slice(), c)).collect();
    Ok(Some(
        rows.into_iter()
            .map(|row| Pending {
                owner: by_name.get(row.consumer.as_slice()).map(|&c| c.clone()),
                row,
            })
            .collect(),
    ))
}
