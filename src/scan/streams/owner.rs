//! Which of several shards entries and rows belong to: by what names their effect, so that duplicates meet.

use std::borrow::Cow;

use super::lost::{compared, identity_column, is_compared_by_bytes};
use crate::model::shard::Shard;
use crate::model::stream::{Entry, StreamId};
use crate::rules::StreamJudge;

/// Whether the entry, or what is left of it, is the shard's. Without an identity its id is one.
pub(super) fn has_entry(
    shard: Shard,
    judge: &StreamJudge,
    id: StreamId,
    entry: Option<&Entry>,
) -> bool {
    shard.is_whole()
        || match judge.identity_of(id, entry) {
            Some(identity) => has_identity(shard, judge, &identity),
            None => has_id(shard, id),
        }
}

/// Whether an entry that is no check's is the shard's to count.
pub(super) fn has_id(shard: Shard, id: StreamId) -> bool {
    shard.is_whole() || shard.has_parts([id.to_string().as_bytes()])
}

/// Spellings that the database is likely to take for the same belong together.
pub(super) fn has_identity(shard: Shard, judge: &StreamJudge, identity: &[u8]) -> bool {
    shard.is_whole() || shard.has_parts([folded(judge, identity).as_ref()])
}

/// Whether a tuple of the check's `unique` columns is the shard's.
pub(super) fn has_tuple(shard: Shard, tuple: &[u8]) -> bool {
    shard.has_parts([b"tuple".as_slice(), tuple])
}

fn folded<'i>(judge: &StreamJudge, identity: &'i [u8]) -> Cow<'i, [u8]> {
    let compared = compared(judge, identity);
    if is_compared_by_bytes(identity_column(judge)) {
        return compared;
    }
    match std::str::from_utf8(&compared) {
        Ok(text) => Cow::Owned(text.to_lowercase().into_bytes()),
        Err(_) => compared,
    }
}
