//! Times as people write them, and the window they make.
//!
//! Reading has two steps. [`TimeText::parse`] needs nothing but the text, so a typing mistake is
//! found before any file is opened; [`WindowText::resolve`] then needs the clock and, for times
//! without a zone, the job's `time_zone`.

use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Days, LocalResult, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use crate::model::time::{Micros, TimeWindow};

/// A time as given on the command line, understood as far as it can be without clock and zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeText {
    text: String,
    form: Form,
}

/// `--since` and `--until` as given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowText {
    pub since: Since,
    pub until: Option<TimeText>,
}

/// Where a window begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Since {
    /// Where the last failover that nobody dealt with began to lose.
    Auto,
    At(TimeText),
}

/// Where times without a zone are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// The job's `time_zone`.
    Named(Tz),
    /// The zone this host is set to: only for a person at a terminal, who is shown it.
    Host,
    /// Nobody said: such times are refused.
    Unnamed,
}

/// Whether a person watches; decides if the host's zone may stand in for the job's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    Terminal,
    Machine,
}

/// Which end of the window a time is: where a clock reading happened twice or not at all, the
/// window is made the wider one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Since,
    Until,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    #[error("`auto` is no end: leave --until out, and the end is found with the beginning")]
    Auto,
    #[error("no failover was looked for, so `auto` has no beginning: say --since TIME")]
    NothingFound,
    #[error(
        "`{0}` is no time; write 2026-11-21T14:03:00+09:00, 2026-11-21 14:03, 14:03, 15m (ago), 2h30m or @1763700000"
    )]
    NotATime(String),
    #[error("`{0}`: months and years have no fixed length; say it in days, hours, minutes")]
    NoFixedLength(String),
    #[error("`{0}` is a day without a time; add one, as in `{0} 00:00`")]
    DayOnly(String),
    #[error("`{0}` is too far from now to be meant")]
    OutOfRange(String),
    #[error(
        "`{0}` has no time zone: set `time_zone` in the job file, or write it as 2026-11-21T14:03:00+09:00"
    )]
    NoZone(String),
    #[error("--since {text} is {at}, which lies in the future (now {now})")]
    FutureSince {
        text: String,
        at: String,
        now: String,
    },
    #[error("--since is {since}, which is not before --until, {until}; say the day with the time")]
    Reversed { since: String, until: String },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    Instant(Micros),
    Ago(Duration),
    /// The most recent moment the clock showed this.
    Clock(NaiveTime),
    Local(NaiveDateTime),
}

/// No audited history is longer; also keeps every sum below overflow.
const YEARS_MAX: i64 = 200;

/// The instant `text` means at `now` in `zone`, as this end of a window.
pub fn parse_instant(text: &str, now: Micros, zone: Zone, end: End) -> Result<Micros, TimeError> {
    TimeText::parse(text)?.resolve(now, zone, end)
}

impl TimeText {
    /// RFC 3339, `2026-11-21 14:03[:05]`, `14:03[:05]`, `15m` or `2h30m` (`ago` may follow),
    /// `@epoch-seconds` with or without a fraction.
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        let trimmed = text.trim();
        let form = parse_form(trimmed)?;
        Ok(Self {
            text: trimmed.to_owned(),
            form,
        })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is counted from the moment at which it is read.
    fn is_relative(&self) -> bool {
        matches!(self.form, Form::Ago(_))
    }

    /// Whether it means another instant in another zone.
    pub fn needs_zone(&self) -> bool {
        matches!(self.form, Form::Clock(_) | Form::Local(_))
    }

    /// The instant it means.
    pub fn resolve(&self, now: Micros, zone: Zone, end: End) -> Result<Micros, TimeError> {
        let far = || TimeError::OutOfRange(self.text.clone());
        let at = match &self.form {
            Form::Instant(at) => *at,
            Form::Ago(duration) => now.minus(*duration),
            Form::Clock(_) | Form::Local(_) => match zone {
                Zone::Named(tz) => self.resolve_in(&tz, now, end).ok_or_else(far)?,
                Zone::Host => self.resolve_in(&chrono::Local, now, end).ok_or_else(far)?,
                Zone::Unnamed => return Err(TimeError::NoZone(self.text.clone())),
            },
        };
        let years = Duration::from_secs(YEARS_MAX.unsigned_abs() * 366 * 86_400);
        if at < now.minus(years) || at > now.plus(years) {
            Err(far())
        } else {
            Ok(at)
        }
    }

