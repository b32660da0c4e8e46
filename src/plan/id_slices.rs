//! Slices of a stream: ranges of ids that together cover it exactly once.

use crate::model::shard::Shard;
use crate::model::stream::{IdRange, StreamId};

/// Entries a slice aims at.
const SLICE_ENTRIES: u64 = 20_000;
/// More slices than this help nobody: their bookkeeping would grow with the data.
const SLICES_MAX: u64 = 4_096;

/// A part of a stream that is read by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdSlice {
    pub range: IdRange,
    /// Slices of several shards are put in order by it.
    pub begins_at: StreamId,
}

/// Cuts `range` into ranges of about equal time, in order, about one for each 20,000 of the `entries` in it. Only
/// milliseconds are cut: what was added within one stays together.
///
/// For shards the cuts are multiples of a power of two: these stay where they are while the stream is trimmed and
/// grows between the starts of two shards.
pub fn cut_ids(range: IdRange, entries: u64, shard: Shard) -> Vec<IdSlice> {
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
    let begins: Vec<u128> = match shard.is_whole() {
        true => (0..count).map(|i| first + span * i / count).collect(),
        false => {
            let width = span.div_ceil(count).max(1).next_power_of_two();
            (first / width..=last / width).map(|n| n * width).collect()
        }
    };
    let at = |millis: u128| {
        let millis = u64::try_from(millis).expect("it is not behind an end of 64 bits");
        StreamId::new(millis, 0)
    };
    let ends = begins[1..].iter().map(|next| {
        let end = at(*next).previous();
        end.expect("a later slice does not begin at the first of all ids")
    });
    begins
        .iter()
        .zip(ends.chain([range.last]))
        .enumerate()
        .map(|(i, (&begin, last))| IdSlice {
            range: IdRange {
                first: if i == 0 { range.first } else { at(begin) },
                last,
            },
            begins_at: at(begin),
        })
        .filter(|slice| slice.range.first <= slice.range.last)
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
            for shard in ["0/1", "1/3"] {
                let shard = Shard::parse(shard).expect("it is one");
                let cut = cut_ids(range, entries, shard);
                let slices: Vec<IdRange> = cut.iter().map(|s| s.range).collect();
                prop_assert_eq!(slices.first().map(|s| s.first), Some(range.first));
                prop_assert_eq!(slices.last().map(|s| s.last), Some(range.last));
                for pair in slices.windows(2) {
                    prop_assert_eq!(pair[0].last.next(), Some(pair[1].first));
                }
                let mut begins = cut.iter().map(|s| s.begins_at);
                prop_assert!(begins.next().is_some_and(|begin| begin <= range.first));
            }
        }
    }

    #[test]
    fn cuts_of_shards_stay_while_the_stream_moves_on() {
        let shard = Shard::parse("0/2").expect("it is one");
        let cuts = |first: u64, last: u64| -> Vec<StreamId> {
            let range = IdRange {
                first: StreamId::new(first, 3),
                last: StreamId::new(last, 0),
            };
            let slices = cut_ids(range, 200_000, shard);
            slices.iter().map(|slice| slice.begins_at).collect()
        };
        let (then, later) = (cuts(1_000, 90_000), cuts(20_000, 100_000));
        assert!(then.len() >= 5, "{then:?}");
        let common: Vec<_> = later.iter().filter(|cut| then.contains(cut)).collect();
        assert_eq!(common.len(), then.len() - 1, "{then:?} {later:?}");
    }

    #[test]
    fn many_entries_make_many_slices_and_few_make_one() {
        let range = IdRange {
            first: StreamId::new(1_000, 0),
            last: StreamId::new(9_000, 7),
        };
        let cut = |range, entries| cut_ids(range, entries, Shard::WHOLE);
        assert_eq!(cut(range, 10).len(), 1);
        assert_eq!(cut(range, 80_000).len(), 4);
        let nothing = IdRange {
            first: range.last,
            last: range.first,
        };
        assert_eq!(cut(nothing, 10), Vec::new());
    }
}
