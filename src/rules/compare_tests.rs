//! Tables of spellings, and the way there and back.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use chrono_tz::Tz;
use proptest::prelude::*;

use super::testing::{column, field, pointer};
use super::*;
use crate::model::check::{Compare, FieldSpec, Form, Locator};
use crate::model::column::ColumnType;
use crate::model::value::json::Pointers;

const INTEGER: ColumnType = ColumnType::Integer { unsigned: true };

fn raw(spec: &FieldSpec, kind: ColumnType, cached: &str, cell: &str) -> Comparison {
    let comparer = FieldComparer::new(spec, &column("c", kind));
    comparer.compare(CacheToken::Raw(cached.as_bytes()), Some(cell.as_bytes()))
}

fn whole(form: Option<Form>) -> FieldSpec {
    FieldSpec {
        form,
        ..field(Locator::Whole, "c")
    }
}

#[test]
fn numbers() {
    use Comparison::{Differs, Equal, Undecodable};
    let decimal = ColumnType::Decimal { scale: 30 };
    for (cached, cell, expected) in [
        ("12", "12", Equal),
        ("12.0", "12", Equal),
        ("9007199254740992", "9007199254740993", Differs),
        ("18446744073709551615", "18446744073709551615", Equal),
        (
            "0.100000000000000000000000000001",
            "0.100000000000000000000000000002",
            Differs,
        ),
        ("1.10", "1.1", Equal),
        ("", "0", Undecodable("it is not a number")),
        ("null", "0", Undecodable("it is not a number")),
        (" 1", "1", Undecodable("it is not a number")),
    ] {
        assert_eq!(
            raw(&whole(None), decimal, cached, cell),
            expected,
            "{cached} {cell}"
        );
    }
    let scaled = FieldSpec {
        scale: Some(2),
        ..whole(None)
    };
    assert_eq!(raw(&scaled, decimal, "1.24", "1.235"), Equal);
    assert_eq!(raw(&scaled, decimal, "1.23", "1.235"), Differs);
    let tolerant = FieldSpec {
        tolerance: Some("0.01".parse().unwrap()),
        compare: Compare::AtLeast,
        ..whole(None)
    };
    assert_eq!(raw(&tolerant, decimal, "1.23", "1.24"), Equal);
    assert_eq!(raw(&tolerant, decimal, "1.22", "1.24"), Comparison::Behind);
    assert_eq!(raw(&tolerant, decimal, "1.26", "1.24"), Comparison::Ahead);
    let falling = FieldSpec {
        compare: Compare::AtMost,
        ..whole(None)
    };
    assert_eq!(raw(&falling, decimal, "6", "5"), Comparison::Behind);
    let bit = FieldComparer::new(&whole(None), &column("c", ColumnType::Bit));
    assert_eq!(bit.compare(CacheToken::Raw(b"258"), Some(&[1, 2])), Equal);
    let score = FieldSpec {
        cache: Locator::Score,
        ..whole(None)
    };
    assert_eq!(
        raw(&score, INTEGER, "9007199254740992", "9007199254740993"),
        Equal
    );
    assert_eq!(raw(&score, decimal, "0.10000000000000001", "0.1"), Equal);
    assert_eq!(
        raw(&score, INTEGER, "9007199254740992", "9007199254740995"),
        Differs
    );
}

