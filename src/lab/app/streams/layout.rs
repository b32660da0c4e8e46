//! Which stream, which group, which table.

/// One stream with the group that reads it and the table its bids end in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layout {
    /// `bid-stream`: named by `bidId`, with a second effect and legal rejections.
    ByBidId,
    /// `bid2-stream`: named by the entry's own id.
    ByEntryId,
    /// `bid3-stream`: named by `bidId`; its group is not made with the stream.
    LateGroup,
}

impl Layout {
    pub const ALL: [Layout; 3] = [Layout::ByBidId, Layout::ByEntryId, Layout::LateGroup];

    pub fn stream(self) -> &'static str {
        match self {
            Layout::ByBidId => "bid-stream",
            Layout::ByEntryId => "bid2-stream",
            Layout::LateGroup => "bid3-stream",
        }
    }

    pub fn group(self) -> &'static str {
        match self {
            Layout::ByBidId => "bid-group",
            Layout::ByEntryId => "bid2-group",
            Layout::LateGroup => "bid3-group",
        }
    }

    /// In the stream's own slot of a Cluster.
    pub fn dead_letter(self) -> &'static str {
        match self {
            Layout::ByBidId => "{bid-stream}:dead",
            Layout::ByEntryId => "{bid2-stream}:dead",
            Layout::LateGroup => "{bid3-stream}:dead",
        }
    }

    pub fn table(self) -> &'static str {
        match self {
            Layout::ByBidId => "bid",
            Layout::ByEntryId => "bid2",
            Layout::LateGroup => "bid3",
        }
    }

    pub fn identity_column(self) -> &'static str {
        match self {
            Layout::ByEntryId => "stream_id",
            Layout::ByBidId | Layout::LateGroup => "bid_id",
        }
    }

    /// Whether a row is named by the id of its entry.
    pub fn is_by_entry_id(self) -> bool {
        self == Layout::ByEntryId
    }

    /// Whether an accepted bid also has a row in `bid_effect`, and a refused one a row in `bid_rejected`.
    pub fn has_effects(self) -> bool {
        self == Layout::ByBidId
    }
}
