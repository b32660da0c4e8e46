//! What the primary says of identities: which rows they have as the database decides equality, and what
//! `proof_sql` and `rejected_sql` name.

use auditor::lab::servers::Flavor;
use auditor::model::stream::{Evidence, StreamMapping};
use auditor::store::mysql::MysqlError;

use super::fixture::named;
use super::fixture::{Fixture, lines};
use super::on_both;
use super::streams::stream;

/// For each identity the first cells of its rows, joined.
async fn ids(fixture: &Fixture, mapping: &StreamMapping, identities: &[&str]) -> Vec<String> {
    let asked: Vec<Vec<u8>> = identities.iter().map(|i| i.as_bytes().to_vec()).collect();
    let found = fixture.mysql.evidence(mapping, &asked).await.unwrap();
    assert_eq!(found.evidence.len(), asked.len());
    let facts = fixture.mysql.facts().await.unwrap();
    assert_eq!(found.source, facts.identity);
    assert!(found.source_time <= facts.now);
    found.evidence.iter().map(keys).collect()
}

fn keys(evidence: &Evidence) -> String {
    let cell = |at: usize| {
        let row = evidence.rows[at].as_ref();
        String::from_utf8_lossy(row.cell(0).unwrap()).into_owned()
    };
    let mut all: Vec<String> = (0..evidence.rows.len()).map(cell).collect();
    all.sort();
    all.join(",")
}

async fn text_identities_are_matched_as_the_collation_says(flavor: Flavor) {
    let fixture = Fixture::start(
        flavor,
        "CREATE TABLE ci (id INT PRIMARY KEY, bid VARCHAR(20) COLLATE utf8mb4_unicode_ci, KEY (bid));
         INSERT INTO ci VALUES (1, 'abc'), (2, 'ABC'), (3, 'é'), (4, 'x y'), (5, NULL), (6, ''), (7, 'äpfel');
         CREATE TABLE bin (id INT PRIMARY KEY, bid VARCHAR(20) COLLATE utf8mb4_bin UNIQUE);
         INSERT INTO bin VALUES (1, 'abc'), (2, 'ABC'), (3, 'é');
         CREATE TABLE latin (id INT PRIMARY KEY, bid VARCHAR(20) CHARACTER SET latin1 UNIQUE);
         INSERT INTO latin VALUES (1, 'a?'), (2, 'é'), (3, 'straße'), (4, 'Plain');
         CREATE TABLE raw (id INT PRIMARY KEY, bid VARBINARY(20) UNIQUE);
         INSERT INTO raw VALUES (1, 'abc'), (2, X'ff00'), (3, '');
         CREATE TABLE filled (id INT PRIMARY KEY, bid BINARY(4) UNIQUE);
         INSERT INTO filled VALUES (1, 'abc'), (2, 'abcd')",
    )
    .await;
    let filled = stream(&fixture, "filled", "bid", |_| {}).await;
    let asked = ["abc", "abcd", "ab", "abc\0", "abcde"];
    assert_eq!(
        ids(&fixture, &filled, &asked).await,
        ["1", "2", "", "1", ""],
        "filled up with NUL bytes, as the server stores them"
    );
    let ci = stream(&fixture, "ci", "bid", |_| {}).await;
    let asked = [
        "abc", "ABC", "aBc", "abc ", "E", "É", "x y", "xy", "", "ÄPFEL", "none", "zz",
    ];
    assert_eq!(
        ids(&fixture, &ci, &asked).await,
        [
            "1,2", "1,2", "1,2", "1,2", "3", "3", "4", "", "6", "7", "", ""
        ]
    );
    // Each alone says the same as all together.
    for one in asked {
        let alone = ids(&fixture, &ci, &[one]).await;
        let among = ids(&fixture, &ci, &["q", one, "abc"]).await;
        assert_eq!(alone[0], among[1], "{one}");
    }
    let bin = stream(&fixture, "bin", "bid", |_| {}).await;
    assert_eq!(
        ids(&fixture, &bin, &["abc", "ABC", "aBc", "e", "abc "]).await,
        ["1", "2", "", "", "1"],
        "PAD SPACE holds for utf8mb4_bin too"
    );
    let latin = stream(&fixture, "latin", "bid", |_| {}).await;
    assert_eq!(
        ids(
            &fixture,
            &latin,
            &["a中", "a?", "E", "É", "plain", "PLAIN ", "中", "strasse"]
        )
        .await,
        ["", "1", "2", "2", "4", "4", "", ""],
        "what latin1 cannot spell is nobody's identity"
    );
    let raw = stream(&fixture, "raw", "bid", |_| {}).await;
    let asked = [
        b"abc".to_vec(),
        b"ABC".to_vec(),
        b"\xff\x00".to_vec(),
        b"\xff".to_vec(),
        Vec::new(),
    ];
    let found = fixture.mysql.evidence(&raw, &asked).await.unwrap();
    let found: Vec<String> = found.evidence.iter().map(keys).collect();
    assert_eq!(found, ["1", "", "2", "", "3"]);
}

