//! The way into the table: the cell that says what an entry's field says. The inverse of `encode`; digits are copied,
//! never calculated through a float.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bigdecimal::{BigDecimal, ToPrimitive as _};

use crate::model::check::Form;
use crate::model::column::ColumnType;
use crate::model::value::json::parse_tree;
use crate::model::value::{Moment, Number, instant};
use crate::rules::compare::{CacheToken, Comparison, FieldComparer};

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

impl FieldComparer {
    /// The cell, as MySQL prints it, of what the entry spells; `None` is SQL NULL. What does not compare equal to its
    /// own spelling is an error. Errors say why, never what.
    pub(super) fn decode(&self, token: CacheToken<'_>) -> Result<Option<Vec<u8>>, &'static str> {
        if self.spells_null(token) {
            return Ok(None);
        }
        let CacheToken::Raw(text) = token else {
            return Err("it is missing");
        };
        let cell = self.cell(text)?;
        if self.is_text() && std::str::from_utf8(&cell).is_err() {
            return Err("it is not UTF-8");
        }
        match self.compare(token, Some(&cell)) {
            Comparison::Equal => Ok(Some(cell)),
            Comparison::Undecodable(reason) => Err(reason),
            _ => Err("the column cannot hold it as it is"),
        }
    }

    fn cell(&self, text: &[u8]) -> Result<Vec<u8>, &'static str> {
        match self.form {
            Form::Text => Ok(text.to_vec()),
            Form::Json => parse_tree(text)
                .map(|_| text.to_vec())
                .map_err(|_| "it is not JSON, or a member occurs twice"),
            Form::Hex => hex::decode(text).map_err(|_| "it is not hexadecimal"),
            Form::Base64 => from_base64(text),
            Form::Integer | Form::Decimal => self.number_cell(text),
            Form::Bool => self.bool_cell(text),
            Form::DateTime | Form::Date => self.civil_cell(text),
            Form::EpochSeconds => self.epoch_cell(text, 1_000_000),
            Form::EpochMillis => self.epoch_cell(text, 1_000),
            Form::EpochMicros => self.epoch_cell(text, 1),
        }
    }

    /// Whether the column holds characters rather than bytes.
    fn is_text(&self) -> bool {
        matches!(
            self.column,
            ColumnType::Text | ColumnType::Enum | ColumnType::SetOf | ColumnType::Json
        )
    }

    fn number_cell(&self, text: &[u8]) -> Result<Vec<u8>, &'static str> {
        let number = Number::parse(text).ok_or("it is not a number")?;
        let whole = || {
            number
                .to_integer_text()
                .ok_or("it is not a whole number, or too large")
        };
        match self.column {
            ColumnType::Bit => {
                let bits: u64 = whole()?
                    .parse()
                    .map_err(|_| "it is no number of 64 bits at most")?;
                let bytes = bits.to_be_bytes();
                let zeros = bytes.iter().take_while(|b| **b == 0).count().min(7);
                Ok(bytes[zeros..].to_vec())
            }
            ColumnType::Integer { .. } | ColumnType::Year => Ok(whole()?.into_bytes()),
            // MySQL rounds what has more digits than the column, without a word.
            ColumnType::Decimal { scale } if number.scale() > i64::from(scale) => {
                Err("it has more digits than the column keeps")
            }
            ColumnType::Text => Ok(text.to_vec()),
            _ => number
                .to_big()
                .map(|n| n.to_plain_string().into_bytes())
                .ok_or("it is too large to write out"),
        }
    }

    fn bool_cell(&self, text: &[u8]) -> Result<Vec<u8>, &'static str> {
        let truth = match text {
            b"true" | b"1" => true,
            b"false" | b"0" => false,
            _ => return Err("it is neither true, false, 1 nor 0"),
        };
        Ok(match self.column {
            ColumnType::Bit => vec![u8::from(truth)],
            ColumnType::Text | ColumnType::Enum => text.to_vec(),
            _ => vec![b'0' + u8::from(truth)],
        })
    }

    fn civil_cell(&self, text: &[u8]) -> Result<Vec<u8>, &'static str> {
        let civil = instant::parse_civil(text).ok_or("it is not a date and time")?;
        let Some(naive) = civil.naive else {
            return Err("a zero date is no instant");
        };
        if self.column == ColumnType::Text {
            return Ok(text.to_vec());
        }
        // A local time for a column of local times, or a day for a column of days, is copied as it is.
        if civil.offset.is_none() && self.column != ColumnType::Timestamp {
            return self.printed(naive);
        }
        match instant::resolve(&civil, self.zone) {
            Moment::At(readings) if readings.earlier == readings.later => {
                self.instant_cell(readings.earlier)
            }
            Moment::At(_) => Err("a local time that clocks show twice, or never, is no instant"),
            Moment::ZeroDate => Err("a zero date is no instant"),
        }
    }

    fn epoch_cell(&self, text: &[u8], unit: i64) -> Result<Vec<u8>, &'static str> {
        self.instant_cell(epoch_micros(text, unit)?)
    }

    /// The column's own text for an instant: UTC for a TIMESTAMP, else in the field's zone.
    fn instant_cell(&self, micros: i64) -> Result<Vec<u8>, &'static str> {
        let zone = self.zone.filter(|_| self.column != ColumnType::Timestamp);
        let (local, _) = instant::to_local(micros, zone).ok_or("its year is out of range")?;
        self.printed(local.and_utc().timestamp_micros())
    }

    /// Date and time as MySQL prints them, as far as the column keeps them.
    fn printed(&self, naive: i64) -> Result<Vec<u8>, &'static str> {
        let time =
            chrono::DateTime::from_timestamp_micros(naive).ok_or("its year is out of range")?;
        let form = match (self.column, naive.rem_euclid(1_000_000)) {
            (ColumnType::Date, _) => "%Y-%m-%d",
            (_, 0) => "%Y-%m-%d %H:%M:%S",
            _ => "%Y-%m-%d %H:%M:%S%.6f",
        };
        Ok(time.format(form).to_string().into_bytes())
    }
}

/// Microseconds since the epoch of a number of `unit`s, exactly.
pub(super) fn epoch_micros(text: &[u8], unit: i64) -> Result<i64, &'static str> {
    let number = Number::parse(text).ok_or("it is not a number")?;
    let micros = number.to_big().ok_or("it is out of range")? * BigDecimal::from(unit);
    if !micros.is_integer() {
        return Err("it is finer than a microsecond");
    }
    micros.to_i64().ok_or("it is out of range")
}

/// Bytes of base64 in the standard or the URL-safe alphabet, padded or not.
pub(super) fn from_base64(text: &[u8]) -> Result<Vec<u8>, &'static str> {
    let digits = text.iter().filter(|b| **b != b'=').map(|b| match b {
        b'-' => b'+',
        b'_' => b'/',
        other => *other,
    });
    BASE64
        .decode(digits.collect::<Vec<_>>())
        .map_err(|_| "it is not base64")
}
