//! The id of an entry, `milliseconds-sequence`, ordered as numbers.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    pub millis: u64,
    pub sequence: u64,
}

impl EntryId {
    /// Before every entry.
    pub const START: EntryId = EntryId {
        millis: 0,
        sequence: 0,
    };

    /// `None` for what is no whole id.
    pub fn parse(text: &str) -> Option<Self> {
        let (millis, sequence) = text.split_once('-')?;
        Some(Self {
            millis: millis.parse().ok()?,
            sequence: sequence.parse().ok()?,
        })
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.millis, self.sequence)
    }
}
