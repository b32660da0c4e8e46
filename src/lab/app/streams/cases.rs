//! One case of each rule, and of what must be left alone, put into a quiet world.

use std::collections::BTreeSet;

use super::entry::Bid;
use super::layout::Layout;

/// The consumer whose messages are nobody's any more: it never shows up again.
pub const GONE: &str = "gone";
/// The consumer that a test keeps alive (see [`Consumer::stay_alive`]).
pub const LIVE: &str = "live";

/// What to plant. Everything is delivered to [`GONE`] unless it says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamCase {
    /// All is well: inserted and acknowledged.
    Settled,
    /// An entry of another type, pending.
    ForeignPending,
    /// Inserted, not acknowledged.
    UnackedPersisted,
    /// The same in the hands of [`LIVE`].
    UnackedOfLive,
    /// Legally refused, not acknowledged. Only [`Layout::ByBidId`].
    UnackedRefused,
    /// Neither inserted nor acknowledged.
    OrphanPending,
    /// Its row is there, its second effect is not. Only [`Layout::ByBidId`].
    OrphanWithoutEffect,
    /// In the hands of [`LIVE`], who has not come to it.
    HeldByLive,
    /// Delivered eleven times, not inserted.
    PoisonPending,
    /// Pending, and deleted from the stream.
    TrimmedPending,
    /// The same in the hands of [`LIVE`].
    TrimmedOfLive,
    /// Inserted, not acknowledged, deleted from the stream.
    TrimmedPersisted,
    /// The row says another amount than the entry; acknowledged.
    PayloadConflict,
    /// The same, pending.
    ConflictPending,
    /// Acknowledged, and neither inserted nor refused.
    AckedUnpersisted,
    /// The same, but its content lies in the dead letters.
    DeadLettered,
    /// One bid added twice, done twice. Not [`Layout::ByEntryId`], where no name can be used twice.
    DuplicateEntry,
    /// One auction, bidder and amount under two names, both in the table. Not [`Layout::ByEntryId`], whose table
    /// holds no bid twice.
    DuplicateTuple,
    /// A bid without its `bidId`, acknowledged. Not [`Layout::ByEntryId`].
    Undecodable,
    /// All is well, but the entry was deleted.
    LostEntry,
    /// A row with an id past the last one of the stream. Only [`Layout::ByEntryId`].
    LostId,
    /// A row with an id of tomorrow. Only [`Layout::ByEntryId`].
    FutureId,
    /// Inserted, and never read: the group stands before it. To be planted last.
    GroupRewound,
    /// A settled bid, one that nobody has read, and no group. To be planted last, and alone.
    GroupMissing,
}

/// What was planted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planted {
    pub case: StreamCase,
    pub layout: Layout,
    /// The entry's id; of two entries that of the second; of a lost group the place where it belongs.
    pub id: String,
    /// What was placed. `None`: an entry of another type, or one that cannot be read.
    pub bid: Option<Bid>,
    /// Rules and what they object to, in the words of [`crate::lab::truth::streams::StreamExpected`], where the
    /// check is told everything: the second effect, the refusals, the tuple that must be unique, and that
    /// entries are kept.
    pub expected: BTreeSet<(&'static str, String)>,
}

impl StreamCase {
    /// Those that can be in one world together, in an order in which they can be planted.
    pub fn together(layout: Layout) -> Vec<StreamCase> {
        use StreamCase::*;
        let mut cases = vec![
            Settled,
            ForeignPending,
            UnackedPersisted,
            UnackedOfLive,
            OrphanPending,
            HeldByLive,
            PoisonPending,
            TrimmedPending,
            TrimmedOfLive,
            TrimmedPersisted,
            PayloadConflict,
            ConflictPending,
            AckedUnpersisted,
            DeadLettered,
            LostEntry,
        ];
        if layout.has_effects() {
            cases.extend([UnackedRefused, OrphanWithoutEffect]);
        }
        match layout.is_by_entry_id() {
            true => cases.push(FutureId),
            false => cases.extend([DuplicateTuple, DuplicateEntry, Undecodable]),
        }
        cases.push(GroupRewound);
        cases
    }

    /// Those in the hands of the dead and of the living that a repair can settle without asking a person.
    pub fn that_can_be_settled(layout: Layout) -> Vec<StreamCase> {
        use StreamCase::*;
        let mut cases = vec![
            Settled,
            ForeignPending,
            UnackedPersisted,
            UnackedOfLive,
            OrphanPending,
            HeldByLive,
            PoisonPending,
        ];
        if layout.has_effects() {
            cases.push(UnackedRefused);
        }
        cases
    }
}
