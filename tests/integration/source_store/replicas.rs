//! A replica is read only where it has everything the primary had, and while it is the same server.

use auditor::lab::proxy::Proxy;
use auditor::lab::servers::{Flavor, MysqlOptions, MysqlServer};
use auditor::store::mysql::{KeyRange, Mysql, MysqlError, Selection, Standing};

use super::fixture::{CONNECTIONS, Fixture, spec};
use super::on_both;

const ROWS: &str =
    "CREATE TABLE r (id INT PRIMARY KEY, n INT); INSERT INTO r VALUES (1, 1), (2, 2)";

/// A primary with a table of two rows, and a replica that has them.
struct Pair {
    primary: MysqlServer,
    replica: MysqlServer,
    source: Mysql,
}

impl Pair {
    async fn start(flavor: Flavor) -> Self {
        Self::start_with(flavor, &[]).await
    }

    /// The same with further arguments of the replica.
    async fn start_with(flavor: Flavor, arguments: &[&str]) -> Self {
        let primary = started(flavor, 1, &[]).await;
        let replica = started(flavor, 2, arguments).await;
        primary.create_database("t").await.unwrap();
        primary.execute("t", ROWS).await.unwrap();
        replica.follow(&primary).await.unwrap();
        replica.catches_up_with(&primary).await.unwrap();
        let source = connected(primary.port()).await;
        Self {
            primary,
            replica,
            source,
        }
    }

    async fn reader(&self) -> Mysql {
        connected(self.replica.port()).await
    }
}

async fn started(flavor: Flavor, server_id: u32, arguments: &[&str]) -> MysqlServer {
    let mut options = MysqlOptions::replicating(flavor, server_id);
    options
        .arguments
        .extend(arguments.iter().map(|a| (*a).to_owned()));
    MysqlServer::start_with(options).await.unwrap()
}

async fn connected(port: u16) -> Mysql {
    let url = format!("mysql://root@127.0.0.1:{port}/t");
    Mysql::connect(&spec(&url), CONNECTIONS).await.unwrap()
}

#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: Result<T, MysqlError>, part: &str) {
    match outcome {
        Err(MysqlError::Refused(why)) => assert!(why.contains(part), "{why}"),
        other => panic!("{other:?}"),
    }
}

async fn a_late_replica_is_behind_until_it_has_everything(flavor: Flavor) {
    let pair = Pair::start(flavor).await;
    let reader = pair.reader().await;
    let mark = pair.source.mark().await.unwrap();
    let standing = async |mark| reader.standing(&pair.source, mark).await.unwrap();
    assert_eq!(standing(&mark).await, Standing::Past);
    pair.replica.stop_applying().await.unwrap();
    pair.primary
        .execute("t", "INSERT INTO r VALUES (3, 3)")
        .await
        .unwrap();
    assert_eq!(standing(&mark).await, Standing::Past, "it is an old mark");
    let later = pair.source.mark().await.unwrap();
    let Standing::Behind(why) = standing(&later).await else {
        panic!("the third row is not there");
    };
    assert!(why.contains("the primary"), "{why}");
    pair.replica.resume_applying().await.unwrap();
    pair.replica.catches_up_with(&pair.primary).await.unwrap();
    assert_eq!(standing(&later).await, Standing::Past);
}

/// A user with SELECT alone can be asked to sweep.
async fn select_is_all_the_gate_needs(flavor: Flavor) {
    let pair = Pair::start(flavor).await;
    let grant = "CREATE USER 'looker'@'127.0.0.1'; GRANT SELECT ON t.* TO 'looker'@'127.0.0.1'";
    pair.primary.execute("t", grant).await.unwrap();
    pair.replica.catches_up_with(&pair.primary).await.unwrap();
    let as_looker = async |port: u16| {
        let url = format!("mysql://looker@127.0.0.1:{port}/t");
        Mysql::connect(&spec(&url), CONNECTIONS).await.unwrap()
    };
    let source = as_looker(pair.primary.port()).await;
    let reader = as_looker(pair.replica.port()).await;
    let mark = source.mark().await.unwrap();
    assert_eq!(
        reader.standing(&source, &mark).await.unwrap(),
        Standing::Past
    );
    reader.pin(&mark).await.unwrap();
    assert!(!reader.facts().await.unwrap().identity.name.is_empty());
}

async fn a_server_that_was_written_to_is_refused(flavor: Flavor) {
    let pair = Pair::start(flavor).await;
    let reader = pair.reader().await;
    pair.replica
        .execute("t", "UPDATE r SET n = 7 WHERE id = 1")
        .await
        .unwrap();
    let mark = pair.source.mark().await.unwrap();
    let part = match flavor {
        Flavor::MariaDb => "its own transaction",
        Flavor::MySql => "transactions that the primary does not have",
    };
    refused(reader.standing(&pair.source, &mark).await, part);
}

async fn who_is_no_replica_is_refused(flavor: Flavor) {
    let pair = Pair::start(flavor).await;
    let mark = pair.source.mark().await.unwrap();
    let itself = connected(pair.primary.port()).await;
    refused(
        itself.standing(&pair.source, &mark).await,
        "the primary itself",
    );
    let stranger = started(flavor, 3, &[]).await;
    stranger.create_database("t").await.unwrap();
    let stranger = connected(stranger.port()).await;
    let part = match flavor {
        Flavor::MariaDb => "no replica by GTID",
        Flavor::MySql => "transactions that the primary does not have",
    };
    refused(stranger.standing(&pair.source, &mark).await, part);
    let other_flavor = match flavor {
        Flavor::MariaDb => Flavor::MySql,
        Flavor::MySql => Flavor::MariaDb,
    };
    let other = Fixture::start(other_flavor, ROWS).await;
    refused(
        other.mysql.standing(&pair.source, &mark).await,
        "cannot be compared",
    );
}

