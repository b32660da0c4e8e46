//! What both sides say of a stream: pages of entries and pending messages, looks at single ids and at the
//! group, and what only the whole stream or the whole table shows: duplicates and entries that are lost.
//!
//! Read order is the same everywhere: the cursor, the pending list and its consumers, the entries, the primary.
//! So whatever was acknowledged before the pending list was read left its effect before the primary is asked.

mod bounded;
mod dead_letters;
mod delivery;
mod duplicate_look;
mod duplicates;
mod evidence;
mod group;
mod look;
mod lost;
mod owner;
mod pace;
mod page;
mod place;
mod runs;
mod source_ids;
mod spill;

pub use dead_letters::DeadLetters;
pub use duplicate_look::{DuplicateLook, DuplicatePair, Duplicated, look_at_duplicates};
pub use duplicates::{DuplicateGroup, DuplicateGroups, DuplicatePlaces, Duplicates};
pub use group::{Claimant, look_at_group};
pub use look::look_at_entries;
pub use lost::{LostCandidates, LostLook, LostRow, LostSearch, look_at_lost};
pub use pace::{Pace, Unpaced};
pub use page::{EntryPage, PageReads, entry_page, pending_page, read_entries, read_pending};
pub use source_ids::SourceIds;
