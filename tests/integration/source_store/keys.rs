//! Ids of every kind: paged in the server's own order, each row exactly once, and found again by index.

use auditor::lab::servers::Flavor;
use auditor::store::mysql::{KeyRange, MysqlError, Selection};

use super::fixture::{Fixture, key, lines};
use super::on_both;

/// Tables of 200 rows whose keys have gaps, and the rows in the server's order.
const KEYS: &[(&str, &str)] = &[
    ("id BIGINT PRIMARY KEY", "(n * n - 5000)"),
    (
        "id BIGINT UNSIGNED PRIMARY KEY",
        "(18446744073709551615 - n * 7)",
    ),
    ("id INT(8) UNSIGNED ZEROFILL PRIMARY KEY", "(n * 3)"),
    ("id DECIMAL(30,4) PRIMARY KEY", "(n * 1.5 - 100)"),
    (
        "id VARCHAR(40) PRIMARY KEY",
        "CONCAT(IF(n % 2, 'a', 'B'), LEFT(SHA2(n, 256), 32), IF(n % 3, '', '😀 '))",
    ),
    (
        "id VARCHAR(40) COLLATE utf8mb4_bin PRIMARY KEY",
        "CONCAT(IF(n % 2, 'a', 'B'), LEFT(SHA2(n, 256), 32))",
    ),
    (
        "id VARCHAR(40) CHARACTER SET latin1 PRIMARY KEY",
        "CONCAT('é', LEFT(SHA2(n, 256), 32))",
    ),
    (
        "id CHAR(40) CHARACTER SET ascii PRIMARY KEY",
        "LEFT(SHA2(n, 256), 32)",
    ),
    (
        "id VARBINARY(16) PRIMARY KEY",
        "UNHEX(LEFT(LEFT(SHA2(n, 256), 32), 2 + n % 15 * 2))",
    ),
    ("id BINARY(16) PRIMARY KEY", "UNHEX(LEFT(SHA2(n, 256), 32))"),
    (
        "id DATETIME(6) PRIMARY KEY",
        "('2026-01-01' + INTERVAL n * 7919 * 60 MICROSECOND)",
    ),
    ("id DATE PRIMARY KEY", "('2026-01-01' + INTERVAL n DAY)"),
    ("id TIME(3) PRIMARY KEY", "SEC_TO_TIME(n * 11 - 900)"),
];

async fn pages_of_every_kind_of_key_cover_each_row_once(flavor: Flavor) {
    let fixture = Fixture::start(flavor, &numbers()).await;
    for (at, (declared, value)) in KEYS.iter().enumerate() {
        let table = format!("k{at}");
        let fill = format!(
            "CREATE TABLE {table} ({declared}, v INT);
             INSERT IGNORE INTO {table} SELECT {value}, n FROM numbers WHERE n <= 200"
        );
        fixture.server.execute("t", &fill).await.unwrap();
        let mapping = fixture.table(&table, |_| {}).await;
        fixture.mysql.probe(&mapping).await.unwrap();
        let all = KeyRange::default();
        let whole = fixture
            .mysql
            .page(&mapping, &all, Selection::All, 1000)
            .await
            .unwrap();
        let expected = lines(&whole.rows);
        assert!(
            expected.len() > 150 && whole.next.is_none(),
            "{declared}: {}",
            expected.len()
        );
        for seed in 0..3 {
            let swept = fixture.sweep(&mapping, Selection::All, seed).await;
            assert_eq!(swept.lines, expected, "{declared}, seed {seed}");
        }
        let swept = fixture.sweep(&mapping, Selection::All, 7).await;
        let found = fixture
            .mysql
            .rows_by_key(&mapping, &swept.keys)
            .await
            .unwrap();
        assert_eq!(found.rows.len(), expected.len(), "{declared} by key");
        let (first, last) = fixture.mysql.key_bounds(&mapping).await.unwrap().unwrap();
        assert_eq!(
            (&first, &last),
            (&swept.keys[0], swept.keys.last().unwrap()),
            "{declared}"
        );
        // A closed range has its end and not its beginning.
        let range = KeyRange {
            after: Some(swept.keys[3].clone()),
            upto: Some(swept.keys[9].clone()),
        };
        let part = fixture
            .mysql
            .page(&mapping, &range, Selection::All, 100)
            .await
            .unwrap();
        assert_eq!(lines(&part.rows), expected[4..=9], "{declared} in a range");
    }
}

