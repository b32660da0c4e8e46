//! One INSERT, once: what goes in is what was asked for, and whatever stands in its way is said.

use std::time::Duration;

use auditor::lab::proxy::{Mode, Proxy};
use auditor::lab::servers::Flavor;
use auditor::lab::wait;
use auditor::model::stream::{NewRow, StreamMapping};
use auditor::store::mysql::{Inserted, Mysql, MysqlError};

use super::fixture::{CONNECTIONS, Fixture, spec};
use super::on_both;
use super::streams::stream;

/// Cells by the names of their columns.
fn row(mapping: &StreamMapping, cells: &[(&str, Option<&str>)]) -> NewRow {
    let place = |name: &str| {
        let columns = &mapping.rows.columns;
        columns.iter().position(|c| c.name == name).unwrap()
    };
    NewRow {
        cells: cells
            .iter()
            .map(|(name, cell)| (place(name), cell.map(|c| c.as_bytes().to_vec())))
            .collect(),
    }
}

/// The table's rows, read aside.
async fn rows(fixture: &Fixture, table: &str, cells: &str) -> Vec<String> {
    use sqlx::Row;
    let mut connection = fixture.server.connect("t").await.unwrap();
    let sql = format!("SELECT CONCAT_WS('|', {cells}) FROM {table} ORDER BY 1");
    let rows = sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .fetch_all(&mut connection)
        .await
        .unwrap();
    rows.iter()
        .map(|row| {
            let text: &[u8] = row.try_get_unchecked(0).unwrap();
            String::from_utf8_lossy(text).into_owned()
        })
        .collect()
}

async fn a_row_goes_in_once_and_as_it_is(flavor: Flavor) {
    let fixture = Fixture::start(
        flavor,
        "CREATE TABLE b (id BIGINT AUTO_INCREMENT PRIMARY KEY, bid VARCHAR(40) UNIQUE, amount DECIMAL(20,2),
             who VARCHAR(20) CHARACTER SET latin1, at DATETIME(3), ts TIMESTAMP(6) NULL, raw VARBINARY(9), doc JSON, note TEXT)",
    )
    .await;
    let mapping = stream(&fixture, "b", "bid", |_| {}).await;
    let pinned = fixture.mysql.facts().await.unwrap().identity;
    let mut inserter = fixture.mysql.inserter(&pinned).await.unwrap();
    let asked = row(
        &mapping,
        &[
            ("bid", Some("it's \\ \u{1F600}")),
            ("amount", Some("123456789012345678.90")),
            ("who", Some("é")),
            ("at", Some("2026-11-21 14:03:00.123")),
            ("ts", Some("2026-11-21 14:03:00.000001")),
            ("raw", Some("\0\u{7f}")),
            ("doc", Some("{\"a\": 1}")),
            ("note", None),
        ],
    );
    assert_eq!(
        inserter.insert(&mapping, &asked).await.unwrap(),
        Inserted::Inserted
    );
    assert_eq!(
        inserter.insert(&mapping, &asked).await.unwrap(),
        Inserted::AlreadyThere
    );
    let cells = "bid, amount, who, at, UNIX_TIMESTAMP(ts), HEX(raw), JSON_EXTRACT(doc, '$.a'), note IS NULL";
    let found = rows(&fixture, "b", cells).await;
    assert_eq!(
        found,
        [
            "it's \\ \u{1F600}|123456789012345678.90|é|2026-11-21 14:03:00.123|1795269780.000001|007F|1|1"
        ]
    );
    let evidence = fixture
        .mysql
        .evidence(&mapping, &["it's \\ \u{1F600}".as_bytes().to_vec()])
        .await
        .unwrap();
    assert_eq!(evidence.evidence[0].rows.len(), 1);
}

