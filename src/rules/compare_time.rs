//! Times: instants, days and epochs, whatever zone or unit the cache spells them in.

use std::cmp::Ordering;

use super::compare::{Comparison, FieldComparer, digits_into};
use crate::model::column::ColumnType;
use crate::model::value::{Moment, Number, Readings, instant};

impl FieldComparer {
    /// A temporal cell as an instant: TIMESTAMP is UTC, everything else in the field's zone.
    pub(super) fn moment(&self, cell: &[u8]) -> Option<Moment> {
        let zone = if self.column == ColumnType::Timestamp {
            None
        } else {
            self.zone
        };
        instant::parse(cell, zone)
    }

    pub(super) fn compare_time(&self, content: &[u8], cell: &[u8]) -> Comparison {
        let zones_agree = self.column != ColumnType::Timestamp || self.zone.is_none();
        if content == cell && zones_agree {
            return Comparison::Equal;
        }
        let Some(civil) = instant::parse_civil(content) else {
            return Comparison::Undecodable("it is not a date and time");
        };
        let (cached, source) = match (instant::resolve(&civil, self.zone), self.moment(cell)) {
            (Moment::At(cached), Some(Moment::At(source))) => (cached, source),
            _ => return Comparison::Differs,
        };
        // What is finer than a microsecond the database may have rounded up, and a cache that keeps
        // fewer digits may have cut or rounded.
        let is_rounded_up = civil.fraction_digits > 6 && shifted(cached, 1).meets(source);
        if cached.meets(source) || is_rounded_up || self.is_cut(cached, source) {
            return Comparison::Equal;
        }
        self.directed(cached.earlier.cmp(&source.earlier))
    }

    /// Whether `cached` is `source` cut or rounded to the declared digits of a second.
    fn is_cut(&self, cached: Readings, source: Readings) -> bool {
        let Some(scale) = self.scale.filter(|scale| *scale < 6) else {
            return false;
        };
        let unit = 10i64.pow(6 - scale);
        [source.earlier, source.later].into_iter().any(|micros| {
            let cut = micros.div_euclid(unit) * unit;
            let round = (micros + unit / 2).div_euclid(unit) * unit;
            cached.meets(Readings {
                earlier: cut,
                later: round,
            })
        })
    }

    pub(super) fn compare_date(&self, content: &[u8], cell: &[u8]) -> Comparison {
        if content == cell {
            return Comparison::Equal;
        }
        let Some(cached) = instant::parse_civil(content).filter(|_| content.len() == 10) else {
            return Comparison::Undecodable("it is not a date");
        };
        match (cached.naive, self.local_day(cell)) {
            (Some(cached), Some(source)) => {
                let order = instant::day_of(cached).cmp(&source);
                if order.is_eq() {
                    Comparison::Equal
                } else {
                    self.directed(order)
                }
            }
            _ => Comparison::Differs,
        }
    }

    /// The day a cell falls on, since the epoch: where it is an instant, in the field's zone.
    pub(super) fn local_day(&self, cell: &[u8]) -> Option<i64> {
        let naive = instant::parse_civil(cell)?.naive?;
        match (self.column, self.zone) {
            (ColumnType::Timestamp, Some(zone)) => instant::to_local(naive, Some(zone))
                .map(|(local, _)| instant::day_of(local.and_utc().timestamp_micros())),
            _ => Some(instant::day_of(naive)),
        }
    }

    /// `unit` microseconds make one of the cache's. A source between two of them may have been cut or
    /// rounded.
    pub(super) fn compare_epoch(&self, content: &[u8], cell: &[u8], unit: i64) -> Comparison {
        let Some(cached) = Number::parse(content) else {
            return Comparison::Undecodable("it is not a number");
        };
        let Some(Moment::At(source)) = self.moment(cell) else {
            return Comparison::Differs;
        };
        let mut order = Ordering::Equal;
        for (index, micros) in [source.earlier, source.later].into_iter().enumerate() {
            for spelled in [
                micros.div_euclid(unit),
                (micros + unit / 2).div_euclid(unit),
            ] {
                let mut printed = [0; 20];
                let number = Number::parse(integer_text(spelled, &mut printed));
                let compared = number.map_or(Ordering::Less, |n| cached.compare(&n));
                if compared.is_eq() {
                    return Comparison::Equal;
                }
                if index == 0 {
                    order = compared;
                }
            }
            if unit > 1
                && Number::parse(exact_epoch(micros, unit).as_bytes())
                    .is_some_and(|n| cached.compare(&n).is_eq())
            {
                return Comparison::Equal;
            }
        }
        self.directed(order)
    }
}

/// Microseconds as a decimal number of `unit`s, exactly.
fn exact_epoch(micros: i64, unit: i64) -> String {
    let digits = if unit == 1_000 { 3 } else { 6 };
    let sign = if micros < 0 { "-" } else { "" };
    let (unit, micros) = (unit.unsigned_abs(), micros.unsigned_abs());
    format!("{sign}{}.{:0digits$}", micros / unit, micros % unit)
}

fn integer_text(value: i64, printed: &mut [u8; 20]) -> &[u8] {
    if value >= 0 {
        return digits_into(value.unsigned_abs(), printed);
    }
    let start = 20 - digits_into(value.unsigned_abs(), printed).len() - 1;
    printed[start] = b'-';
    &printed[start..]
}

fn shifted(readings: Readings, micros: i64) -> Readings {
    Readings {
        earlier: readings.earlier + micros,
        later: readings.later + micros,
    }
}