async fn composite_keys_are_paged_and_read_by_index(flavor: Flavor) {
    let fixture = Fixture::start(
        flavor,
        &format!(
            "{}; CREATE TABLE c (shop VARCHAR(9), no INT, sub BINARY(2), v INT, PRIMARY KEY (shop, no, sub));
             INSERT INTO c SELECT CONCAT('s', n % 5), n % 31, UNHEX(LPAD(HEX(n % 400), 4, '0')), n
             FROM numbers WHERE n <= 5000 ON DUPLICATE KEY UPDATE v = n; ANALYZE TABLE c",
            numbers()
        ),
    )
    .await;
    let mapping = fixture.table("c", |_| {}).await;
    fixture.mysql.probe(&mapping).await.unwrap();
    let whole = fixture
        .mysql
        .page(&mapping, &KeyRange::default(), Selection::All, 9000)
        .await
        .unwrap();
    let expected = lines(&whole.rows);
    assert_eq!(expected.len(), 5000);
    let swept = fixture.sweep(&mapping, Selection::All, 5).await;
    assert_eq!(swept.lines, expected);
    let wanted: Vec<_> = swept.keys.iter().step_by(250).cloned().collect();
    let touched = fixture
        .rows_touched(async {
            let found = fixture.mysql.rows_by_key(&mapping, &wanted).await.unwrap();
            assert_eq!(found.rows.len(), wanted.len());
            let after = Some(swept.keys[4000].clone());
            let range = KeyRange {
                after,
                upto: Some(swept.keys[4700].clone()),
            };
            fixture
                .mysql
                .page(&mapping, &range, Selection::All, 20)
                .await
                .unwrap();
        })
        .await;
    assert!(touched < 100, "{touched} rows touched for 40");
}

async fn single_keys_are_read_by_index(flavor: Flavor) {
    let fixture = Fixture::start(
        flavor,
        &format!(
            "{}; CREATE TABLE i (id BIGINT PRIMARY KEY, v INT);
             INSERT INTO i SELECT n, n FROM numbers;
             CREATE TABLE s (id VARCHAR(40) PRIMARY KEY, v INT);
             INSERT INTO s SELECT LEFT(SHA2(n, 256), 32), n FROM numbers;
             CREATE TABLE l (id VARCHAR(40) CHARACTER SET latin1 PRIMARY KEY, v INT);
             INSERT INTO l SELECT LEFT(SHA2(n, 256), 32), n FROM numbers;
             CREATE TABLE b (id BINARY(16) PRIMARY KEY, v INT);
             INSERT INTO b SELECT UNHEX(LEFT(SHA2(n, 256), 32)), n FROM numbers; ANALYZE TABLE i, s, l, b",
            numbers()
        ),
    )
    .await;
    for table in ["i", "s", "l", "b"] {
        let mapping = fixture.table(table, |_| {}).await;
        let all = KeyRange::default();
        let page = fixture
            .mysql
            .page(&mapping, &all, Selection::All, 400)
            .await
            .unwrap();
        let keys: Vec<_> = page
            .rows
            .iter()
            .step_by(20)
            .map(|row| vec![row.cell(0).unwrap().to_vec()])
            .collect();
        let touched = fixture
            .rows_touched(async {
                let found = fixture.mysql.rows_by_key(&mapping, &keys).await.unwrap();
                assert_eq!(found.rows.len(), 20);
                let found = fixture.mysql.rows_by_id(&mapping, &keys).await.unwrap();
                assert_eq!(found.rows.len(), 20);
                let next = page.next.clone().unwrap();
                fixture
                    .mysql
                    .page(&mapping, &next, Selection::All, 20)
                    .await
                    .unwrap();
            })
            .await;
        assert!(
            touched < 110,
            "table {table}: {touched} rows touched for 60"
        );
    }
}

