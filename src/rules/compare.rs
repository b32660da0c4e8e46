//! One mapped field against one column: equal, behind, ahead, or simply different.
//!
//! A comparison is strict on the value and lenient on the spelling: `"12"` is 12 in a JSON document,
//! `1.10` is `1.1`, but nothing that is missing, NULL or empty is ever 0.

use std::borrow::Cow;
use std::cmp::Ordering;

use bigdecimal::BigDecimal;
use chrono_tz::Tz;

use super::form::form_of;
use crate::model::check::{Compare, FieldSpec, Form, Locator};
use crate::model::column::{Column, ColumnType};
use crate::model::value::json::{JsonKind, JsonToken, parse_tree, same_value, unescaped};
use crate::model::value::number::{is_within, rounded};
use crate::model::value::{Number, bytes};

/// What the cache holds for one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheToken<'a> {
    /// No such member or hash field.
    Missing,
    /// A string, a hash field's bytes, or a score as Redis prints it.
    Raw(&'a [u8]),
    /// A value inside a document.
    Json(JsonToken<'a>),
}

/// What one field says. `Behind` and `Ahead` are the cache's, and only said of fields with a direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    Behind,
    Ahead,
    Differs,
    /// The cache's value is not what the field is declared to be. Never holds the value.
    Undecodable(&'static str),
}

/// A field compiled once: how its cache spelling and its column are compared and written.
#[derive(Debug, Clone)]
pub struct FieldComparer {
    pub(super) locator: Locator,
    pub(super) form: Form,
    pub(super) column: ColumnType,
    pub(super) zone: Option<Tz>,
    pub(super) null: Option<Vec<u8>>,
    pub(super) scale: Option<u32>,
    compare: Compare,
    states: Vec<Vec<u8>>,
    tolerance: Option<BigDecimal>,
    min: Option<String>,
    max: Option<String>,
    balance: bool,
}

impl FieldComparer {
    /// Compiles a field. What [`super::check_form`] refutes compiles too, and compares as text.
    pub fn new(spec: &FieldSpec, column: &Column) -> Self {
        Self {
            locator: spec.cache.clone(),
            form: spec
                .form
                .or_else(|| form_of(column.kind))
                .unwrap_or(Form::Text),
            column: column.kind,
            zone: spec.time_zone,
            null: spec.null.clone(),
            scale: spec.scale,
            compare: spec.compare,
            states: spec.states.iter().map(|s| s.clone().into_bytes()).collect(),
            tolerance: spec.tolerance.clone(),
            min: spec.min.as_ref().map(BigDecimal::to_plain_string),
            max: spec.max.as_ref().map(BigDecimal::to_plain_string),
            balance: spec.balance,
        }
    }

    /// Whether the field alone tells *behind* from *ahead*.
    pub fn has_direction(&self) -> bool {
        self.compare != Compare::Equal || !self.states.is_empty()
    }

    /// Whether equal means the same value, and nothing merely close to it.
    pub fn is_exact(&self) -> bool {
        self.tolerance.is_none() && self.scale.is_none()
    }

    /// Whether states are declared.
    pub fn has_states(&self) -> bool {
        !self.states.is_empty()
    }

    /// Compares what the cache holds with a cell as MySQL printed it; `None` is SQL NULL.
    pub fn compare(&self, token: CacheToken<'_>, cell: Option<&[u8]>) -> Comparison {
        let Some(cell) = cell else {
            return self.compare_with_null(token);
        };
        let is_nothing = match token {
            CacheToken::Missing => true,
            CacheToken::Json(token) => token.kind == JsonKind::Null && self.form != Form::Json,
            CacheToken::Raw(_) => false,
        };
        if is_nothing {
            return self.nothing_cached();
        }
        let compared = self.compare_values(token, cell);
        if compared != Comparison::Equal && self.null.is_some() && self.spells_null(token) {
            return self.nothing_cached();
        }
        compared
    }

    /// Whether the cached value is a balance below zero.
    pub fn is_negative(&self, token: CacheToken<'_>) -> bool {
        self.balance && self.has_number(token, |n| n.is_negative())
    }

    /// Whether the source's value is a balance below zero.
    pub fn is_cell_negative(&self, cell: Option<&[u8]>) -> bool {
        self.balance
            && cell
                .and_then(Number::parse)
                .is_some_and(|n| n.is_negative())
    }

    /// Whether the cached value is outside of the declared `min` and `max`.
    pub fn is_out_of_bounds(&self, token: CacheToken<'_>) -> bool {
        (self.min.is_some() || self.max.is_some())
            && !self.spells_null(token)
            && self.has_number(token, |n| self.is_beyond(n))
    }

    /// Whether the source's value is outside of the declared `min` and `max`.
    pub fn is_cell_out_of_bounds(&self, cell: Option<&[u8]>) -> bool {
        cell.and_then(Number::parse)
            .is_some_and(|n| self.is_beyond(&n))
    }

    /// Whether this is how the cache spells SQL NULL.
    pub(super) fn spells_null(&self, token: CacheToken<'_>) -> bool {
        match (&self.null, token) {
            (None, CacheToken::Missing) => true,
            (None, CacheToken::Json(token)) => token.kind == JsonKind::Null,
            (None, CacheToken::Raw(_)) | (Some(_), CacheToken::Missing) => false,
            (Some(null), CacheToken::Raw(raw)) => raw == null.as_slice(),
            (Some(null), CacheToken::Json(token)) => match token.kind {
                JsonKind::String { .. } => *unescaped(token.raw) == **null,
                JsonKind::Null => false,
                _ => token.raw == null.as_slice(),
            },
        }
    }

    fn compare_with_null(&self, token: CacheToken<'_>) -> Comparison {
        if self.spells_null(token) {
            return Comparison::Equal;
        }
        let is_value = match token {
            CacheToken::Missing => false,
            CacheToken::Raw(_) => true,
            CacheToken::Json(token) => token.kind != JsonKind::Null,
        };
        // A value where the source has none yet: the cache knows more, or the source lost it.
        let knows_more = self.compare == Compare::AtLeast || !self.states.is_empty();
        if is_value && knows_more {
            Comparison::Ahead
        } else {
            Comparison::Differs
        }
    }

    /// Nothing in the cache where the source has a value: the earliest state a directed field can be in.
    fn nothing_cached(&self) -> Comparison {
        if self.has_direction() {
            Comparison::Behind
        } else {
            Comparison::Differs
        }
    }

    fn compare_values(&self, token: CacheToken<'_>, cell: &[u8]) -> Comparison {
        if self.form == Form::Json {
            return compare_json(token, cell);
        }
        let content = match content(token) {
            Ok(content) => content,
            Err(reason) => return Comparison::Undecodable(reason),
        };
        match self.form {
            Form::Text => self.compare_text(&content, cell),
            Form::Integer | Form::Decimal => self.compare_number(token, &content, cell),
            Form::Bool => self.compare_bool(&content, cell),
            Form::DateTime => self.compare_time(&content, cell),
            Form::Date => self.compare_date(&content, cell),
            Form::EpochSeconds => self.compare_epoch(&content, cell, 1_000_000),
            Form::EpochMillis => self.compare_epoch(&content, cell, 1_000),
            Form::EpochMicros => self.compare_epoch(&content, cell, 1),
            Form::Hex => spelled(bytes::hex_spells(&content, cell), "it is not hexadecimal"),
            Form::Base64 => spelled(bytes::base64_spells(&content, cell), "it is not base64"),
            Form::Json => unreachable!("handled above"),
        }
    }

    fn compare_text(&self, content: &[u8], cell: &[u8]) -> Comparison {
        if content == cell {
            return Comparison::Equal;
        }
        let rank = |text: &[u8]| self.states.iter().position(|s| s == text);
        match (rank(content), rank(cell)) {
            (Some(cached), Some(source)) if cached < source => Comparison::Behind,
            (Some(_), Some(_)) => Comparison::Ahead,
            _ => Comparison::Differs,
        }
    }

    fn compare_number(&self, token: CacheToken<'_>, content: &[u8], cell: &[u8]) -> Comparison {
        let mut printed = [0; 20];
        let cell = if self.column == ColumnType::Bit {
            bit_text(cell, &mut printed)
        } else {
            cell
        };
        if content == cell {
            return Comparison::Equal;
        }
        let is_bool = matches!(token, CacheToken::Json(t) if t.kind == JsonKind::Bool);
        let (false, Some(cached)) = (is_bool, Number::parse(content)) else {
            return Comparison::Undecodable("it is not a number");
        };
        let Some(source) = Number::parse(cell) else {
            return Comparison::Differs;
        };
        let order = cached.compare(&source);
        if order.is_eq() || self.is_close(&cached, &source, content, cell) {
            return Comparison::Equal;
        }
        self.directed(order)
    }

    /// Equal for what the cache can hold: a double where the column or the score is one, the declared
    /// scale, the declared tolerance.
    fn is_close(
        &self,
        cached: &Number<'_>,
        source: &Number<'_>,
        content: &[u8],
        cell: &[u8],
    ) -> bool {
        if self.locator == Locator::Score || matches!(self.column, ColumnType::Float { .. }) {
            let double = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<f64>().ok();
            if double(content).is_some_and(|d| d.is_finite() && Some(d) == double(cell)) {
                return true;
            }
        }
        let is_rounded = self
            .scale
            .filter(|scale| source.scale() > i64::from(*scale))
            .is_some_and(|scale| {
                rounded(source, scale).is_some_and(|text| {
                    Number::parse(text.as_bytes()).is_some_and(|source| {
                        cached.compare(&source).is_eq()
                            || self
                                .tolerance
                                .as_ref()
                                .is_some_and(|t| is_within(cached, &source, t))
                    })
                })
            });
        is_rounded
            || self
                .tolerance
                .as_ref()
                .is_some_and(|t| is_within(cached, source, t))
    }

    fn compare_bool(&self, content: &[u8], cell: &[u8]) -> Comparison {
        let cached = match content {
            b"true" | b"1" => true,
            b"false" | b"0" => false,
            _ => return Comparison::Undecodable("it is neither true, false, 1 nor 0"),
        };
        if self.truth(cell) == Some(cached) {
            Comparison::Equal
        } else {
            Comparison::Differs
        }
    }

    /// Whether a cell is true: any number but 0, any set bit.
    pub(super) fn truth(&self, cell: &[u8]) -> Option<bool> {
        match self.column {
            ColumnType::Bit => Some(cell.iter().any(|b| *b != 0)),
            _ => match cell {
                b"true" => Some(true),
                b"false" => Some(false),
                _ => Number::parse(cell).map(|n| !n.is_zero()),
            },
        }
    }

    pub(super) fn directed(&self, cached_to_source: Ordering) -> Comparison {
        match (self.compare, cached_to_source) {
            (_, Ordering::Equal) => Comparison::Equal,
            (Compare::Equal, _) => Comparison::Differs,
            (Compare::AtLeast, Ordering::Less) | (Compare::AtMost, Ordering::Greater) => {
                Comparison::Behind
            }
            (Compare::AtLeast | Compare::AtMost, _) => Comparison::Ahead,
        }
    }

    fn is_beyond(&self, number: &Number<'_>) -> bool {
        let order = |bound: &Option<String>| {
            bound
                .as_ref()
                .and_then(|b| Number::parse(b.as_bytes()))
                .map(|b| number.compare(&b))
        };
        order(&self.min) == Some(Ordering::Less) || order(&self.max) == Some(Ordering::Greater)
    }

    fn has_number(&self, token: CacheToken<'_>, holds: impl Fn(&Number<'_>) -> bool) -> bool {
        content(token)
            .ok()
            .is_some_and(|c| Number::parse(&c).is_some_and(|n| holds(&n)))
    }
}

