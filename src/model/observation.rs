//! What one key or member looked like on both sides, and when.

use bytes::Bytes;

use super::identity::SourceIdentity;
use super::rows::Row;
use super::time::Micros;

/// What is looked at: one key, or one member of a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject {
    pub key: Vec<u8>,
    /// Sorted-set or set member, or hash field, where rows are members.
    pub member: Option<Vec<u8>>,
    /// Values of the placeholders in template order (key's first, then the member's), each column
    /// once: the row's id in reports. For keys no row explains: as split from the key.
    pub id: Vec<Vec<u8>>,
}

/// What Redis holds for a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cached {
    /// No such key. For members: `key_exists` tells an absent member from an absent key.
    Missing { key_exists: bool },
    /// The key has another type; its name as TYPE gives it.
    WrongType(String),
    /// A string; or the member's value: a score as Redis prints it, a hash field's bytes, `1` for a
    /// set member.
    Value(Bytes),
    /// The mapped fields of a hash key: the version's (if any) first, then `check.fields` in order.
    Fields(Vec<Option<Bytes>>),
}

/// A key's time to live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyExpiry {
    /// Not asked for.
    Unread,
    Never,
    /// Absolute, milliseconds since the epoch by the server's clock.
    AtMillis(i64),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedState {
    pub cached: Cached,
    pub expiry: KeyExpiry,
}

/// Where in the sweep an observation stood: neighbours in it are neighbours in
/// `affected_ranges.csv`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    pub slice: u32,
    pub ordinal: u64,
}

/// One look: Redis, the primary, Redis again. It counts only if `before` equals `after`.
#[derive(Debug, Clone)]
pub struct Look {
    pub before: CachedState,
    pub after: CachedState,
    /// The row by the primary; `None`: there is none.
    pub row: Option<Row>,
    pub source: SourceIdentity,
    /// The primary's clock at the read.
    pub source_time: Micros,
    /// This host's clock when the look was complete.
    pub at: Micros,
}

impl Look {
    /// The expiry may be refreshed by readers at any time and says nothing about the value.
    pub fn counts(&self) -> bool {
        self.before.cached == self.after.cached
    }
}
