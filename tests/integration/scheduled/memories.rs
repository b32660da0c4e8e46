//! What is left when some of the evidence is gone.

use super::*;

async fn fail_over_with_loss(night: &mut Night) {
    in_step(&night.world.redis, &night.world.replicas[0]).await;
    stall(&night.world.replicas[0]).await;
    night.rename(4..=6).await;
    night.fail_over_to(0, &night.world.redis).await;
}

#[tokio::test]
async fn the_copy_in_redis_stands_in_for_a_lost_state_folder() {
    let mut night = Night::with_replicas(1).await;
    night.begin().await;
    std::fs::remove_dir_all(night.state()).unwrap();
    fail_over_with_loss(&mut night).await;
    let report = night.run().await.expect(0).report();
    assert_eq!(report.lines(), repaired(4..=6));
    assert_eq!(report.run["window"]["found_by"], "heartbeat");
    let handled = night.remembered().handled;
    assert_eq!(
        handled.len(),
        2,
        "what the copy knew and what was done: {handled:?}"
    );
}

#[tokio::test]
async fn without_any_heartbeat_the_last_run_dates_the_failover() {
    let mut night = Night::with_replicas(1).await;
    // A process that may be younger than the last run could have loaded data of any age.
    a_second_passes(&night.world.replicas[0]).await;
    night.run().await.expect(0);
    night.run().await.expect(0);
    fail_over_with_loss(&mut night).await;
    let report = night.run().await.expect(0).report();
    assert_eq!(report.lines(), repaired(4..=6));
    let window = &report.run["window"];
    assert_eq!(
        (&window["found_by"], &window["sureness"]),
        (&"last-run".into(), &"estimate".into())
    );
}

#[tokio::test]
async fn a_failover_before_the_first_run_asks_a_person_for_the_time() {
    let mut night = Night::with_replicas(1).await;
    fail_over_with_loss(&mut night).await;
    let run = night.run().await.expect(4);
    assert!(run.stdout.contains("since when"), "{}", run.stdout);
    assert!(
        run.stdout
            .contains("auditor repair job.toml --since TIME --yes")
    );
    assert!(night.folders().is_empty());
    let told = ["repair", "job.toml", "--since", "5m", "--yes"];
    let report = night.auditor(&told).await.expect(0).report();
    assert_eq!(report.lines(), repaired(4..=6));
    let run = night.run().await.expect(0);
    assert!(run.stdout.contains("no failover"), "{}", run.stdout);
}

#[tokio::test]
async fn a_damaged_state_is_said_and_left_as_it_is() {
    let night = Night::with_replicas(0).await;
    night.begin().await;
    let path = night.state().join("state.json");
    std::fs::write(&path, "{ not json").unwrap();
    for arguments in [
        &["run", "job.toml"][..],
        &["scan", "job.toml", "--since", "auto"],
    ] {
        let run = night.auditor(arguments).await.expect(3);
        assert!(run.stderr.contains("state.json"), "{}", run.stderr);
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "{ not json");
}
