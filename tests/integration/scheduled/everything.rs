//! What `run` leaves to a person where everything has to be looked at: a full repair by hand, whole or in shards.

use super::*;

/// A server that came back as it was before twenty rows were renamed, under a job that doubts what is wrong so often.
async fn with_an_older_state() -> Night {
    let mut night = Night::with_lines(&[]).await;
    night.edit_job("max_control_mismatch = 1.0", "max_control_mismatch = 0.01");
    night.begin().await;
    night.world.redis.command(&["SAVE"]).await.unwrap();
    night.checkpoint().await;
    night.rename(1..=20).await;
    night.checkpoint().await;
    a_second_passes(&night.world.redis).await;
    night.world.redis.restart().await.unwrap();
    night.name.cut_connections();
    let run = night.run().await.expect(4);
    assert!(run.stdout.contains("an older state"), "{}", run.stdout);
    night
}

fn names_the_missing_sample(run: &Run) -> bool {
    run.stdout.contains("control sample is not applicable")
}

#[tokio::test]
async fn the_repair_that_run_asks_for_is_not_doubted_for_what_the_restart_lost() {
    let night = with_an_older_state().await;
    let scan = night
        .auditor(&["scan", "job.toml", "--full"])
        .await
        .expect(1);
    assert!(names_the_missing_sample(&scan), "{}", scan.stdout);
    let repair = ["repair", "job.toml", "--full", "--yes"];
    let repaired_all = night.auditor(&repair).await.expect(0);
    assert!(
        names_the_missing_sample(&repaired_all),
        "{}",
        repaired_all.stdout
    );
    let report = repaired_all.report();
    assert_eq!(report.lines().len(), 21);
    assert!(report.run["checks"][0]["control"].is_null());
    let episode = &report.run["episodes"][0];
    assert_eq!(episode["kind"], "restart-from-old-snapshot");
    assert_eq!(episode["found_by"], "heartbeat");
    assert!(report.run["window"].is_null());
    let run = night.run().await.expect(0);
    assert!(run.stdout.contains("no failover"), "{}", run.stdout);
    // Where nothing happened, so much is a wrong mapping again.
    for id in 1..=20 {
        let wrong = profile(id, 4);
        let key = profile_key(id);
        let set = ["SET", key.as_str(), wrong.as_str()];
        night.world.redis.command(&set).await.unwrap();
    }
    let doubted = night.auditor(&repair).await.expect(4);
    assert!(
        doubted.stdout.contains("wrong mapping"),
        "{}",
        doubted.stdout
    );
}

#[tokio::test]
async fn a_repair_in_shards_counts_once_every_shard_has_ended() {
    let night = with_an_older_state().await;
    let shard = |shard: &'static str| {
        let words = ["repair", "job.toml", "--full", "--yes", "--shard", shard];
        let night = &night;
        async move { night.auditor(&words).await.expect(0) }
    };
    let marked = || night.remembered().audited_until;
    let before = marked();
    shard("1/3").await;
    let first = night.shards();
    shard("2/3").await;
    shard("1/3").await;
    assert_eq!(marked(), before);
    night.run().await.expect(4);
    let last = shard("0/3").await;
    assert!(
        last.stderr.contains("every shard has ended"),
        "{}",
        last.stderr
    );
    // As of the beginning of the second one: the first was done again after it.
    let audited = marked().map(|at| at.to_rfc3339()).unwrap();
    assert!(!first.contains(&audited));
    let second = last.report().run["started_at"].as_str().unwrap().to_owned();
    assert!(audited < second, "{audited} is not before {second}");
    assert!(!night.shards().contains("run_id"));
    let run = night.run().await.expect(0);
    assert!(run.stdout.contains("no failover"), "{}", run.stdout);
}
