//! The program, once and once more, while masters die, come back and lose their data.

use super::*;

/// Found by the last change that the folder remembers.
fn last_found(site: &Site) -> Option<Heartbeat> {
    site.remembered().changes.last().unwrap().found.clone()
}

fn checkpointed(site: &Site) -> Run {
    let run = site.checkpoint(&[]);
    assert_eq!(run.code, Some(0), "{run:?}");
    run
}

#[tokio::test]
async fn two_failovers_in_a_row_leave_two_changes_that_chain() {
    let a = server(None, &[]).await;
    let b = replica(None, &a).await;
    let site = Site::new(&a.url(), "");
    let run = checkpointed(&site);
    assert!(
        run.stdout.starts_with("heartbeat through 127.0.0.1:"),
        "{run:?}"
    );
    assert_eq!(run.stdout.lines().count(), 1, "{run:?}");
    assert_eq!(site.remembered().changes, [], "{run:?}");
    in_step(&a, &b).await;
    let on_a = heartbeat(&a).await;
    fail_over(&a, &b).await;
    site.write_job(&b.url(), "");
    let run = checkpointed(&site);
    assert!(
        run.stderr.contains("took over") && run.stderr.contains("`auditor run`"),
        "{run:?}"
    );
    assert!(run.stdout.contains("the history changed"), "{run:?}");
    let on_b = heartbeat(&b).await;

    let c = replica(None, &b).await;
    in_step(&b, &c).await;
    fail_over(&b, &c).await;
    site.write_job(&c.url(), "");
    checkpointed(&site);
    let remembered = site.remembered();
    let [first, second] = &remembered.changes[..] else {
        panic!("{remembered:?}")
    };
    assert_eq!(first.found.as_ref(), Some(&on_a));
    assert_eq!(first.replication_id2, on_a.replication_id);
    assert_eq!(first.replication_id, on_b.replication_id);
    assert_eq!(second.found.as_ref(), Some(&on_b));
    assert_eq!(second.replication_id2, on_b.replication_id);
    assert_eq!(remembered.samples.len(), 3);
    let run = checkpointed(&site);
    assert!(
        !run.stderr.contains("WARN"),
        "nothing is news twice: {run:?}"
    );
    assert_eq!(site.remembered().changes, remembered.changes);
}

#[tokio::test]
async fn a_restart_without_data_is_noticed_by_the_missing_heartbeat() {
    let redis = server(None, &[]).await;
    let site = Site::new(&redis.url(), "");
    checkpointed(&site);
    let before = heartbeat(&redis).await;
    redis.restart().await.unwrap();
    let run = checkpointed(&site);
    assert!(run.stderr.contains("empty"), "{run:?}");
    let remembered = site.remembered();
    assert_eq!(remembered.changes.len(), 1);
    let change = &remembered.changes[0];
    assert_eq!(change.found, None);
    assert_ne!(change.run_id, before.run_id);
    assert_eq!(change.second_offset, -1);
    let run = checkpointed(&site);
    assert!(!run.stderr.contains("WARN"), "{run:?}");
    assert_eq!(site.remembered().changes.len(), 1);
}

#[tokio::test]
async fn a_restart_that_somebody_else_noticed_first_is_noticed_all_the_same() {
    let redis = server(None, &[]).await;
    let site = Site::new(&redis.url(), "");
    checkpointed(&site);
    redis.restart().await.unwrap();
    let elsewhere = Site::new(&redis.url(), "");
    let run = checkpointed(&elsewhere);
    assert!(
        !run.stderr.contains("WARN"),
        "it remembers nothing: {run:?}"
    );
    checkpointed(&site);
    assert_eq!(site.remembered().changes.len(), 1);
    assert_eq!(last_found(&site), None);
}

#[tokio::test]
async fn a_restart_with_its_data_says_so() {
    let redis = server(None, &["appendonly yes", "appendfsync always"]).await;
    let site = Site::new(&redis.url(), "");
    checkpointed(&site);
    let before = heartbeat(&redis).await;
    redis.restart().await.unwrap();
    let run = checkpointed(&site);
    assert_eq!(last_found(&site), Some(before), "{run:?}");
}

#[tokio::test]
async fn a_restart_from_an_old_snapshot_shows_its_age() {
    let redis = server(None, &[]).await;
    // Without any replica a snapshot does not even name its history.
    let _spare = replica(None, &redis).await;
    let site = Site::new(&redis.url(), "");
    checkpointed(&site);
    let old = heartbeat(&redis).await;
    redis.command(&["SAVE"]).await.unwrap();
    checkpointed(&site);
    assert!(heartbeat(&redis).await.beat_at > old.beat_at);
    redis.restart().await.unwrap();
    checkpointed(&site);
    assert_eq!(last_found(&site), Some(old.clone()));
    let change = site.remembered().changes.remove(0);
    assert_eq!(
        change.replication_id2, old.replication_id,
        "as after a promotion"
    );
    assert_ne!(change.run_id, old.run_id, "but it is another process");
}

#[tokio::test]
async fn a_renewed_replication_id_is_no_alarm() {
    let master = server(None, &["repl-backlog-ttl 1"]).await;
    let spare = replica(None, &master).await;
    let site = Site::new(&master.url(), "");
    checkpointed(&site);
    let before = heartbeat(&master).await;
    spare.kill().unwrap();
    wait::until("the backlog has expired", LIMIT, async || {
        master.info("master_replid").await.unwrap() != Some(before.replication_id.clone())
    })
    .await
    .unwrap();
    let run = checkpointed(&site);
    assert!(
        !run.stderr.contains("WARN") && run.stderr.contains("renewed"),
        "{run:?}"
    );
    assert_eq!(last_found(&site), Some(before));
}

#[tokio::test]
async fn a_heartbeat_that_was_deleted_is_no_failover() {
    let redis = server(None, &[]).await;
    let site = Site::new(&redis.url(), "");
    checkpointed(&site);
    redis.command(&["DEL", HEARTBEAT]).await.unwrap();
    let run = checkpointed(&site);
    assert!(run.stderr.contains("deleted or evicted"), "{run:?}");
    assert_eq!(site.remembered().changes, []);
}

#[tokio::test]
async fn a_redis_that_is_down_is_3_and_leaves_everything_as_it_was() {
    let redis = server(None, &[]).await;
    let site = Site::new(&redis.url(), "");
    checkpointed(&site);
    let before = site.remembered();
    redis.kill().unwrap();
    let run = site.checkpoint(&[]);
    assert_eq!(run.code, Some(3), "{run:?}");
    assert!(
        run.stderr.contains("could not be reached") && run.stdout.is_empty(),
        "{run:?}"
    );
    assert_eq!(site.remembered(), before);
}

#[tokio::test]
async fn machines_are_told_as_json() {
    let redis = server(None, &[]).await;
    let site = Site::new(&redis.url(), "");
    checkpointed(&site);
    redis.restart().await.unwrap();
    let run = site.checkpoint(&["--format", "json"]);
    let said: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let beat = heartbeat(&redis).await;
    assert_eq!(
        said["beats"][0]["replication_id"],
        beat.replication_id.as_str()
    );
    assert_eq!(said["beats"][0]["beat_at"], beat.beat_at.to_rfc3339());
    assert_eq!(
        said["changes"][0]["last_heartbeat"],
        serde_json::Value::Null
    );
    assert_eq!(said["failures"], serde_json::json!([]));
}
