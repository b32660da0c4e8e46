//! Where a part of a sweep stands among all parts of its check, whichever process swept it.

use std::fmt;

use super::stream::StreamId;

/// What of a check a slice is of, in the order in which one process comes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// The group of a stream.
    Group = 0,
    /// What is pending before the window.
    Pending = 1,
    Entries = 2,
    /// The rows of a cache's check.
    Rows = 3,
    /// Rows that no entry carries.
    Lost = 4,
    Duplicates = 5,
    /// The walk through Redis.
    Keyspace = 6,
    /// What had been right, looked at again.
    Clean = 7,
}

/// Sorts slices of one check by their bytes. The same slice has the same bytes in every shard.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SliceOrder(Vec<u8>);

impl SliceOrder {
    /// `attempt` counts how often the check began again; `within` sorts the slices of a section.
    pub fn new(attempt: u32, section: Section, within: &[u8]) -> Self {
        let attempt = u8::try_from(attempt).unwrap_or(u8::MAX);
        Self([&[attempt, section as u8], within].concat())
    }

    /// A slice of whole-number ids from `id` on; [`i128::MIN`] is where all ids begin.
    pub fn of_id(attempt: u32, id: i128) -> Self {
        Self::new(attempt, Section::Rows, &sortable(id))
    }

    /// A slice of a stream, from `id` on.
    pub fn of_entry(attempt: u32, section: Section, id: StreamId) -> Self {
        let within = [id.millis.to_be_bytes(), id.sequence.to_be_bytes()].concat();
        Self::new(attempt, section, &within)
    }

    /// A slice by itself, whose place is that of these cells.
    pub fn of_cells<'c>(
        attempt: u32,
        section: Section,
        cells: impl IntoIterator<Item = &'c [u8]>,
    ) -> Self {
        let mut within = Vec::new();
        for cell in cells {
            for byte in cell {
                within.push(*byte);
                // Longer than what ends a cell, so that a cell sorts behind its own beginning.
                within.extend((*byte == 0).then_some(0xff));
            }
            within.extend([0, 1]);
        }
        Self::new(attempt, section, &within)
    }

    /// The first id, where it is a slice of whole-number ids.
    pub fn first_id(&self) -> Option<i128> {
        let (head, within) = self.0.split_first_chunk::<2>()?;
        let within = <[u8; 16]>::try_from(within).ok()?;
        (head[1] == Section::Rows as u8).then(|| unsortable(within))
    }

    pub fn from_hex(text: &str) -> Option<Self> {
        hex::decode(text).ok().filter(|b| b.len() >= 2).map(Self)
    }
}

/// As it stands in files.
impl fmt::Display for SliceOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

const SIGN: u128 = 1 << 127;

fn sortable(id: i128) -> [u8; 16] {
    (id.cast_unsigned() ^ SIGN).to_be_bytes()
}

fn unsortable(bytes: [u8; 16]) -> i128 {
    (u128::from_be_bytes(bytes) ^ SIGN).cast_signed()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn slices_sort_as_what_they_begin_with(a in any::<i128>(), b in any::<i128>(), c in any::<(u64, u64)>(), d in any::<(u64, u64)>()) {
            let (one, other) = (SliceOrder::of_id(0, a), SliceOrder::of_id(0, b));
            prop_assert_eq!(one.cmp(&other), a.cmp(&b));
            prop_assert_eq!(one.first_id(), Some(a));
            prop_assert!(one < SliceOrder::of_id(1, b));
            prop_assert_eq!(SliceOrder::from_hex(&one.to_string()), Some(one));
            let of = |(millis, sequence)| SliceOrder::of_entry(0, Section::Entries, StreamId::new(millis, sequence));
            prop_assert_eq!(of(c).cmp(&of(d)), c.cmp(&d));
            prop_assert_eq!(of(c).first_id(), None);
            prop_assert!(of(c) < one_of(Section::Lost));
        }

        #[test]
        fn cells_sort_one_by_one(
            a in proptest::collection::vec(proptest::collection::vec(0_u8..3, 0..4), 0..3),
            b in proptest::collection::vec(proptest::collection::vec(0_u8..3, 0..4), 0..3),
        ) {
            let of = |cells: &[Vec<u8>]| SliceOrder::of_cells(0, Section::Lost, cells.iter().map(Vec::as_slice));
            prop_assert_eq!(of(&a).cmp(&of(&b)), a.cmp(&b));
        }
    }

    fn one_of(section: Section) -> SliceOrder {
        SliceOrder::new(0, section, &[])
    }

    #[test]
    fn what_is_no_order_is_refused() {
        for text in ["", "00", "0", "0g02"] {
            assert_eq!(SliceOrder::from_hex(text), None, "{text}");
        }
    }
}
