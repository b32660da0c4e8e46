//! The same node comes back, with or without its data; no failover is announced by anybody.

use super::*;

async fn restarted(night: &Night) {
    night.world.redis.restart().await.unwrap();
    night.name.cut_connections();
}

#[tokio::test]
async fn a_restart_with_its_data_is_audited_and_found_to_be_consistent() {
    let mut night = Night::with_lines(&["appendonly yes"]).await;
    night.begin().await;
    night.rename(1..=2).await;
    restarted(&night).await;
    let report = night.run().await.expect(0).report();
    assert_eq!(report.lines(), [""; 0]);
    assert_eq!(
        report.run["window"]["episodes"][0]["kind"],
        "restart-with-data"
    );
    night.run().await.expect(0);
    assert_eq!(night.folders().len(), 1);
}

#[tokio::test]
async fn an_empty_server_asks_for_a_full_sweep_until_there_was_one() {
    let night = Night::with_lines(&[]).await;
    night.begin().await;
    restarted(&night).await;
    for _ in 0..2 {
        let run = night.run().await.expect(4);
        assert!(run.stdout.contains("came back empty"), "{}", run.stdout);
        let command = "auditor repair job.toml --full --yes";
        assert!(run.stdout.trim_end().ends_with(command), "{}", run.stdout);
    }
    let scan = night.auditor(&["scan", "job.toml"]).await.expect(2);
    assert!(scan.stderr.contains("say --full"), "{}", scan.stderr);
    assert!(night.folders().is_empty());
    night
        .auditor(&["repair", "job.toml", "--full", "--yes"])
        .await
        .expect(0);
    let run = night.run().await.expect(0);
    assert!(run.stdout.contains("no failover"), "{}", run.stdout);
}

#[tokio::test]
async fn an_old_snapshot_is_repaired_as_a_whole_where_the_job_allows_it() {
    let mut night = Night::with_lines(&[]).await;
    // A mapping that is wrong for so many would be doubted.
    night.edit_job("max_control_mismatch = 1.0", "max_control_mismatch = 0.01");
    night.begin().await;
    night.world.redis.command(&["SAVE"]).await.unwrap();
    night.checkpoint().await;
    night.rename(1..=20).await;
    night.checkpoint().await;
    a_second_passes(&night.world.redis).await;
    restarted(&night).await;
    let run = night.run().await.expect(4);
    assert!(run.stdout.contains("an older state"), "{}", run.stdout);
    night.allow_full_repair();
    let report = night.run().await.expect(0).report();
    let mut expected = repaired(1..=20);
    expected.extend(repaired(WRONG_LONG_AGO..=WRONG_LONG_AGO));
    expected.sort();
    assert_eq!(report.lines(), expected, "everything is looked at");
    assert!(
        report.run["checks"][0]["control"].is_null(),
        "not applicable"
    );
    assert!(night.are_newer(&night.world.redis, 1..=20).await);
    let again = night.run().await.expect(0);
    assert!(again.stdout.contains("no failover"), "{}", again.stdout);
}

#[tokio::test]
async fn what_had_no_control_has_none_when_it_is_gone_on_with() {
    let mut night = Night::with_lines(&[]).await;
    night.edit_job(
        "max_control_mismatch = 1.0",
        "max_control_mismatch = 0.01\nmax_repairs = 5",
    );
    night.allow_full_repair();
    night.begin().await;
    night.world.redis.command(&["SAVE"]).await.unwrap();
    night.checkpoint().await;
    night.rename(1..=20).await;
    night.checkpoint().await;
    a_second_passes(&night.world.redis).await;
    restarted(&night).await;
    night.run().await.expect(4);
    let rest = ["repair", "job.toml", "--resume", "--yes"];
    let rest = [&rest[..], &["--max-repairs", "1000"]].concat();
    let report = night.auditor(&rest).await.expect(0).report();
    assert!(report.run["checks"][0]["control"].is_null());
    assert!(night.are_newer(&night.world.redis, 1..=20).await);
}
