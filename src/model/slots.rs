//! The hash slots by which a Redis Cluster divides its keys.
//!
//! Source: the Redis Cluster specification, *Key distribution model* and *Hash tags*.

use std::fmt;

/// Slots of a Cluster.
pub const SLOTS: u16 = 16_384;
const WORDS: usize = SLOTS as usize / 64;

/// One slot, below [`SLOTS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u16);

impl Slot {
    /// The slot of `key`: of what stands between its first `{` and the next `}`, if anything does, else of all of it.
    pub fn of(key: &[u8]) -> Self {
        Self(crc16(tag(key)) % SLOTS)
    }

    /// `None`: there is no such slot.
    pub fn new(number: u16) -> Option<Self> {
        (number < SLOTS).then_some(Self(number))
    }

    pub fn number(self) -> u16 {
        self.0
    }
}

fn tag(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|&byte| byte == b'{') else {
        return key;
    };
    let rest = &key[open + 1..];
    match rest.iter().position(|&byte| byte == b'}') {
        Some(length) if length > 0 => &rest[..length],
        _ => key,
    }
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    let mut crc: u16 = 0;
    for &byte in bytes {
        crc ^= u16::from(byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 {
                crc << 1
            } else {
                (crc << 1) ^ 0x1021
            };
        }
    }
    crc
}

/// A set of slots. Outside of a Cluster the one node has [`SlotSet::all`].
#[derive(Clone, PartialEq, Eq)]
pub struct SlotSet {
    words: Box<[u64; WORDS]>,
}

impl SlotSet {
    pub fn all() -> Self {
        Self {
            words: Box::new([u64::MAX; WORDS]),
        }
    }

    pub fn none() -> Self {
        Self {
            words: Box::new([0; WORDS]),
        }
    }

    pub fn add(&mut self, slot: Slot) {
        self.words[usize::from(slot.0) / 64] |= 1 << (slot.0 % 64);
    }

    pub fn remove(&mut self, slot: Slot) {
        self.words[usize::from(slot.0) / 64] &= !(1 << (slot.0 % 64));
    }

    pub fn has(&self, slot: Slot) -> bool {
        self.words[usize::from(slot.0) / 64] & (1 << (slot.0 % 64)) != 0
    }

    pub fn has_key(&self, key: &[u8]) -> bool {
        self.is_all() || self.has(Slot::of(key))
    }

    pub fn is_all(&self) -> bool {
        self.words.iter().all(|word| *word == u64::MAX)
    }

    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    pub fn len(&self) -> usize {
        self.words.iter().map(|w| w.count_ones() as usize).sum()
    }

    /// Takes in every slot of `other`.
    pub fn unite(&mut self, other: &Self) {
        let pairs = self.words.iter_mut().zip(other.words.iter());
        pairs.for_each(|(word, more)| *word |= more);
    }

    /// Takes out every slot of `other`.
    pub fn subtract(&mut self, other: &Self) {
        let pairs = self.words.iter_mut().zip(other.words.iter());
        pairs.for_each(|(word, less)| *word &= !less);
    }

    pub fn is_disjoint(&self, other: &Self) -> bool {
        let mut pairs = self.words.iter().zip(other.words.iter());
        pairs.all(|(word, more)| word & more == 0)
    }

    /// In rising order.
    pub fn iter(&self) -> impl Iterator<Item = Slot> + '_ {
        (0..SLOTS).map(Slot).filter(|slot| self.has(*slot))
    }
}

impl FromIterator<Slot> for SlotSet {
    fn from_iter<I: IntoIterator<Item = Slot>>(slots: I) -> Self {
        let mut set = Self::none();
        slots.into_iter().for_each(|slot| set.add(slot));
        set
    }
}

/// As `CLUSTER NODES` has it: `0-5460 10000`.
impl fmt::Display for SlotSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut gap = "";
        let mut slots = self.iter().map(Slot::number).peekable();
        while let Some(first) = slots.next() {
            let mut last = first;
            while slots.next_if(|next| *next == last + 1).is_some() {
                last += 1;
            }
            if first == last {
                write!(f, "{gap}{first}")?;
            } else {
                write!(f, "{gap}{first}-{last}")?;
            }
            gap = " ";
        }
        Ok(())
    }
}

impl fmt::Debug for SlotSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SlotSet({self})")
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn slots_are_those_that_servers_give() {
        // CLUSTER KEYSLOT of Redis 7.0.15.
        for (key, slot) in [
            (&b"foo"[..], 12182),
            (b"user:1:profile", 12348),
            (b"{user1000}.following", 3443),
            (b"foo{}{bar}", 8363),
            (b"foo{{bar}}zap", 4015),
            (b"foo{bar}{zap}", 5061),
            (b"", 0),
            (b"123456789", 12739),
        ] {
            assert_eq!(Slot::of(key).number(), slot, "{}", key.escape_ascii());
        }
    }

    #[test]
    fn a_set_holds_what_was_put_into_it() {
        let mut set: SlotSet = [0, 1, 2, 7, 16383]
            .map(|n| Slot::new(n).unwrap())
            .into_iter()
            .collect();
        assert_eq!(set.to_string(), "0-2 7 16383");
        assert_eq!((set.len(), set.is_all(), set.is_empty()), (5, false, false));
        set.remove(Slot::new(1).unwrap());
        assert!(!set.has(Slot::new(1).unwrap()) && set.has(Slot::new(2).unwrap()));
        assert!(SlotSet::all().is_all() && SlotSet::none().is_empty());
        assert!(!set.is_disjoint(&SlotSet::all()) && set.is_disjoint(&SlotSet::none()));
        let mut rest = SlotSet::all();
        rest.subtract(&set);
        assert!(rest.is_disjoint(&set) && rest.len() + set.len() == usize::from(SLOTS));
        set.unite(&SlotSet::all());
        assert!(set.is_all() && set.has_key(b"anything"));
        assert_eq!(Slot::new(SLOTS), None);
    }
}
