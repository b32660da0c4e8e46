//! Which rows a window selects, whatever their stamps say.

use auditor::lab::servers::Flavor;

use super::locks::{BALANCE, world_of};

#[tokio::test]
async fn a_row_updated_again_after_the_window_is_still_looked_at() {
    let mut world = world_of(Flavor::MariaDb, &[90, 90]).await;
    // One while the sweep runs, one by an application whose clock is ahead of ours.
    world
        .sql(
            "UPDATE users SET updated_at = UTC_TIMESTAMP(6) WHERE id = 1;
             UPDATE users SET updated_at = UTC_TIMESTAMP(6) + INTERVAL 1 HOUR WHERE id = 2",
        )
        .await;
    world.job(BALANCE);
    let run = ["scan", "job.toml", "--since", "30m", "--until", "10m"];
    let report = world.auditor(&run).expect(1).report();
    let found: Vec<_> = report
        .findings
        .iter()
        .map(|f| (f["key"].as_str(), f["attribution"].as_str()))
        .collect();
    assert_eq!(
        found,
        [("user:1:balance", "outside"), ("user:2:balance", "outside")]
    );
}

#[tokio::test]
async fn a_row_stamped_long_before_its_commit_is_found_by_the_margin() {
    let mut world = world_of(Flavor::MariaDb, &[100]).await;
    // Stamped half a minute before the window begins, committed within it.
    world
        .sql(
            "START TRANSACTION;
             SET timestamp = UNIX_TIMESTAMP() - 90;
             UPDATE users SET balance = 90, updated_at = UTC_TIMESTAMP(6) WHERE id = 1;
             SET timestamp = DEFAULT;
             COMMIT",
        )
        .await;
    let path = world.job_with_limits("max_control_mismatch = 1", BALANCE);
    let run = ["scan", "job.toml", "--since", "1m"];
    let narrow = world.auditor(&run).expect(0).report();
    assert_eq!(narrow.lines(), Vec::<String>::new());
    let text = std::fs::read_to_string(&path).unwrap();
    let wide = text.replace("commit_margin = \"1s\"", "commit_margin = \"60s\"");
    std::fs::write(&path, wide).unwrap();
    let report = world.auditor(&run).expect(1).report();
    assert_eq!(report.lines(), ["value-mismatch user:1:balance confirmed"]);
}
