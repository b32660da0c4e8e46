//! What Redis says of a stream, its groups and its entries.

use bytes::Bytes;

use super::id::StreamId;

/// One entry: fields and values in their order; a name may occur twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub id: StreamId,
    pub fields: Vec<(Bytes, Bytes)>,
}

/// One row of a group's pending list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingRow {
    pub id: StreamId,
    pub consumer: Vec<u8>,
    /// Milliseconds since the last delivery.
    pub idle_millis: u64,
    pub deliveries: u64,
}

/// One consumer of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerFacts {
    pub name: Vec<u8>,
    pub pending: u64,
    /// Milliseconds since it last tried to read or claim.
    pub idle_millis: u64,
    /// Milliseconds since it last got something; `None`: it never did, or the server does not say.
    pub inactive_millis: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupFacts {
    pub name: Vec<u8>,
    pub last_delivered: StreamId,
    pub pending: u64,
    pub consumers: u64,
    /// What the server counts as read; `None`: it does not know. Never a reason for a verdict.
    pub entries_read: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamFacts {
    pub length: u64,
    pub last_generated: StreamId,
    /// `None`: the stream is empty.
    pub first: Option<StreamId>,
    pub last: Option<StreamId>,
    pub groups: Vec<GroupFacts>,
}

/// What lies under a stream's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamState {
    Missing,
    /// Another type, as TYPE gives it.
    WrongType(String),
    Stream(StreamFacts),
}

impl Entry {
    /// The value of a field. Where a name occurs twice the last one counts, as in the maps that clients
    /// build of an entry.
    pub fn field(&self, name: &[u8]) -> Option<&Bytes> {
        self.fields
            .iter()
            .rev()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value)
    }

    /// Bytes of all names and values.
    pub fn weight(&self) -> usize {
        let fields = self.fields.iter();
        fields.map(|(name, value)| name.len() + value.len()).sum()
    }
}

impl StreamFacts {
    pub fn group(&self, name: &[u8]) -> Option<&GroupFacts> {
        self.groups.iter().find(|g| g.name == name)
    }
}

impl StreamState {
    pub fn facts(&self) -> Option<&StreamFacts> {
        match self {
            StreamState::Stream(facts) => Some(facts),
            StreamState::Missing | StreamState::WrongType(_) => None,
        }
    }
}
