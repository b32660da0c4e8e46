//! How one gets in: grants, passwords, TLS; and that nothing can be written.

use auditor::job::MysqlSpec;
use auditor::lab::servers::{Flavor, MysqlOptions, MysqlServer};
use auditor::model::check::{Source, TimeForm, Window};
use auditor::model::time::Micros;
use auditor::store::mysql::{KeyRange, Mysql, MysqlError, Selection};

use super::fixture::{CONNECTIONS, Fixture, key, lines, named, spec};
use super::on_both;

const GRANTS: &str = include_str!("../../../sql/grants.sql");

const ROWS: &str = "CREATE DATABASE auction; CREATE TABLE auction.r (id INT PRIMARY KEY, doc JSON, at DATETIME(6));
     INSERT INTO auction.r VALUES (1, '{}', '2026-11-21 14:00:00'), (2, NULL, NULL)";

async fn select_is_all_a_scan_needs(flavor: Flavor) {
    let fixture = Fixture::start(flavor, ROWS).await;
    fixture.server.execute("t", GRANTS).await.unwrap();
    let port = fixture.server.port();
    for user in ["auditor_scan", "auditor_repair"] {
        let url = format!("mysql://{user}:change%20me@127.0.0.1:{port}/auction");
        let mysql = Mysql::connect(&spec(&url), CONNECTIONS).await.unwrap();
        let seen = Fixture {
            server: MysqlServer::start(flavor).await.unwrap(),
            mysql,
        };
        let mapping = seen
            .table("r", |check| {
                let sql = named("SELECT id FROM r WHERE at >= :since");
                check.window = Some(Window::ChangedIds {
                    sql,
                    form: TimeForm::Native,
                });
            })
            .await;
        let mysql = &seen.mysql;
        let facts = mysql.facts().await.unwrap();
        assert!(!facts.identity.name.is_empty());
        assert_eq!(
            mapping.columns[1].kind,
            auditor::model::column::ColumnType::Json
        );
        mysql.threads_running().await.unwrap();
        mysql.probe(&mapping).await.unwrap();
        assert!(mysql.key_bounds(&mapping).await.unwrap().is_some());
        for selection in [
            Selection::All,
            Selection::ChangedSince(Micros(0)),
            Selection::UnchangedSince(Micros(0)),
        ] {
            mysql
                .page(&mapping, &KeyRange::default(), selection, 10)
                .await
                .unwrap();
        }
        assert_eq!(
            mysql
                .rows_by_id(&mapping, &[key(&["2"])])
                .await
                .unwrap()
                .rows
                .len(),
            1
        );
        assert!(mysql.take_lease("auditor:x").await.unwrap().is_some());
        let lock = mysql.lock_rows(&mapping, &[key(&["1"])]).await.unwrap();
        lock.release().await.unwrap();
    }
}

/// The session is READ ONLY, so a mapping cannot write even as root.
async fn a_mapping_cannot_write(flavor: Flavor) {
    let fixture = Fixture::start(
        flavor,
        "CREATE TABLE r (id INT PRIMARY KEY); INSERT INTO r VALUES (1);
         SET GLOBAL log_bin_trust_function_creators = 1;
         CREATE FUNCTION spoil() RETURNS INT MODIFIES SQL DATA
         BEGIN DELETE FROM r; RETURN 1; END",
    )
    .await;
    let mapping = fixture
        .table("r", |check| {
            let explains = Some(named("spoil() = 1"));
            check.source = Source::Table {
                table: named("r"),
                explains,
            };
        })
        .await;
    let refused = fixture
        .mysql
        .page(&mapping, &KeyRange::default(), Selection::All, 5)
        .await;
    assert!(
        matches!(refused, Err(MysqlError::Statement(_))),
        "{refused:?}"
    );
    let whole = fixture.table("r", |_| {}).await;
    assert_eq!(fixture.sweep(&whole, Selection::All, 1).await.lines, ["1"]);
}

/// A server that has just started knows no password by heart; without TLS it asks for RSA.
async fn a_password_works_with_and_without_tls(flavor: Flavor) {
    let options = MysqlOptions {
        flavor,
        arguments: Vec::new(),
        tls: true,
    };
    let server = MysqlServer::start_with(options).await.unwrap();
    let create = "CREATE DATABASE t; CREATE USER 'u'@'127.0.0.1' IDENTIFIED BY 'p@ss/w';
         GRANT SELECT ON t.* TO 'u'@'127.0.0.1'";
    server.execute("", create).await.unwrap();
    let certificates = server.certificates().unwrap();
    let url = |mode: &str| {
        let port = server.port();
        spec(&format!("mysql://u:p%40ss%2Fw@127.0.0.1:{port}/t{mode}"))
    };
    let with_ca = |mut spec: MysqlSpec, ca: &std::path::Path| {
        spec.tls.ca = Some(ca.to_owned());
        spec
    };
    let open = async |spec: MysqlSpec| Mysql::connect(&spec, 1).await.map(drop);
    open(url("?ssl-mode=DISABLED")).await.unwrap();
    open(url("")).await.unwrap();
    open(url("?ssl-mode=REQUIRED")).await.unwrap();
    open(with_ca(url(""), &certificates.authority()))
        .await
        .unwrap();
    // Another authority did not sign this server.
    let stranger = MysqlServer::start_with(MysqlOptions {
        flavor,
        arguments: Vec::new(),
        tls: true,
    });
    let stranger = stranger.await.unwrap();
    let refused = open(with_ca(
        url(""),
        &stranger.certificates().unwrap().authority(),
    ))
    .await;
    assert!(refused.is_err());
    let missing = open(with_ca(url(""), "/nowhere/ca.pem".as_ref())).await;
    let Err(MysqlError::Refused(text)) = missing else {
        panic!("{missing:?}")
    };
    assert!(
        text.contains("tls_ca") && text.contains("/nowhere/ca.pem"),
        "{text}"
    );
}

async fn the_url_cannot_move_the_session_out_of_utc(flavor: Flavor) {
    let fixture = Fixture::start(
        flavor,
        "CREATE TABLE r (id INT PRIMARY KEY, at TIMESTAMP NULL, name VARCHAR(9));
         INSERT INTO r VALUES (1, '2026-11-21 14:00:00', 'ü'); SET GLOBAL time_zone = '+05:30';
         SET GLOBAL TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    )
    .await;
    let url = format!(
        "{}?timezone=%2B05:30&charset=latin1",
        fixture.server.url("t")
    );
    let moved = Mysql::connect(&spec(&url), 1).await.unwrap();
    let mapping = fixture.table("r", |_| {}).await;
    let found = moved.rows_by_key(&mapping, &[key(&["1"])]).await.unwrap();
    assert_eq!(lines(&found.rows), ["1|2026-11-21 14:00:00|ü"]);
    assert!((found.source_time.0 - Micros::now().0).abs() < 60_000_000);
}

on_both!(
    select_is_all_a_scan_needs,
    a_mapping_cannot_write,
    a_password_works_with_and_without_tls,
    the_url_cannot_move_the_session_out_of_utc,
);
