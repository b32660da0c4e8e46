//! Slices: parts of the id space that together cover it exactly once.

use crate::model::column::ColumnType;
use crate::model::mapping::Mapping;
use crate::model::shard::{BLOCK_IDS, Shard, block_of};
use crate::store::mysql::{KeyRange, SweepKey};

/// Rows a slice aims at; with it a million rows make 50 slices, enough to work side by side and small
/// enough to start again after a topology change.
const SLICE_ROWS: u64 = 20_000;
/// More slices than this help nobody: their bookkeeping would grow with the data.
const SLICES_MAX: u64 = 4_096;
/// A shard reads its blocks one by one where this many of them hold rows enough for one full block: reading a few empty
/// ones costs less than reading the rows of all shards.
const BLOCKS_PER_FULL_ONE: i128 = 16;
/// Where a table is this small, how full its blocks are is not worth knowing.
const BLOCKS_ALWAYS: i128 = 64;

/// A part of a check's rows that is swept by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    pub range: KeyRange,
    /// The lowest id it could hold, or as low as can be; slices of several shards are put in order by it.
    pub begins_at: i128,
    /// Every shard reads it, and keeps what is its own.
    pub is_shared: bool,
}

/// Whether the sweep key is one whole number, by its column: text that happens to hold digits is ordered
/// as text.
pub fn is_integer_key(mapping: &Mapping) -> bool {
    match mapping.sweep_key.as_slice() {
        [only] => matches!(
            mapping.columns[*only].kind,
            ColumnType::Integer { .. } | ColumnType::Decimal { scale: 0 }
        ),
        _ => false,
    }
}

/// What of the rows `shard` sweeps, in the order of ids. `bounds` are those of a single-integer key.
///
/// A shard's slices are its blocks, where those can be listed. The ranges are closed: what lies beyond the bounds was
/// inserted since, into blocks that may be another shard's.
pub fn slices(
    shard: Shard,
    bounds: Option<&(SweepKey, SweepKey)>,
    rows_estimated: u64,
) -> Vec<Slice> {
    if shard.is_whole() {
        let ranges = cut(bounds, rows_estimated).into_iter();
        return ranges
            .map(|range| Slice {
                begins_at: begin_of(&range),
                range,
                is_shared: false,
            })
            .collect();
    }
    let blocks = bounds
        .and_then(|(low, high)| Some((block_of(integer(low)?), block_of(integer(high)?))))
        .filter(|(first, last)| are_worth_listing(shard, last - first + 1, rows_estimated));
    let Some((first, last)) = blocks else {
        return vec![Slice {
            range: KeyRange::default(),
            begins_at: i128::MIN,
            is_shared: true,
        }];
    };
    (first..=last)
        .filter(|block| shard.has_block(*block))
        .map(|block| {
            let begin = block * BLOCK_IDS;
            let key = |id: i128| Some(vec![id.to_string().into_bytes()]);
            Slice {
                range: KeyRange {
                    after: key(begin - 1),
                    upto: key(begin + BLOCK_IDS - 1),
                },
                begins_at: begin,
                is_shared: false,
            }
        })
        .collect()
}

/// What is left of the rows behind `end`, the last key of a slice that [`slices`] cut.
pub fn slices_behind(
    shard: Shard,
    end: &SweepKey,
    bounds: Option<&(SweepKey, SweepKey)>,
    rows_estimated: u64,
) -> Vec<Slice> {
    let Some(end_id) = integer(end) else {
        return Vec::new();
    };
    if shard.is_whole() {
        let rest = bounds.map(|(_, high)| (end.clone(), high.clone()));
        let mut rest = slices(shard, rest.as_ref(), rows_estimated);
        if let Some(first) = rest.first_mut() {
            first.range.after = Some(end.clone());
            first.begins_at = end_id.saturating_add(1);
        }
        return rest;
    }
    let mut rest = slices(shard, bounds, rows_estimated);
    for slice in rest.iter_mut().filter(|slice| slice.is_shared) {
        // Blocks could be listed before, and cannot any more: what is left of them is in one piece.
        slice.range.after = Some(end.clone());
        slice.begins_at = end_id.saturating_add(1);
    }
    rest.retain(|slice| slice.begins_at > end_id);
    rest
}

fn are_worth_listing(shard: Shard, blocks: i128, rows_estimated: u64) -> bool {
    let full = i128::from(rows_estimated) / BLOCK_IDS;
    let own = blocks / i128::from(shard.count());
    blocks <= BLOCKS_ALWAYS + BLOCKS_PER_FULL_ONE * full && own <= i128::from(SLICES_MAX) * 16
}

/// The lowest id of a range of a single-integer key.
fn begin_of(range: &KeyRange) -> i128 {
    let after = range.after.as_ref().and_then(integer);
    after.map_or(i128::MIN, |after| after.saturating_add(1))
}

/// Cuts the id space of a single-integer key into closed ranges `(after, upto]` of equal width; open
/// at both ends, so that ids inserted meanwhile are not missed. Anything else is one range.
fn cut(bounds: Option<&(SweepKey, SweepKey)>, rows_estimated: u64) -> Vec<KeyRange> {
    let whole = || vec![KeyRange::default()];
    let Some((low, high)) = bounds.and_then(|(l, h)| Some((integer(l)?, integer(h)?))) else {
        return whole();
    };
    let span = high.saturating_sub(low);
    let wanted = rows_estimated.div_ceil(SLICE_ROWS).clamp(1, SLICES_MAX);
    let count = i128::from(wanted).min(span.max(1));
    if count <= 1 {
        return whole();
    }
    let cut_at = |i: i128| vec![(low + span / count * i).to_string().into_bytes()];
    (0..count)
        .map(|i| KeyRange {
            after: (i > 0).then(|| cut_at(i)),
            upto: (i + 1 < count).then(|| cut_at(i + 1)),
        })
        .collect()
}