async fn nothing_is_cut_rounded_or_made_up(flavor: Flavor) {
    let fixture = Fixture::start(
        flavor,
        "SET GLOBAL sql_mode = '';
         CREATE TABLE b (id INT AUTO_INCREMENT PRIMARY KEY, bid VARCHAR(5) NOT NULL UNIQUE, small TINYINT, amount DECIMAL(6,2),
             who VARCHAR(9) CHARACTER SET latin1, at DATETIME, kind ENUM('one','two'), need INT NOT NULL DEFAULT 5,
             parent INT, FOREIGN KEY (parent) REFERENCES b (id), lacking INT NOT NULL);
         ALTER TABLE b ALTER lacking SET DEFAULT 1;
         CREATE TABLE strict (bid VARCHAR(5) PRIMARY KEY, lacking INT NOT NULL)",
    )
    .await;
    // A fresh pool, whose sessions begin without strict mode.
    let mysql = Mysql::connect(&spec(&fixture.server.url("t")), CONNECTIONS)
        .await
        .unwrap();
    let mapping = stream(&fixture, "b", "bid", |_| {}).await;
    let pinned = mysql.facts().await.unwrap().identity;
    let mut inserter = mysql.inserter(&pinned).await.unwrap();
    for (cell, said) in [
        (("bid", Some("toolong")), "bid"),
        (("bid", Some("abcde ")), "spaces"),
        (("bid", None), "NULL"),
        (("small", Some("128")), "small"),
        (("small", Some("1x")), "whole numbers"),
        (("amount", Some("1.234")), "digits"),
        (("amount", Some("12345.00")), "amount"),
        (("who", Some("中")), "who"),
        (("at", Some("2026-11-21 14:03:00.5")), "second"),
        (("at", Some("2026-02-30 14:03:00")), "times"),
        (("kind", Some("ONE")), "member"),
        (("kind", Some("1")), "member"),
        (("need", None), "NULL"),
        (("parent", Some("77")), "foreign key"),
    ] {
        let mut cells = vec![cell];
        if cell.0 != "bid" {
            cells.push(("bid", Some("x")));
        }
        let outcome = inserter
            .insert(&mapping, &row(&mapping, &cells))
            .await
            .unwrap();
        let Inserted::Refused(why) = &outcome else {
            panic!("{cell:?}: {outcome:?}")
        };
        assert!(why.contains(said), "{cell:?}: {why}");
    }
    assert!(rows(&fixture, "b", "bid").await.is_empty());
    let strict = stream(&fixture, "strict", "bid", |_| {}).await;
    let outcome = inserter
        .insert(&strict, &row(&strict, &[("bid", Some("x"))]))
        .await
        .unwrap();
    assert!(
        matches!(&outcome, Inserted::Refused(why) if why.contains("lacking")),
        "a column without a value is not made up: {outcome:?}"
    );
    // The session is still good after all these.
    let right = row(&mapping, &[("bid", Some("right")), ("kind", Some("two"))]);
    assert_eq!(
        inserter.insert(&mapping, &right).await.unwrap(),
        Inserted::Inserted
    );
    assert_eq!(
        rows(&fixture, "b", "bid, kind, need").await,
        ["right|two|5"]
    );
}

async fn another_server_or_a_read_only_one_gets_nothing(flavor: Flavor) {
    let fixture = Fixture::start(flavor, "CREATE TABLE b (bid VARCHAR(9) PRIMARY KEY)").await;
    let mapping = stream(&fixture, "b", "bid", |_| {}).await;
    let pinned = fixture.mysql.facts().await.unwrap().identity;
    let mut elsewhere = pinned.clone();
    elsewhere.name.push_str("-other");
    let refused = fixture.mysql.inserter(&elsewhere).await.err();
    assert!(
        matches!(refused, Some(MysqlError::Refused(_))),
        "{refused:?}"
    );
    let mut inserter = fixture.mysql.inserter(&pinned).await.unwrap();
    fixture
        .server
        .execute("t", "SET GLOBAL read_only = 1")
        .await
        .unwrap();
    let one = row(&mapping, &[("bid", Some("x"))]);
    let refused = inserter.insert(&mapping, &one).await.err();
    assert!(
        matches!(&refused, Some(MysqlError::Refused(why)) if why.contains("read-only")),
        "a user above read_only is held to it: {refused:?}"
    );
    assert!(rows(&fixture, "b", "bid").await.is_empty());
    fixture
        .server
        .execute("t", "SET GLOBAL read_only = 0")
        .await
        .unwrap();
    assert_eq!(
        inserter.insert(&mapping, &one).await.unwrap(),
        Inserted::Inserted
    );
}

