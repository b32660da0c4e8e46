//! Which rows are asked for, and what comes back.

use crate::model::identity::SourceIdentity;
use crate::model::rows::Rows;
use crate::model::time::Micros;

/// The id of one row: the cells of `Mapping::sweep_key`, in its order, as the server printed them.
pub type SweepKey = Vec<Vec<u8>>;

/// A part of a check's ids, in the order of the sweep key: `after < key <= upto`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyRange {
    pub after: Option<SweepKey>,
    pub upto: Option<SweepKey>,
}

/// Which rows a page is cut from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// Every row.
    All,
    /// Rows changed at or after this instant, by the check's window and tombstone columns. Never an upper bound.
    ChangedSince(Micros),
    /// Rows not changed since this instant (the control sample).
    UnchangedSince(Micros),
}

/// One page of a range.
#[derive(Debug, Clone)]
pub struct Page {
    /// In sweep-key order, at most the asked number of them; may be none although `next` is there.
    pub rows: Rows,
    /// What is left of the range; `None`: it is done.
    pub next: Option<KeyRange>,
    /// Ids that `changed_ids` named and that no row has: deleted rows. Empty for every other window.
    pub ids_without_row: Vec<SweepKey>,
}

/// Rows with who answered and when.
#[derive(Debug, Clone)]
pub struct Witnessed {
    pub rows: Rows,
    /// Where parts of the answer came from different servers, the one that differs from the first.
    pub source: SourceIdentity,
    /// The server's clock when the (first part of the) read began.
    pub source_time: Micros,
}