/// A replica of somebody else, who has done more than our primary.
async fn a_replica_of_another_is_refused(flavor: Flavor) {
    let ours = Pair::start(flavor).await;
    let theirs = Pair::start(flavor).await;
    for n in 10..20 {
        let row = format!("INSERT INTO r VALUES ({n}, {n})");
        theirs.primary.execute("t", &row).await.unwrap();
    }
    theirs
        .replica
        .catches_up_with(&theirs.primary)
        .await
        .unwrap();
    let mark = ours.source.mark().await.unwrap();
    let part = match flavor {
        Flavor::MariaDb => "follows another server",
        Flavor::MySql => "it follows another server, or was written to",
    };
    let reader = theirs.reader().await;
    refused(reader.standing(&ours.source, &mark).await, part);
}

async fn a_replica_that_leaves_tables_out_is_refused(flavor: Flavor) {
    // MySQL shows its filters there alone.
    let pair = Pair::start_with(flavor, &["--performance-schema=ON"]).await;
    let (filter, part) = match flavor {
        Flavor::MariaDb => (
            "STOP SLAVE; SET GLOBAL replicate_wild_ignore_table = 't.audit%'; START SLAVE",
            "replicate_wild_ignore_table = t.audit%",
        ),
        Flavor::MySql => (
            "STOP REPLICA SQL_THREAD; \
             CHANGE REPLICATION FILTER REPLICATE_WILD_IGNORE_TABLE = ('t.audit%'); \
             START REPLICA SQL_THREAD",
            "REPLICATE_WILD_IGNORE_TABLE = t.audit%",
        ),
    };
    pair.replica.execute("", filter).await.unwrap();
    let mark = pair.source.mark().await.unwrap();
    let reader = pair.reader().await;
    refused(reader.standing(&pair.source, &mark).await, part);
}

async fn without_gtids_there_is_no_telling(flavor: Flavor) {
    let plain = Fixture::start(flavor, ROWS).await;
    refused(plain.mysql.mark().await, "log_bin");
    let silent = started(flavor, 1, &[]).await;
    let nobody = Mysql::connect(&spec(&silent.url("mysql")), CONNECTIONS)
        .await
        .unwrap();
    refused(nobody.mark().await, "is empty");
}

async fn another_server_behind_the_same_address_is_refused(flavor: Flavor) {
    let pair = Pair::start(flavor).await;
    let proxy = Proxy::start(pair.replica.port()).await.unwrap();
    let reader = Fixture {
        server: started(flavor, 3, &[]).await,
        mysql: connected(proxy.port()).await,
    };
    let mapping = reader.table("r", |_| {}).await;
    let mark = pair.source.mark().await.unwrap();
    reader.mysql.pin(&mark).await.unwrap();
    let page = async || {
        reader
            .mysql
            .page(&mapping, &KeyRange::default(), Selection::All, 10)
            .await
    };
    assert_eq!(page().await.unwrap().rows.len(), 2);
    proxy.set_target(pair.primary.port());
    assert_eq!(
        page().await.unwrap().rows.len(),
        2,
        "an open session stays where it is"
    );
    proxy.cut_connections();
    refused(page().await.map(|page| page.rows.len()), "a proxy");
    proxy.set_target(pair.replica.port());
    assert_eq!(page().await.unwrap().rows.len(), 2, "it is back");
}

on_both!(
    a_late_replica_is_behind_until_it_has_everything,
    select_is_all_the_gate_needs,
    a_server_that_was_written_to_is_refused,
    who_is_no_replica_is_refused,
    a_replica_of_another_is_refused,
    a_replica_that_leaves_tables_out_is_refused,
    without_gtids_there_is_no_telling,
    another_server_behind_the_same_address_is_refused,
);

#[tokio::test]
async fn gtid_mode_must_be_on_at_both_ends() {
    let off = ["--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"];
    let primary = started(Flavor::MySql, 1, &off).await;
    primary.create_database("t").await.unwrap();
    let source = connected(primary.port()).await;
    refused(source.mark().await, "gtid_mode = OFF");
    let pair = Pair::start(Flavor::MySql).await;
    let mark = pair.source.mark().await.unwrap();
    refused(
        source.standing(&pair.source, &mark).await,
        "set gtid_mode = ON there",
    );
}

/// The same server, set up anew from nothing: a session opened after that is not used.
#[tokio::test]
async fn a_replica_that_lost_its_data_is_refused() {
    let pair = Pair::start(Flavor::MySql).await;
    let proxy = Proxy::start(pair.replica.port()).await.unwrap();
    let reader = connected(proxy.port()).await;
    let mark = pair.source.mark().await.unwrap();
    reader.pin(&mark).await.unwrap();
    pair.replica
        .execute("", "STOP REPLICA; RESET BINARY LOGS AND GTIDS")
        .await
        .unwrap();
    proxy.cut_connections();
    refused(reader.facts().await, "no longer has");
}
