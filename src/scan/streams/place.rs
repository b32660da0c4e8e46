//! Ids of rows and entries as plain bytes, for digests that are kept with where they were seen.

use crate::model::stream::StreamId;
use crate::store::mysql::SweepKey;

const NUMBER: usize = size_of::<u64>();
const ORDINAL: usize = size_of::<u128>();
/// Rows that a pass over entries brought up come after those of the pass over rows, in the order of the entries.
const OF_ENTRY: u128 = 1 << 127;

/// Sorted as the ids are.
pub(super) fn of_entry(id: StreamId) -> [u8; 2 * NUMBER] {
    let mut bytes = [0; 2 * NUMBER];
    bytes[..NUMBER].copy_from_slice(&id.millis.to_be_bytes());
    bytes[NUMBER..].copy_from_slice(&id.sequence.to_be_bytes());
    bytes
}

pub(super) fn entry(bytes: &[u8]) -> StreamId {
    StreamId::new(number(bytes), number(&bytes[NUMBER..]))
}

/// The ordinal of a row that an entry brought up.
pub(super) fn ordinal_of_entry(id: StreamId) -> u128 {
    OF_ENTRY | (u128::from(id.millis) << 64) | u128::from(id.sequence)
}

/// Cells of a row, sorted by `ordinal`: the order in which rows came, because only the server knows how its keys are
/// ordered.
pub(super) fn of_row<'c>(ordinal: u128, cells: impl Iterator<Item = &'c [u8]>) -> Vec<u8> {
    let mut bytes = ordinal.to_be_bytes().to_vec();
    for cell in cells {
        bytes.extend_from_slice(&(cell.len() as u64).to_be_bytes());
        bytes.extend_from_slice(cell);
    }
    bytes
}

pub(super) fn row(bytes: &[u8]) -> SweepKey {
    let mut rest = &bytes[ORDINAL..];
    let mut cells = Vec::new();
    while !rest.is_empty() {
        let end = NUMBER + number(rest) as usize;
        cells.push(rest[NUMBER..end].to_vec());
        rest = &rest[end..];
    }
    cells
}

/// The number that `bytes` begin with.
fn number(bytes: &[u8]) -> u64 {
    let bytes = bytes[..NUMBER].try_into().expect("it was cut to eight");
    u64::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_goes_in_comes_out(
            a in any::<(u64, u64)>(),
            b in any::<(u64, u64)>(),
            ordinal: u128,
            cells in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9), 0..4),
        ) {
            let (a, b) = (StreamId::new(a.0, a.1), StreamId::new(b.0, b.1));
            prop_assert_eq!(entry(&of_entry(a)), a);
            prop_assert_eq!(of_entry(a).cmp(&of_entry(b)), a.cmp(&b));
            prop_assert_eq!(row(&of_row(ordinal, cells.iter().map(Vec::as_slice))), cells);
        }
    }
}