async fn text_ids_match_as_their_column_says(flavor: Flavor) {
    let fixture = Fixture::start(
        flavor,
        "CREATE TABLE ci (id VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY);
         INSERT INTO ci VALUES ('Anna'), ('?'), ('b''c\\\\');
         CREATE TABLE cs (id VARCHAR(20) COLLATE utf8mb4_bin PRIMARY KEY);
         INSERT INTO cs VALUES ('Anna'), ('anna');
         CREATE TABLE la (id VARCHAR(20) CHARACTER SET latin1 PRIMARY KEY);
         INSERT INTO la VALUES ('é'), ('x');
         CREATE TABLE n (id INT PRIMARY KEY); INSERT INTO n VALUES (7)",
    )
    .await;
    let ask = async |table: &str, ids: &[&[u8]]| {
        let mapping = fixture.table(table, |_| {}).await;
        let ids: Vec<_> = ids.iter().map(|id| vec![id.to_vec()]).collect();
        let mut found = lines(&fixture.mysql.rows_by_id(&mapping, &ids).await.unwrap().rows);
        found.sort();
        found
    };
    assert_eq!(ask("ci", &[b"ANNA", b"anna"]).await, ["Anna"]);
    assert_eq!(ask("ci", &[br"B'C\"]).await, [r"b'c\"]);
    assert_eq!(ask("cs", &[b"anna"]).await, ["anna"]);
    assert_eq!(ask("la", &["É".as_bytes(), "😀".as_bytes()]).await, ["é"]);
    let nothing: [&str; 0] = [];
    assert_eq!(ask("ci", &[b"\xff\xfe", b""]).await, nothing);
    assert_eq!(
        ask(
            "n",
            &[b"x", b"7x", b"", b"99999999999999999999999999", b"7 OR 1"]
        )
        .await,
        nothing
    );
    assert_eq!(ask("n", &[b"7", b"x"]).await, ["7"]);
}

async fn enum_keys_are_paged_by_name(flavor: Flavor) {
    let fixture = Fixture::start(
        flavor,
        "CREATE TABLE e (id ENUM('z','b','y','a'), n INT, PRIMARY KEY (id, n));
         INSERT INTO e VALUES ('z',1),('z',2),('b',1),('y',1),('a',1),('a',2)",
    )
    .await;
    let mapping = fixture.table("e", |_| {}).await;
    for seed in 0..5 {
        let swept = fixture.sweep(&mapping, Selection::All, seed).await;
        assert_eq!(swept.lines, ["a|1", "a|2", "b|1", "y|1", "z|1", "z|2"]);
    }
    let found = fixture
        .mysql
        .rows_by_key(&mapping, &[key(&["y", "1"])])
        .await
        .unwrap();
    assert_eq!(lines(&found.rows), ["y|1"]);
}

async fn ids_without_exact_text_are_refused(flavor: Flavor) {
    let fixture = Fixture::start(
        flavor,
        "CREATE TABLE f (id FLOAT PRIMARY KEY); CREATE TABLE none (v INT)",
    )
    .await;
    for table in ["f", "none"] {
        let mapping = fixture.table(table, |_| {}).await;
        let refused = fixture.mysql.probe(&mapping).await;
        assert!(
            matches!(refused, Err(MysqlError::Statement(_))),
            "{refused:?}"
        );
    }
}

/// `numbers`: 1 to 10,000.
fn numbers() -> String {
    "CREATE TABLE d (x INT); INSERT INTO d VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9);
     CREATE TABLE numbers (n INT PRIMARY KEY);
     INSERT INTO numbers SELECT 1 + a.x + 10 * b.x + 100 * c.x + 1000 * e.x FROM d a, d b, d c, d e"
        .to_owned()
}

on_both!(
    pages_of_every_kind_of_key_cover_each_row_once,
    composite_keys_are_paged_and_read_by_index,
    single_keys_are_read_by_index,
    text_ids_match_as_their_column_says,
    enum_keys_are_paged_by_name,
    ids_without_exact_text_are_refused,
);
