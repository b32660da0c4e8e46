//! The master dies and a replica that is behind takes over.

use super::*;

/// As cron has it: runs came before, and there was nothing to do.
#[tokio::test]
async fn after_a_crash_every_loss_is_found_and_nothing_else() {
    let mut night = Night::begin(Accident::Crash, 41).await;
    night.was_quiet().await;
    let mishap = night.suffers_and_rests(Accident::Crash, 41).await;
    let truth = night.losses().await;
    let report = night.is_dealt_with(&truth).await;
    assert_eq!(told(&report), ("promotion".into(), "heartbeat".into()));
    holds(&report, &mishap);
}

/// The first `run` ever comes after the failover: the sidecar alone has watched.
#[tokio::test]
async fn a_first_run_after_a_crash_knows_it_from_the_sidecar() {
    let mut night = Night::begin(Accident::Crash, 42).await;
    let mishap = night.suffers_and_rests(Accident::Crash, 42).await;
    let truth = night.losses().await;
    let report = night.is_dealt_with(&truth).await;
    assert_eq!(told(&report), ("promotion".into(), "heartbeat".into()));
    holds(&report, &mishap);
}

/// Two failovers in a row before anyone looks, the second of which destroys what the server itself knew of the first.
#[tokio::test]
async fn two_crashes_in_a_row_are_one_window() {
    let mut night = Night::begin(Accident::Crash, 43).await;
    night.was_quiet().await;
    let first = night.suffers_and_rests(Accident::Crash, 43).await;
    night.beats().await;
    night.auction.stage.cluster.rearm().await.unwrap();
    let second = night.suffers_and_rests(Accident::Crash, 44).await;
    let truth = night.losses().await;
    let report = night.is_dealt_with(&truth).await;
    let both = Mishap {
        since: first.since,
        ..second
    };
    holds(&report, &both);
}

/// Nobody stops an application for an audit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_application_writes_nothing_is_found_but_what_was_lost() {
    let mut night = Night::begin(Accident::Crash, 46).await;
    night.was_quiet().await;
    let (mishap, running) = night.suffers(Accident::Crash, 46).await;
    let run = night.run().await;
    running.stop().await;
    night.told_the_truth(&run, mishap.since.unwrap()).await;
}

/// The sidecar dies with the machine that the master ran on: what it last replicated is known all the same.
#[tokio::test]
async fn without_the_sidecar_after_the_failover_its_last_beat_still_dates_it() {
    let mut night = Night::begin(Accident::Crash, 45).await;
    night.was_quiet().await;
    night.beats().await;
    night.kill_sidecar();
    night.suffers_and_rests(Accident::Crash, 45).await;
    let truth = night.losses().await;
    let report = night.is_dealt_with(&truth).await;
    assert_eq!(told(&report), ("promotion".into(), "heartbeat".into()));
}
