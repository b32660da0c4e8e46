//! Sources that are a SELECT.

use auditor::lab::servers::Flavor;
use auditor::model::check::TimeForm;
use auditor::model::check::Window;
use auditor::store::mysql::{KeyRange, MysqlError, Selection};

use super::fixture::{Fixture, at, changed_at, key, lines, named};
use super::on_both;

const BIDS: &str = "CREATE TABLE bid (id INT PRIMARY KEY AUTO_INCREMENT, auction BIGINT NOT NULL,
        amount DECIMAL(12,2), at DATETIME(6), who VARCHAR(9), KEY (auction), KEY (at));
     INSERT INTO bid (auction, amount, at, who) SELECT k.auction, k.n, k.at, CONCAT('u', k.n % 7) FROM
       (WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 600)
        SELECT n, (n % 150) * (n % 150) * 1000 - 3000000 AS auction,
            '2026-11-21 14:00:00' + INTERVAL n SECOND AS at FROM r) k; ANALYZE TABLE bid";

const TOP: &str = "SELECT auction, MAX(amount) AS top, COUNT(*) AS n, MAX(at) AS last_at
     FROM bid GROUP BY auction # one row each";

async fn closed_ranges_cover_every_id_once(flavor: Flavor) {
    let fixture = Fixture::start(flavor, BIDS).await;
    let mapping = fixture.sql(TOP, &["auction"], |_| {}).await;
    fixture.mysql.probe(&mapping).await.unwrap();
    let (first, last) = fixture.mysql.key_bounds(&mapping).await.unwrap().unwrap();
    assert_eq!((first, last), (key(&["-3000000"]), key(&["19201000"])));
    let expected: Vec<_> = (0..150_i64)
        .map(|n| key(&[&(n * n * 1000 - 3_000_000).to_string()]))
        .collect();
    for seed in 0..4 {
        let swept = fixture.sweep(&mapping, Selection::All, seed).await;
        assert_eq!(swept.keys, expected, "seed {seed}");
    }
    let range = KeyRange {
        after: Some(key(&["-3000000"])),
        upto: Some(key(&["-2996000"])),
    };
    let page = fixture
        .mysql
        .page(&mapping, &range, Selection::All, 100)
        .await
        .unwrap();
    assert_eq!(page.rows.len(), 2);
    assert!(page.next.is_none());
}

async fn windows_of_a_select(flavor: Flavor) {
    let fixture = Fixture::start(flavor, BIDS).await;
    let since = at("2026-11-21T14:09:50Z");
    let by_column = fixture
        .sql(TOP, &["auction"], |c| {
            c.window = changed_at("last_at", TimeForm::Native)
        })
        .await;
    let by_ids = fixture
        .sql(TOP, &["auction"], |check| {
            let sql = named("SELECT auction FROM bid WHERE at >= :since");
            check.window = Some(Window::ChangedIds {
                sql,
                form: TimeForm::Native,
            });
        })
        .await;
    for mapping in [&by_column, &by_ids] {
        fixture.mysql.probe(mapping).await.unwrap();
        let changed = fixture
            .sweep(mapping, Selection::ChangedSince(since), 3)
            .await;
        assert_eq!(changed.lines.len(), 11, "{:?}", changed.lines);
        // The aggregate sees every bid, not only those in the window.
        assert!(
            changed
                .lines
                .iter()
                .all(|line| line.split('|').nth(2) == Some("4"))
        );
        assert!(changed.ids_without_row.is_empty());
        let unchanged = fixture
            .sweep(mapping, Selection::UnchangedSince(since), 3)
            .await;
        assert_eq!(unchanged.lines.len(), 139);
    }
}

async fn rows_of_a_select_are_read_by_pushed_down_ids(flavor: Flavor) {
    let fixture = Fixture::start(flavor, BIDS).await;
    let mapping = fixture.sql(TOP, &["auction"], |_| {}).await;
    let touched = fixture
        .rows_touched(async {
            let ids = [key(&["-3000000"]), key(&["-2999000"]), key(&["5"])];
            let found = fixture.mysql.rows_by_key(&mapping, &ids).await.unwrap();
            let mut found = lines(&found.rows);
            found.sort();
            assert_eq!(found.len(), 2);
            assert!(found[0].starts_with("-2999000|") && found[1].starts_with("-3000000|"));
        })
        .await;
    assert!(touched < 100, "{touched} rows touched for 2 groups of 4");
}

