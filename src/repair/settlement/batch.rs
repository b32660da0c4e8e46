//! How much is settled together.

use super::apply::SettleItem;

/// Entries of one batch: one look, one fsync, one pipeline, one WAIT.
pub(super) const BATCH_ENTRIES: usize = 500;
/// What their entries and rows may weigh together, about: they are held as they were judged, looked at again, and
/// written to the journal.
const BATCH_BYTES: usize = 4 << 20;

/// How many of the `open` places of `items` make the next batch: one at least.
pub(super) fn batch_of(items: &[SettleItem], open: &[usize]) -> usize {
    count(open.iter().map(|&at| items[at].look.weight()))
}

fn count(weights: impl Iterator<Item = usize>) -> usize {
    let mut before = 0_usize;
    let fitting = weights.take(BATCH_ENTRIES).take_while(|weight| {
        let is_room = before < BATCH_BYTES;
        before = before.saturating_add(*weight);
        is_room
    });
    fitting.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_bounded_by_its_entries_and_by_what_they_weigh() {
        let of = |weight: usize, entries: usize| count(std::iter::repeat_n(weight, entries));
        assert_eq!(of(200, 3), 3);
        assert_eq!(of(200, 9_000), BATCH_ENTRIES);
        assert_eq!(of(1 << 20, 9), 4, "a megabyte each");
        assert_eq!(
            of(64 << 20, 9),
            1,
            "one that is too large alone is settled, too"
        );
        assert_eq!(of(0, 0), 0);
    }
}