async fn numbers_are_matched_by_value_and_words_by_nothing(flavor: Flavor) {
    let fixture = Fixture::start(
        flavor,
        "CREATE TABLE n (id BIGINT UNSIGNED PRIMARY KEY, v INT);
         INSERT INTO n VALUES (0, 0), (1, 1), (7, 7), (18446744073709551615, 9);
         CREATE TABLE z (bid INT(8) UNSIGNED ZEROFILL PRIMARY KEY);
         INSERT INTO z VALUES (7), (42);
         CREATE TABLE d (bid DECIMAL(10,2) PRIMARY KEY);
         INSERT INTO d VALUES (1.50), (-2)",
    )
    .await;
    let n = stream(&fixture, "n", "id", |_| {}).await;
    let asked = [
        "1abc",
        "1",
        "007",
        "-0",
        "0",
        "18446744073709551615",
        "18446744073709551616",
        "-1",
        "1.0",
        "1e0",
        "0x1",
        "",
        " 1",
        "1 OR 1=1",
        "\u{663}",
    ];
    assert_eq!(
        ids(&fixture, &n, &asked).await,
        [
            "",
            "1",
            "7",
            "0",
            "0",
            "18446744073709551615",
            "",
            "",
            "",
            "",
            "",
            "",
            "",
            "",
            ""
        ]
    );
    let z = stream(&fixture, "z", "bid", |_| {}).await;
    assert_eq!(
        ids(&fixture, &z, &["7", "00000007", "42", "8"]).await,
        ["00000007", "00000007", "00000042", ""]
    );
    let d = stream(&fixture, "d", "bid", |_| {}).await;
    assert_eq!(
        ids(&fixture, &d, &["1.5", "1.50", "-2.0", "2", "1.500000001"]).await,
        ["1.50", "1.50", "-2.00", "", ""]
    );
}

async fn every_row_of_an_identity_comes_and_whole(flavor: Flavor) {
    let fixture = Fixture::start(
        flavor,
        "CREATE TABLE b (id INT PRIMARY KEY, bid VARCHAR(40), amount DECIMAL(10,2), note TEXT, KEY (bid));
         INSERT INTO b VALUES (1, 'x', 1.5, NULL), (2, 'x', 2.5, ''), (3, 'y', NULL, 'n')",
    )
    .await;
    let mapping = stream(&fixture, "b", "bid", |_| {}).await;
    let asked = [
        b"y".to_vec(),
        b"x".to_vec(),
        b"gone".to_vec(),
        b"x".to_vec(),
    ];
    let found = fixture.mysql.evidence(&mapping, &asked).await.unwrap();
    assert_eq!(found.evidence[0].rows.len(), 1);
    assert_eq!(lines_of(&found.evidence[0]), ["3|y|NULL|n"]);
    assert_eq!(lines_of(&found.evidence[1]), ["1|x|1.50|NULL", "2|x|2.50|"]);
    assert_eq!(found.evidence[1], found.evidence[3]);
    assert_eq!(found.evidence[2], Evidence::default());
    let many: Vec<Vec<u8>> = (0..1300).map(|n| format!("k{n}").into_bytes()).collect();
    let fill = "INSERT INTO b SELECT 10 + n, CONCAT('K', n), n, '' FROM (SELECT a.d + 10 * b.d + 100 * c.d AS n
         FROM (SELECT 0 d UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9) a,
              (SELECT 0 d UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9) b,
              (SELECT 0 d UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9) c) AS numbers";
    fixture.server.execute("t", fill).await.unwrap();
    let found = fixture.mysql.evidence(&mapping, &many).await.unwrap();
    for (n, evidence) in found.evidence.iter().enumerate() {
        let expected = if n < 1000 {
            (n + 10).to_string()
        } else {
            String::new()
        };
        assert_eq!(keys(evidence), expected, "{n}");
    }
    assert!(
        fixture
            .mysql
            .evidence(&mapping, &[])
            .await
            .unwrap()
            .evidence
            .is_empty()
    );
}

fn lines_of(evidence: &Evidence) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for row in &evidence.rows {
        let mut rows = auditor::model::rows::Rows::with_width(4);
        (0..4).for_each(|c| rows.push_cell(row.as_ref().cell(c)));
        all.extend(lines(&rows));
    }
    all.sort();
    all
}