fn integer(key: &SweepKey) -> Option<i128> {
    match key.as_slice() {
        [only] => std::str::from_utf8(only).ok()?.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: i128) -> SweepKey {
        vec![n.to_string().into_bytes()]
    }

    #[test]
    fn slices_touch_and_are_open_at_both_ends() {
        let slices = cut(Some(&(key(-5), key(1_000_000))), 1_000_000);
        assert_eq!(slices.len(), 50);
        assert_eq!(slices[0].after, None);
        assert_eq!(slices[49].upto, None);
        for pair in slices.windows(2) {
            assert_eq!(pair[0].upto, pair[1].after);
        }
    }

    #[test]
    fn what_is_left_behind_a_slice_is_the_rest_and_no_more() {
        let bounds = (key(-5), key(1_000_000));
        for shard in ["0/1", "2/4"] {
            let shard = Shard::parse(shard).expect("it is one");
            let all = slices(shard, Some(&bounds), 1_000_000);
            for (at, slice) in all.iter().enumerate() {
                let Some(end) = &slice.range.upto else {
                    continue;
                };
                let rest = slices_behind(shard, end, Some(&bounds), 1_000_000);
                match shard.is_whole() {
                    false => assert_eq!(rest, all[at + 1..]),
                    true => {
                        assert_eq!(rest[0].range.after.as_ref(), Some(end));
                        assert_eq!(rest[rest.len() - 1].range.upto, None);
                        for pair in rest.windows(2) {
                            assert_eq!(pair[0].range.upto, pair[1].range.after);
                            assert!(pair[0].begins_at < pair[1].begins_at);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn nothing_is_left_out_where_blocks_can_no_longer_be_listed() {
        let shard = Shard::parse("2/4").expect("it is one");
        let bounds = (key(-5), key(1_000_000));
        let first = &slices(shard, Some(&bounds), 1_000_000)[0];
        let end = first.range.upto.clone().expect("a block has an end");
        let far = (key(-5), key(1 << 60));
        for (bounds, rows) in [(Some(&far), 1_000_000), (None, 1_000_000), (Some(&far), 0)] {
            let rest = slices_behind(shard, &end, bounds, rows);
            assert_eq!(rest.len(), 1, "{bounds:?}");
            assert!(rest[0].is_shared);
            assert_eq!(rest[0].range.after.as_ref(), Some(&end));
            assert_eq!(rest[0].range.upto, None);
            assert_eq!(Some(rest[0].begins_at - 1), integer(&end));
        }
    }

    #[test]
    fn small_or_foreign_keys_are_one_slice() {
        assert_eq!(
            cut(Some(&(key(7), key(7))), 1_000_000),
            [KeyRange::default()]
        );
        assert_eq!(cut(Some(&(key(1), key(10))), 10), [KeyRange::default()]);
        let text = (vec![b"a".to_vec()], vec![b"z".to_vec()]);
        assert_eq!(cut(Some(&text), 1_000_000), [KeyRange::default()]);
        assert_eq!(cut(None, 1_000_000), [KeyRange::default()]);
    }

    #[test]
    fn shards_divide_dense_ids_by_blocks_whatever_they_see_of_the_ends() {
        let all = |low: i128, high: i128| {
            let mut owned = std::collections::BTreeMap::new();
            for index in 0..4 {
                let shard = Shard::new(index, 4).expect("there is such a shard");
                let bounds = (key(low), key(high));
                for slice in slices(shard, Some(&bounds), 1_000_000) {
                    assert!(!slice.is_shared);
                    assert_eq!(begin_of(&slice.range), slice.begins_at);
                    assert_eq!(owned.insert(slice.begins_at, index), None);
                }
            }
            owned
        };
        let (one, later) = (all(-20_000, 1_000_000), all(5, 1_300_000));
        let begins: Vec<i128> = one.keys().copied().collect();
        assert_eq!((begins[0], begins.len()), (-2 * BLOCK_IDS, 2 + 62));
        assert!(begins.windows(2).all(|pair| pair[1] - pair[0] == BLOCK_IDS));
        for (begin, index) in &later {
            assert_eq!(one.get(begin).unwrap_or(index), index);
        }
    }

    #[test]
    fn what_is_sparse_or_no_number_is_shared() {
        let shard = Shard::new(1, 2).expect("there is such a shard");
        let is_shared = |bounds: Option<(i128, i128)>, rows| {
            let bounds = bounds.map(|(low, high)| (key(low), key(high)));
            let slices = slices(shard, bounds.as_ref(), rows);
            slices.len() == 1 && slices[0].is_shared && slices[0].range == KeyRange::default()
        };
        assert!(is_shared(None, 1_000_000));
        assert!(is_shared(Some((0, 1 << 60)), 1_000_000));
        assert!(is_shared(Some((0, i128::from(u64::MAX))), u64::MAX));
        assert!(!is_shared(Some((0, 1_000_000)), 0));
        assert!(!is_shared(Some((0, 10 << 24)), 1 << 24));
    }

    #[test]
    fn the_widest_ids_do_not_overflow() {
        let slices = cut(Some(&(key(0), key(i128::from(u64::MAX)))), u64::MAX);
        assert_eq!(slices.len(), 4_096);
    }
}