#[test]
fn times() {
    use Comparison::{Differs, Equal};
    let seoul = |form| FieldSpec {
        time_zone: Some(Tz::Asia__Seoul),
        ..whole(form)
    };
    let (local, utc) = ("2026-11-21 23:03:00.500000", "2026-11-21 14:03:00.500000");
    for (spec, kind, cached, cell, expected) in [
        (
            whole(None),
            ColumnType::DateTime,
            "2026-11-21T14:03:00.5Z",
            utc,
            Equal,
        ),
        (
            whole(None),
            ColumnType::DateTime,
            "2026-11-21T23:03:00.5+09:00",
            utc,
            Equal,
        ),
        (
            whole(None),
            ColumnType::DateTime,
            "2026-11-21T14:03:00Z",
            utc,
            Differs,
        ),
        (
            FieldSpec {
                scale: Some(0),
                ..whole(None)
            },
            ColumnType::DateTime,
            "2026-11-21T14:03:00Z",
            utc,
            Equal,
        ),
        (
            seoul(None),
            ColumnType::DateTime,
            "2026-11-21T14:03:00.5Z",
            local,
            Equal,
        ),
        (
            seoul(None),
            ColumnType::Timestamp,
            "2026-11-21T23:03:00.5",
            utc,
            Equal,
        ),
        (seoul(None), ColumnType::Timestamp, utc, utc, Differs),
        (
            whole(Some(Form::EpochMillis)),
            ColumnType::Timestamp,
            "1795269780500",
            utc,
            Equal,
        ),
        (
            whole(Some(Form::EpochSeconds)),
            ColumnType::Timestamp,
            "1795269780",
            utc,
            Equal,
        ),
        (
            whole(Some(Form::EpochSeconds)),
            ColumnType::Timestamp,
            "1795269780.5",
            utc,
            Equal,
        ),
        (
            whole(Some(Form::EpochSeconds)),
            ColumnType::Timestamp,
            "1795269779",
            utc,
            Differs,
        ),
        (
            seoul(Some(Form::Date)),
            ColumnType::Timestamp,
            "2026-11-22",
            "2026-11-21 15:00:00",
            Equal,
        ),
        (
            whole(None),
            ColumnType::DateTime,
            "0000-00-00 00:00:00",
            "0000-00-00 00:00:00",
            Equal,
        ),
        (
            whole(None),
            ColumnType::DateTime,
            "1970-01-01 00:00:00",
            "0000-00-00 00:00:00",
            Differs,
        ),
    ] {
        assert_eq!(raw(&spec, kind, cached, cell), expected, "{cached} {cell}");
    }
    let text = raw(&whole(None), ColumnType::DateTime, "yesterday", utc);
    assert_eq!(text, Comparison::Undecodable("it is not a date and time"));
}

#[test]
fn nulls_of_a_directed_field() {
    let spec = FieldSpec {
        compare: Compare::AtLeast,
        null: Some(Vec::new()),
        ..whole(None)
    };
    let comparer = FieldComparer::new(&spec, &column("c", INTEGER));
    for (token, cell, expected) in [
        (CacheToken::Raw(b""), None, Comparison::Equal),
        (CacheToken::Raw(b""), Some("5"), Comparison::Behind),
        (CacheToken::Missing, Some("5"), Comparison::Behind),
        (CacheToken::Missing, None, Comparison::Differs),
        (CacheToken::Raw(b"5"), None, Comparison::Ahead),
    ] {
        assert_eq!(
            comparer.compare(token, cell.map(str::as_bytes)),
            expected,
            "{token:?} {cell:?}"
        );
    }
}

#[test]
fn bools_and_binary() {
    let bool_of = |cached: &str, cell: &str| raw(&whole(Some(Form::Bool)), INTEGER, cached, cell);
    assert_eq!(bool_of("true", "1"), Comparison::Equal);
    assert_eq!(bool_of("0", "0"), Comparison::Equal);
    assert_eq!(bool_of("false", "1"), Comparison::Differs);
    assert!(matches!(bool_of("", "0"), Comparison::Undecodable(_)));
    assert_eq!(
        raw(&whole(Some(Form::Hex)), ColumnType::Binary, "414F", "AO"),
        Comparison::Equal
    );
    assert_eq!(
        raw(&whole(Some(Form::Base64)), ColumnType::Binary, "QU8=", "AO"),
        Comparison::Equal
    );
    assert_eq!(
        raw(
            &whole(Some(Form::Json)),
            ColumnType::Json,
            "{\"a\":[1.0]}",
            "{\"a\": [1]}"
        ),
        Comparison::Equal
    );
}

#[test]
fn the_schema_refutes() {
    let refuses = |spec: &FieldSpec, kind| check_form(spec, &column("c", kind)).is_err();
    assert!(refuses(&whole(None), ColumnType::Binary));
    assert!(!refuses(&whole(Some(Form::Text)), ColumnType::Binary));
    assert!(refuses(&whole(Some(Form::Integer)), ColumnType::DateTime));
    assert!(refuses(&whole(Some(Form::EpochMillis)), INTEGER));
    assert!(refuses(
        &FieldSpec {
            compare: Compare::AtLeast,
            ..whole(None)
        },
        ColumnType::Text
    ));
    assert!(!refuses(
        &FieldSpec {
            compare: Compare::AtLeast,
            ..whole(None)
        },
        ColumnType::DateTime
    ));
    assert!(refuses(
        &FieldSpec {
            states: vec!["A".into()],
            ..whole(None)
        },
        INTEGER
    ));
    assert!(refuses(
        &FieldSpec {
            tolerance: Some(1.into()),
            ..whole(None)
        },
        ColumnType::Text
    ));
    assert!(refuses(
        &FieldSpec {
            balance: true,
            ..whole(None)
        },
        ColumnType::Text
    ));
    assert!(refuses(
        &FieldSpec {
            scale: Some(7),
            ..whole(None)
        },
        ColumnType::DateTime
    ));
    assert!(refuses(
        &FieldSpec {
            cache: Locator::Score,
            ..whole(None)
        },
        ColumnType::Date
    ));
}

