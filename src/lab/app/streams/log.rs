//! The application's own log of what it did with its streams, for those who ask afterwards what existed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use super::layout::Layout;

/// One step, as the one who took it knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamEvent {
    pub layout: Layout,
    pub act: StreamAct,
    /// The consumer, or `producer`.
    pub actor: String,
    /// The entry's id; empty where it is not known (an XADD without an answer).
    pub id: String,
    /// Empty for entries of the other type.
    pub bid_id: String,
    /// Whether the server said that it was done. If not, it may have been done all the same.
    pub is_acknowledged: bool,
    /// The Redis it was sent to; `None`: MySQL, or none could be reached.
    pub port: Option<u16>,
    /// When it was acknowledged or had failed.
    pub at: DateTime<Utc>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamAct {
    Add,
    Read,
    Claim,
    /// The bid's own row.
    Insert,
    /// The second row.
    Effect,
    Reject,
    Ack,
    Delete,
    /// Of everything before the id.
    Trim,
    CreateGroup,
    /// The consumer was killed with this message in its hands.
    Die,
}

/// Every step in the order of the answers.
#[derive(Debug, Clone, Default)]
pub(super) struct StreamLog {
    events: Arc<Mutex<Vec<StreamEvent>>>,
}

impl StreamLog {
    pub(super) fn note(&self, event: StreamEvent) {
        self.lock().push(event);
    }

    pub(super) fn take(&self) -> Vec<StreamEvent> {
        std::mem::take(&mut self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<StreamEvent>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
