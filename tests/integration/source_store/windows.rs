//! Windows: which rows were changed since an instant, however the source spells it.

use auditor::lab::servers::Flavor;
use auditor::model::check::{Deletes, TimeColumn, TimeForm, Tombstone, Window};
use auditor::store::mysql::{KeyRange, MysqlError, Selection};

use super::fixture::{Fixture, at, changed_at, key, named};
use super::on_both;

/// Row n was changed n seconds after 14:00:00.5 UTC; every third was stamped with fractions.
const TIMES: &str = "CREATE TABLE e (id INT PRIMARY KEY, native DATETIME(6), whole DATETIME,
        stamp TIMESTAMP(6) NULL, seoul DATETIME(6), s BIGINT, ms BIGINT, us BIGINT UNSIGNED, day DATE);
     INSERT INTO e SELECT n, t, t - INTERVAL 500000 MICROSECOND, t, t + INTERVAL 9 HOUR,
        FLOOR(UNIX_TIMESTAMP(t)), FLOOR(UNIX_TIMESTAMP(t) * 1000), FLOOR(UNIX_TIMESTAMP(t) * 1000000), t
     FROM (SELECT n, '2026-11-21 14:00:00.500000' + INTERVAL n SECOND AS t FROM
        (WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 60) SELECT n FROM r) x) y;
     INSERT INTO e (id) VALUES (61)";

async fn each_form_of_time_selects_the_same_rows(flavor: Flavor) {
    let fixture = Fixture::start(flavor, TIMES).await;
    let since = at("2026-11-21T14:00:40.700000Z");
    for (column, form) in [
        ("native", TimeForm::Native),
        ("whole", TimeForm::Native),
        ("stamp", TimeForm::Native),
        ("seoul", TimeForm::Zoned(chrono_tz::Asia::Seoul)),
        ("s", TimeForm::EpochSeconds),
        ("ms", TimeForm::EpochMillis),
        ("us", TimeForm::EpochMicros),
    ] {
        let mapping = fixture
            .table("e", |check| check.window = changed_at(column, form))
            .await;
        fixture.mysql.probe(&mapping).await.unwrap();
        // The bound is rounded down to a whole second, so row 40 (at .5) comes along; row 61 has no time at
        // all and may be as new as any.
        let changed = fixture
            .sweep(&mapping, Selection::ChangedSince(since), 1)
            .await
            .keys;
        let expected: Vec<_> = (40..=61).map(|n: u32| key(&[&n.to_string()])).collect();
        assert_eq!(changed, expected, "{column}");
        let unchanged = fixture
            .sweep(&mapping, Selection::UnchangedSince(since), 2)
            .await
            .keys;
        let expected: Vec<_> = (1..40).map(|n: u32| key(&[&n.to_string()])).collect();
        assert_eq!(unchanged, expected, "{column}");
    }
    let mapping = fixture
        .table("e", |check| {
            check.window = changed_at("day", TimeForm::Native)
        })
        .await;
    let changed = fixture
        .sweep(&mapping, Selection::ChangedSince(since), 1)
        .await
        .keys;
    assert_eq!(changed.len(), 61, "a DATE keeps nothing finer than the day");
}

async fn a_tombstone_lies_in_the_window_too(flavor: Flavor) {
    let fixture = Fixture::start(
        flavor,
        "CREATE TABLE e (id INT PRIMARY KEY, at DATETIME(6), gone BIGINT, KEY (at), KEY (gone));
         INSERT INTO e VALUES (1, '2026-11-21 13:00:00', NULL), (2, '2026-11-21 15:00:00', NULL),
            (3, '2026-11-21 13:00:00', UNIX_TIMESTAMP('2026-11-21 15:00:00') * 1000),
            (4, '2026-11-21 15:00:00', UNIX_TIMESTAMP('2026-11-21 15:00:00') * 1000),
            (5, '2026-11-21 13:00:00', 1), (6, NULL, NULL)",
    )
    .await;
    let mapping = fixture
        .table("e", |check| {
            check.window = changed_at("at", TimeForm::Native);
            let deleted_at = TimeColumn {
                column: named("gone"),
                form: TimeForm::EpochMillis,
            };
            check.deletes = Deletes::Tombstone(Tombstone::DeletedAt(deleted_at));
        })
        .await;
    fixture.mysql.probe(&mapping).await.unwrap();
    let since = at("2026-11-21T14:00:00Z");
    let changed = fixture
        .sweep(&mapping, Selection::ChangedSince(since), 1)
        .await
        .keys;
    let expected = ["2", "3", "4", "6"].map(|id| key(&[id]));
    assert_eq!(changed, expected, "a row without a time may be new");
    let unchanged = fixture
        .sweep(&mapping, Selection::UnchangedSince(since), 1)
        .await
        .keys;
    assert_eq!(unchanged, [key(&["1"]), key(&["5"])]);
}

