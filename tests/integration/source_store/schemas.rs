//! Column types and keys as the live schema declares them, and cells as the server prints them.

use auditor::lab::servers::Flavor;
use auditor::model::check::Source;
use auditor::model::column::ColumnType;
use auditor::store::mysql::Selection;

use super::fixture::{Fixture, key, named};
use super::on_both;

const EVERY_TYPE: &str = "CREATE TABLE every (
    id BIGINT UNSIGNED PRIMARY KEY, tiny TINYINT, filled INT(6) UNSIGNED ZEROFILL,
    exact DECIMAL(65,30), single FLOAT, twice DOUBLE, flags BIT(12),
    fixed CHAR(4), name VARCHAR(40), body LONGTEXT, latin VARCHAR(9) CHARACTER SET latin1,
    raw BINARY(3), blob_ BLOB, kind ENUM('a','b'), tags SET('x','y'), doc JSON,
    at DATETIME(6), stamp TIMESTAMP(6) NULL, day DATE, clock TIME(3), born YEAR, place POINT);
 INSERT INTO every VALUES (18446744073709551615, -128, 42,
    12345678901234567890.123456789012345678901234567890, 0.1, 1e300, b'101000000001',
    'ab', 'grün 😀', REPEAT('x', 70000), 'é', X'00FF10', X'FF00', 'b', 'x,y', '{\"a\": [1, 2]}',
    '2026-11-21 14:03:00.000001', '2026-11-21 14:03:00.000002', '2026-11-21', '-838:59:59.000',
    2026, NULL);
 INSERT INTO every (id) VALUES (0)";

