//! The row that an entry asks for.

use super::judge::{Spelling, StreamJudge};
use crate::model::column::{Column, ColumnType};
use crate::model::stream::{Entry, NewRow, StreamId};
use crate::model::value::Number;

impl StreamJudge {
    /// The identity and every one of `columns`, as cells that MySQL takes and that compare equal to what the entry
    /// says. The error says which field cannot be inserted and why, never its value.
    pub fn new_row(&self, id: StreamId, entry: &Entry) -> Result<NewRow, String> {
        let rows = &self.mapping().rows;
        let identity = self
            .identity_of(id, Some(entry))
            .ok_or("the entry has no identity")?;
        let cell = self.mapping().identity_cell();
        let identity = identity_text(&identity, &rows.columns[cell])
            .map_err(|reason| format!("the identity: {reason}"))?;
        let mut cells = vec![(cell, Some(identity))];
        for (index, field) in self.fields.iter().enumerate() {
            let column = &rows.columns[field.cell];
            let place = || match &field.spelling {
                Spelling::Constant(_) => format!("the constant of column `{}`", column.name),
                Spelling::Field(name) => {
                    format!("the entry's field `{}`", String::from_utf8_lossy(name))
                }
            };
            let text = field
                .comparer
                .decode(self.token(index, entry))
                .map_err(|reason| format!("{}: {reason}", place()))?;
            if text.is_none() && !column.nullable {
                let name = &column.name;
                return Err(format!("{}: column `{name}` takes no NULL", place()));
            }
            match cells.iter().find(|(cell, _)| *cell == field.cell) {
                None => cells.push((field.cell, text)),
                Some((_, earlier)) if *earlier == text => {}
                Some(_) => {
                    let name = &column.name;
                    return Err(format!("{}: column `{name}` would get two values", place()));
                }
            }
        }
        Ok(NewRow { cells })
    }
}