    /// For the forms that need a zone.
    fn resolve_in<Z: TimeZone>(&self, zone: &Z, now: Micros, end: End) -> Option<Micros> {
        match &self.form {
            Form::Local(local) => instant_in(zone, *local, end),
            Form::Clock(clock) => {
                let today = DateTime::from_timestamp_micros(now.0)?
                    .with_timezone(zone)
                    .date_naive();
                // Two days back: a reading that a clock change skipped today may have to be taken
                // from before, and today's may still lie ahead.
                (0..3)
                    .filter_map(|days| today.checked_sub_days(Days::new(days)))
                    .filter_map(|day| most_recent(zone, day.and_time(*clock), now, end))
                    .next()
            }
            Form::Instant(_) | Form::Ago(_) => None,
        }
    }
}

impl Since {
    /// `auto`, or a time as [`TimeText::parse`] reads it.
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        if text.trim().eq_ignore_ascii_case("auto") {
            return Ok(Since::Auto);
        }
        TimeText::parse(text).map(Since::At)
    }
}

impl WindowText {
    /// Whether its beginning has to be found.
    pub fn is_auto(&self) -> bool {
        self.since == Since::Auto
    }

    /// Whether one of its ends means another instant to whoever reads it a moment later.
    pub fn is_relative(&self) -> bool {
        let since = matches!(&self.since, Since::At(text) if text.is_relative());
        since || self.until.as_ref().is_some_and(TimeText::is_relative)
    }

    /// Whether one of its ends means another instant in another zone.
    pub fn needs_zone(&self) -> bool {
        let since = match &self.since {
            Since::Auto => false,
            Since::At(text) => text.needs_zone(),
        };
        since || self.until.as_ref().is_some_and(TimeText::needs_zone)
    }

    /// The window at `now`; `since` must lie in the past and before `until`. What is not given is taken from what was
    /// `found`.
    pub fn resolve(
        &self,
        now: Micros,
        zone: Zone,
        found: Option<TimeWindow>,
    ) -> Result<TimeWindow, TimeError> {
        let until = self.until.as_ref();
        let until = until
            .map(|u| u.resolve(now, zone, End::Until))
            .transpose()?;
        let (since, until) = match &self.since {
            Since::Auto => {
                let found = found.ok_or(TimeError::NothingFound)?;
                (found.since, until.or(found.until))
            }
            Since::At(text) => {
                let since = text.resolve(now, zone, End::Since)?;
                if since > now {
                    return Err(TimeError::FutureSince {
                        text: text.text.clone(),
                        at: since.to_rfc3339(),
                        now: now.to_rfc3339(),
                    });
                }
                (since, until)
            }
        };
        match until {
            Some(until) if until <= since => Err(TimeError::Reversed {
                since: since.to_rfc3339(),
                until: until.to_rfc3339(),
            }),
            until => Ok(TimeWindow { since, until }),
        }
    }
}

impl Zone {
    /// The job's zone; without one the host's at a terminal, and none for a machine, whose host may
    /// be anywhere.
    pub fn choose(of_job: Option<Tz>, audience: Audience) -> Self {
        match (of_job, audience) {
            (Some(tz), _) => Zone::Named(tz),
            (None, Audience::Terminal) => Zone::Host,
            (None, Audience::Machine) => Zone::Unnamed,
        }
    }

    /// For showing: `Asia/Seoul`, or `host (+09:00)`.
    pub fn name(self) -> String {
        match self {
            Zone::Named(tz) => tz.name().to_owned(),
            Zone::Host => format!("host ({})", chrono::Local::now().offset()),
            Zone::Unnamed => "UTC".to_owned(),
        }
    }

    /// `at` as a clock in this zone shows it, with its offset.
    pub fn show(self, at: Micros) -> String {
        let Some(utc) = DateTime::from_timestamp_micros(at.0) else {
            return at.to_rfc3339();
        };
        const FORM: &str = "%Y-%m-%d %H:%M:%S%.6f %:z";
        match self {
            Zone::Named(tz) => utc.with_timezone(&tz).format(FORM).to_string(),
            Zone::Host => utc.with_timezone(&chrono::Local).format(FORM).to_string(),
            Zone::Unnamed => utc.format(FORM).to_string(),
        }
    }
}

