//! The master comes back where it was without what it had. No Sentinel notices, and no event says so.

use super::*;

#[tokio::test]
async fn a_restart_without_data_is_noticed_and_swept_where_the_job_allows_it() {
    everything_is_swept(Accident::RestartEmpty, "came back empty", 61).await;
}

#[tokio::test]
async fn a_restart_from_a_snapshot_is_noticed_and_swept_where_the_job_allows_it() {
    everything_is_swept(
        Accident::RestartFromSnapshot,
        "came back with an older state",
        62,
    )
    .await;
}

const ALLOWED: (&str, &str) = (
    "name = \"auction\"\n",
    "name = \"auction\"\nfull_repair = true\n",
);

async fn everything_is_swept(accident: Accident, told: &str, seed: u64) {
    let mut night = Night::begin(accident, seed).await;
    night.was_quiet().await;
    night.suffers_and_rests(accident, seed).await;
    let truth = night.losses().await;
    // As often as cron asks, until somebody acts.
    for _ in 0..2 {
        let run = night.run().await.expect(4);
        assert!(run.stdout.contains(told), "{run:?}");
        assert!(run.stdout.contains(" --full"), "{run:?}");
        assert_eq!(night.auction.run_folders(), BTreeSet::new(), "{run:?}");
    }
    assert_eq!(night.auction.truth().await, truth, "nothing was written");
    night.auction.edit_job(&[ALLOWED]);
    let report = night.is_dealt_with(&truth).await;
    assert_eq!(report.run["is_full"], true);
}
