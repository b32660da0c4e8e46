//! What the rules look at: one entry id, or one group.

use super::proof::Proof;
use crate::model::stream::{Entry, GroupLook, Identity, Pending, StreamCheck, StreamId};

/// One entry id with what both sides say of it.
#[derive(Debug, Clone)]
pub struct EntryCase<'a> {
    pub check: &'a StreamCheck,
    /// `None`: the stream holds no such entry.
    pub entry: Option<&'a Entry>,
    /// `None`: it is not pending.
    pub pending: Option<&'a Pending>,
    /// Whether it is pending and nobody works on it any more.
    pub is_owner_gone: bool,
    /// Whether the group's cursor has reached it; false without a group.
    pub is_delivered: bool,
    pub is_dead_lettered: bool,
    pub proof: Proof,
}

/// One group with the entries around its cursor.
#[derive(Debug, Clone)]
pub struct GroupCase<'a> {
    pub check: &'a StreamCheck,
    pub look: &'a GroupLook,
}

/// A row that no entry of the stream stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LostCase {
    /// No entry carries the row's identity; judged only where the application keeps its entries.
    NoEntry,
    /// Rows carry entry ids above the stream's last one, `last`.
    AboveLast {
        last: StreamId,
        /// The highest that is not from the future.
        highest: Option<StreamId>,
        /// Those later than Redis's clock and the skew.
        future: Vec<StreamId>,
    },
}

impl GroupCase<'_> {
    /// Ids above the stream's last one that rows carry; `None` where there are none, or where the identity is no
    /// entry id.
    pub(in crate::rules) fn above_last(&self) -> Option<LostCase> {
        if self.check.identity != Identity::EntryId {
            return None;
        }
        let last = last_generated(self.look);
        let highest = self.look.highest_in_source.filter(|id| *id > last);
        let mut future = self.look.future_in_source.clone();
        future.retain(|id| *id > last);
        (highest.is_some() || !future.is_empty()).then_some(LostCase::AboveLast {
            last,
            highest,
            future,
        })
    }
}

/// The stream's last generated id; 0-0 where there is no stream.
pub(super) fn last_generated(look: &GroupLook) -> StreamId {
    look.stream
        .facts()
        .map_or(StreamId::MIN, |facts| facts.last_generated)
}