fn parse_form(text: &str) -> Result<Form, TimeError> {
    if text.eq_ignore_ascii_case("auto") {
        return Err(TimeError::Auto);
    }
    if let Some(epoch) = text.strip_prefix('@') {
        let at = epoch_micros(epoch).ok_or_else(|| TimeError::NotATime(text.to_owned()))?;
        return Ok(Form::Instant(at));
    }
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(Form::Instant(Micros(at.timestamp_micros())));
    }
    for form in ["%Y-%m-%dT%H:%M%:z", "%Y-%m-%d %H:%M%:z"] {
        let spelled = text.strip_suffix(['Z', 'z']).map(|t| format!("{t}+00:00"));
        if let Ok(at) = DateTime::parse_from_str(spelled.as_deref().unwrap_or(text), form) {
            return Ok(Form::Instant(Micros(at.timestamp_micros())));
        }
    }
    for form in [
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%d %H:%M",
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%dT%H:%M",
    ] {
        if let Ok(local) = NaiveDateTime::parse_from_str(text, form) {
            return Ok(Form::Local(local));
        }
    }
    for form in ["%H:%M:%S%.f", "%H:%M"] {
        if let Ok(clock) = NaiveTime::parse_from_str(text, form) {
            return Ok(Form::Clock(clock));
        }
    }
    if chrono::NaiveDate::from_str(text).is_ok() {
        return Err(TimeError::DayOnly(text.to_owned()));
    }
    let span = text.strip_suffix("ago").unwrap_or(text).trim_end();
    match humantime::parse_duration(span) {
        Ok(_) if has_month_or_year(span) => Err(TimeError::NoFixedLength(text.to_owned())),
        Ok(duration) => Ok(Form::Ago(duration)),
        Err(_) => Err(TimeError::NotATime(text.to_owned())),
    }
}

/// `1M`, `2 months`, `1y`: units humantime takes to be 30.44 and 365.25 days.
fn has_month_or_year(span: &str) -> bool {
    span.split(|c: char| !c.is_alphabetic())
        .any(|unit| unit == "M" || unit.starts_with("month") || unit.starts_with('y'))
}

/// Seconds since the epoch, with at most six decimal places.
fn epoch_micros(text: &str) -> Option<Micros> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    if !is_digits(seconds) || !is_digits(fraction) || fraction.len() > 6 {
        return None;
    }
    let fraction: i64 = format!("{fraction:0<6}").parse().ok()?;
    let micros = seconds
        .parse::<i64>()
        .ok()?
        .checked_mul(1_000_000)?
        .checked_add(fraction)?;
    Some(Micros(micros))
}

/// The instant a clock in `zone` showed `local`. Shown twice (the clock was set back): the earlier
/// one for `since`, the later one for `until`. Never shown (it was set forward): read with the
/// offset after the change for `since`, which is the earlier reading, and before it for `until`.
fn instant_in<Z: TimeZone>(zone: &Z, local: NaiveDateTime, end: End) -> Option<Micros> {
    let micros = |at: DateTime<Z>| Micros(at.timestamp_micros());
    match zone.from_local_datetime(&local) {
        LocalResult::Single(at) => Some(micros(at)),
        LocalResult::Ambiguous(one, other) => {
            let (one, other) = (micros(one), micros(other));
            Some(if end == End::Since {
                one.min(other)
            } else {
                one.max(other)
            })
        }
        LocalResult::None => {
            // No zone skips more than a day (Samoa, 2011-12-30), so both neighbours exist.
            let neighbour = match end {
                End::Since => local.checked_add_signed(TimeDelta::hours(25))?,
                End::Until => local.checked_sub_signed(TimeDelta::hours(25))?,
            };
            let there = match zone.from_local_datetime(&neighbour) {
                LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => at,
                LocalResult::None => return None,
            };
            let offset = there.naive_local().signed_duration_since(there.naive_utc());
            let utc = local.checked_sub_signed(offset)?;
            Some(Micros(Utc.from_utc_datetime(&utc).timestamp_micros()))
        }
    }
}

