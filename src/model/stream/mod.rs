//! Words about streams: ids, entries, pending lists, and the `[[stream]]` mapping.

pub mod check;
pub mod entry;
pub mod id;
pub mod look;
pub mod mapping;
pub mod new_row;

pub use check::{
    Identity, OnPersisted, OnRewound, OnSkipped, OnTrimmed, OnUnpersisted, StreamCheck,
};
pub use entry::{ConsumerFacts, Entry, GroupFacts, PendingRow, StreamFacts, StreamState};
pub use id::{IdRange, StreamId};
pub use look::{EntryLook, Evidence, GroupLook, Pending};
pub use mapping::StreamMapping;
pub use new_row::NewRow;
