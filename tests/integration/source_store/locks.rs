//! Row locks, leases, and the witness that comes with every read.

use auditor::lab::servers::Flavor;
use auditor::lab::wait;
use auditor::model::check::Source;
use auditor::store::mysql::{Mysql, MysqlError};
use sqlx::{AssertSqlSafe, MySqlConnection};

use super::fixture::{CONNECTIONS, Fixture, key, lines, named, spec};
use super::on_both;

const ROWS: &str = "CREATE TABLE r (id INT PRIMARY KEY, v INT);
     INSERT INTO r VALUES (1, 10), (2, 20), (3, 30), (9, 90)";

async fn run(connection: &mut MySqlConnection, sql: &str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(connection)
        .await
        .map(drop)
}

/// The server's error number of a statement that must fail.
async fn refusal(connection: &mut MySqlConnection, sql: &str) -> u16 {
    let error = run(connection, sql).await.unwrap_err();
    error
        .as_database_error()
        .unwrap()
        .downcast_ref::<sqlx::mysql::MySqlDatabaseError>()
        .number()
}

async fn the_witness_comes_without_rows_too(flavor: Flavor) {
    let fixture = Fixture::start(flavor, ROWS).await;
    let mapping = fixture.table("r", |_| {}).await;
    let facts = fixture.mysql.facts().await.unwrap();
    assert_eq!(facts.is_mariadb, flavor == Flavor::MariaDb);
    assert!(
        !facts.is_multi_primary && !facts.identity.read_only && !facts.identity.name.is_empty()
    );
    let host = auditor::model::time::Micros::now();
    assert!(
        (facts.now.0 - host.0).abs() < 60_000_000,
        "{} against {}",
        facts.now.0,
        host.0
    );
    assert!(fixture.mysql.threads_running().await.unwrap() >= 1);
    let many: Vec<_> = (1..=1200).map(|n: u32| key(&[&n.to_string()])).collect();
    for (keys, count) in [
        (&[][..], 0),
        (&[key(&["7"])], 0),
        (&[key(&["x"])], 0),
        (&many, 4),
    ] {
        let found = fixture.mysql.rows_by_key(&mapping, keys).await.unwrap();
        assert_eq!(found.rows.len(), count);
        assert_eq!(found.source, facts.identity);
        assert!(found.source_time >= facts.now);
    }
    fixture
        .server
        .execute("t", "SET GLOBAL read_only = 1")
        .await
        .unwrap();
    let found = fixture
        .mysql
        .rows_by_key(&mapping, &[key(&["1"])])
        .await
        .unwrap();
    assert!(found.source.read_only && found.source != facts.identity);
    assert_eq!(lines(&found.rows), ["1|10"]);
}

async fn locked_rows_are_not_waited_for(flavor: Flavor) {
    let fixture = Fixture::start(flavor, ROWS).await;
    let mapping = fixture.table("r", |_| {}).await;
    let mut writer = fixture.server.connect("t").await.unwrap();
    run(
        &mut writer,
        "START TRANSACTION; SELECT * FROM r WHERE id = 2 FOR UPDATE",
    )
    .await
    .unwrap();
    let keys = [key(&["1"]), key(&["2"])];
    let refused = fixture.mysql.lock_rows(&mapping, &keys).await;
    assert!(matches!(refused, Err(MysqlError::Locked)));
    // However small the table, no other row is looked at; and nothing of the refused try is left.
    let others = [key(&["1"]), key(&["3"]), key(&["9"])];
    let lock = fixture.mysql.lock_rows(&mapping, &others).await.unwrap();
    assert_eq!(lines(&lock.witnessed.rows), ["1|10", "3|30", "9|90"]);
    lock.release().await.unwrap();
    run(&mut writer, "UPDATE r SET v = 21 WHERE id = 2; COMMIT")
        .await
        .unwrap();
    let lock = fixture.mysql.lock_rows(&mapping, &keys).await.unwrap();
    assert_eq!(lines(&lock.witnessed.rows), ["1|10", "2|21"]);
    assert!(!lock.witnessed.source.read_only);
    lock.release().await.unwrap();
}

