//! Another node takes over.

use super::*;

/// Users 1 to 3 get a new name that is replicated, then 4 to 6 one that is not; then the master dies.
async fn night_with_loss() -> Night {
    let mut night = Night::with_replicas(1).await;
    night.begin().await;
    night.rename(1..=3).await;
    night.checkpoint().await;
    in_step(&night.world.redis, &night.world.replicas[0]).await;
    stall(&night.world.replicas[0]).await;
    night.checkpoint().await;
    night.rename(4..=6).await;
    night.fail_over_to(0, &night.world.redis).await;
    night
}

#[tokio::test]
async fn what_a_crash_lost_is_found_and_repaired_without_a_word_about_when() {
    let night = night_with_loss().await;
    let run = night.run().await.expect(0);
    let report = run.report();
    assert_eq!(
        report.lines(),
        repaired(4..=6),
        "and nothing of an hour ago"
    );
    assert!(night.are_newer(&night.world.replicas[0], 1..=6).await);
    let window = &report.run["window"];
    assert_eq!(report.run["command"], "run");
    assert_eq!(window["found_by"], "heartbeat");
    assert_eq!(window["sureness"], "exact to the beat");
    assert_eq!(window["episodes"][0]["kind"], "promotion");
    assert!(
        run.stdout.contains("took over from another master"),
        "{}",
        run.stdout
    );

    let again = night.run().await.expect(0);
    assert!(
        again.stdout.starts_with("nothing to do"),
        "{}",
        again.stdout
    );
    assert_eq!(again.stdout.lines().count(), 1);
    assert_eq!(
        night.folders().len(),
        1,
        "no folder where there is no failover"
    );
}

#[tokio::test]
async fn a_night_without_a_failover_leaves_one_line_and_nothing_else() {
    let night = Night::with_replicas(1).await;
    night.begin().await;
    let audited = || night.remembered().audited_until.unwrap();
    let before = audited();
    // MySQL is not asked: nobody is there.
    let mut command = night.command(&["run", "job.toml", "--format", "json"]);
    command.env("MYSQL_URL", "mysql://nobody@127.0.0.1:1/none");
    let output = tokio::task::spawn_blocking(move || command.output());
    let run = Run::of(output.await.unwrap().unwrap(), night.world.folder.path()).expect(0);
    let said: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(
        (&said["outcome"], &said["exit_code"]),
        (&"no-failover".into(), &0.into())
    );
    assert!(audited() > before, "everything until then is audited");
    assert!(night.folders().is_empty());
}

#[tokio::test]
async fn a_graceful_switch_needs_no_repair() {
    let night = Night::with_replicas(1).await;
    night.begin().await;
    let (old, new) = (&night.world.redis, &night.world.replicas[0]);
    in_step(old, new).await;
    let port = new.port().to_string();
    old.command(&["FAILOVER", "TO", "127.0.0.1", &port])
        .await
        .unwrap();
    let is_done = async || {
        let link = old.info("master_link_status").await.unwrap();
        link.is_some_and(|status| status == "up")
    };
    wait::until(
        "the old master follows the new one",
        Duration::from_secs(30),
        is_done,
    )
    .await
    .unwrap();
    night.name.set_target(new.port());
    night.name.cut_connections();
    let run = night.run().await.expect(0);
    assert!(
        run.stdout.contains("took over without a loss"),
        "{}",
        run.stdout
    );
    assert!(night.folders().is_empty());
    let again = night.run().await.expect(0);
    assert!(again.stdout.contains("no failover"), "{}", again.stdout);
}

#[tokio::test]
async fn two_failovers_before_anybody_looked_are_one_window() {
    let mut night = Night::with_replicas(2).await;
    night.begin().await;
    for index in [0, 1] {
        in_step(&night.world.redis, &night.world.replicas[index]).await;
        stall(&night.world.replicas[index]).await;
    }
    night.rename(1..=2).await;
    night.fail_over_to(0, &night.world.redis).await;
    let (b, c) = (night.world.replicas[0].port().to_string(), 1);
    let third = &night.world.replicas[c];
    third.command(&["CLIENT", "UNPAUSE"]).await.unwrap();
    third
        .command(&["REPLICAOF", "127.0.0.1", &b])
        .await
        .unwrap();
    night.world.replicas[0].wait_for_replicas(1).await.unwrap();
    night.checkpoint().await;
    in_step(&night.world.replicas[0], &night.world.replicas[c]).await;
    stall(&night.world.replicas[c]).await;
    night.rename(5..=6).await;
    night.fail_over_to(c, &night.world.replicas[0]).await;
    let run = night.run().await.expect(0);
    let mut expected = repaired(1..=2);
    expected.extend(repaired(5..=6));
    assert_eq!(run.report().lines(), expected);
    night.run().await.expect(0);
    assert_eq!(night.folders().len(), 1);
}