async fn few_changes_cost_few_reads_and_many_none_twice(flavor: Flavor) {
    let fixture = Fixture::start(
        flavor,
        "CREATE TABLE big (a INT, b INT, at DATETIME(6), gone DATETIME(6), pad CHAR(100) DEFAULT 'x',
            PRIMARY KEY (a, b), KEY (at), KEY (gone));
         CREATE TABLE d (x INT); INSERT INTO d VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9);
         INSERT INTO big (a, b, at) SELECT n.n % 317, n.n,
            IF(n.n % 1000 = 0, '2026-11-21 15:00:00', '2026-11-21 13:00:00') FROM
            (SELECT a.x + 10 * b.x + 100 * c.x + 1000 * e.x + 10000 * f.x AS n
             FROM d a, d b, d c, d e, d f WHERE f.x < 5) n;
         UPDATE big SET gone = '2026-11-21 15:30:00' WHERE b % 5000 = 7; ANALYZE TABLE big",
    )
    .await;
    let mapping = fixture
        .table("big", |check| {
            check.window = changed_at("at", TimeForm::Native);
            let deleted_at = TimeColumn {
                column: named("gone"),
                form: TimeForm::Native,
            };
            check.deletes = Deletes::Tombstone(Tombstone::DeletedAt(deleted_at));
        })
        .await;
    let sparse = Selection::ChangedSince(at("2026-11-21T14:00:00Z"));
    let touched = fixture
        .rows_touched(async {
            let page = fixture
                .mysql
                .page(&mapping, &KeyRange::default(), sparse, 1000)
                .await
                .unwrap();
            assert_eq!((page.rows.len(), page.next), (60, None));
        })
        .await;
    assert!(touched < 1000, "{touched} rows touched for 60 of 50,000");
    let swept = fixture.sweep(&mapping, sparse, 3).await.keys;
    let mut in_order = swept.clone();
    let number = |cell: &[u8]| -> u32 { std::str::from_utf8(cell).unwrap().parse().unwrap() };
    in_order.sort_by_key(|key| (number(&key[0]), number(&key[1])));
    in_order.dedup();
    assert_eq!((swept.len(), &swept), (60, &in_order));

    // All 50,000 changed: the walk goes along the primary key.
    let dense = Selection::ChangedSince(at("2026-11-21T12:00:00Z"));
    let mut range = Some(KeyRange::default());
    let mut count = 0;
    while let Some(this) = range {
        let page = fixture
            .mysql
            .page(&mapping, &this, dense, 5000)
            .await
            .unwrap();
        count += page.rows.len();
        range = page.next;
    }
    assert_eq!(count, 50_000);
}

async fn changed_ids_name_rows_and_rows_that_are_gone(flavor: Flavor) {
    let fixture = Fixture::start(
        flavor,
        "CREATE TABLE u (id VARCHAR(9) COLLATE utf8mb4_general_ci PRIMARY KEY, v INT);
         INSERT INTO u VALUES ('a', 1), ('B', 2), ('c', 3), ('d', 4), ('e', 5);
         CREATE TABLE log (who VARCHAR(9) CHARACTER SET latin1, at BIGINT);
         INSERT INTO log VALUES ('A', 2000), ('A', 2000), ('b', 2000), ('gone', 2000), ('c', 1000),
            (NULL, 2000), ('zap', 2000), ('e', 1999)",
    )
    .await;
    let sql = "SELECT who FROM log WHERE at >= :since -- not :since";
    let mapping = fixture
        .table("u", |check| {
            let form = TimeForm::EpochSeconds;
            check.window = Some(Window::ChangedIds {
                sql: named(sql),
                form,
            });
        })
        .await;
    fixture.mysql.probe(&mapping).await.unwrap();
    let since = auditor::model::time::Micros(1_999_900_000);
    for seed in 0..5 {
        let swept = fixture
            .sweep(&mapping, Selection::ChangedSince(since), seed)
            .await;
        assert_eq!(swept.lines, ["a|1", "B|2", "e|5"]);
        assert_eq!(swept.ids_without_row, [key(&["gone"]), key(&["zap"])]);
        let unchanged = fixture
            .sweep(&mapping, Selection::UnchangedSince(since), seed)
            .await;
        assert_eq!(unchanged.lines, ["c|3", "d|4"]);
    }
    for (wrong, says) in [
        ("SELECT who FROM log", ":since"),
        ("SELECT who, at FROM log WHERE at >= :since", "2 columns"),
        ("SELECT at FROM log WHERE at >= :since", "another type"),
        ("SELECT nobody FROM log WHERE at >= :since", "nobody"),
    ] {
        let mapping = fixture
            .table("u", |check| {
                let form = TimeForm::EpochSeconds;
                check.window = Some(Window::ChangedIds {
                    sql: named(wrong),
                    form,
                });
            })
            .await;
        let Err(MysqlError::Statement(text)) = fixture.mysql.probe(&mapping).await else {
            panic!("{wrong} was not refused")
        };
        assert!(
            text.contains(says) && text.contains("`changed_ids`"),
            "{text}"
        );
    }
}

on_both!(
    each_form_of_time_selects_the_same_rows,
    a_tombstone_lies_in_the_window_too,
    few_changes_cost_few_reads_and_many_none_twice,
    changed_ids_name_rows_and_rows_that_are_gone,
);
