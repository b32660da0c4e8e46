//! `scan` and `repair` without a time, and what they leave to the next `run`.

use super::*;
use crate::support::monitor::Monitor;

async fn night_with_loss() -> Night {
    let mut night = Night::with_replicas(1).await;
    night.begin().await;
    in_step(&night.world.redis, &night.world.replicas[0]).await;
    stall(&night.world.replicas[0]).await;
    night.rename(4..=6).await;
    night.fail_over_to(0, &night.world.redis).await;
    night
}

#[tokio::test]
async fn a_scan_finds_the_window_and_writes_nothing_anywhere() {
    let night = night_with_loss().await;
    let before = night.remembered();
    let monitor = Monitor::start(night.world.replicas[0].port());
    for arguments in [
        &["scan", "job.toml"][..],
        &["scan", "job.toml", "--since", "auto"],
        &["repair", "job.toml", "--dry-run"],
    ] {
        let report = night.auditor(arguments).await.expect(1).report();
        assert_eq!(report.lines().len(), 3, "{:?}", report.lines());
        assert_eq!(report.run["window"]["found_by"], "heartbeat");
    }
    let writes = ["set", "xadd", "eval", "evalsha", "del", "fcall"];
    let commands = monitor.commands();
    assert!(commands.contains("get"), "{commands:?}");
    assert!(
        writes.iter().all(|write| !commands.contains(*write)),
        "{commands:?}"
    );
    assert_eq!(night.remembered(), before);
    // None of them counts as having dealt with it.
    let report = night.run().await.expect(0).report();
    assert_eq!(report.lines(), repaired(4..=6));
}

#[tokio::test]
async fn a_repair_that_leaves_something_out_leaves_it_to_the_next_run() {
    for (arguments, is_enough) in [
        (&["repair", "job.toml", "--yes"][..], true),
        (&["repair", "job.toml", "--since", "1h", "--yes"], true),
        (
            &["repair", "job.toml", "--since", "@4102444800", "--yes"],
            false,
        ),
        (&["repair", "job.toml", "--only", "profile", "--yes"], false),
    ] {
        let night = night_with_loss().await;
        let since = arguments.get(3).filter(|text| text.starts_with('@'));
        let now = chrono::Utc::now().timestamp_micros();
        let now = format!("@{}.{:06}", now / 1_000_000, now % 1_000_000);
        let words: Vec<&str> = arguments
            .iter()
            .map(|word| {
                if since == Some(word) {
                    now.as_str()
                } else {
                    word
                }
            })
            .collect();
        night.auditor(&words).await;
        let run = night.run().await.expect(0);
        let is_done = run.stdout.contains("no failover");
        assert_eq!(is_done, is_enough, "{arguments:?}: {}", run.stdout);
    }
}

#[tokio::test]
async fn a_repair_that_went_on_from_another_leaves_it_to_the_next_run() {
    let night = night_with_loss().await;
    let limited = ["repair", "job.toml", "--yes", "--max-repairs", "1"];
    let first = night.auditor(&limited).await.expect(4).report();
    let rest = ["repair", "job.toml", "--resume", "--yes"];
    let last = night.auditor(&rest).await.expect(0).report();
    for side in ["since", "until", "found_by"] {
        assert_eq!(last.run["window"][side], first.run["window"][side]);
    }
    // What masters there were between the two nobody saw.
    let run = night.run().await.expect(0);
    assert!(!run.stdout.contains("no failover"), "{}", run.stdout);
    let run = night.run().await.expect(0);
    assert!(run.stdout.contains("no failover"), "{}", run.stdout);
}

#[tokio::test]
async fn without_a_failover_a_scan_asks_for_a_time() {
    let night = Night::with_replicas(0).await;
    night.begin().await;
    let scan = night.auditor(&["scan", "job.toml"]).await.expect(2);
    assert!(scan.stderr.contains("Nothing happened"), "{}", scan.stderr);
    assert!(
        scan.stderr.contains("say --since TIME or --full"),
        "{}",
        scan.stderr
    );
}
