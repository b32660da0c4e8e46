//! What goes wrong is said by what can be done about it, without the password.

use std::time::{Duration, Instant};

use auditor::lab::servers::{Flavor, free_port};
use auditor::model::check::{Deletes, Source, TimeForm, Tombstone};
use auditor::store::mysql::{KeyRange, Mysql, MysqlError, Selection};

use super::fixture::{CONNECTIONS, Fixture, changed_at, key, named, spec};
use super::on_both;

const ROWS: &str =
    "CREATE TABLE r (id INT PRIMARY KEY, v INT); INSERT INTO r VALUES (1, 10), (2, 20)";

/// 3,000 rows, whose third power no server reads in the time of a test.
const MANY: &str =
    "CREATE TABLE r (id INT PRIMARY KEY, v INT); INSERT INTO r VALUES (1, 10), (2, 20);
     CREATE TABLE many (name VARCHAR(9)); INSERT INTO many VALUES ('a'), ('b'), ('c');
     INSERT INTO many SELECT a.name FROM many a, many b, many c, many d, many e;
     INSERT INTO many SELECT a.name FROM many a, many b LIMIT 2754";

async fn connect(url: &str) -> Result<Mysql, MysqlError> {
    Mysql::connect(&spec(url), CONNECTIONS).await
}

async fn logins_that_fail_say_so_without_the_password(flavor: Flavor) {
    let fixture = Fixture::start(flavor, ROWS).await;
    fixture
        .server
        .execute("t", "CREATE USER 'u'@'127.0.0.1' IDENTIFIED BY 'right'")
        .await
        .unwrap();
    let port = fixture.server.port();
    for url in [
        format!("mysql://u:s3cret@127.0.0.1:{port}/t"),
        format!("mysql://u:s3cret@127.0.0.1:{port}/t?ssl-mode=nonsense"),
        format!("postgres://u:s3cret@127.0.0.1:{port}/t"),
        "mysql://u:s3cret@127.0.0.1:99999/t".to_owned(),
        format!("mysql://root@127.0.0.1:{port}/s3cret_is_no_database"),
    ] {
        match connect(&url).await.err() {
            Some(error @ MysqlError::Refused(_)) => {
                let said = format!("{error} {error:?}");
                assert!(!said.replace("s3cret_is", "").contains("s3cret"), "{said}");
            }
            other => panic!("{url}: {other:?}"),
        }
    }
    let nobody = format!("mysql://u:s3cret@127.0.0.1:{}/t", free_port().unwrap());
    let error = connect(&nobody).await.err();
    assert!(
        matches!(error, Some(MysqlError::Unreachable(_))),
        "{error:?}"
    );
}

async fn the_probe_names_the_setting(flavor: Flavor) {
    let fixture = Fixture::start(flavor, ROWS).await;
    let mut mappings = Vec::new();
    let explains = |text: &str| Source::Table {
        table: named("r"),
        explains: Some(named(text)),
    };
    for text in ["nothing = 1", "v = (", "no_such_function(v)", "v = ?"] {
        mappings.push((
            "`where`",
            fixture.table("r", |c| c.source = explains(text)).await,
        ));
    }
    let gone = Deletes::Tombstone(Tombstone::Condition(named("is_gone")));
    mappings.push(("`deleted`", fixture.table("r", |c| c.deletes = gone).await));
    let window = changed_at("at", TimeForm::Native);
    mappings.push((
        "`changed_at`",
        fixture.table("r", |c| c.window = window).await,
    ));
    let mut missing = fixture.table("r", |_| {}).await;
    missing.columns[1].name = "w".into();
    mappings.push(("`table`", missing));
    for (setting, mapping) in mappings {
        match fixture.mysql.probe(&mapping).await {
            Err(MysqlError::Statement(text)) => assert!(text.starts_with(setting), "{text}"),
            other => panic!("{setting}: {other:?}"),
        }
    }
    // A refused statement does no harm to the next one.
    let mapping = fixture.table("r", |_| {}).await;
    fixture.mysql.probe(&mapping).await.unwrap();
    for select in [
        "SELECT * FROM nowhere",
        "SELECT 1 AS a, 2 AS a",
        "SELEC 1",
        "SELECT 1; SELECT 2",
    ] {
        let refused = fixture.mysql.select_schema(select).await;
        assert!(
            matches!(refused, Err(MysqlError::Statement(_))),
            "{select}: {refused:?}"
        );
    }
}

async fn statements_are_stopped_in_time(flavor: Flavor) {
    let fixture = Fixture::start(flavor, MANY).await;
    let limit = Duration::from_millis(500);
    let hasty = Mysql::connect_with_limit(&spec(&fixture.server.url("t")), 1, limit)
        .await
        .unwrap();
    let slow = "SELECT r.id, MAX(x.name) AS v FROM r, many x, many y, many z \
         WHERE x.name < y.name AND y.name < z.name GROUP BY r.id";
    // Asking for its columns runs nothing of it.
    hasty.select_schema(slow).await.unwrap();
    let mapping = fixture.sql(slow, &["id"], |_| {}).await;
    let began = Instant::now();
    let range = KeyRange {
        after: Some(key(&["0"])),
        upto: Some(key(&["9"])),
    };
    let stopped = hasty.page(&mapping, &range, Selection::All, 10).await;
    assert!(
        matches!(stopped, Err(MysqlError::TimedOut(_))),
        "{stopped:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(20));
    let quick = fixture.table("r", |_| {}).await;
    assert_eq!(
        hasty
            .rows_by_key(&quick, &[key(&["1"])])
            .await
            .unwrap()
            .rows
            .len(),
        1
    );
}

/// The server's own limit does not count time it is not running; this side's does.
async fn a_server_that_stops_answering_is_given_up(flavor: Flavor) {
    let fixture = Fixture::start(flavor, ROWS).await;
    let limit = Duration::from_millis(200);
    let hasty = Mysql::connect_with_limit(&spec(&fixture.server.url("t")), 1, limit)
        .await
        .unwrap();
    let mapping = fixture.table("r", |_| {}).await;
    fixture.server.pause().await.unwrap();
    let given_up = hasty.rows_by_key(&mapping, &[key(&["1"])]).await;
    assert!(
        matches!(
            given_up,
            Err(MysqlError::TimedOut(_) | MysqlError::Unreachable(_))
        ),
        "{given_up:?}"
    );
    fixture.server.resume().unwrap();
    assert_eq!(
        hasty
            .rows_by_key(&mapping, &[key(&["1"])])
            .await
            .unwrap()
            .rows
            .len(),
        1
    );
}

async fn a_restart_between_reads_goes_unnoticed_and_a_dead_server_does_not(flavor: Flavor) {
    let fixture = Fixture::start(flavor, ROWS).await;
    let mapping = fixture.table("r", |_| {}).await;
    let keys = [key(&["1"])];
    fixture.server.restart().await.unwrap();
    assert_eq!(
        fixture
            .mysql
            .rows_by_key(&mapping, &keys)
            .await
            .unwrap()
            .rows
            .len(),
        1
    );
    fixture.server.kill().unwrap();
    let lost = fixture.mysql.rows_by_key(&mapping, &keys).await;
    assert!(matches!(lost, Err(MysqlError::Unreachable(_))), "{lost:?}");
}

on_both!(
    logins_that_fail_say_so_without_the_password,
    the_probe_names_the_setting,
    statements_are_stopped_in_time,
    a_server_that_stops_answering_is_given_up,
    a_restart_between_reads_goes_unnoticed_and_a_dead_server_does_not,
);
