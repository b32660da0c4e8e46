//! What may be done to a stream and its group: each is one script that checks the fence and what was judged
//! itself.

use bytes::Bytes;

use crate::model::stream::StreamId;

/// A pending message as it was judged. The script refuses (`Changed`) where it has another owner or number of
/// deliveries, or was delivered since (its idle time went down).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub id: StreamId,
    pub consumer: Vec<u8>,
    pub deliveries: u64,
    /// Milliseconds it had been idle when it was judged.
    pub idle_millis: u64,
    /// The owner must be gone: it, as long as the group lists it, must have been idle (and inactive, where the
    /// server says so) for at least so many milliseconds. `None`: the owner may be alive.
    pub owner_idle_min_millis: Option<u64>,
}

/// Whether the entry a requeue moves was delivered before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// Pending: it is acknowledged by the same script.
    Pending(Held),
    /// At or below the cursor, and not pending.
    Settled,
    /// Above the cursor.
    Undelivered,
}

/// One step, one script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// Writes nothing: `Applied` says that the fence holds and the entry is still delivered as it was judged.
    /// Asked right before a row goes into the source.
    StillHeld {
        key: Vec<u8>,
        group: Vec<u8>,
        id: StreamId,
        delivery: Delivery,
    },
    Ack {
        key: Vec<u8>,
        group: Vec<u8>,
        held: Held,
        /// The entry was judged to be gone, and must still be.
        is_trimmed: bool,
    },
    Claim {
        key: Vec<u8>,
        group: Vec<u8>,
        held: Held,
        consumer: Vec<u8>,
    },
    /// The entry, whose fields are still the judged ones, is added anew with its id in `requeued_from`, deleted, and
    /// acknowledged where it was pending. Refused where the stream has another group.
    Requeue {
        key: Vec<u8>,
        group: Vec<u8>,
        id: StreamId,
        delivery: Delivery,
        fields: Vec<(Bytes, Bytes)>,
    },
    /// The entry is added to `dead_letter` with its id in `original_id` and its stream in
    /// `original_stream`, and acknowledged.
    DeadLetter {
        key: Vec<u8>,
        group: Vec<u8>,
        held: Held,
        dead_letter: Vec<u8>,
        fields: Vec<(Bytes, Bytes)>,
    },
    /// `Changed` where the group exists by now.
    RecreateGroup {
        key: Vec<u8>,
        group: Vec<u8>,
        /// Entries after it will be delivered.
        at: StreamId,
        /// The stream itself was missing, and may be made.
        makes_stream: bool,
    },
    /// `Changed` where the cursor is not at `from` any more; never back.
    Advance {
        key: Vec<u8>,
        group: Vec<u8>,
        from: StreamId,
        to: StreamId,
        /// Entries passed over, for a server that counts the entries read.
        passed: u64,
    },
    /// `Changed` where the last id is not below `to` any more; refused where `to` is later than the server's
    /// clock by more than `skew_millis`.
    RaiseLastId {
        key: Vec<u8>,
        to: StreamId,
        skew_millis: u64,
    },
}
