//! The `unique` tuple in one spelling, whichever side it comes from, so that equal tuples have equal bytes.

use super::decode::{epoch_micros, from_base64};
use super::judge::StreamJudge;
use crate::model::check::Form;
use crate::model::column::ColumnType;
use crate::model::rows::RowRef;
use crate::model::stream::Entry;
use crate::model::value::json::{JsonKind, Tree, parse_tree, unescaped};
use crate::model::value::number::rounded;
use crate::model::value::{Moment, Number, instant};
use crate::rules::compare::{CacheToken, FieldComparer, bit_text};

impl StreamJudge {
    /// The entry's tuple; `None` where none is declared, or a part of it is missing, NULL or cannot be read.
    pub fn entry_tuple(&self, entry: &Entry) -> Option<Vec<u8>> {
        self.tuple(|index| {
            let token = self.token(index, entry);
            let comparer = &self.fields[index].comparer;
            match token {
                CacheToken::Raw(text) if !comparer.spells_null(token) => {
                    comparer.canonical_text(text)
                }
                _ => None,
            }
        })
    }

    /// The row's tuple; `None` where none is declared, or a part of it is NULL or cannot be read.
    pub fn row_tuple(&self, row: RowRef<'_>) -> Option<Vec<u8>> {
        self.tuple(|index| {
            let field = &self.fields[index];
            field.comparer.canonical_cell(row.cell(field.cell)?)
        })
    }

    fn tuple(&self, mut part: impl FnMut(usize) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
        let unique = &self.check().unique;
        let mut tuple = Vec::new();
        for &index in unique {
            let part = part(index)?;
            tuple.extend_from_slice(&(part.len() as u64).to_be_bytes());
            tuple.extend_from_slice(&part);
        }
        (!unique.is_empty()).then_some(tuple)
    }
}

impl FieldComparer {
    fn canonical_text(&self, text: &[u8]) -> Option<Vec<u8>> {
        match self.form {
            Form::Text => Some(text.to_vec()),
            Form::Integer | Form::Decimal => canonical_number(text),
            Form::Bool => match text {
                b"true" | b"1" => Some(vec![1]),
                b"false" | b"0" => Some(vec![0]),
                _ => None,
            },
            Form::DateTime => micros(instant::parse(text, self.zone)?),
            Form::Date => {
                let civil = instant::parse_civil(text).filter(|_| text.len() == 10)?;
                Some(day(instant::day_of(civil.naive?)))
            }
            Form::EpochSeconds => Some(instant_text(epoch_micros(text, 1_000_000).ok()?)),
            Form::EpochMillis => Some(instant_text(epoch_micros(text, 1_000).ok()?)),
            Form::EpochMicros => Some(instant_text(epoch_micros(text, 1).ok()?)),
            Form::Json => canonical_json(text),
            Form::Hex => hex::decode(text).ok(),
            Form::Base64 => from_base64(text).ok(),
        }
    }

    fn canonical_cell(&self, cell: &[u8]) -> Option<Vec<u8>> {
        match self.form {
            Form::Text | Form::Hex | Form::Base64 => Some(cell.to_vec()),
            Form::Integer | Form::Decimal => {
                let mut printed = [0; 20];
                let cell = if self.column == ColumnType::Bit {
                    bit_text(cell, &mut printed)
                } else {
                    cell
                };
                match self.scale {
                    Some(scale) => {
                        canonical_number(rounded(&Number::parse(cell)?, scale)?.as_bytes())
                    }
                    None => canonical_number(cell),
                }
            }
            Form::Bool => self.truth(cell).map(|truth| vec![u8::from(truth)]),
            Form::DateTime | Form::EpochSeconds | Form::EpochMillis | Form::EpochMicros => {
                micros(self.moment(cell)?)
            }
            Form::Date => self.local_day(cell).map(day),
            Form::Json => canonical_json(cell),
        }
    }
}

/// Digits without zeros at either end, and the exponent: `1.10`, `1.1` and `11e-1` are `11e-1`.
fn canonical_number(text: &[u8]) -> Option<Vec<u8>> {
    let (digits, scale) = Number::parse(text)?
        .to_big()?
        .normalized()
        .as_bigint_and_exponent();
    Some(format!("{digits}e{}", -scale).into_bytes())
}

/// Of a time that clocks show twice the earlier instant, on both sides.
fn micros(moment: Moment) -> Option<Vec<u8>> {
    match moment {
        Moment::At(readings) => Some(instant_text(readings.earlier)),
        Moment::ZeroDate => None,
    }
}

fn instant_text(micros: i64) -> Vec<u8> {
    micros.to_string().into_bytes()
}

fn day(day: i64) -> Vec<u8> {
    day.to_string().into_bytes()
}

/// Members in the order of their names, numbers by value, text without its escapes; every part with its kind and
/// length.
fn canonical_json(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    write_json(&parse_tree(text).ok()?, &mut bytes)?;
    Some(bytes)
}

fn write_json(tree: &Tree<'_>, bytes: &mut Vec<u8>) -> Option<()> {
    let mut part = |kind: u8, text: &[u8]| {
        bytes.push(kind);
        bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
        bytes.extend_from_slice(text);
    };
    match tree {
        Tree::Scalar(token) => match token.kind {
            JsonKind::Number => part(b'n', &canonical_number(token.raw)?),
            JsonKind::String { .. } => part(b's', &unescaped(token.raw)),
            _ => part(b'w', token.raw),
        },
        Tree::Array { elements, .. } => {
            part(b'a', elements.len().to_string().as_bytes());
            for element in elements {
                write_json(element, bytes)?;
            }
        }
        Tree::Object { members, .. } => {
            part(b'o', members.len().to_string().as_bytes());
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by(|one, other| one.name.cmp(&other.name));
            for member in sorted {
                bytes.push(b'm');
                bytes.extend_from_slice(&(member.name.len() as u64).to_be_bytes());
                bytes.extend_from_slice(&member.name);
                write_json(&member.value, bytes)?;
            }
        }
    }
    Some(())
}
