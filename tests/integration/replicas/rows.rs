//! `[mysql].replica_url`: rows read at a replica by GTID.

use auditor::lab::servers::{Flavor, MysqlServer};
use sqlx::{AssertSqlSafe, Row};

use super::{job, replicated, rows_at};
use crate::support::World;
use crate::support::shop::{balance_key, profile, profile_key};

const SCAN: [&str; 3] = ["scan", "job.toml", "--full"];

/// Rows that a server has read so far.
async fn rows_read(server: &MysqlServer) -> u64 {
    let counter = match server.flavor() {
        Flavor::MariaDb => "Rows_read",
        Flavor::MySql => "Innodb_rows_read",
    };
    let mut connection = server.connect("").await.unwrap();
    let row = sqlx::raw_sql(AssertSqlSafe(format!(
        "SHOW GLOBAL STATUS LIKE '{counter}'"
    )))
    .fetch_one(&mut connection)
    .await
    .unwrap();
    let bytes: &[u8] = row.try_get_unchecked(1).unwrap();
    std::str::from_utf8(bytes).unwrap().parse().unwrap()
}

async fn damaged(flavor: Flavor, count: u32) -> (World, MysqlServer) {
    let (mut world, replica) = replicated(flavor, 0).await;
    world.open_shop(count).await;
    world.set(&profile_key(3), &profile(3, 4)).await;
    world.set(&balance_key(4), "-7").await;
    replica.catches_up_with(&world.mysql).await.unwrap();
    job(&world, &rows_at(replica.port()), "", "");
    (world, replica)
}

async fn planted_losses_are_found_at_a_replica(flavor: Flavor) {
    let (mut world, replica) = damaged(flavor, 2_000).await;
    let before = (rows_read(&world.mysql).await, rows_read(&replica).await);
    let run = world.auditor(&SCAN).expect(1);
    let read = (
        rows_read(&world.mysql).await - before.0,
        rows_read(&replica).await - before.1,
    );
    assert_eq!(
        run.report().lines(),
        [
            "negative-balance user:4:balance confirmed",
            "version-regression user:3:profile confirmed",
        ]
    );
    assert!(
        read.1 >= 4_000,
        "both checks' rows are read there: {read:?}"
    );
    let topology = &run.report().run["topology_before"];
    assert_ne!(
        topology["source"]["identity"], topology["sweep_source"]["identity"],
        "{topology}"
    );
    // Only the control sample and the looks go to the primary.
    let control = 2 * 2_000;
    assert!(read.0 <= control + 1_500, "{read:?}");
    world.repair_full().expect(0);
    assert_eq!(world.get(&profile_key(3)).await.unwrap(), profile(3, 5));
    assert_eq!(world.get(&balance_key(4)).await.unwrap(), "100");
}

/// What the replica does not have yet is new, and neither a loss nor an orphan: the primary decides.
async fn what_is_newer_than_the_run_is_no_finding(flavor: Flavor) {
    let (mut world, replica) = replicated(flavor, 0).await;
    world.open_shop(50).await;
    replica.catches_up_with(&world.mysql).await.unwrap();
    job(&world, &rows_at(replica.port()), "", "");
    // Not logged, it never reaches the replica: as if it were committed just after the run began.
    world
        .sql(
            "SET SESSION sql_log_bin = 0;
             INSERT INTO users SELECT 51, 'name 51', secret, balance, version, updated_at, NULL FROM users WHERE id = 1;
             UPDATE users SET balance = 300 WHERE id = 7",
        )
        .await;
    world.set(&profile_key(51), &profile(51, 5)).await;
    world.set(&balance_key(51), "100").await;
    world.set(&balance_key(7), "300").await;
    let run = world.auditor(&SCAN).expect(0);
    let report = run.report();
    assert_eq!(report.lines(), Vec::<String>::new());
    let coverage = &report.run["checks"][0]["coverage"];
    assert_eq!(coverage["observed"], 50, "{coverage}");
    let suspects: u64 = report.run["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| check["coverage"]["transient"].as_u64().unwrap())
        .sum();
    assert!(
        suspects >= 1,
        "the sweep read the replica: {}",
        report.run["checks"]
    );
}

macro_rules! on_both {
    ($($scene:ident),+ $(,)?) => {
        mod mariadb {
            $(#[tokio::test]
            async fn $scene() { super::$scene(auditor::lab::servers::Flavor::MariaDb).await; })+
        }
        mod mysql {
            $(#[tokio::test]
            async fn $scene() { super::$scene(auditor::lab::servers::Flavor::MySql).await; })+
        }
    };
}
on_both!(
    planted_losses_are_found_at_a_replica,
    what_is_newer_than_the_run_is_no_finding,
);
