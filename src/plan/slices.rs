//! Slices: parts of the id space that together cover it exactly once.

use crate::model::column::ColumnType;
use crate::model::mapping::Mapping;
use crate::store::mysql::{KeyRange, SweepKey};

/// Rows a slice aims at; with it a million rows make 50 slices, enough to work side by side and small
/// enough to start again after a topology change.
const SLICE_ROWS: u64 = 20_000;
/// More slices than this help nobody: their bookkeeping would grow with the data.
const SLICES_MAX: u64 = 4_096;

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

/// Cuts the id space of a single-integer key into closed ranges `(after, upto]` of equal width; open
/// at both ends, so that ids inserted meanwhile are not missed. Anything else is one range.
pub fn cut(bounds: Option<&(SweepKey, SweepKey)>, rows_estimated: u64) -> Vec<KeyRange> {
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
    fn the_widest_ids_do_not_overflow() {
        let slices = cut(Some(&(key(0), key(i128::from(u64::MAX)))), u64::MAX);
        assert_eq!(slices.len(), 4_096);
    }
}
