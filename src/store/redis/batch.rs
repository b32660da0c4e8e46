//! How much is asked for at once.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Larger commands gain nothing and stall other clients: a thousand keys hold the server 1 to 2 ms.
pub(super) const BATCH_MAX: usize = 1_000;

/// Commands on the wire at once: enough to hide the round trip, more gains nothing.
const IN_FLIGHT_MAX: usize = 4;

/// Below it values are heavy, or nothing is known of them yet: one answer at a time is in memory.
const BATCH_LIGHT: usize = 64;

/// What one answer should weigh at most. Values of megabytes are then asked for one by one.
const REPLY_BYTES_AIM: usize = 4 << 20;

/// Nothing is known of the values before the first answer, so the first questions are small.
const BATCH_FIRST: usize = 8;

/// How fast the batches grow while the answers stay light.
const GROWTH: usize = 8;

/// Adapts the size of batches to the size of what comes back, so that memory stays bounded whatever
/// the values weigh. Shared by the clones of a connection.
#[derive(Debug)]
pub(super) struct Pace {
    batch: AtomicUsize,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self {
            batch: AtomicUsize::new(BATCH_FIRST),
        }
    }

    /// How many to ask for next.
    pub(super) fn batch(&self) -> usize {
        self.batch.load(Ordering::Relaxed)
    }

    /// How many batches may be on the wire at once.
    pub(super) fn in_flight(&self) -> usize {
        if self.batch() < BATCH_LIGHT {
            1
        } else {
            IN_FLIGHT_MAX
        }
    }

    /// `count` values weighed `bytes` together. Batches shrink at once and grow step by step.
    pub(super) fn learn(&self, count: usize, bytes: usize) {
        if count == 0 {
            return;
        }
        let fitting = REPLY_BYTES_AIM.saturating_mul(count) / bytes.max(1);
        let now = self.batch();
        // A small batch says little of the rest, so it lets the next one grow only so far.
        let next = fitting.min(now.min(count).saturating_mul(GROWTH).max(now));
        self.batch
            .store(next.clamp(1, BATCH_MAX), Ordering::Relaxed);
    }

    /// Cuts `items` into batches; each is sized when it is taken, by what was learnt until then.
    pub(super) fn cut<'a, T>(&'a self, items: &'a [T]) -> impl Iterator<Item = &'a [T]> + Send
    where
        T: Sync,
    {
        let mut rest = items;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let (batch, after) = rest.split_at(self.batch().min(rest.len()));
            rest = after;
            Some(batch)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn light_answers_let_batches_grow_to_the_limit_and_no_further() {
        let pace = Pace::new();
        let mut sizes = vec![pace.batch()];
        for _ in 0..4 {
            pace.learn(pace.batch(), pace.batch() * 100);
            sizes.push(pace.batch());
        }
        assert_eq!(sizes, [8, 64, 512, 1_000, 1_000]);
    }

    #[test]
    fn heavy_answers_shrink_them_at_once_down_to_one() {
        let pace = Pace::new();
        pace.learn(8, 8 * 100);
        pace.learn(64, 64 << 20);
        assert_eq!(pace.batch(), 4, "a megabyte each");
        pace.learn(4, 4 * (16 << 20));
        assert_eq!(pace.batch(), 1, "more than the aim each");
        assert_eq!(pace.in_flight(), 1);
    }

    #[test]
    fn cutting_loses_nothing() {
        let pace = Pace::new();
        let items: Vec<u32> = (0..100).collect();
        let mut seen = Vec::new();
        for batch in pace.cut(&items) {
            pace.learn(batch.len(), 0);
            seen.extend_from_slice(batch);
        }
        assert_eq!(seen, items);
    }
}
