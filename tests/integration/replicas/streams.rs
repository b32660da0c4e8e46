//! Streams whose entries and rows are both read at replicas.

use auditor::lab::servers::{Flavor, MysqlOptions, MysqlServer};

use crate::support::bidding::{Bidding, Settling, found};
use crate::support::monitor::Monitor;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_findings_equal_the_truth_and_repairs_are_right() {
    let primary = MysqlOptions::replicating(Flavor::MariaDb, 1);
    let mut bidding = Bidding::start_on(primary, 2, None, Settling::Requeue).await;
    let played = bidding.stage.play(3, 7).await.unwrap();
    bidding.wait_until_gone().await;
    let rows = MysqlOptions::replicating(Flavor::MariaDb, 2);
    let rows = MysqlServer::start_with(rows).await.unwrap();
    rows.follow(&bidding.stage.database).await.unwrap();
    rows.catches_up_with(&bidding.stage.database).await.unwrap();
    bidding.stage.cluster.fence().await.unwrap();
    let keys = &bidding.stage.cluster.replicas()[0];
    let replicas = [
        ("REDIS_READ_URL", keys.url()),
        ("MYSQL_REPLICA_URL", rows.url(bidding.stage.database_name())),
    ];
    let worlds = bidding.worlds().await;
    let truth = bidding.truth(&worlds);
    assert!(truth.len() > 10, "{truth:?}");
    let (master, replica) = (
        Monitor::start(bidding.stage.cluster.master().port()),
        Monitor::start(keys.port()),
    );
    for scope in [&["--full"][..], &["--since", "10m"]] {
        let words = [&["scan"], scope].concat();
        let run = bidding.auditor_with(&words, &replicas).await.expect(1);
        let report = run.report();
        assert_eq!(found(&report), truth, "{scope:?}");
        let topology = &report.run["topology_before"];
        assert_eq!(topology["sweep_redis"]["role"], "replica");
        assert_ne!(topology["sweep_source"], serde_json::Value::Null);
    }
    assert!(replica.commands().contains("xrange"));
    let listed = [
        "xack",
        "xadd",
        "xclaim",
        "xautoclaim",
        "xgroup",
        "eval",
        "evalsha",
    ];
    for told in [master.commands(), replica.commands()] {
        assert!(
            told.iter().all(|c| !listed.contains(&c.as_str())),
            "{told:?}"
        );
    }
    let words = ["repair", "--full", "--yes"];
    bidding.auditor_with(&words, &replicas).await.expect(1);
    let after = bidding.worlds().await;
    let mut left = bidding.truth(&after);
    for layout in after.keys() {
        let people = bidding.left(*layout);
        left.retain(|(check, rule, _)| {
            check != layout.stream() || !people.contains(&rule.as_str())
        });
    }
    assert!(left.is_empty(), "{left:?}");
    drop(played.alive);
}
