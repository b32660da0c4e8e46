//! What can be written, under which conditions, and what came of it.

use bytes::Bytes;

use super::per_node::PerNode;
use crate::model::observation::KeyExpiry;
use crate::model::time::Micros;

/// A replica acknowledges every second; ten without a word is a cut link (or a stopped process),
/// and a master whose replicas are all like that may be the wrong half of a split brain.
pub const LAG_SECONDS_MAX: u64 = 10;

/// What a write must find before it happens, beside the node's pinned history; checked by the script itself, together
/// with the judged bytes.
#[derive(Debug, Clone)]
pub struct Fence {
    /// Replicas online with lag at most `LAG_SECONDS_MAX`.
    pub min_replicas: PerNode<u32>,
    /// By the node's own TIME; past it the script refuses.
    pub deadline: PerNode<Micros>,
}

/// One guarded write. Byte strings are compared and stored as they are; expiries are kept unless said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Replace the string `key`, if it still is `judged`, keeping its expiry.
    ReplaceString {
        key: Vec<u8>,
        judged: Bytes,
        new: Bytes,
    },
    /// Create the string `key`, if it is absent.
    CreateString {
        key: Vec<u8>,
        new: Bytes,
        ttl_millis: Option<i64>,
    },
    /// Delete the string `key`, if it still is `judged`.
    DeleteString { key: Vec<u8>, judged: Bytes },
    /// INCRBY the string `key` by `gap` (decimal i64 text), if it still is `judged`.
    AddToString {
        key: Vec<u8>,
        judged: Bytes,
        gap: i64,
    },
    /// Set `fields` of the hash `key` (`None`: remove), if every one of `judged` still is as observed
    /// (`None`: absent); field expiries are kept where the server has them.
    SetHashFields {
        key: Vec<u8>,
        judged: Vec<(Bytes, Option<Bytes>)>,
        fields: Vec<(Bytes, Option<Bytes>)>,
    },
    /// Delete the hash `key`, if every one of `judged` still is as observed.
    DeleteHash {
        key: Vec<u8>,
        judged: Vec<(Bytes, Option<Bytes>)>,
    },
    /// HINCRBY `field` by `gap`, if it still is `judged`.
    AddToHashField {
        key: Vec<u8>,
        field: Bytes,
        judged: Bytes,
        gap: i64,
    },
    /// ZADD `member` with `new`, if its score still is `judged` (as ZSCORE prints it; `None`: absent).
    SetScore {
        key: Vec<u8>,
        member: Vec<u8>,
        judged: Option<Bytes>,
        new: Bytes,
    },
    /// ZREM `member`, if its score still is `judged`.
    RemoveScore {
        key: Vec<u8>,
        member: Vec<u8>,
        judged: Bytes,
    },
    /// SADD (`present` = true) or SREM of `member`, if it is not already so.
    SetMember {
        key: Vec<u8>,
        member: Vec<u8>,
        present: bool,
    },
    /// PEXPIRE of `key`, if the key has no expiry and, for a string, still is `judged`.
    SetExpiry {
        key: Vec<u8>,
        judged: Option<Bytes>,
        ttl_millis: i64,
    },
    /// Put a key back as the journal has it (undo): a string if `judged` still is there (`None`: if absent).
    /// `old` = `None` deletes it. An expiry that has passed is `Changed`; `Unread` keeps the present one.
    RestoreString {
        key: Vec<u8>,
        judged: Option<Bytes>,
        old: Option<Bytes>,
        expiry: KeyExpiry,
    },
    /// Put a whole hash back, if the key is absent. An expiry that has passed is `Changed`.
    RestoreHash {
        key: Vec<u8>,
        fields: Vec<(Bytes, Bytes)>,
        expiry: KeyExpiry,
    },
    /// Take an expiry off again, if it lies between these instants (milliseconds since the epoch): an
    /// expiry that the application has set since is left.
    Persist {
        key: Vec<u8>,
        not_before_millis: i64,
        not_after_millis: i64,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteReply {
    Applied,
    /// The judged bytes are no longer there.
    Changed,
    /// Role, replication id or replicas: nothing was written, and the run must stop.
    Fenced(String),
    /// The script came after its deadline: nothing was written.
    Late,
    /// The server answered an error for this one (WRONGTYPE, OOM, …): nothing was written.
    Refused(String),
    /// No answer: it may or may not have been written. Read again.
    Unknown(String),
}