/// The text of a scalar; borrowed unless it is escaped.
pub(super) fn content(token: CacheToken<'_>) -> Result<Cow<'_, [u8]>, &'static str> {
    match token {
        CacheToken::Missing => Err("it is missing"),
        CacheToken::Raw(raw) => Ok(Cow::Borrowed(raw)),
        CacheToken::Json(token) => match token.kind {
            JsonKind::String { is_escaped: false } => {
                Ok(Cow::Borrowed(&token.raw[1..token.raw.len() - 1]))
            }
            JsonKind::String { is_escaped: true } => Ok(unescaped(token.raw)),
            JsonKind::Number | JsonKind::Bool => Ok(Cow::Borrowed(token.raw)),
            JsonKind::Null => Err("it is null"),
            JsonKind::Object => Err("it is an object"),
            JsonKind::Array => Err("it is an array"),
        },
    }
}

/// Big-endian bits as decimal text. More than 64 bits are no BIT column's, and come back as they are.
pub(super) fn bit_text<'b>(bits: &'b [u8], printed: &'b mut [u8; 20]) -> &'b [u8] {
    if bits.len() > 8 {
        return bits;
    }
    let value = bits
        .iter()
        .fold(0u64, |value, byte| (value << 8) | u64::from(*byte));
    digits_into(value, printed)
}