async fn text_and_composite_ids_are_paged_by_key(flavor: Flavor) {
    let fixture = Fixture::start(flavor, BIDS).await;
    let by_who = fixture
        .sql(
            "SELECT who, COUNT(*) AS n FROM bid GROUP BY who",
            &["who"],
            |_| {},
        )
        .await;
    let swept = fixture.sweep(&by_who, Selection::All, 2).await;
    assert_eq!(
        swept.keys,
        ["u0", "u1", "u2", "u3", "u4", "u5", "u6"].map(|who| key(&[who]))
    );
    assert_eq!(fixture.mysql.key_bounds(&by_who).await.unwrap(), None);
    let select = "SELECT auction, who, COUNT(*) AS n FROM bid GROUP BY auction, who";
    let both = fixture.sql(select, &["auction", "who"], |_| {}).await;
    let all = KeyRange::default();
    let whole = fixture
        .mysql
        .page(&both, &all, Selection::All, 1000)
        .await
        .unwrap();
    let swept = fixture.sweep(&both, Selection::All, 4).await;
    assert_eq!(swept.lines, lines(&whole.rows));
    assert_eq!(swept.lines.len(), 600);
    let found = fixture.mysql.rows_by_key(&both, &swept.keys).await.unwrap();
    assert_eq!(found.rows.len(), 600, "more than one statement's worth");
}

async fn an_id_that_comes_twice_is_refused_wherever_the_page_is_cut(flavor: Flavor) {
    let fixture = Fixture::start(
        flavor,
        "CREATE TABLE x (n INT, t VARCHAR(9) COLLATE utf8mb4_bin);
         INSERT INTO x VALUES (1,'a'),(2,'b'),(3,'c'),(3,'c'),(4,'d'),(NULL,NULL),(NULL,NULL)",
    )
    .await;
    for id in ["n", "t"] {
        let mapping = fixture.sql("SELECT n, t FROM x", &[id], |_| {}).await;
        for limit in 1..6 {
            let mut range = Some(KeyRange::default());
            let mut refused = None;
            while let (Some(this), None) = (range.take(), &refused) {
                match fixture
                    .mysql
                    .page(&mapping, &this, Selection::All, limit)
                    .await
                {
                    Ok(page) => range = page.next,
                    Err(error) => refused = Some(error),
                }
            }
            let Some(MysqlError::Statement(text)) = refused else {
                panic!("{id} by {limit}")
            };
            assert!(text.contains("more than once"), "{text}");
        }
        let twice = if id == "n" { key(&["3"]) } else { key(&["c"]) };
        assert!(fixture.mysql.rows_by_key(&mapping, &[twice]).await.is_err());
    }
    let ids_by_case = "SELECT t COLLATE utf8mb4_general_ci AS t FROM (SELECT 'a' AS t UNION SELECT 'b' \
         UNION SELECT CAST('B' AS CHAR) COLLATE utf8mb4_bin) y";
    let mapping = fixture.sql(ids_by_case, &["t"], |_| {}).await;
    let range = KeyRange {
        after: Some(key(&["a"])),
        upto: None,
    };
    let cut = fixture
        .mysql
        .page(&mapping, &range, Selection::All, 1)
        .await;
    assert!(matches!(cut, Err(MysqlError::Statement(_))), "{cut:?}");
}

async fn ids_at_the_ends_of_64_bits_are_paged(flavor: Flavor) {
    let fixture = Fixture::start(
        flavor,
        "CREATE TABLE s (id BIGINT PRIMARY KEY);
         INSERT INTO s VALUES (-9223372036854775808), (-1), (0), (9223372036854775807);
         CREATE TABLE u (id BIGINT UNSIGNED PRIMARY KEY);
         INSERT INTO u VALUES (0), (9223372036854775808), (18446744073709551615)",
    )
    .await;
    for (select, count) in [("SELECT id FROM s", 4), ("SELECT id FROM u", 3)] {
        let mapping = fixture.sql(select, &["id"], |_| {}).await;
        for seed in 0..4 {
            let swept = fixture.sweep(&mapping, Selection::All, seed).await;
            assert_eq!(swept.keys.len(), count, "{select}: {:?}", swept.keys);
        }
    }
}

on_both!(
    closed_ranges_cover_every_id_once,
    windows_of_a_select,
    rows_of_a_select_are_read_by_pushed_down_ids,
    text_and_composite_ids_are_paged_by_key,
    an_id_that_comes_twice_is_refused_wherever_the_page_is_cut,
    ids_at_the_ends_of_64_bits_are_paged,
);