/// The instant of `local`, if it is not after `now`. Of a reading shown twice, of which only the
/// first has come, that one.
fn most_recent<Z: TimeZone>(
    zone: &Z,
    local: NaiveDateTime,
    now: Micros,
    end: End,
) -> Option<Micros> {
    [end, End::Since]
        .into_iter()
        .filter_map(|end| instant_in(zone, local, end))
        .find(|at| *at <= now)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Micros {
        Micros(
            DateTime::parse_from_rfc3339(text)
                .unwrap()
                .timestamp_micros(),
        )
    }

    fn resolved(text: &str, now: &str, zone: Tz, end: End) -> String {
        match parse_instant(text, at(now), Zone::Named(zone), end) {
            Ok(at) => at.to_rfc3339().replace(".000000Z", "Z"),
            Err(fault) => fault.to_string(),
        }
    }

    #[test]
    fn reads_every_form() {
        let seoul = chrono_tz::Asia::Seoul;
        let now = "2026-11-21T06:00:00Z";
        for (text, expected) in [
            ("2026-11-21T14:03:00+09:00", "2026-11-21T05:03:00Z"),
            ("2026-11-21T05:03:00Z", "2026-11-21T05:03:00Z"),
            ("2026-11-21 05:03:00Z", "2026-11-21T05:03:00Z"),
            ("2026-11-21T05:03Z", "2026-11-21T05:03:00Z"),
            ("2026-11-21T14:03+09:00", "2026-11-21T05:03:00Z"),
            ("2026-11-21T05:03:00.123456Z", "2026-11-21T05:03:00.123456Z"),
            ("2026-11-21 14:03", "2026-11-21T05:03:00Z"),
            ("2026-11-21T14:03:05", "2026-11-21T05:03:05Z"),
            (" 14:03 ", "2026-11-21T05:03:00Z"),
            ("14:03:05", "2026-11-21T05:03:05Z"),
            ("14:03:05.25", "2026-11-21T05:03:05.250000Z"),
            ("15:00", "2026-11-21T06:00:00Z"),
            ("15:01", "2026-11-20T06:01:00Z"),
            ("23:59", "2026-11-20T14:59:00Z"),
            ("15m", "2026-11-21T05:45:00Z"),
            ("15m ago", "2026-11-21T05:45:00Z"),
            ("15 minutes ago", "2026-11-21T05:45:00Z"),
            ("2h30m", "2026-11-21T03:30:00Z"),
            ("1d", "2026-11-20T06:00:00Z"),
            ("@1763700000", "2025-11-21T04:40:00Z"),
            ("@1763700000.5", "2025-11-21T04:40:00.500000Z"),
        ] {
            assert_eq!(resolved(text, now, seoul, End::Since), expected, "{text}");
        }
    }

    #[test]
    fn refuses_what_could_mean_something_else() {
        for (text, part) in [
            ("auto", "no end"),
            ("", "is no time"),
            ("yesterday", "is no time"),
            ("14", "is no time"),
            ("24:00", "is no time"),
            ("14:3x", "is no time"),
            ("-15m", "is no time"),
            ("@", "is no time"),
            ("@-5", "is no time"),
            ("@1.1234567", "is no time"),
            ("@99999999999999999999", "is no time"),
            ("@1763700000000", "too far"),
            ("9999999999d", "too far"),
            ("2026-11-21", "add one, as in `2026-11-21 00:00`"),
            ("2026-02-30 14:03", "is no time"),
            ("1M", "months and years"),
            ("1 month", "months and years"),
            ("2y", "months and years"),
        ] {
            let fault = resolved(text, "2026-11-21T06:00:00Z", Tz::UTC, End::Since);
            assert!(fault.contains(part), "{text}: {fault}");
        }
    }

    /// Berlin: 02:00 → 03:00 on 2026-03-29 and 03:00 → 02:00 on 2026-10-25, both at 01:00 UTC.
    #[test]
    fn a_clock_change_makes_the_window_wider_never_narrower() {
        let berlin = chrono_tz::Europe::Berlin;
        for (text, now, end, expected) in [
            (
                "2026-10-25 02:30",
                "2026-10-26T00:00:00Z",
                End::Since,
                "2026-10-25T00:30:00Z",
            ),
            (
                "2026-10-25 02:30",
                "2026-10-26T00:00:00Z",
                End::Until,
                "2026-10-25T01:30:00Z",
            ),
            (
                "02:30",
                "2026-10-25T06:00:00Z",
                End::Since,
                "2026-10-25T00:30:00Z",
            ),
            (
                "02:30",
                "2026-10-25T06:00:00Z",
                End::Until,
                "2026-10-25T01:30:00Z",
            ),
            // The clock is set back in half an hour: only the first 02:30 has been.
            (
                "02:30",
                "2026-10-25T00:45:00Z",
                End::Until,
                "2026-10-25T00:30:00Z",
            ),
            (
                "02:30",
                "2026-10-25T00:15:00Z",
                End::Since,
                "2026-10-24T00:30:00Z",
            ),
            (
                "2026-03-29 02:30",
                "2026-03-30T00:00:00Z",
                End::Since,
                "2026-03-29T00:30:00Z",
            ),
            (
                "2026-03-29 02:30",
                "2026-03-30T00:00:00Z",
                End::Until,
                "2026-03-29T01:30:00Z",
            ),
            (
                "02:30",
                "2026-03-29T12:00:00Z",
                End::Since,
                "2026-03-29T00:30:00Z",
            ),
            (
                "02:30",
                "2026-03-29T00:15:00Z",
                End::Since,
                "2026-03-28T01:30:00Z",
            ),
        ] {
            assert_eq!(
                resolved(text, now, berlin, end),
                expected,
                "{text} at {now} as {end:?}"
            );
        }
        let samoa = chrono_tz::Pacific::Apia;
        let since = resolved(
            "2011-12-30 12:00",
            "2012-01-02T00:00:00Z",
            samoa,
            End::Since,
        );
        let until = resolved(
            "2011-12-30 12:00",
            "2012-01-02T00:00:00Z",
            samoa,
            End::Until,
        );
        assert_eq!(
            (since.as_str(), until.as_str()),
            ("2011-12-29T22:00:00Z", "2011-12-30T22:00:00Z")
        );
    }

    #[test]
    fn a_bare_time_needs_a_zone_and_nothing_else_does() {
        let now = at("2026-11-21T06:00:00Z");
        for text in ["14:03", "2026-11-21 14:03"] {
            let fault = parse_instant(text, now, Zone::Unnamed, End::Since).unwrap_err();
            assert_eq!(fault, TimeError::NoZone(text.into()));
            assert!(TimeText::parse(text).unwrap().needs_zone());
        }
        for text in ["15m", "@5", "2026-11-21T14:03:00+09:00"] {
            assert!(parse_instant(text, now, Zone::Unnamed, End::Since).is_ok());
        }
        assert_eq!(Zone::choose(None, Audience::Machine), Zone::Unnamed);
        assert_eq!(Zone::choose(None, Audience::Terminal), Zone::Host);
        assert_eq!(
            Zone::choose(Some(Tz::UTC), Audience::Machine),
            Zone::Named(Tz::UTC)
        );
        assert_eq!(
            Zone::Named(chrono_tz::Asia::Seoul).show(now),
            "2026-11-21 15:00:00.000000 +09:00"
        );
    }

    #[test]
    fn a_window_begins_in_the_past_and_ends_after_it_begins() {
        let now = at("2026-11-21T06:00:00Z");
        let found = TimeWindow {
            since: at("2026-11-21T05:10:00Z"),
            until: Some(at("2026-11-21T05:11:00Z")),
        };
        let auto = WindowText {
            since: Since::parse(" AUTO ").unwrap(),
            until: None,
        };
        assert!(auto.is_auto() && !auto.needs_zone());
        let zone = Zone::Named(Tz::UTC);
        assert_eq!(auto.resolve(now, zone, Some(found)), Ok(found));
        assert_eq!(auto.resolve(now, zone, None), Err(TimeError::NothingFound));
        let window = |since: &str, until: Option<&str>| {
            WindowText {
                since: Since::parse(since).unwrap(),
                until: until.map(|u| TimeText::parse(u).unwrap()),
            }
            .resolve(now, Zone::Named(Tz::UTC), Some(found))
        };
        assert_eq!(
            window("1h", None),
            Ok(TimeWindow {
                since: at("2026-11-21T05:00:00Z"),
                until: None
            })
        );
        assert!(window("1h", Some("30m")).is_ok());
        let given = window("auto", Some("30m")).unwrap();
        assert_eq!(given.until, Some(at("2026-11-21T05:30:00Z")));
        assert!(window("auto", Some("55m")).is_err(), "before it begins");
        assert!(window("23:50", Some("00:10")).is_ok());
        assert!(matches!(
            window("2027-01-01 00:00", None),
            Err(TimeError::FutureSince { .. })
        ));
        for (since, until) in [("30m", "1h"), ("05:00", "05:00"), ("05:00", "23:00")] {
            let result = window(since, Some(until));
            assert!(
                matches!(result, Err(TimeError::Reversed { .. })),
                "{since} {until}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_clock_time_is_never_in_the_future_nor_two_days_old(
            now in 0_i64..4_000_000_000,
            minute in 0_u32..1440,
            until: bool,
        ) {
            let text = format!("{:02}:{:02}", minute / 60, minute % 60);
            let now = Micros(now * 1_000_000);
            let end = if until { End::Until } else { End::Since };
            let zone = Zone::Named(chrono_tz::Europe::Berlin);
            let at = parse_instant(&text, now, zone, end).unwrap();
            prop_assert!(at <= now, "{} is after {}", at.to_rfc3339(), now.to_rfc3339());
            prop_assert!(now.0 - at.0 <= 26 * 3_600_000_000, "{}", at.to_rfc3339());
        }

        #[test]
        fn any_text_is_read_or_refused_but_never_a_panic(text in "[-0-9:@TZ+. adhmsgoM]{0,24}") {
            let _ = parse_instant(&text, at("2026-11-21T06:00:00Z"), Zone::Named(Tz::UTC), End::Since);
        }
    }
}
