//! The master comes back where it was without what it had. No Sentinel notices, and no event says so.

use super::*;

#[tokio::test]
async fn a_restart_without_data_is_noticed_and_a_full_sweep_is_asked_for() {
    let night = restarted(Accident::RestartEmpty, 61).await;
    let truth = night.losses().await;
    let run = night.run().await.expect(4);
    assert!(run.stdout.contains("--full"), "{run:?}");
    assert_eq!(night.auction.run_folders().len(), 0, "{run:?}");
    assert_eq!(night.auction.truth().await, truth, "nothing was written");
    // Until somebody does so.
    night.run().await.expect(4);
    night.auction.edit_job(&[ALLOWED]);
    let report = night.is_dealt_with(&truth).await;
    assert_eq!(told(&report).0, "restart-empty");
    assert_eq!(report.run["is_full"], true);
}

#[tokio::test]
async fn a_restart_from_a_snapshot_is_noticed_and_swept() {
    let night = restarted(Accident::RestartFromSnapshot, 62).await;
    night.auction.edit_job(&[ALLOWED]);
    let truth = night.losses().await;
    let report = night.is_dealt_with(&truth).await;
    assert_eq!(told(&report).0, "restart-from-old-snapshot");
    assert_eq!(report.run["is_full"], true);
}

const ALLOWED: (&str, &str) = (
    "name = \"auction\"\n",
    "name = \"auction\"\nfull_repair = true\n",
);

async fn restarted(accident: Accident, seed: u64) -> Night {
    let mut night = Night::begin(accident, seed).await;
    night.was_quiet().await;
    night.suffers_and_rests(accident, seed).await;
    night
}