async fn every_type_is_known_and_printed_exactly(flavor: Flavor) {
    let fixture = Fixture::start(flavor, EVERY_TYPE).await;
    let mapping = fixture.table("every", |_| {}).await;
    use ColumnType::*;
    let kinds: Vec<ColumnType> = mapping.columns.iter().map(|c| c.kind).collect();
    let integer = |unsigned| Integer { unsigned };
    let expected = [
        integer(true),
        integer(false),
        integer(true),
        Decimal { scale: 30 },
        Float { is_single: true },
        Float { is_single: false },
        Bit,
        Text,
        Text,
        Text,
        Text,
        Binary,
        Binary,
        Enum,
        SetOf,
        Json,
        DateTime,
        Timestamp,
        Date,
        Time,
        Year,
        Other,
    ];
    assert_eq!(kinds, expected);
    let zerofill: Vec<&str> = mapping
        .columns
        .iter()
        .filter(|c| c.zerofill)
        .map(|c| c.name.as_str())
        .collect();
    assert_eq!(zerofill, ["filled"]);
    assert!(
        mapping.columns[10]
            .collation
            .as_deref()
            .unwrap()
            .starts_with("latin1_")
    );
    assert!(!mapping.columns[0].nullable && mapping.columns[1].nullable);

    let found = fixture
        .mysql
        .rows_by_key(&mapping, &[key(&["18446744073709551615"])])
        .await
        .unwrap();
    let row = found.rows.row(0);
    let cell = |n: usize| row.cell(n).unwrap();
    assert_eq!(cell(0), b"18446744073709551615");
    assert_eq!(cell(1), b"-128");
    assert_eq!(cell(2), b"000042");
    assert_eq!(
        cell(3),
        b"12345678901234567890.123456789012345678901234567890"
    );
    assert_eq!(cell(4), b"0.1");
    assert_eq!(cell(5), b"1e300");
    assert_eq!(cell(6), [0b1010, 0b0000_0001]);
    assert_eq!(cell(7), b"ab");
    assert_eq!(cell(8), "grün 😀".as_bytes());
    assert_eq!(cell(9).len(), 70_000);
    assert_eq!(cell(10), "é".as_bytes());
    assert_eq!(cell(11), b"\x00\xff\x10");
    assert_eq!(cell(12), b"\xff\x00");
    assert_eq!((cell(13), cell(14)), (&b"b"[..], &b"x,y"[..]));
    assert_eq!(cell(15), br#"{"a": [1, 2]}"#);
    assert_eq!(cell(16), b"2026-11-21 14:03:00.000001");
    assert_eq!(cell(17), b"2026-11-21 14:03:00.000002");
    assert_eq!(
        (cell(18), cell(19)),
        (&b"2026-11-21"[..], &b"-838:59:59.000"[..])
    );
    assert_eq!(cell(20), b"2026");

    let page = fixture
        .mysql
        .page(&mapping, &Default::default(), Selection::All, 10)
        .await
        .unwrap();
    assert_eq!(page.rows.len(), 2);
    assert!(
        (1..22).all(|n| page.rows.row(0).cell(n).is_none()),
        "row 0 is all NULL"
    );
    assert!(page.next.is_none() && page.ids_without_row.is_empty());
}

async fn a_select_has_the_types_of_its_columns(flavor: Flavor) {
    let fixture = Fixture::start(flavor, EVERY_TYPE).await;
    let select = "SELECT id, tiny, exact, twice, flags, fixed, latin, raw, blob_, kind, \
         CAST(body AS CHAR) COLLATE utf8mb4_bin AS body, at, stamp, day, clock, born, COUNT(*) AS n, \
         SUM(tiny) AS total FROM every GROUP BY id -- one row each";
    let columns = fixture.mysql.select_schema(select).await.unwrap();
    use ColumnType::*;
    let kinds: Vec<ColumnType> = columns.iter().map(|c| c.kind).collect();
    let integer = |unsigned| Integer { unsigned };
    assert_eq!(
        kinds,
        [
            integer(true),
            integer(false),
            Decimal { scale: 30 },
            Float { is_single: false },
            Bit,
            Text,
            Text,
            Binary,
            Binary,
            Enum,
            Text,
            DateTime,
            Timestamp,
            Date,
            Time,
            Year,
            integer(false),
            Decimal { scale: 30 },
        ]
    );
    assert_eq!(columns[5].name, "fixed");
    assert!(columns[5].is_case_insensitive());
    assert!(
        !columns[10].is_case_insensitive(),
        "{:?}",
        columns[10].collation
    );
    assert_eq!(columns[7].collation, None);
}

async fn keys_are_found_and_what_is_no_key_is_not(flavor: Flavor) {
    let fixture = Fixture::start(
        flavor,
        "CREATE TABLE `odd``name` (b INT, a INT, u INT NOT NULL, n INT, p VARCHAR(20) NOT NULL,
            at DATETIME(6), PRIMARY KEY (a, b), UNIQUE uu (u), UNIQUE nn (n), UNIQUE pp (p(3)),
            KEY later (at, u));
         CREATE DATABASE other; CREATE TABLE other.x (id INT PRIMARY KEY);
         CREATE TABLE bare (v INT); CREATE VIEW seen AS SELECT * FROM bare",
    )
    .await;
    let schema = fixture
        .mysql
        .table_schema("odd`name")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (schema.schema.as_str(), schema.table.as_str()),
        ("t", "odd`name")
    );
    assert_eq!(schema.primary_key, ["a", "b"]);
    assert_eq!(schema.unique_keys, [["u"]]);
    let mut leading = schema.leading_index_columns;
    leading.sort();
    assert_eq!(leading, ["a", "at", "n", "p", "u"]);
    let other = fixture
        .mysql
        .table_schema("other.x")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (other.schema.as_str(), other.primary_key),
        ("other", vec!["id".to_owned()])
    );
    assert!(
        fixture
            .mysql
            .table_schema("nowhere")
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        fixture
            .mysql
            .table_schema("x' OR '1")
            .await
            .unwrap()
            .is_none()
    );
    for table in ["bare", "seen"] {
        let schema = fixture.mysql.table_schema(table).await.unwrap().unwrap();
        assert!(schema.primary_key.is_empty() && schema.columns.len() == 1);
    }
}

async fn conditions_come_as_cells(flavor: Flavor) {
    let fixture = Fixture::start(
        flavor,
        "CREATE TABLE auction (id INT PRIMARY KEY, status VARCHAR(9));
         INSERT INTO auction VALUES (1,'OPEN'),(2,'CLOSED'),(3,NULL)",
    )
    .await;
    let mapping = fixture
        .table("auction", |check| {
            let explains = Some(named("auction.status = 'OPEN' -- ours"));
            check.source = Source::Table {
                table: named("auction"),
                explains,
            };
        })
        .await;
    let swept = fixture.sweep(&mapping, Selection::All, 1).await;
    assert_eq!(swept.lines, ["1|OPEN|1", "2|CLOSED|0", "3|NULL|0"]);
    let found = fixture
        .mysql
        .rows_by_key(&mapping, &[key(&["2"])])
        .await
        .unwrap();
    assert_eq!(super::fixture::lines(&found.rows), ["2|CLOSED|0"]);
}

on_both!(
    every_type_is_known_and_printed_exactly,
    a_select_has_the_types_of_its_columns,
    keys_are_found_and_what_is_no_key_is_not,
    conditions_come_as_cells,
);