#[test]
fn writes_like_the_older_spelling() {
    let spelled = |spec: FieldSpec, kind, old: &str, cell: &str| {
        let comparer = FieldComparer::new(&spec, &column("c", kind));
        let encoded = comparer.encode_like(Some(cell.as_bytes()), CacheToken::Raw(old.as_bytes()));
        encoded.map(|e| match e {
            EncodedField::Raw(bytes) => String::from_utf8(bytes).unwrap(),
            other => panic!("{other:?}"),
        })
    };
    let time = "2026-11-21 14:03:00.250000";
    assert_eq!(
        spelled(
            whole(None),
            ColumnType::DateTime,
            "2020-01-01T00:00:00.000Z",
            time
        )
        .unwrap(),
        "2026-11-21T14:03:00.250Z"
    );
    assert_eq!(
        spelled(
            whole(None),
            ColumnType::DateTime,
            "2020-01-01 00:00:00",
            time
        )
        .unwrap(),
        "2026-11-21 14:03:00.250"
    );
    assert_eq!(
        spelled(whole(Some(Form::Bool)), INTEGER, "true", "0").unwrap(),
        "false"
    );
    assert!(spelled(whole(Some(Form::Bool)), INTEGER, "", "0").is_err());
    assert_eq!(spelled(whole(None), INTEGER, "", "00042").unwrap(), "42");
    assert!(spelled(whole(None), ColumnType::DateTime, "", "0000-00-00 00:00:00").is_err());
    assert!(
        spelled(
            whole(Some(Form::Integer)),
            ColumnType::Decimal { scale: 1 },
            "",
            "1.5"
        )
        .is_err()
    );
}

proptest! {
    #[test]
    fn what_is_written_agrees(which in 0usize..10, number in any::<i64>(), text: String, micros in 0i64..4_000_000_000_000_000, in_quotes: bool) {
        let time = chrono::DateTime::from_timestamp_micros(micros).unwrap().format("%Y-%m-%d %H:%M:%S%.6f").to_string();
        let forms = [
            (None, INTEGER, number.to_string()),
            (None, ColumnType::Decimal { scale: 3 }, format!("{number}.{:03}", number.unsigned_abs() % 1000)),
            (None, ColumnType::Text, text.clone()),
            (None, ColumnType::DateTime, time.clone()),
            (Some(Form::EpochMillis), ColumnType::DateTime, time.clone()),
            (Some(Form::EpochSeconds), ColumnType::Timestamp, time.clone()),
            (Some(Form::Date), ColumnType::DateTime, time.clone()),
            (Some(Form::Hex), ColumnType::Binary, text.clone()),
            (Some(Form::Base64), ColumnType::Binary, text),
            (Some(Form::Bool), INTEGER, (number & 1).to_string()),
        ];
        let (form, kind, cell) = &forms[which];
        for zone in [None, Some(Tz::Europe__Berlin)] {
            let spec = FieldSpec { form: *form, time_zone: zone.filter(|_| (3..7).contains(&which)), ..field(pointer("/f"), "c") };
            let comparer = FieldComparer::new(&spec, &column("c", *kind));
            let EncodedField::Json(json) = comparer.encode(Some(cell.as_bytes())).unwrap() else { panic!("a member is JSON") };
            let json = if in_quotes && json[0] != b'"' { [b"\"", json.as_slice(), b"\""].concat() } else { json };
            let document = [b"{\"f\":", json.as_slice(), b"}"].concat();
            let mut slots = [None];
            Pointers::compile([["f".to_owned()].as_slice()]).find(&document, &mut slots).unwrap();
            let token = CacheToken::Json(slots[0].unwrap());
            prop_assert_eq!(comparer.compare(token, Some(cell.as_bytes())), Comparison::Equal, "{}", String::from_utf8_lossy(&document));
            let EncodedField::Json(again) = comparer.encode_like(Some(cell.as_bytes()), token).unwrap() else { panic!("a member is JSON") };
            prop_assert_eq!(again, json);
        }
    }
}
