//! What the rows led to, against what lies in Redis, in a megabyte whatever the data.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// One bucket holds a few keys of a million, so that one key too many costs few look-ups.
const BUCKETS: usize = 1 << 16;

/// Two multisets of keys (or of members of keys), compared without holding either: every bucket is the sum
/// of the hashes of what was added less those of what was subtracted. Where the two are the same, the sum
/// is zero; where they are not, it is zero once in 2^128, because the hashes are keyed at random for each
/// tally, so nobody can choose keys that cancel each other out.
///
/// It knows no order and may be used from several threads.
#[derive(Debug)]
pub struct Tally {
    lanes: [RandomState; 2],
    buckets: Box<[[AtomicU64; 2]]>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            lanes: [RandomState::new(), RandomState::new()],
            buckets: (0..BUCKETS).map(|_| Default::default()).collect(),
        }
    }
}

impl Tally {
    /// Another one with the same in it.
    pub fn copy(&self) -> Self {
        let copied = self.buckets.iter().map(|bucket| {
            let sum = |lane: &AtomicU64| AtomicU64::new(lane.load(Ordering::Relaxed));
            [sum(&bucket[0]), sum(&bucket[1])]
        });
        Self {
            lanes: self.lanes.clone(),
            buckets: copied.collect(),
        }
    }

    pub fn add(&self, key: &[u8], member: Option<&[u8]>) {
        let hashes = self.hashes(key, member);
        for (sum, hash) in self.bucket(hashes).iter().zip(hashes) {
            sum.fetch_add(hash, Ordering::Relaxed);
        }
    }

    pub fn subtract(&self, key: &[u8], member: Option<&[u8]>) {
        let hashes = self.hashes(key, member);
        for (sum, hash) in self.bucket(hashes).iter().zip(hashes) {
            sum.fetch_sub(hash, Ordering::Relaxed);
        }
    }

    /// Whether exactly what was added was subtracted.
    pub fn is_even(&self) -> bool {
        self.buckets.iter().all(is_zero)
    }

    /// Whether this key, or one of the few that share its bucket, was added and not subtracted, subtracted
    /// and not added, or not as often.
    pub fn is_uneven_at(&self, key: &[u8], member: Option<&[u8]>) -> bool {
        !is_zero(self.bucket(self.hashes(key, member)))
    }

    fn hashes(&self, key: &[u8], member: Option<&[u8]>) -> [u64; 2] {
        self.lanes.each_ref().map(|lane| {
            // Both say their lengths, so that no two pairs feed the hasher the same bytes.
            lane.hash_one((key, member))
        })
    }

    fn bucket(&self, hashes: [u64; 2]) -> &[AtomicU64; 2] {
        &self.buckets[hashes[0] as usize % BUCKETS]
    }
}

fn is_zero(bucket: &[AtomicU64; 2]) -> bool {
    bucket.iter().all(|sum| sum.load(Ordering::Relaxed) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_added_and_subtracted_once_each_is_even_in_any_order() {
        let tally = Tally::default();
        let keys: Vec<String> = (0..10_000).map(|n| format!("user:{n}")).collect();
        keys.iter().for_each(|key| tally.add(key.as_bytes(), None));
        assert!(!tally.is_even());
        keys.iter()
            .rev()
            .for_each(|key| tally.subtract(key.as_bytes(), None));
        assert!(tally.is_even());
    }

    #[test]
    fn names_what_is_left_over_on_either_side() {
        let tally = Tally::default();
        let pairs = [("a", None), ("b", Some("a")), ("b", Some("")), ("b", None)];
        for (key, member) in pairs {
            tally.add(key.as_bytes(), member.map(str::as_bytes));
        }
        tally.subtract(b"a", None);
        tally.subtract(b"b", None);
        tally.subtract(b"orphan", None);
        assert!(tally.is_uneven_at(b"b", Some(b"a")), "only added");
        assert!(tally.is_uneven_at(b"b", Some(b"")), "only added");
        assert!(tally.is_uneven_at(b"orphan", None), "only subtracted");
    }

    #[test]
    fn a_key_that_comes_twice_is_uneven() {
        let tally = Tally::default();
        tally.add(b"a", None);
        tally.subtract(b"a", None);
        tally.subtract(b"a", None);
        assert!(tally.is_uneven_at(b"a", None));
    }

    #[test]
    fn a_copy_goes_its_own_way() {
        let tally = Tally::default();
        tally.add(b"a", None);
        let copy = tally.copy();
        copy.subtract(b"a", None);
        assert!(copy.is_even() && !tally.is_even());
        tally.copy().subtract(b"a", None);
        assert!(!tally.is_even());
    }

    proptest! {
        #[test]
        fn it_is_even_exactly_when_both_hold_the_same(
            added in proptest::collection::vec("[ab]{0,2}", 0..6),
            subtracted in proptest::collection::vec("[ab]{0,2}", 0..6),
        ) {
            let tally = Tally::default();
            added.iter().for_each(|key| tally.add(key.as_bytes(), None));
            subtracted.iter().for_each(|key| tally.subtract(key.as_bytes(), None));
            let (mut left, mut right) = (added, subtracted);
            left.sort();
            right.sort();
            prop_assert_eq!(tally.is_even(), left == right);
        }
    }
}
