//! Slices of a stream: ranges of ids that together cover it exactly once.

use crate::model::stream::{IdRange, StreamId};

/// Entries a slice aims at.
const SLICE_ENTRIES: u64 = 20_000;
/// More slices than this help nobody: their bookkeeping would grow with the data.
const SLICES_MAX: u64 = 4_096;

/// Cuts `range` into ranges of equal time, in order, about one for each 20,000 of the `entries` in it. Only
/// milliseconds are cut: what was added within one stays together.
pub fn cut_ids(range: IdRange, entries: u64) -> Vec<IdRange> {
    let (first, last) = (
        u128::from(range.first.millis),
        u128::from(range.last.millis),
    );
    let wanted = entries.div_ceil(SLICE_ENTRIES).clamp(1, SLICES_MAX);
    let Some(span) = last.checked_sub(first) else {
        return Vec::new();
    };
    if range.first > range.last {
        return Vec::new();
    }
    let count = u128::from(wanted).min(span.max(1));
    let cut_at = |i: u128| {
        let millis = first + span * i / count;
        StreamId::new(
            u64::try_from(millis).expect("it lies between two of 64 bits"),
            0,
        )
    };
    (0..count)
        .map(|i| IdRange {
            first: if i == 0 { range.first } else { cut_at(i) },
            last: if i + 1 == count {
                range.last
            } else {
                cut_at(i + 1)
                    .previous()
                    .expect("a later slice does not begin at the first of all ids")
            },
        })
        .filter(|slice| slice.first <= slice.last)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id() -> impl Strategy<Value = StreamId> {
        let part = || prop_oneof![Just(0), Just(1), Just(u64::MAX), 0..10_u64, any::<u64>()];
        (part(), part()).prop_map(|(millis, sequence)| StreamId::new(millis, sequence))
    }

    proptest! {
        #[test]
        fn slices_cover_a_range_exactly_once(a in id(), b in id(), entries in any::<u64>()) {
            let range = IdRange { first: a.min(b), last: a.max(b) };
            let slices = cut_ids(range, entries);
            prop_assert_eq!(slices.first().map(|s| s.first), Some(range.first));
            prop_assert_eq!(slices.last().map(|s| s.last), Some(range.last));
            for pair in slices.windows(2) {
                prop_assert_eq!(pair[0].last.next(), Some(pair[1].first));
            }
        }
    }

    #[test]
    fn many_entries_make_many_slices_and_few_make_one() {
        let range = IdRange {
            first: StreamId::new(1_000, 0),
            last: StreamId::new(9_000, 7),
        };
        assert_eq!(cut_ids(range, 10).len(), 1);
        assert_eq!(cut_ids(range, 80_000).len(), 4);
        let nothing = IdRange {
            first: range.last,
            last: range.first,
        };
        assert_eq!(cut_ids(nothing, 10), Vec::new());
    }
}
