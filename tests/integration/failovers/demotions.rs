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

/// As Sentinel's hook calls it: the new master is there, and the old one takes writes for ten seconds more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_comes_while_there_are_two_masters_waits_until_there_is_one() {
    let mut night = Night::begin(Accident::Switch, 54).await;
    night.was_quiet().await;
    let Acts {
        load, before, lost, ..
    } = acts(54);
    let running = night.auction.stage.app.run(load).await.unwrap();
    running.wait_for(before, LIMIT).await.unwrap();
    let since = Utc::now();
    let cluster = &mut night.auction.stage.cluster;
    cluster.fence().await.unwrap();
    cluster.ask_for_failover().await.unwrap();
    cluster.wait_for_new_master().await.unwrap();
    let old_master_goes = async {
        running.wait_for(lost, LIMIT).await.unwrap();
        night
            .auction
            .stage
            .cluster
            .wait_for_demotion()
            .await
            .unwrap();
        let demoted_at = Utc::now();
        running.wait_for(200, LIMIT).await.unwrap();
        demoted_at
    };
    let (run, demoted_at) = tokio::join!(night.run(), old_master_goes);
    running.stop().await;
    let began_at = run.report().run["started_at"]
        .as_str()
        .unwrap()
        .parse::<DateTime<Utc>>();
    assert!(began_at.unwrap() + SLACK > demoted_at, "{run:?}");
    night.told_the_truth(&run, since).await;
}

/// The other side of the partition goes on where nobody can see it: what it loses after the first run is for the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_during_a_partition_is_not_the_last_one() {
    let mut night = Night::begin(Accident::Partition, 55).await;
    night.was_quiet().await;
    let Acts {
        load,
        before,
        lost,
        after,
    } = acts(55);
    let running = night.auction.stage.app.run(load).await.unwrap();
    running.wait_for(before, LIMIT).await.unwrap();
    night.auction.stage.cluster.fence().await.unwrap();
    night.auction.stage.cluster.cut_off_master().unwrap();
    running.wait_for(lost, LIMIT).await.unwrap();
    night
        .auction
        .stage
        .cluster
        .wait_for_new_master()
        .await
        .unwrap();
    running.stop().await;
    let truth = night.losses().await;
    let first = night.run().await.expect(0);
    assert_eq!(found(&first.report(), "confirmed"), truth, "{first:?}");
    assert!(first.stdout.contains("does not answer"), "{first:?}");

    let running = night.auction.stage.app.run(load).await.unwrap();
    running.wait_for(lost, LIMIT).await.unwrap();
    let cluster = &night.auction.stage.cluster;
    cluster.heal().unwrap();
    cluster.tell_application();
    cluster.wait_for_demotion().await.unwrap();
    running.wait_for(after, LIMIT).await.unwrap();
    running.stop().await;
    let truth = night.losses().await;
    night.is_dealt_with(&truth).await;
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
