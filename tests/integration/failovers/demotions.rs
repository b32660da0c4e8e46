//! The old master lives, and acknowledges for some ten seconds more than it should.

use super::*;

#[tokio::test]
async fn a_partition_that_heals_is_audited_from_the_cut_to_the_demotion() {
    every_loss_is_found(Accident::Partition, 51).await;
}

#[tokio::test]
async fn a_switch_under_load_is_audited_from_the_promotion_to_the_demotion() {
    every_loss_is_found(Accident::Switch, 52).await;
}

#[tokio::test]
async fn a_master_that_wakes_up_is_audited_to_its_demotion() {
    every_loss_is_found(Accident::Sleep, 53).await;
}

async fn every_loss_is_found(accident: Accident, seed: u64) {
    let mut night = Night::begin(accident, seed).await;
    night.was_quiet().await;
    let mishap = night.suffers_and_rests(accident, seed).await;
    let truth = night.losses().await;
    let report = night.is_dealt_with(&truth).await;
    assert_eq!(told(&report), ("promotion".into(), "heartbeat".into()));
    holds(&report, &mishap);
}
