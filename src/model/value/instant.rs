//! Instants in UTC microseconds, read from the many ways a date and a time are written.

use chrono::{DateTime, NaiveDateTime, Offset, TimeZone};
use chrono_tz::Tz;

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// What a piece of text says about time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// MySQL's `0000-00-00` and every date with a zero month or day: a value of its own kind.
    ZeroDate,
    At(Readings),
}

/// The instants a local time may mean, in microseconds since the epoch: two where clocks were set
/// back or forward, else twice the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readings {
    pub earlier: i64,
    pub later: i64,
}

impl Readings {
    pub fn single(micros: i64) -> Self {
        Self {
            earlier: micros,
            later: micros,
        }
    }

    /// Whether some reading of one is a reading of the other.
    pub fn meets(self, other: Self) -> bool {
        [self.earlier, self.later]
            .iter()
            .any(|m| *m == other.earlier || *m == other.later)
    }
}

/// Date and time as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    /// As if it were UTC. `None`: a zero date.
    pub naive: Option<i64>,
    /// Seconds east of UTC, where it says so.
    pub offset: Option<i64>,
    /// Digits of the second's fraction, as written.
    pub fraction_digits: usize,
}

/// Parses `YYYY-MM-DD`, optionally followed by `T` or a space, `HH:MM[:SS[.fraction]]` and `Z` or an
/// offset. Fractions beyond the microsecond are cut. `None` for anything else.
pub fn parse_civil(text: &[u8]) -> Option<Civil> {
    let (date, rest) = text.split_at_checked(10)?;
    if date[4] != b'-' || date[7] != b'-' {
        return None;
    }
    let (year, month, day) = (
        digits(&date[..4])?,
        digits(&date[5..7])?,
        digits(&date[8..])?,
    );
    if month > 12 || day > 31 {
        return None;
    }
    let (time, offset, fraction_digits) = match rest {
        [] => (0, None, 0),
        [b'T' | b't' | b' ', tail @ ..] => parse_time(tail)?,
        _ => return None,
    };
    let naive = if month == 0 || day == 0 {
        None
    } else if day > days_in_month(year, month) {
        return None;
    } else {
        Some(days_from_civil(year, month, day) * DAY + time)
    };
    Some(Civil {
        naive,
        offset,
        fraction_digits,
    })
}

/// The instants `civil` means; its own offset wins over `zone`, no zone is UTC.
pub fn resolve(civil: &Civil, zone: Option<Tz>) -> Moment {
    let Some(naive) = civil.naive else {
        return Moment::ZeroDate;
    };
    let readings = match (civil.offset, zone) {
        (Some(offset), _) => Readings::single(naive - offset * SECOND),
        (None, None | Some(Tz::UTC)) => Readings::single(naive),
        (None, Some(zone)) => in_zone(naive, zone),
    };
    Moment::At(readings)
}

/// Parses and resolves in one step.
pub fn parse(text: &[u8], zone: Option<Tz>) -> Option<Moment> {
    Some(resolve(&parse_civil(text)?, zone))
}

/// The local date and time of an instant in `zone` (UTC without one), as if it were UTC, and the offset
/// in seconds. `None` outside of the years chrono knows.
pub fn to_local(micros: i64, zone: Option<Tz>) -> Option<(NaiveDateTime, i64)> {
    let utc = DateTime::from_timestamp_micros(micros)?.naive_utc();
    match zone {
        None => Some((utc, 0)),
        Some(zone) => {
            let offset = zone.offset_from_utc_datetime(&utc).fix();
            Some((utc + offset, i64::from(offset.local_minus_utc())))
        }
    }
}

/// Start of the day that a naive time falls on.
pub fn day_of(naive: i64) -> i64 {
    naive.div_euclid(DAY)
}

fn in_zone(naive: i64, zone: Tz) -> Readings {
    let Some(local) = DateTime::from_timestamp_micros(naive).map(|t| t.naive_utc()) else {
        return Readings::single(naive);
    };
    let mapped = zone.from_local_datetime(&local);
    if let (Some(a), Some(b)) = (mapped.earliest(), mapped.latest()) {
        let (a, b) = (a.timestamp_micros(), b.timestamp_micros());
        return Readings {
            earlier: a.min(b),
            later: a.max(b),
        };
    }
    // The clocks skipped this hour: read it with the offset before the gap and with the one after.
    let with_offset_at =
        |utc: i64| to_local(utc, Some(zone)).map_or(naive, |(_, offset)| naive - offset * SECOND);
    let (a, b) = (with_offset_at(naive - DAY), with_offset_at(naive + DAY));
    Readings {
        earlier: a.min(b),
        later: a.max(b),
    }
}

