//! A cell as a literal that the column stores as it is: what strict mode lets through with a mere note
//! (rounded fractions, cut spaces, enum members by number) is refused here.

use chrono::{NaiveDate, NaiveDateTime};

use super::error::MysqlError;
use super::literal;
use super::pool::Mysql;
use crate::model::column::{Column, ColumnType};
use crate::model::rows::RowRef;

/// What a column holds, beyond what comparison cares for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Capacity {
    name: String,
    /// `char`, `varchar`, `binary`, …
    data_type: String,
    /// With the members of an ENUM or SET, quoted.
    column_type: String,
    /// Characters, or bytes of a binary column.
    length_max: Option<u64>,
    /// Digits of a second's fraction.
    fraction_digits: u32,
}

impl Mysql {
    /// The columns of a table, in any order.
    pub(super) async fn capacities(
        &self,
        schema: &str,
        table: &str,
    ) -> Result<Vec<Capacity>, MysqlError> {
        let rows = self
            .fetch(
                &format!(
                    "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, CHARACTER_MAXIMUM_LENGTH, \
                     DATETIME_PRECISION, TABLE_SCHEMA, TABLE_NAME FROM information_schema.COLUMNS \
                     WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {}",
                    literal::text(schema),
                    literal::text(table)
                ),
                7,
            )
            .await?;
        let text = |row: RowRef<'_>, cell: usize| {
            String::from_utf8_lossy(row.cell(cell).unwrap_or_default()).into_owned()
        };
        Ok(rows
            .iter()
            // The collation of these views may find more than this table.
            .filter(|row| text(*row, 5) == schema && text(*row, 6) == table)
            .map(|row| Capacity {
                name: text(row, 0),
                data_type: text(row, 1).to_ascii_lowercase(),
                column_type: text(row, 2),
                length_max: text(row, 3).parse().ok(),
                fraction_digits: text(row, 4).parse().unwrap_or(0),
            })
            .collect())
    }
}

impl Capacity {
    pub(super) fn of<'c>(all: &'c [Capacity], column: &Column) -> Option<&'c Capacity> {
        all.iter()
            .find(|c| c.name.eq_ignore_ascii_case(&column.name))
    }
}

/// `cell` as a literal of `column`; an error says why the column would not hold it as it is. The error names
/// no value.
pub(super) fn cell_literal(
    column: &Column,
    capacity: &Capacity,
    cell: Option<&[u8]>,
) -> Result<String, &'static str> {
    let Some(cell) = cell else {
        return match column.nullable {
            true => Ok("NULL".to_owned()),
            false => Err("takes no NULL"),
        };
    };
    match column.kind {
        ColumnType::Integer { .. } => literal::id(column, cell).ok_or("takes whole numbers only"),
        ColumnType::Decimal { scale } => {
            let digits = literal::id(column, cell).ok_or("takes decimal numbers only")?;
            match fraction_digits(cell) <= scale as usize {
                true => Ok(digits),
                false => Err("keeps fewer digits after the point"),
            }
        }
        ColumnType::Float { .. } => float(cell),
        ColumnType::Binary => bytes(capacity, cell),
        ColumnType::Bit => Ok(format!("X'{}'", hex::encode(cell))),
        ColumnType::DateTime | ColumnType::Timestamp | ColumnType::Time => {
            time(column, capacity, cell)
        }
        ColumnType::Date | ColumnType::Year => date(column, cell),
        ColumnType::Text => text(capacity, cell),
        ColumnType::Enum | ColumnType::SetOf => member(column.kind, capacity, cell),
        ColumnType::Json => literal::text_bytes(cell).ok_or("takes text in UTF-8 only"),
        ColumnType::Other => Err("is of a type that nothing is written to"),
    }
}

fn float(cell: &[u8]) -> Result<String, &'static str> {
    let is_plain = |b: &u8| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.' | b'e' | b'E');
    std::str::from_utf8(cell)
        .ok()
        .filter(|text| text.bytes().all(|b| is_plain(&b)))
        .filter(|text| text.parse::<f64>().is_ok_and(f64::is_finite))
        // A literal with an exponent is a DOUBLE; without one it would be an exact decimal first.
        .map(|text| match text.contains(['e', 'E']) {
            true => text.to_owned(),
            false => format!("{text}e0"),
        })
        .ok_or("takes numbers only")
}

fn bytes(capacity: &Capacity, cell: &[u8]) -> Result<String, &'static str> {
    let is_padded =
        capacity.data_type == "binary" && capacity.length_max != Some(cell.len() as u64);
    match is_padded {
        true => Err("has a fixed length and would pad it"),
        false => Ok(format!("X'{}'", hex::encode(cell))),
    }
}

fn time(column: &Column, capacity: &Capacity, cell: &[u8]) -> Result<String, &'static str> {
    let wrong = "takes times as `2026-11-21 14:03:00.000001` only";
    let literal = literal::id(column, cell).ok_or(wrong)?;
    let text = String::from_utf8_lossy(cell);
    let is_instant = matches!(column.kind, ColumnType::DateTime | ColumnType::Timestamp);
    if is_instant && NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f").is_err() {
        return Err(wrong);
    }
    match fraction_digits(cell) <= capacity.fraction_digits as usize {
        true => Ok(literal),
        false => Err("keeps fewer digits of a second"),
    }
}