async fn a_row_lock_holds_writers_off_until_it_ends(flavor: Flavor) {
    let fixture = Fixture::start(flavor, ROWS).await;
    let mapping = fixture.table("r", |_| {}).await;
    let mut writer = fixture.server.connect("t").await.unwrap();
    run(&mut writer, "SET SESSION innodb_lock_wait_timeout = 1")
        .await
        .unwrap();
    let keys = [key(&["1"]), key(&["5"])];
    let lock = fixture.mysql.lock_rows(&mapping, &keys).await.unwrap();
    assert_eq!(lines(&lock.witnessed.rows), ["1|10"]);
    assert_eq!(
        refusal(&mut writer, "UPDATE r SET v = 0 WHERE id = 1").await,
        1205
    );
    assert_eq!(
        refusal(&mut writer, "INSERT INTO r VALUES (5, 50)").await,
        1205,
        "an absent row"
    );
    run(&mut writer, "UPDATE r SET v = 22 WHERE id = 2")
        .await
        .unwrap();
    let other = fixture.mysql.lock_rows(&mapping, &keys).await.unwrap();
    other.release().await.unwrap();
    lock.release().await.unwrap();
    run(
        &mut writer,
        "UPDATE r SET v = 11 WHERE id = 1; INSERT INTO r VALUES (5, 50)",
    )
    .await
    .unwrap();

    // Dropped instead of released, it ends with its connection.
    drop(fixture.mysql.lock_rows(&mapping, &keys).await.unwrap());
    run(
        &mut writer,
        "SET SESSION innodb_lock_wait_timeout = 10; UPDATE r SET v = 12 WHERE id = 1",
    )
    .await
    .unwrap();
    // A lock sees what was committed just before it, whatever the session read earlier.
    let lock = fixture.mysql.lock_rows(&mapping, &keys).await.unwrap();
    assert_eq!(lines(&lock.witnessed.rows), ["1|12", "5|50"]);
}

async fn rows_of_a_select_are_locked_by_their_parents(flavor: Flavor) {
    let fixture = Fixture::start(
        flavor,
        "CREATE TABLE auction (id INT PRIMARY KEY); INSERT INTO auction VALUES (1), (2), (3);
         CREATE TABLE bid (auction INT, amount INT, KEY (auction));
         INSERT INTO bid VALUES (1, 5), (1, 7), (2, 9)",
    )
    .await;
    let locked_by = |lock_sql: Option<&str>| {
        let lock_sql = lock_sql.map(named);
        move |check: &mut auditor::model::check::CacheCheck| {
            if let Source::Sql { lock_sql: slot, .. } = &mut check.source {
                *slot = lock_sql;
            }
        }
    };
    let select = "SELECT auction, MAX(amount) AS top FROM bid GROUP BY auction";
    let parents = "SELECT * FROM auction WHERE id IN (:ids);";
    let mapping = fixture
        .sql(select, &["auction"], locked_by(Some(parents)))
        .await;
    fixture.mysql.probe(&mapping).await.unwrap();
    let keys = [key(&["1"]), key(&["2"])];
    let mut writer = fixture.server.connect("t").await.unwrap();
    run(
        &mut writer,
        "START TRANSACTION; SELECT * FROM auction WHERE id = 2 FOR UPDATE",
    )
    .await
    .unwrap();
    let refused = fixture.mysql.lock_rows(&mapping, &keys).await;
    assert!(matches!(refused, Err(MysqlError::Locked)));
    run(&mut writer, "INSERT INTO bid VALUES (2, 11); COMMIT")
        .await
        .unwrap();
    let lock = fixture.mysql.lock_rows(&mapping, &keys).await.unwrap();
    let mut found = lines(&lock.witnessed.rows);
    found.sort();
    assert_eq!(found, ["1|7", "2|11"]);
    run(&mut writer, "SET SESSION innodb_lock_wait_timeout = 1")
        .await
        .unwrap();
    let write = "SELECT * FROM auction WHERE id = 1 FOR UPDATE";
    assert_eq!(refusal(&mut writer, write).await, 1205);
    lock.release().await.unwrap();
    run(&mut writer, write).await.unwrap();
    for wrong in [None, Some("SELECT * FROM auction")] {
        let mapping = fixture.sql(select, &["auction"], locked_by(wrong)).await;
        let refused = fixture.mysql.lock_rows(&mapping, &keys).await;
        assert!(matches!(refused, Err(MysqlError::Statement(_))));
    }
}

