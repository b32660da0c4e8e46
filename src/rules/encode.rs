//! The way back: what the cache should hold for a cell. Digits are copied, never calculated through a
//! float, and the older spelling is imitated where there is one.

use crate::model::check::{Form, Locator};
use crate::model::column::ColumnType;
use crate::model::value::json::{JsonKind, parse_tree, quoted};
use crate::model::value::number::rounded;
use crate::model::value::{Moment, Number, bytes, instant};

use super::compare::{CacheToken, FieldComparer, bit_text, content};

/// What to write for one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EncodedField {
    /// JSON text, to stand inside a document.
    Json(Vec<u8>),
    /// The bytes of a string or a hash field, or a score.
    Raw(Vec<u8>),
    /// SQL NULL that the cache spells by having nothing.
    Missing,
}

/// Why a cell cannot be written as the cache spells it. Never holds the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the source's value cannot be spelled for the cache: {0}")]
pub struct CannotEncode(pub &'static str);

impl FieldComparer {
    /// What the cache should hold for `cell`, in the default spelling.
    pub fn encode(&self, cell: Option<&[u8]>) -> Result<EncodedField, CannotEncode> {
        self.encode_like(cell, CacheToken::Missing)
    }

    /// What the cache should hold for `cell`, spelled like `old`: a number in quotes stays in quotes, a
    /// date keeps its separator, digits and offset.
    pub fn encode_like(
        &self,
        cell: Option<&[u8]>,
        old: CacheToken<'_>,
    ) -> Result<EncodedField, CannotEncode> {
        let Some(cell) = cell else {
            return self.encode_null();
        };
        let text = self.spell(cell, old)?;
        if !matches!(self.locator, Locator::Pointer(_)) {
            return Ok(EncodedField::Raw(text));
        }
        let was_text =
            matches!(old, CacheToken::Json(t) if matches!(t.kind, JsonKind::String { .. }));
        let is_bare = match self.form {
            Form::Json => return Ok(EncodedField::Json(text)),
            Form::Text | Form::DateTime | Form::Date | Form::Hex | Form::Base64 => false,
            _ => !was_text,
        };
        if is_bare {
            return Ok(EncodedField::Json(text));
        }
        quoted(&text)
            .map(EncodedField::Json)
            .ok_or(CannotEncode("JSON holds UTF-8 only"))
    }

    fn encode_null(&self) -> Result<EncodedField, CannotEncode> {
        match (&self.locator, &self.null) {
            (Locator::Pointer(_), None) => Ok(EncodedField::Json(b"null".to_vec())),
            (Locator::Pointer(_), Some(null)) => {
                let is_number = matches!(self.form, Form::Integer | Form::Decimal)
                    && parse_tree(null).is_ok_and(|_| Number::parse(null).is_some());
                if is_number {
                    return Ok(EncodedField::Json(null.clone()));
                }
                quoted(null)
                    .map(EncodedField::Json)
                    .ok_or(CannotEncode("JSON holds UTF-8 only"))
            }
            (Locator::HashField(_), None) => Ok(EncodedField::Missing),
            (_, Some(null)) => Ok(EncodedField::Raw(null.clone())),
            (Locator::Whole | Locator::Score, None) => Err(CannotEncode(
                "SQL NULL has no spelling here; declare one with `null`",
            )),
        }
    }

    fn spell(&self, cell: &[u8], old: CacheToken<'_>) -> Result<Vec<u8>, CannotEncode> {
        let old_text = content(old).unwrap_or_default();
        match self.form {
            Form::Text => Ok(cell.to_vec()),
            Form::Json => parse_tree(cell)
                .map(|_| cell.to_vec())
                .map_err(|_| CannotEncode("it is not JSON")),
            Form::Hex => Ok(bytes::to_hex(cell, &old_text).into_bytes()),
            Form::Base64 => Ok(bytes::to_base64(cell, &old_text).into_bytes()),
            Form::Integer | Form::Decimal => self.spell_number(cell),
            Form::Bool => self.spell_bool(cell, &old_text),
            Form::DateTime => self.spell_time(cell, &old_text),
            Form::Date => {
                let day = self
                    .local_day(cell)
                    .ok_or(CannotEncode("it is no date, or a zero date"))?;
                let date = chrono::DateTime::from_timestamp(day * 86_400, 0)
                    .ok_or(CannotEncode("its year is out of range"))?;
                Ok(date.format("%Y-%m-%d").to_string().into_bytes())
            }
            Form::EpochSeconds => self.spell_epoch(cell, 1_000_000),
            Form::EpochMillis => self.spell_epoch(cell, 1_000),
            Form::EpochMicros => self.spell_epoch(cell, 1),
        }
    }

    fn spell_number(&self, cell: &[u8]) -> Result<Vec<u8>, CannotEncode> {
        let mut printed = [0; 20];
        let cell = if self.column == ColumnType::Bit {
            bit_text(cell, &mut printed)
        } else {
            cell
        };
        let number = Number::parse(cell).ok_or(CannotEncode("it is not a number"))?;
        let too_large = CannotEncode("it is too large to write out");
        if let Some(scale) = self
            .scale
            .filter(|scale| number.scale() > i64::from(*scale))
        {
            return rounded(&number, scale)
                .map(String::into_bytes)
                .ok_or(too_large);
        }
        if self.form == Form::Integer {
            return number
                .to_integer_text()
                .map(String::into_bytes)
                .ok_or(CannotEncode("it is not a whole number"));
        }
        // ZEROFILL prints leading zeros, which JSON refuses.
        if matches!(parse_tree(cell), Ok(tree) if tree.raw() == cell) {
            return Ok(cell.to_vec());
        }
        number
            .to_big()
            .map(|n| n.to_plain_string().into_bytes())
            .ok_or(too_large)
    }

    fn spell_bool(&self, cell: &[u8], old: &[u8]) -> Result<Vec<u8>, CannotEncode> {
        let truth = self
            .truth(cell)
            .ok_or(CannotEncode("it is neither true nor false"))?;
        let in_words = match old {
            b"true" | b"false" => true,
            b"1" | b"0" => false,
            _ if matches!(self.locator, Locator::Pointer(_)) => true,
            _ => {
                return Err(CannotEncode(
                    "a bool is `true` or `1`, and there is no older one to imitate",
                ));
            }
        };
        Ok(match (in_words, truth) {
            (true, true) => b"true".to_vec(),
            (true, false) => b"false".to_vec(),
            (false, truth) => vec![b'0' + u8::from(truth)],
        })
    }

    fn instant(&self, cell: &[u8]) -> Result<i64, CannotEncode> {
        match self.moment(cell) {
            Some(Moment::At(readings)) => Ok(readings.earlier),
            Some(Moment::ZeroDate) => Err(CannotEncode("a zero date is no instant")),
            None => Err(CannotEncode("it is not a date and time")),
        }
    }

    fn spell_epoch(&self, cell: &[u8], unit: i64) -> Result<Vec<u8>, CannotEncode> {
        Ok(self
            .instant(cell)?
            .div_euclid(unit)
            .to_string()
            .into_bytes())
    }

    fn spell_time(&self, cell: &[u8], old: &[u8]) -> Result<Vec<u8>, CannotEncode> {
        let micros = self.instant(cell)?;
        let micros = match self.scale.filter(|scale| *scale < 6) {
            Some(scale) => {
                let unit = 10i64.pow(6 - scale);
                micros.div_euclid(unit) * unit
            }
            None => micros,
        };
        let like = instant::parse_civil(old).filter(|civil| civil.naive.is_some());
        // A naive time is in the field's zone; one with an offset keeps that offset only where it is Z.
        let is_naive = like.map_or(self.zone.is_some(), |civil| civil.offset.is_none());
        let zone = match like.and_then(|civil| civil.offset) {
            Some(0) => None,
            _ => self.zone,
        };
        let (local, offset) =
            instant::to_local(micros, zone).ok_or(CannotEncode("its year is out of range"))?;
        let separator = old
            .get(10)
            .filter(|_| like.is_some())
            .map_or('T', |b| char::from(*b));
        let needed = (0..=6)
            .find(|digits| micros % 10i64.pow(6 - digits) == 0)
            .unwrap_or(6);
        let kept = like.map_or(0, |civil| civil.fraction_digits.min(9));
        let digits = kept.max(match needed {
            0 => 0,
            1..=3 => 3,
            _ => 6,
        });
        let fraction = format!("{:06}000", micros.rem_euclid(1_000_000));
        let mut text = format!(
            "{}{separator}{}",
            local.format("%Y-%m-%d"),
            local.format("%H:%M:%S")
        );
        if digits > 0 {
            text.push('.');
            text.push_str(&fraction[..digits]);
        }
        match (is_naive, offset) {
            (true, _) => {}
            (false, 0) => text.push('Z'),
            (false, offset) => {
                let minutes = offset.abs() / 60;
                let sign = if offset < 0 { '-' } else { '+' };
                text.push_str(&format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60));
            }
        }
        Ok(text.into_bytes())
    }
}