async fn a_lost_answer_is_unknown_and_nothing_is_sent_again(flavor: Flavor) {
    let fixture =
        Fixture::start(flavor, "CREATE TABLE b (bid VARCHAR(9) PRIMARY KEY, n INT)").await;
    let mapping = stream(&fixture, "b", "bid", |_| {}).await;
    let proxy = Proxy::start(fixture.server.port()).await.unwrap();
    let url = fixture.server.url("t");
    let url = url.replace(
        &format!(":{}", fixture.server.port()),
        &format!(":{}", proxy.port()),
    );
    let mysql = Mysql::connect(&spec(&url), CONNECTIONS).await.unwrap();
    let pinned = mysql.facts().await.unwrap().identity;
    let mut inserter = mysql.inserter(&pinned).await.unwrap();
    // A session that died while it lay idle is opened anew: nothing had been sent on it.
    proxy.cut_connections();
    let first = row(&mapping, &[("bid", Some("first"))]);
    assert_eq!(
        inserter.insert(&mapping, &first).await.unwrap(),
        Inserted::Inserted
    );
    // Another transaction holds the key, so that the INSERT is under way when the answers begin to be lost.
    let mut holder = fixture.server.connect("t").await.unwrap();
    sqlx::raw_sql("BEGIN; INSERT INTO b VALUES ('x', 1)")
        .execute(&mut holder)
        .await
        .unwrap();
    let one = row(&mapping, &[("bid", Some("x")), ("n", Some("2"))]);
    let requested = proxy.requested_bytes();
    let inserting = inserter.insert(&mapping, &one);
    let losing = async {
        wait_for_waiter(&fixture, requested, &proxy).await;
        proxy.set_mode(Mode::DropReplies);
        let dropped = proxy.dropped_reply_bytes();
        sqlx::raw_sql("ROLLBACK")
            .execute(&mut holder)
            .await
            .unwrap();
        wait::until(
            "the answer was thrown away",
            Duration::from_secs(10),
            || async { proxy.dropped_reply_bytes() > dropped },
        )
        .await
        .unwrap();
        proxy.set_mode(Mode::Cut);
    };
    let (outcome, ()) = tokio::join!(inserting, losing);
    assert!(matches!(outcome, Ok(Inserted::Unknown(_))), "{outcome:?}");
    assert_eq!(rows(&fixture, "b", "bid, n").await, ["first", "x|2"]);
    proxy.set_mode(Mode::Pass);
    assert_eq!(
        inserter.insert(&mapping, &one).await.unwrap(),
        Inserted::AlreadyThere
    );
}

/// Until the INSERT waits for the other transaction's lock.
async fn wait_for_waiter(fixture: &Fixture, requested: u64, proxy: &Proxy) {
    use sqlx::Row;
    wait::until(
        "the INSERT waits for the lock",
        Duration::from_secs(10),
        || async {
            let mut connection = fixture.server.connect("t").await.unwrap();
            // INNODB_TRX shows an old picture to whoever asks too often.
            let waiting = sqlx::raw_sql("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'")
                .fetch_one(&mut connection)
                .await
                .unwrap();
            let count: &[u8] = waiting.try_get_unchecked(1).unwrap();
            proxy.requested_bytes() > requested && count == b"1"
        },
    )
    .await
    .unwrap();
}

on_both!(
    a_row_goes_in_once_and_as_it_is,
    nothing_is_cut_rounded_or_made_up,
    another_server_or_a_read_only_one_gets_nothing,
    a_lost_answer_is_unknown_and_nothing_is_sent_again,
);