fn date(column: &Column, cell: &[u8]) -> Result<String, &'static str> {
    let text = String::from_utf8_lossy(cell);
    let is_right = match column.kind {
        ColumnType::Year => cell.len() == 4 && cell.iter().all(u8::is_ascii_digit),
        _ => cell.len() == 10 && NaiveDate::parse_from_str(&text, "%Y-%m-%d").is_ok(),
    };
    literal::id(column, cell)
        .filter(|_| is_right)
        .ok_or("takes whole days (or years) only")
}

fn text(capacity: &Capacity, cell: &[u8]) -> Result<String, &'static str> {
    let literal = literal::text_bytes(cell).ok_or("takes text in UTF-8 only")?;
    let characters = String::from_utf8_lossy(cell).chars().count() as u64;
    let is_cut = cell.ends_with(b" ")
        && (capacity.data_type == "char" || capacity.length_max.is_some_and(|l| characters > l));
    match is_cut {
        true => Err("would cut the spaces at its end"),
        false => Ok(literal),
    }
}

/// A member by its exact name: by another case it would be stored as another text, and digits would be taken
/// for a member's number.
fn member(kind: ColumnType, capacity: &Capacity, cell: &[u8]) -> Result<String, &'static str> {
    let wrong = "has no such member";
    let text = std::str::from_utf8(cell).map_err(|_| wrong)?;
    let quoted = |name: &str| format!("'{}'", name.replace('\'', "''"));
    let is_member = |name: &str| {
        let quoted = quoted(name);
        let members = capacity.column_type.as_str();
        members.match_indices(&quoted).any(|(at, found)| {
            let before = members[..at].ends_with(['(', ',']);
            let after = members[at + found.len()..].starts_with([')', ',']);
            before && after
        })
    };
    let is_right = match kind {
        ColumnType::SetOf => text.is_empty() || text.split(',').all(is_member),
        _ => is_member(text),
    };
    match is_right {
        true => Ok(literal::text(text)),
        false => Err(wrong),
    }
}

/// Digits after the point, without the zeros at their end.
fn fraction_digits(cell: &[u8]) -> usize {
    let Some(point) = cell.iter().position(|&b| b == b'.') else {
        return 0;
    };
    let fraction = &cell[point + 1..];
    fraction
        .iter()
        .rposition(|&b| b != b'0')
        .map_or(0, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(kind: ColumnType, capacity: &Capacity, cell: &str) -> Result<String, &'static str> {
        let column = Column {
            name: "c".into(),
            kind,
            nullable: false,
            collation: None,
            zerofill: false,
            padded_to: None,
        };
        cell_literal(&column, capacity, Some(cell.as_bytes()))
    }

    fn capacity(data_type: &str, column_type: &str, length_max: Option<u64>) -> Capacity {
        Capacity {
            name: "c".into(),
            data_type: data_type.into(),
            column_type: column_type.into(),
            length_max,
            fraction_digits: 3,
        }
    }

    #[test]
    fn what_a_column_would_change_is_refused() {
        let any = capacity("x", "x", None);
        let char_of = capacity("char", "char(5)", Some(5));
        let varchar = capacity("varchar", "varchar(5)", Some(5));
        let binary = capacity("binary", "binary(2)", Some(2));
        let words = capacity("enum", "enum('a','B','7','it''s')", Some(4));
        let decimal = ColumnType::Decimal { scale: 2 };
        let (text, date) = (ColumnType::Text, ColumnType::Date);
        let at = ColumnType::DateTime;
        for (kind, capacity, cell, is_held) in [
            (decimal, &any, "1.25", true),
            (decimal, &any, "1.2500", true),
            (decimal, &any, "1.253", false),
            (decimal, &any, "1e3", false),
            (ColumnType::Integer { unsigned: false }, &any, "1.0", false),
            (
                ColumnType::Integer { unsigned: false },
                &any,
                "1); DROP",
                false,
            ),
            (text, &char_of, "ab", true),
            (text, &char_of, "ab ", false),
            (text, &varchar, "ab ", true),
            (text, &varchar, "abcde ", false),
            (ColumnType::Binary, &binary, "ab", true),
            (ColumnType::Binary, &binary, "a", false),
            (ColumnType::Enum, &words, "a", true),
            (ColumnType::Enum, &words, "it's", true),
            (ColumnType::Enum, &words, "A", false),
            (ColumnType::Enum, &words, "1", false),
            (ColumnType::Enum, &words, "7", true),
            (ColumnType::Enum, &words, "", false),
            (ColumnType::Enum, &words, "a','B", false),
            (ColumnType::SetOf, &words, "a,B", true),
            (ColumnType::SetOf, &words, "a,C", false),
            (at, &any, "2026-11-21 14:03:00.123", true),
            (at, &any, "2026-11-21 14:03:00.123000", true),
            (at, &any, "2026-11-21 14:03:00.1234", false),
            (at, &any, "2026-02-31 14:03:00", false),
            (date, &any, "2026-11-21", true),
            (date, &any, "2026-11-21 00:00:00", false),
            (ColumnType::Float { is_single: false }, &any, "1.5e3", true),
            (ColumnType::Float { is_single: false }, &any, "nan", false),
            (ColumnType::Other, &any, "x", false),
        ] {
            let said = said(kind, capacity, cell);
            assert_eq!(said.is_ok(), is_held, "{kind:?} {cell:?}: {said:?}");
        }
    }
}