/// The identity as the column prints it.
fn identity_text(identity: &[u8], column: &Column) -> Result<Vec<u8>, &'static str> {
    match column.kind {
        ColumnType::Integer { .. } | ColumnType::Decimal { .. } => Number::parse(identity)
            .and_then(|number| number.to_integer_text())
            .map(String::into_bytes)
            .ok_or("it is not a whole number, as its column holds them"),
        ColumnType::Text if std::str::from_utf8(identity).is_err() => Err("it is not UTF-8"),
        ColumnType::Text | ColumnType::Enum | ColumnType::Binary => Ok(identity.to_vec()),
        _ => Err("its column holds neither text nor numbers"),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use chrono_tz::Tz;

    use super::*;
    use crate::model::check::{FieldSpec, Form, Locator};
    use crate::model::stream::{Identity, StreamCheck};
    use crate::rules::stream::testing::*;
    use crate::rules::testing::{check as cache_check, field};

    /// The cell that an entry's `value` for one field becomes.
    fn cell(
        spec: FieldSpec,
        kind: ColumnType,
        value: Option<&[u8]>,
    ) -> Result<Option<Vec<u8>>, String> {
        let rows = cache_check(crate::model::check::ValueKind::Hash, vec![spec]);
        let judge = bound(
            StreamCheck {
                rows: std::sync::Arc::new(rows),
                constants: vec![None],
                money: None,
                ..bids()
            },
            &[kind],
        );
        let mut entry = entry_of(id(5), &[("bidId", "b1")]);
        entry
            .fields
            .extend(value.map(|v| (b"f"[..].into(), bytes::Bytes::copy_from_slice(v))));
        let row = judge.new_row(id(5), &entry)?;
        assert_eq!(row.cells[0], (0, Some(b"b1".to_vec())));
        assert_eq!(row.cells[1].0, 3);
        Ok(row.cells[1].1.clone())
    }

    fn spec(form: Option<Form>) -> FieldSpec {
        FieldSpec {
            form,
            ..field(Locator::HashField(b"f".to_vec()), "c")
        }
    }

    const INTEGER: ColumnType = ColumnType::Integer { unsigned: false };
    const MONEY: ColumnType = ColumnType::Decimal { scale: 2 };

    #[test]
    fn every_form_becomes_the_columns_own_text() {
        use ColumnType as C;
        let berlin = |form| FieldSpec {
            time_zone: Some(Tz::Europe__Berlin),
            ..spec(form)
        };
        let cases: &[(FieldSpec, ColumnType, &str, &[u8])] = &[
            (spec(None), INTEGER, "-42", b"-42"),
            (
                spec(None),
                INTEGER,
                "9223372036854775807",
                b"9223372036854775807",
            ),
            (spec(None), INTEGER, "1.2e1", b"12"),
            (spec(None), MONEY, "10.50", b"10.5"),
            (spec(None), MONEY, "1e3", b"1000"),
            (spec(None), C::Text, "Stra\u{df}e", "Stra\u{df}e".as_bytes()),
            (spec(None), C::Text, "", b""),
            (spec(Some(Form::Decimal)), C::Text, "010.50", b"010.50"),
            (spec(None), C::Bit, "258", &[1, 2]),
            (spec(None), C::Bit, "0", &[0]),
            (spec(Some(Form::Bool)), INTEGER, "true", b"1"),
            (spec(Some(Form::Bool)), INTEGER, "0", b"0"),
            (spec(Some(Form::Bool)), C::Bit, "true", &[1]),
            (
                spec(None),
                C::DateTime,
                "2026-11-21T14:03:00Z",
                b"2026-11-21 14:03:00",
            ),
            (
                spec(None),
                C::DateTime,
                "2026-11-21T14:03:00.5+02:00",
                b"2026-11-21 12:03:00.500000",
            ),
            (
                berlin(None),
                C::DateTime,
                "2026-07-21T12:00:00Z",
                b"2026-07-21 14:00:00",
            ),
            (
                berlin(None),
                C::DateTime,
                "2026-07-21 14:00:00",
                b"2026-07-21 14:00:00",
            ),
            (
                berlin(None),
                C::Timestamp,
                "2026-07-21 14:00:00",
                b"2026-07-21 12:00:00",
            ),
            (
                spec(Some(Form::EpochMillis)),
                C::DateTime,
                "1795269600123",
                b"2026-11-21 14:00:00.123000",
            ),
            (
                berlin(Some(Form::EpochSeconds)),
                C::DateTime,
                "1795269600",
                b"2026-11-21 15:00:00",
            ),
            (
                berlin(Some(Form::EpochMicros)),
                C::Timestamp,
                "1795269600000001",
                b"2026-11-21 14:00:00.000001",
            ),
            (
                spec(Some(Form::EpochSeconds)),
                C::DateTime,
                "-1",
                b"1969-12-31 23:59:59",
            ),
            (spec(None), C::Date, "2024-02-29", b"2024-02-29"),
            (
                spec(Some(Form::Date)),
                C::DateTime,
                "2024-02-29",
                b"2024-02-29 00:00:00",
            ),
            (spec(Some(Form::Hex)), C::Binary, "00fF", &[0, 255]),
            (spec(Some(Form::Base64)), C::Binary, "-_8=", &[251, 255]),
            (spec(Some(Form::Base64)), C::Binary, "+/8", &[251, 255]),
            (spec(None), C::Json, r#"{"a": 1}"#, br#"{"a": 1}"#),
        ];
        for (spec, kind, value, expected) in cases {
            let found = cell(spec.clone(), *kind, Some(value.as_bytes()));
            assert_eq!(found, Ok(Some(expected.to_vec())), "{value} for {kind:?}");
        }
    }

    #[test]
    fn what_the_column_cannot_hold_is_refused_without_its_value() {
        use ColumnType as C;
        let berlin = FieldSpec {
            time_zone: Some(Tz::Europe__Berlin),
            ..spec(None)
        };
        let cases: &[(FieldSpec, ColumnType, &[u8], &str)] = &[
            (spec(None), INTEGER, b"1.5", "not a whole number"),
            (spec(None), INTEGER, b"", "not a number"),
            (spec(None), INTEGER, b" 1", "not a number"),
            (spec(None), MONEY, b"10.505", "more digits"),
            (spec(None), MONEY, b"NaN", "not a number"),
            (spec(None), C::Bit, b"18446744073709551616", "64 bits"),
            (spec(Some(Form::Bool)), INTEGER, b"yes", "neither true"),
            (spec(None), C::Text, b"\xff", "not UTF-8"),
            (spec(Some(Form::Hex)), C::Text, b"ff", "not UTF-8"),
            (spec(None), C::DateTime, b"yesterday", "not a date and time"),
            (spec(None), C::DateTime, b"0000-00-00 00:00:00", "zero date"),
            (berlin, C::Timestamp, b"2026-10-25 02:30:00", "twice"),
            (
                spec(Some(Form::EpochMillis)),
                C::DateTime,
                b"1.0001",
                "microsecond",
            ),
            (spec(Some(Form::EpochMillis)), C::DateTime, b"9e99", "range"),
            (
                spec(Some(Form::EpochMillis)),
                C::Date,
                b"1795269600123",
                "cannot hold",
            ),
            (spec(None), C::Date, b"2026-11-21T14:00:00", "not a date"),
            (spec(Some(Form::Hex)), C::Binary, b"0", "not hexadecimal"),
            (spec(Some(Form::Base64)), C::Binary, b"?", "not base64"),
            (spec(None), C::Json, b"{", "not JSON"),
        ];
        for (spec, kind, value, reason) in cases {
            let fault = cell(spec.clone(), *kind, Some(value)).unwrap_err();
            assert!(
                fault.starts_with("the entry's field `f`: ") && fault.contains(reason),
                "{value:?} for {kind:?}: {fault}"
            );
        }
    }

    #[test]
    fn nothing_null_and_empty_are_three_things() {
        let with_null = |null: &[u8]| FieldSpec {
            null: Some(null.to_vec()),
            ..spec(None)
        };
        assert_eq!(cell(spec(None), INTEGER, None), Ok(None));
        assert_eq!(cell(with_null(b""), INTEGER, Some(b"")), Ok(None));
        assert_eq!(cell(with_null(b"-"), INTEGER, Some(b"-")), Ok(None));
        assert_eq!(
            cell(with_null(b"-"), INTEGER, Some(b"3")),
            Ok(Some(b"3".to_vec()))
        );
        assert!(
            cell(with_null(b"-"), INTEGER, None)
                .unwrap_err()
                .contains("missing")
        );
        assert_eq!(
            cell(spec(None), ColumnType::Text, Some(b"")),
            Ok(Some(Vec::new()))
        );
    }

    #[test]
    fn a_column_that_takes_no_null_gets_none() {
        let mut mapping = crate::model::stream::StreamMapping::clone(judge_of(bids()).mapping());
        let rows = std::sync::Arc::make_mut(&mut mapping.rows);
        rows.columns[4].nullable = false;
        let judge = StreamJudge::new(std::sync::Arc::new(mapping));
        assert!(judge.new_row(id(1000), &bid("1")).is_ok());
        let bidderless = entry_of(
            id(1000),
            &[("type", "BID"), ("bidId", "b1"), ("amount", "1")],
        );
        let fault = judge.new_row(id(1000), &bidderless).unwrap_err();
        assert_eq!(
            fault,
            "the entry's field `bidder`: column `bidder` takes no NULL"
        );
    }

    #[test]
    fn the_identity_is_spelled_as_its_column_holds_it() {
        let identity = |kind: ColumnType, text: &[u8]| {
            let mut mapping =
                crate::model::stream::StreamMapping::clone(judge_of(bids()).mapping());
            std::sync::Arc::make_mut(&mut mapping.rows).columns[0].kind = kind;
            let judge = StreamJudge::new(std::sync::Arc::new(mapping));
            let mut entry = bid("1");
            entry.fields[1].1 = bytes::Bytes::copy_from_slice(text);
            judge
                .new_row(id(1000), &entry)
                .map(|row| row.cells[0].1.clone().unwrap())
        };
        assert_eq!(identity(ColumnType::Text, b"007"), Ok(b"007".to_vec()));
        assert_eq!(identity(INTEGER, b"007"), Ok(b"7".to_vec()));
        assert_eq!(identity(ColumnType::Binary, b"\xff"), Ok(vec![255]));
        assert!(identity(INTEGER, b"1abc").is_err());
        assert!(identity(ColumnType::Text, b"\xff").is_err());
        assert!(identity(ColumnType::DateTime, b"2026-01-01").is_err());
    }

    #[test]
    fn one_column_gets_one_value() {
        let mut mapping = crate::model::stream::StreamMapping::clone(judge_of(bids()).mapping());
        // The bidder is kept in the amount's column, too.
        std::sync::Arc::make_mut(&mut mapping.rows).field_cells[BIDDER] = 3;
        let judge = StreamJudge::new(std::sync::Arc::new(mapping));
        assert_eq!(judge.new_row(id(1000), &bid("7")).unwrap().cells.len(), 2);
        assert!(
            judge
                .new_row(id(1000), &bid("8"))
                .unwrap_err()
                .contains("two values")
        );
    }

    #[test]
    fn an_entry_id_is_an_identity() {
        let judge = judge_of(StreamCheck {
            identity: Identity::EntryId,
            ..bids()
        });
        let row = judge.new_row(id(1000), &bid("10.50")).unwrap();
        assert_eq!(
            row.cells,
            [
                (0, Some(b"1000-0".to_vec())),
                (3, Some(b"10.5".to_vec())),
                (4, Some(b"7".to_vec()))
            ]
        );
    }
}