async fn what_the_statements_name_is_proven_or_rejected(flavor: Flavor) {
    let fixture = Fixture::start(
        flavor,
        "CREATE TABLE b (bid VARCHAR(20) PRIMARY KEY, v INT);
         CREATE TABLE effect (id INT PRIMARY KEY AUTO_INCREMENT, bid VARCHAR(20) CHARACTER SET latin1);
         CREATE TABLE rejected (bid VARCHAR(20));
         INSERT INTO b VALUES ('a', 1), ('b', 2), ('c', 3);
         INSERT INTO effect (bid) VALUES ('a'), ('C'), ('a'), (NULL);
         INSERT INTO rejected VALUES ('d'), ('E')",
    )
    .await;
    let mapping = stream(&fixture, "b", "bid", |check| {
        check.proof_sql = Some(named(
            "SELECT b.bid FROM b JOIN effect e ON e.bid = b.bid WHERE b.bid IN (:ids) -- whole",
        ));
        check.rejected_sql = Some(named("SELECT bid FROM rejected WHERE bid IN (:ids)"));
    })
    .await;
    fixture.mysql.probe_stream(&mapping).await.unwrap();
    let asked: Vec<Vec<u8>> = ["a", "b", "c", "d", "e", "f", "\u{1F600}"]
        .iter()
        .map(|i| i.as_bytes().to_vec())
        .collect();
    let found = fixture.mysql.evidence(&mapping, &asked).await.unwrap();
    let said: Vec<(usize, Option<bool>, bool)> = found
        .evidence
        .iter()
        .map(|e| (e.rows.len(), e.is_proven, e.is_rejected))
        .collect();
    assert_eq!(
        said,
        [
            (1, Some(true), false),
            (1, Some(false), false),
            (1, Some(true), false),
            (0, Some(false), true),
            (0, Some(false), true),
            (0, Some(false), false),
            (0, Some(false), false),
        ]
    );
    // A statement that says more than it was asked proves nothing of the others.
    let greedy = stream(&fixture, "b", "bid", |check| {
        check.proof_sql = Some(named("SELECT bid FROM b WHERE bid IN (:ids) OR TRUE"));
    })
    .await;
    let found = fixture.mysql.evidence(&greedy, &asked[4..6]).await.unwrap();
    assert!(found.evidence.iter().all(|e| e.is_proven == Some(false)));
    // Letters for a number: nothing can be asked, and nothing is proven.
    fixture
        .server
        .execute(
            "t",
            "CREATE TABLE n (id INT PRIMARY KEY); INSERT INTO n VALUES (0), (1)",
        )
        .await
        .unwrap();
    let numbers = stream(&fixture, "n", "id", |check| {
        check.proof_sql = Some(named("SELECT id FROM n WHERE id IN (:ids)"));
    })
    .await;
    let asked = [b"1abc".to_vec(), b"x".to_vec(), b"01".to_vec()];
    let found = fixture.mysql.evidence(&numbers, &asked).await.unwrap();
    let proven: Vec<_> = found.evidence.iter().map(|e| e.is_proven).collect();
    assert_eq!(proven, [Some(false), Some(false), Some(true)]);
    let found = fixture.mysql.evidence(&numbers, &asked[..2]).await.unwrap();
    assert!(found.evidence.iter().all(|e| e.is_proven == Some(false)));
}

async fn statements_that_cannot_be_used_are_refused_with_their_setting(flavor: Flavor) {
    let fixture = Fixture::start(
        flavor,
        "CREATE TABLE b (id INT PRIMARY KEY, bid VARCHAR(20), f DOUBLE)",
    )
    .await;
    for (sql, said) in [
        ("SELECT nothing FROM b WHERE bid IN (:ids)", "`proof_sql`: "),
        ("SELECT bid FROM b", "no `:ids`"),
        (
            "SELECT bid, bid FROM b WHERE bid IN (:ids)",
            "`proof_sql`: ",
        ),
    ] {
        let mapping = stream(&fixture, "b", "bid", |check| {
            check.proof_sql = Some(named(sql));
        })
        .await;
        let fault = fixture.mysql.probe_stream(&mapping).await.unwrap_err();
        assert!(matches!(fault, MysqlError::Statement(_)), "{fault}");
        assert!(fault.to_string().contains(said), "{fault}");
        let fault = fixture
            .mysql
            .evidence(&mapping, &[b"x".to_vec()])
            .await
            .unwrap_err();
        assert!(fault.to_string().contains(said), "{fault}");
    }
    let float = stream(&fixture, "b", "f", |_| {}).await;
    let fault = fixture.mysql.probe_stream(&float).await.unwrap_err();
    assert!(
        fault.to_string().contains("`f` cannot be an identity"),
        "{fault}"
    );
    assert!(
        fixture
            .mysql
            .evidence(&float, &[b"1".to_vec()])
            .await
            .is_err()
    );
}

on_both!(
    text_identities_are_matched_as_the_collation_says,
    numbers_are_matched_by_value_and_words_by_nothing,
    every_row_of_an_identity_comes_and_whole,
    what_the_statements_name_is_proven_or_rejected,
    statements_that_cannot_be_used_are_refused_with_their_setting,
);
