//! One of several processes that divide a job among them.
//!
//! What a shard looks at is a pure function of what is looked at: shards start at different moments and share
//! nothing but the stores, while rows come and go. So no boundary may depend on what there is at the moment.

use std::fmt;

use super::slots::Slot;

/// More shards than this help nobody: each of them walks the keyspace and reads every stream.
pub const SHARDS_MAX: u8 = 64;

/// Whole-number ids of one block belong together: a block is a slice of a sharded sweep, of some pages where ids are
/// dense, and a range that an index serves.
pub const BLOCK_IDS: i128 = 1 << 14;

/// `index` of `count`; the whole is 0 of 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard {
    index: u8,
    count: u8,
}

impl Default for Shard {
    fn default() -> Self {
        Self::WHOLE
    }
}

impl Shard {
    /// Not divided.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// `None`: shards count from 0, and there are at most [`SHARDS_MAX`].
    pub fn new(index: u8, count: u8) -> Option<Self> {
        let is_one = (1..=SHARDS_MAX).contains(&count) && index < count;
        is_one.then_some(Self { index, count })
    }

    /// `0/4`
    pub fn parse(text: &str) -> Option<Self> {
        let (index, count) = text.split_once('/')?;
        let number = |digits: &str| {
            let is_plain = digits.bytes().all(|b| b.is_ascii_digit());
            is_plain.then(|| digits.parse().ok()).flatten()
        };
        Self::new(number(index)?, number(count)?)
    }

    /// Every shard there can be, of every split.
    pub fn all() -> impl Iterator<Item = Self> {
        (1..=SHARDS_MAX).flat_map(|count| (0..count).map(move |index| Self { index, count }))
    }

    pub fn index(self) -> u8 {
        self.index
    }

    pub fn count(self) -> u8 {
        self.count
    }

    pub fn is_whole(self) -> bool {
        self.count == 1
    }

    /// What cannot be divided (a stream's group) is the first one's.
    pub fn is_first(self) -> bool {
        self.index == 0
    }

    /// Whether the row of this whole-number id is this shard's.
    pub fn has_id(self, id: i128) -> bool {
        self.has_block(block_of(id))
    }

    pub fn has_block(self, block: i128) -> bool {
        block.rem_euclid(i128::from(self.count)) == i128::from(self.index)
    }

    /// Whether what these parts name is this shard's: the cells of a key in the key's order, or one identity.
    pub fn has_parts<'p>(self, parts: impl IntoIterator<Item = &'p [u8]>) -> bool {
        self.is_whole() || digest(parts) % u64::from(self.count) == u64::from(self.index)
    }

    /// Whether a Redis key of which nobody knows the row is this shard's.
    pub fn has_key(self, key: &[u8]) -> bool {
        self.is_whole() || Slot::of(key).number() % u16::from(self.count) == u16::from(self.index)
    }

    /// This shard's share of a limit of the whole job, at least 1.
    pub fn share(self, limit: u64) -> u64 {
        (limit / u64::from(self.count)).max(1)
    }
}

/// As on the command line: `0/4`.
impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

/// The block of an id.
pub fn block_of(id: i128) -> i128 {
    id.div_euclid(BLOCK_IDS)
}

/// FNV-1a over the parts and their lengths, then the finalizer of MurmurHash3, because the low bits alone decide.
fn digest<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut feed = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    };
    for part in parts {
        feed(&(part.len() as u64).to_be_bytes());
        feed(part);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use proptest::prelude::*;

    use super::*;

    fn of(count: u8) -> impl Iterator<Item = Shard> {
        (0..count).map(move |index| Shard::new(index, count).unwrap())
    }

    proptest! {
        #[test]
        fn everything_is_exactly_one_shards(
            id in any::<i128>(),
            near in -100_000_i128..100_000,
            parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..5), 0..4),
            key in proptest::collection::vec(any::<u8>(), 0..20),
            count in 1..=SHARDS_MAX,
        ) {
            let one = |has: &dyn Fn(Shard) -> bool| of(count).filter(|s| has(*s)).count();
            prop_assert_eq!(one(&|s| s.has_id(id)), 1);
            prop_assert_eq!(one(&|s| s.has_id(near)), 1);
            prop_assert_eq!(one(&|s| s.has_parts(parts.iter().map(Vec::as_slice))), 1);
            prop_assert_eq!(one(&|s| s.has_key(&key)), 1);
        }

        #[test]
        fn a_block_is_of_one_shard_and_of_one_size(block in -1_000_i128..1_000, count in 1..=SHARDS_MAX) {
            let first = block * BLOCK_IDS;
            let last = first + BLOCK_IDS - 1;
            prop_assert_eq!((block_of(first), block_of(last)), (block, block));
            prop_assert_eq!((block_of(first - 1), block_of(last + 1)), (block - 1, block + 1));
            for shard in of(count) {
                prop_assert_eq!(shard.has_id(first), shard.has_id(last));
            }
        }
    }

    #[test]
    fn shards_are_of_like_size() {
        for count in [2, 3, 4, 64] {
            for shard in of(count) {
                let ids: Vec<String> = (0..64_000).map(|n| format!("user-{n}")).collect();
                let own = ids.iter().filter(|id| shard.has_parts([id.as_bytes()]));
                let even = 64_000 / usize::from(count);
                let own = own.count();
                assert!(own.abs_diff(even) < even / 5, "{shard}: {own}");
            }
        }
    }

    #[test]
    fn parts_do_not_run_together() {
        let shard = |parts: [&[u8]; 2]| of(64).find(|s| s.has_parts(parts)).unwrap();
        assert_ne!(shard([b"ab", b"c"]), shard([b"a", b"bc"]));
        // Two versions of this program may run side by side, so no version may divide otherwise.
        assert_eq!(shard([b"ab", b"c"]).to_string(), "7/64");
    }

    #[test]
    fn it_is_spelled_as_it_is_read() {
        assert_eq!(Shard::parse("3/4").unwrap().to_string(), "3/4");
        assert_eq!(Shard::parse("0/1"), Some(Shard::WHOLE));
        for nonsense in [
            "", "4/4", "0/0", "0/65", "1", "-1/2", "+1/2", "a/b", "0/4/8", " 0/4", "/4", "256/300",
        ] {
            assert_eq!(Shard::parse(nonsense), None, "{nonsense}");
        }
        assert_eq!(Shard::all().count(), 64 * 65 / 2);
        assert_eq!(
            (
                Shard::parse("0/4").unwrap().share(10),
                Shard::parse("3/64").unwrap().share(10)
            ),
            (2, 1)
        );
    }
}