/// Microseconds since midnight, the offset, and how many digits the fraction has.
fn parse_time(text: &[u8]) -> Option<(i64, Option<i64>, usize)> {
    let (clock, rest) = text.split_at_checked(5)?;
    if clock[2] != b':' {
        return None;
    }
    let (hour, minute) = (digits(&clock[..2])?, digits(&clock[3..])?);
    let (second, rest) = match rest {
        [b':', a, b, tail @ ..] => (digits(&[*a, *b])?, tail),
        _ => (0, rest),
    };
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (fraction, rest) = match rest {
        [b'.' | b',', tail @ ..] => {
            tail.split_at(tail.iter().take_while(|b| b.is_ascii_digit()).count())
        }
        _ => (&rest[..0], rest),
    };
    if fraction.is_empty() && matches!(text.get(8), Some(b'.' | b',')) {
        return None;
    }
    let mut micros = 0;
    for place in 0..6 {
        micros = micros * 10 + fraction.get(place).map_or(0, |d| i64::from(d - b'0'));
    }
    let time = ((hour * 60 + minute) * 60 + second) * SECOND + micros;
    Some((time, parse_offset(rest)?, fraction.len()))
}

/// Nothing, `Z`, `±HH`, `±HHMM` or `±HH:MM`.
fn parse_offset(text: &[u8]) -> Option<Option<i64>> {
    let (sign, rest) = match text {
        [] => return Some(None),
        [b'Z' | b'z'] => return Some(Some(0)),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = match rest {
        [a, b] => (digits(&[*a, *b])?, 0),
        [a, b, c, d] | [a, b, b':', c, d] => (digits(&[*a, *b])?, digits(&[*c, *d])?),
        _ => return None,
    };
    (hours <= 23 && minutes <= 59).then_some(Some(sign * (hours * 60 + minutes) * 60))
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |value, b| {
        b.is_ascii_digit().then(|| value * 10 + i64::from(b - b'0'))
    })
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a proleptic Gregorian date, after Howard Hinnant's `days_from_civil`.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use proptest::prelude::*;

    fn utc(text: &str) -> i64 {
        match parse(text.as_bytes(), None).unwrap() {
            Moment::At(readings) if readings.earlier == readings.later => readings.earlier,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn one_instant_in_many_spellings() {
        let expected = DateTime::parse_from_rfc3339("2026-11-21T14:03:00.25Z")
            .unwrap()
            .timestamp_micros();
        for text in [
            "2026-11-21T14:03:00.25Z",
            "2026-11-21 14:03:00.250000",
            "2026-11-21t23:03:00.250+09:00",
            "2026-11-21T23:03:00.250000999+0900",
            "2026-11-21T04:33:00.25-09:30",
        ] {
            assert_eq!(utc(text), expected, "{text}");
        }
        assert_eq!(utc("1969-12-31T23:59:59.999999Z"), -1);
        assert_eq!(utc("2026-11-21T14:03"), utc("2026-11-21 14:03:00"));
    }

    #[test]
    fn zero_dates_are_of_their_own_kind() {
        for text in [
            "0000-00-00 00:00:00",
            "0000-00-00",
            "2026-00-00",
            "2026-01-00 00:00:00.000000",
        ] {
            assert_eq!(
                parse(text.as_bytes(), None),
                Some(Moment::ZeroDate),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_instant() {
        for text in [
            "",
            "2026-11-21T",
            "2026-11-31",
            "2026-13-01",
            "2025-02-29",
            "2026-11-21T24:00:00Z",
            "2026-11-21T14:03:60Z",
            "2026-11-21T14:03:00.Z",
            "2026-11-21T14:03:00+9",
            "26-11-21",
            "2026-11-21T14:03:00Zz",
            "2026/11/21",
        ] {
            assert_eq!(parse(text.as_bytes(), None), None, "{text}");
        }
    }

    #[test]
    fn a_local_time_may_have_two_readings() {
        let zone = Some(Tz::Europe__Berlin);
        let Some(Moment::At(autumn)) = parse(b"2026-10-25 02:30:00", zone) else {
            panic!("parses")
        };
        assert!(autumn.meets(Readings::single(utc("2026-10-25T00:30:00Z"))));
        assert!(autumn.meets(Readings::single(utc("2026-10-25T01:30:00Z"))));
        assert!(!autumn.meets(Readings::single(utc("2026-10-25T02:30:00Z"))));
        let Some(Moment::At(spring)) = parse(b"2026-03-29 02:30:00", zone) else {
            panic!("parses")
        };
        assert!(spring.meets(Readings::single(utc("2026-03-29T01:30:00Z"))));
        assert!(spring.meets(Readings::single(utc("2026-03-29T00:30:00Z"))));
        let Some(Moment::At(seoul)) = parse(b"2026-11-21 23:03:00", Some(Tz::Asia__Seoul)) else {
            panic!("parses")
        };
        assert_eq!(seoul, Readings::single(utc("2026-11-21T14:03:00Z")));
    }

    proptest! {
        #[test]
        fn agrees_with_chrono(micros in -60_000_000_000_000_000i64..250_000_000_000_000_000) {
            let text = DateTime::from_timestamp_micros(micros).unwrap().format("%Y-%m-%d %H:%M:%S%.6f").to_string();
            prop_assert_eq!(utc(&text), micros);
        }
    }
}
