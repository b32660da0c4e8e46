//! An instant as the source spells it, for lower bounds that miss nothing.

use chrono::{DateTime, NaiveDateTime, Utc};
use chrono_tz::Tz;

use crate::model::check::TimeForm;
use crate::model::column::ColumnType;
use crate::model::time::Micros;

/// No zone sets its clock back by more than a day; two cover a window that begins just before.
const FOLD_HOURS_MAX: i64 = 26;

/// `instant` as a literal to which columns spelled as `form` are compared with `>=`. Rounded down to a
/// whole second (a day for a DATE column), because a column may keep no more than that of a later
/// instant.
pub(super) fn lower_bound(instant: Micros, form: TimeForm, kind: Option<ColumnType>) -> String {
    let seconds = instant.0.div_euclid(1_000_000);
    match form {
        TimeForm::EpochSeconds => seconds.to_string(),
        TimeForm::EpochMillis => seconds.saturating_mul(1_000).to_string(),
        TimeForm::EpochMicros => seconds.saturating_mul(1_000_000).to_string(),
        TimeForm::Native => quoted(utc(seconds).naive_utc(), kind),
        TimeForm::Zoned(zone) => quoted(earliest_local(utc(seconds), zone), kind),
    }
}

/// The smallest local time any later instant has: where the clock is set back soon after `instant`, what
/// is written then is stamped with an earlier time than `instant`'s own.
fn earliest_local(instant: DateTime<Utc>, zone: Tz) -> NaiveDateTime {
    let local = |at: DateTime<Utc>| at.with_timezone(&zone).naive_local();
    let minute = instant.timestamp().div_euclid(60) * 60;
    // Clocks are set on whole minutes of UTC.
    (1..=FOLD_HOURS_MAX * 60)
        .filter_map(|n| DateTime::from_timestamp(minute + n * 60, 0))
        .map(local)
        .fold(local(instant), NaiveDateTime::min)
}

/// Within what DATETIME holds.
fn utc(seconds: i64) -> DateTime<Utc> {
    const YEAR_1000: i64 = -30_610_224_000;
    const YEAR_9999: i64 = 253_370_764_800;
    DateTime::from_timestamp(seconds.clamp(YEAR_1000, YEAR_9999), 0).unwrap_or(DateTime::UNIX_EPOCH)
}

fn quoted(at: NaiveDateTime, kind: Option<ColumnType>) -> String {
    match kind {
        Some(ColumnType::Date) => format!("'{}'", at.format("%Y-%m-%d")),
        _ => format!("'{}'", at.format("%Y-%m-%d %H:%M:%S%.6f")),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn at(text: &str) -> Micros {
        Micros(
            DateTime::parse_from_rfc3339(text)
                .unwrap()
                .timestamp_micros(),
        )
    }

    #[test]
    fn each_form_is_spelled_and_rounded_down() {
        let instant = at("2026-11-21T14:03:00.999999Z");
        let bound = |form| lower_bound(instant, form, None);
        assert_eq!(bound(TimeForm::Native), "'2026-11-21 14:03:00.000000'");
        assert_eq!(
            bound(TimeForm::Zoned(chrono_tz::Asia::Seoul)),
            "'2026-11-21 23:03:00.000000'"
        );
        assert_eq!(bound(TimeForm::EpochSeconds), "1795269780");
        assert_eq!(bound(TimeForm::EpochMillis), "1795269780000");
        assert_eq!(bound(TimeForm::EpochMicros), "1795269780000000");
        assert_eq!(
            lower_bound(instant, TimeForm::Native, Some(ColumnType::Date)),
            "'2026-11-21'"
        );
        assert_eq!(lower_bound(Micros(-1), TimeForm::EpochSeconds, None), "-1");
    }

    #[test]
    fn a_clock_set_back_after_the_instant_lowers_the_bound() {
        let zone = TimeForm::Zoned(chrono_tz::Europe::Berlin);
        let bound = |text| lower_bound(at(text), zone, None);
        // 2026-10-25: 03:00 CEST becomes 02:00 CET at 01:00 UTC.
        assert_eq!(
            bound("2026-10-25T00:50:00Z"),
            "'2026-10-25 02:00:00.000000'"
        );
        assert_eq!(
            bound("2026-10-25T01:10:00Z"),
            "'2026-10-25 02:10:00.000000'"
        );
        assert_eq!(
            bound("2026-10-24T23:30:00Z"),
            "'2026-10-25 01:30:00.000000'"
        );
        // 2026-03-29: 02:00 CET becomes 03:00 CEST.
        assert_eq!(
            bound("2026-03-29T00:50:00Z"),
            "'2026-03-29 01:50:00.000000'"
        );
    }

    #[test]
    fn absurd_instants_stay_within_what_datetime_holds() {
        let bound = |n| lower_bound(Micros(n), TimeForm::Native, None);
        assert_eq!(bound(i64::MIN), "'1000-01-01 00:00:00.000000'");
        assert_eq!(bound(i64::MAX), "'9999-01-01 00:00:00.000000'");
    }
}
