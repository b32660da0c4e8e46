//! What the program finds is what was lost, all of it and nothing else; what it repairs is right afterwards.

use std::collections::BTreeSet;

use auditor::lab::LabError;
use auditor::lab::app::{Load, Stock};
use auditor::lab::servers::{Flavor, MysqlProgram};
use auditor::lab::story::Acts;

use crate::support::auction::{Auction, found};

mod statements;
mod under_load;

/// Everything that this application can lose, by check and rule.
const EVERY_KIND: [(&str, &str); 17] = [
    ("balance", "missing-key"),
    ("balance", "resurrected-key"),
    ("balance", "value-mismatch"),
    ("closing-queue", "missing-key"),
    ("closing-queue", "orphan-key"),
    ("closing-queue", "value-mismatch"),
    ("points", "missing-key"),
    ("points", "negative-balance"),
    ("points", "resurrected-key"),
    ("points", "value-mismatch"),
    ("profile", "resurrected-key"),
    ("profile", "stale-negative"),
    ("profile", "version-regression"),
    ("status", "missing-key"),
    ("status", "state-regression"),
    ("top-bid", "missing-key"),
    ("top-bid", "value-mismatch"),
];

#[tokio::test]
async fn on_mariadb_the_findings_equal_the_planted_truth() {
    findings_equal_the_truth(Flavor::MariaDb, None).await;
}

/// Passes by saying so where this machine has no MySQL; the summary of `make test` names it again.
#[tokio::test]
async fn on_mysql_the_findings_equal_the_planted_truth() {
    match MysqlProgram::find(Flavor::MySql) {
        Ok(_) => findings_equal_the_truth(Flavor::MySql, Some("mymaster")).await,
        Err(missing @ LabError::Missing { .. }) => eprintln!("not tested here: {missing}"),
        Err(error) => panic!("{error}"),
    }
}

/// The demo itself: caches and streams, one failover.
#[tokio::test]
async fn the_demo_proves_what_it_tells() {
    let folder = tempfile::tempdir().unwrap();
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_auditor"))
        .arg("demo")
        .env_remove("RUST_LOG")
        .current_dir(folder.path())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let faults = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}\n{faults}");
    for part in [
        "consumer group(s).",
        " group-missing\n",
        " orphan-pending\n",
        "planted losses were found, and nothing else.",
        "  group-missing        high     confirmed        1   repaired 1, left 0\n",
        "finds 0 wrong place(s).",
        "Every bid that MySQL or the new master knew of is in its table once",
        "customer  currency",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
}

async fn findings_equal_the_truth(flavor: Flavor, sentinel_name: Option<&str>) {
    let mut auction = Auction::start(flavor, 2, sentinel_name, Stock::new(1_000, 120, 7)).await;
    let acts = Acts {
        load: Load {
            clerks: 4,
            per_second: None,
            seed: 7,
        },
        before: 800,
        lost: 1_500,
        after: 300,
    };
    let (loss, running) = auction.stage.fail_over(acts).await.unwrap();
    running.stop().await;
    let since = loss
        .since
        .to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    let window = ["--since", &since];
    let truth = auction.truth().await;
    let kinds: BTreeSet<(&str, &str)> = truth.iter().map(|t| (&*t.0, &*t.1)).collect();
    for kind in EVERY_KIND {
        assert!(kinds.contains(&kind), "{kind:?} was not planted: {kinds:?}");
    }

    let scan = auction.auditor("scan", &window).await.expect(1).report();
    assert_eq!(found(&scan, "confirmed"), truth);
    assert_eq!(scan.findings.len(), truth.len(), "nothing but the truth");
    let dry = ["--since", &since, "--dry-run"];
    let dry = auction.auditor("repair", &dry).await.expect(1).report();
    assert_eq!(found(&dry, "confirmed"), truth);

    let yes = ["--since", &since, "--yes"];
    let repair = auction.auditor("repair", &yes).await.expect(0).report();
    assert_eq!(found(&repair, "confirmed"), truth);
    assert_eq!(auction.truth().await, BTreeSet::new());

    let again = auction.auditor("scan", &window).await.expect(0).report();
    assert_eq!(again.lines(), Vec::<String>::new());
    for report in [scan, dry, again] {
        assert!(!report.folder.join("undo.jsonl").exists());
    }
    assert!(!repair.undo().is_empty());
}