pub(super) fn digits_into(mut value: u64, printed: &mut [u8; 20]) -> &[u8] {
    let mut at = printed.len();
    loop {
        at -= 1;
        printed[at] = b'0' + u8::try_from(value % 10).expect("a remainder of ten");
        value /= 10;
        if value == 0 {
            return &printed[at..];
        }
    }
}

fn spelled(spells: Option<bool>, reason: &'static str) -> Comparison {
    match spells {
        Some(true) => Comparison::Equal,
        Some(false) => Comparison::Differs,
        None => Comparison::Undecodable(reason),
    }
}

fn compare_json(token: CacheToken<'_>, cell: &[u8]) -> Comparison {
    let raw = match token {
        CacheToken::Missing => return Comparison::Differs,
        CacheToken::Raw(raw) => raw,
        CacheToken::Json(token) => token.raw,
    };
    if raw == cell {
        return Comparison::Equal;
    }
    match (parse_tree(raw), parse_tree(cell)) {
        (Err(_), _) => Comparison::Undecodable("it is not JSON, or a member occurs twice"),
        (Ok(_), Err(_)) => Comparison::Differs,
        (Ok(cached), Ok(source)) => {
            if same_value(&cached, &source) {
                Comparison::Equal
            } else {
                Comparison::Differs
            }
        }
    }
}