async fn a_running_schema_change_counts_as_a_lock(flavor: Flavor) {
    let fixture = Fixture::start(flavor, ROWS).await;
    let mapping = fixture.table("r", |_| {}).await;
    let mut ddl = fixture.server.connect("t").await.unwrap();
    run(&mut ddl, "LOCK TABLES r WRITE").await.unwrap();
    let refused = fixture.mysql.lock_rows(&mapping, &[key(&["1"])]).await;
    assert!(matches!(refused, Err(MysqlError::Locked)));
    run(&mut ddl, "UNLOCK TABLES").await.unwrap();
    fixture
        .mysql
        .lock_rows(&mapping, &[key(&["1"])])
        .await
        .unwrap()
        .release()
        .await
        .unwrap();
}

async fn one_lease_at_a_time(flavor: Flavor) {
    let fixture = Fixture::start(flavor, ROWS).await;
    let other = Mysql::connect(&spec(&fixture.server.url("t")), CONNECTIONS)
        .await
        .unwrap();
    let mut first = fixture
        .mysql
        .take_lease("auditor:it's")
        .await
        .unwrap()
        .unwrap();
    assert!(first.is_held().await.unwrap());
    assert!(other.take_lease("auditor:it's").await.unwrap().is_none());
    assert!(
        fixture
            .mysql
            .take_lease("auditor:it's")
            .await
            .unwrap()
            .is_none()
    );
    assert!(other.take_lease("auditor:other").await.unwrap().is_some());
    first.release().await.unwrap();
    let second = other.take_lease("auditor:it's").await.unwrap().unwrap();
    drop(second);
    wait::until(
        "a dropped lease is free",
        std::time::Duration::from_secs(10),
        async || {
            fixture
                .mysql
                .take_lease("auditor:it's")
                .await
                .unwrap()
                .is_some()
        },
    )
    .await
    .unwrap();
    // One connection is enough to read beside a lease and a lock.
    let narrow = Mysql::connect(&spec(&fixture.server.url("t")), 1)
        .await
        .unwrap();
    let mapping = fixture.table("r", |_| {}).await;
    let mut lease = narrow.take_lease("auditor:narrow").await.unwrap().unwrap();
    let lock = narrow.lock_rows(&mapping, &[key(&["1"])]).await.unwrap();
    assert_eq!(
        narrow
            .rows_by_key(&mapping, &[key(&["1"])])
            .await
            .unwrap()
            .rows
            .len(),
        1
    );
    lock.release().await.unwrap();
    fixture.server.restart().await.unwrap();
    assert!(
        lease.is_held().await.is_err(),
        "the connection is gone, and the lock with it"
    );
    assert_eq!(
        narrow
            .rows_by_key(&mapping, &[key(&["1"])])
            .await
            .unwrap()
            .rows
            .len(),
        1
    );
}

on_both!(
    the_witness_comes_without_rows_too,
    locked_rows_are_not_waited_for,
    a_row_lock_holds_writers_off_until_it_ends,
    rows_of_a_select_are_locked_by_their_parents,
    a_running_schema_change_counts_as_a_lock,
    one_lease_at_a_time,
);
