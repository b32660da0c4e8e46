//! Ids of stream entries.

use std::time::Duration;

use crate::model::time::Micros;

/// `milliseconds-sequence`; ordered as Redis orders them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct StreamId {
    pub millis: u64,
    pub sequence: u64,
}

/// Which ids are read: from `first` (itself included) to `last` (included).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRange {
    pub first: StreamId,
    pub last: StreamId,
}

impl IdRange {
    pub const ALL: IdRange = IdRange {
        first: StreamId::MIN,
        last: StreamId::MAX,
    };
}

/// 2001-09-09: before there was any Redis.
const FIRST_CLOCK_MILLIS: u64 = 1_000_000_000_000;

impl StreamId {
    pub const MIN: StreamId = StreamId {
        millis: 0,
        sequence: 0,
    };
    pub const MAX: StreamId = StreamId {
        millis: u64::MAX,
        sequence: u64::MAX,
    };

    pub fn new(millis: u64, sequence: u64) -> Self {
        Self { millis, sequence }
    }

    /// Reads `millis-sequence` as Redis prints it: both parts there, decimal, no sign, no leading zeros.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (millis, sequence) = text.split_once('-')?;
        let part = |digits: &str| {
            let is_plain = digits.bytes().all(|b| b.is_ascii_digit())
                && (digits.len() == 1 || !digits.starts_with('0'));
            digits.parse::<u64>().ok().filter(|_| is_plain)
        };
        Some(Self::new(part(millis)?, part(sequence)?))
    }

    /// The next possible id; `None` after the last one.
    pub fn next(self) -> Option<Self> {
        match self.sequence.checked_add(1) {
            Some(sequence) => Some(Self { sequence, ..self }),
            None => Some(Self::new(self.millis.checked_add(1)?, 0)),
        }
    }

    /// The id just before this one; `None` before the first.
    pub fn previous(self) -> Option<Self> {
        match self.sequence.checked_sub(1) {
            Some(sequence) => Some(Self { sequence, ..self }),
            None => Some(Self::new(self.millis.checked_sub(1)?, u64::MAX)),
        }
    }

    /// The first id of this instant, by the clock of the Redis that gave it.
    pub fn at(instant: Micros) -> Self {
        Self::new(u64::try_from(instant.0.div_euclid(1000)).unwrap_or(0), 0)
    }

    /// When the entry was added, by the clock of the Redis that gave the id; `None` for ids that no clock
    /// gave.
    pub fn instant(self) -> Option<Micros> {
        i64::try_from(self.millis)
            .ok()?
            .checked_mul(1000)
            .map(Micros)
    }

    /// Whether a server's clock can have given it, and not the application that counts by itself.
    pub fn is_by_a_clock(self) -> bool {
        self.millis >= FIRST_CLOCK_MILLIS
    }

    /// Whether it lies later than `now` (the server's clock) by more than `skew`.
    pub fn is_from_the_future(self, now: Micros, skew: Duration) -> bool {
        self.instant().is_none_or(|at| at > now.plus(skew))
    }
}

impl std::fmt::Display for StreamId {
    /// As Redis prints it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.millis, self.sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_redis_prints_and_nothing_else() {
        let id = StreamId::new(1_526_919_030_474, 55);
        assert_eq!(StreamId::parse(b"1526919030474-55"), Some(id));
        assert_eq!(id.to_string(), "1526919030474-55");
        assert_eq!(StreamId::parse(b"0-0"), Some(StreamId::MIN));
        assert_eq!(
            StreamId::parse(StreamId::MAX.to_string().as_bytes()),
            Some(StreamId::MAX)
        );
        for no_id in [
            "",
            "1",
            "1-",
            "-1",
            "1-2-3",
            "+1-2",
            "01-2",
            "1-02",
            "1-18446744073709551616",
            " 1-2",
        ] {
            assert_eq!(StreamId::parse(no_id.as_bytes()), None, "{no_id}");
        }
    }

    #[test]
    fn neighbours_cross_the_millisecond() {
        let end = StreamId::new(7, u64::MAX);
        assert_eq!(end.next(), Some(StreamId::new(8, 0)));
        assert_eq!(StreamId::new(8, 0).previous(), Some(end));
        assert_eq!(StreamId::MIN.previous(), None);
        assert_eq!(StreamId::MAX.next(), None);
        assert!(StreamId::new(9, 0) < StreamId::new(10, 0));
    }

    #[test]
    fn the_future_is_later_than_the_skew() {
        let now = Micros(5_000_000);
        let skew = Duration::from_millis(10);
        assert!(!StreamId::new(5_010, 3).is_from_the_future(now, skew));
        assert!(StreamId::new(5_011, 0).is_from_the_future(now, skew));
        assert!(StreamId::MAX.is_from_the_future(now, skew));
    }
}
