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

fn canonical_number(text: &[u8]) -> Option<Vec<u8>> {
    Some(Number::parse(text)?.canonical())
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use chrono_tz::Tz;
    use proptest::prelude::*;

    use super::*;
    use crate::model::check::{FieldSpec, Locator, ValueKind};
    use crate::model::stream::StreamCheck;
    use crate::rules::stream::testing::*;
    use crate::rules::testing::{check as cache_check, field, row};

    fn judge(form: Option<Form>, time_zone: Option<Tz>, kind: ColumnType) -> StreamJudge {
        let spec = FieldSpec {
            form,
            time_zone,
            ..field(Locator::HashField(b"f".to_vec()), "c")
        };
        bound(
            StreamCheck {
                rows: std::sync::Arc::new(cache_check(ValueKind::Hash, vec![spec])),
                constants: vec![None],
                unique: vec![0],
                money: None,
                ..bids()
            },
            &[kind],
        )
    }

    fn both(judge: &StreamJudge, entry: &str, cell: &str) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
        let entry = entry_of(id(1), &[("f", entry)]);
        (
            judge.entry_tuple(&entry),
            judge.row_tuple(row("1", &[Some(cell)]).as_ref()),
        )
    }

    #[test]
    fn one_value_has_one_spelling_on_both_sides() {
        use ColumnType as C;
        let money = C::Decimal { scale: 2 };
        let berlin = Some(Tz::Europe__Berlin);
        for (form, zone, kind, entry, cell, is_equal) in [
            (None, None, money, "1.1", "1.10", true),
            (None, None, money, "11e-1", "1.10", true),
            (None, None, money, "-0", "0.00", true),
            (None, None, money, "1.1", "1.11", false),
            (None, None, money, "1", "10", false),
            (None, None, money, "-1", "1", false),
            (None, None, C::Text, "1.1", "1.10", false),
            (None, None, C::Text, "a", "a", true),
            (
                Some(Form::Bool),
                None,
                C::Integer { unsigned: false },
                "true",
                "1",
                true,
            ),
            (None, None, C::Bit, "66", "B", true),
            (
                Some(Form::EpochMillis),
                None,
                C::DateTime,
                "1795269600000",
                "2026-11-21 14:00:00",
                true,
            ),
            (
                Some(Form::EpochMillis),
                berlin,
                C::DateTime,
                "1795269600000",
                "2026-11-21 15:00:00",
                true,
            ),
            (
                Some(Form::EpochMillis),
                berlin,
                C::Timestamp,
                "1795269600000",
                "2026-11-21 14:00:00",
                true,
            ),
            (
                None,
                None,
                C::DateTime,
                "2026-11-21T14:00:00Z",
                "2026-11-21 14:00:00.000000",
                true,
            ),
            (
                None,
                None,
                C::DateTime,
                "2026-11-21T14:00:00Z",
                "2026-11-21 14:00:01",
                false,
            ),
            (None, None, C::Date, "2026-11-21", "2026-11-21", true),
            (Some(Form::Hex), None, C::Binary, "6162", "ab", true),
            (Some(Form::Base64), None, C::Binary, "YWI=", "ab", true),
            (
                None,
                None,
                C::Json,
                r#"{"a":1.0,"b":"\u0041"}"#,
                r#"{"b":"A","a":1}"#,
                true,
            ),
            (
                None,
                None,
                C::Json,
                r#"{"a":["b","c"]}"#,
                r#"{"a":["bc"]}"#,
                false,
            ),
            (None, None, C::Json, r#"["1"]"#, "[1]", false),
        ] {
            let (left, right) = both(&judge(form, zone, kind), entry, cell);
            assert!(left.is_some() && right.is_some(), "{entry} {cell}");
            assert_eq!(left == right, is_equal, "{entry} and {cell} as {kind:?}");
        }
    }

    #[test]
    fn what_is_missing_null_or_unreadable_has_no_tuple() {
        let numbers = judge(None, None, ColumnType::Decimal { scale: 2 });
        for entry in [&[][..], &[("f", "x")], &[("f", "")]] {
            assert_eq!(
                numbers.entry_tuple(&entry_of(id(1), entry)),
                None,
                "{entry:?}"
            );
        }
        assert_eq!(numbers.row_tuple(row("1", &[None]).as_ref()), None);
        let none_declared = judge_of(bids());
        assert_eq!(none_declared.entry_tuple(&bid("1")), None);
        assert_eq!(none_declared.row_tuple(bid_row("1").as_ref()), None);
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let mut rows = cache_check(
            ValueKind::Hash,
            vec![hash_field("a", "a"), hash_field("b", "b")],
        );
        rows.window = None;
        let judge = bound(
            StreamCheck {
                rows: std::sync::Arc::new(rows),
                unique: vec![0, 1],
                ..bids()
            },
            &[ColumnType::Text; 2],
        );
        let tuple = |a, b| {
            judge
                .entry_tuple(&entry_of(id(1), &[("a", a), ("b", b)]))
                .unwrap()
        };
        assert_ne!(tuple("ab", "c"), tuple("a", "bc"));
        assert_ne!(tuple("", "a"), tuple("a", ""));
        assert_eq!(
            Some(tuple("ab", "c")),
            judge.row_tuple(row("1", &[Some("ab"), Some("c")]).as_ref())
        );
    }

    proptest! {
        /// Equal tuples exactly where the comparer says equal.
        #[test]
        fn tuples_agree_with_the_comparison(left in -1_000_000i64..1_000_000, right in -1_000_000i64..1_000_000,
            left_zeros in 0usize..4, same in any::<bool>()) {
            let right = if same { left } else { right };
            let judge = judge(None, None, ColumnType::Decimal { scale: 6 });
            let spelled = |value: i64| bigdecimal::BigDecimal::new(value.into(), 3).to_plain_string();
            let entry = entry_of(id(1), &[("f", &format!("{}{}", spelled(left), "0".repeat(left_zeros)))]);
            let row = row("1", &[Some(&spelled(right))]);
            let evidence = rows_of([row.clone()]);
            let entry = crate::model::stream::Entry {
                fields: entry.fields.into_iter().chain([(b"bidId"[..].into(), b"b"[..].into())]).collect(),
                ..entry
            };
            let is_equal = judge.proof(id(1), Some(&entry), &evidence).settles();
            prop_assert_eq!(judge.entry_tuple(&entry) == judge.row_tuple(row.as_ref()), is_equal);
            prop_assert_eq!(is_equal, left == right);
        }
    }
}
