//! What an audit of the bidding streams has to find, and what must hold after its repair: worked out with
//! the application quiet, by reading everything on both sides and comparing it in the plainest way there is.

mod after_repair;
mod duplicates;
mod entry_id;
mod judge;
mod world;

pub use self::entry_id::EntryId;
pub use self::judge::{StreamExpected, StreamTruth, StreamView};
pub use self::world::{EntryFacts, PendingFacts, RowFacts, StreamWorld};
