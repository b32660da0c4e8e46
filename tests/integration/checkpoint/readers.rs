//! Whoever looks for a failover without writing.

use auditor::failover::FoundBeat;
use auditor::store::redis::Redis;

use super::*;
use crate::support::monitor::Monitor;

#[tokio::test]
async fn what_a_checkpoint_left_is_read_without_a_write() {
    let master = server(None, &[]).await;
    let spare = replica(None, &master).await;
    let site = Site::new(&master.url(), "");
    site.checkpoint(&[]);
    in_step(&master, &spare).await;
    let on_master = heartbeat(&master).await;
    fail_over(&master, &spare).await;
    site.write_job(&spare.url(), "");
    let job = site.job();

    let redis = Redis::connect(&job.redis, LIMIT).await.unwrap();
    let facts = redis.facts().await.unwrap();
    let monitor = Monitor::start(spare.port());
    let held = sampler::heartbeat_of(&redis, &facts, &job).await.unwrap();
    assert_eq!(held.found, FoundBeat::Beat(on_master.clone()));
    assert_eq!(held.address, format!("127.0.0.1:{}", spare.port()));
    let copied = sampler::remembered_in_redis(&redis, &facts, &job)
        .await
        .unwrap();
    assert_eq!(copied.samples, site.remembered().samples, "by the copy");
    assert_eq!(copied.changes, []);
    let asked: Vec<String> = monitor.commands().into_iter().collect();
    assert_eq!(asked, ["get", "xrevrange"]);

    // Somebody beats, and his folder is gone with his pod: the server's own evidence still tells.
    let elsewhere = Site::new(&spare.url(), "");
    assert_eq!(elsewhere.checkpoint(&[]).code, Some(0));
    spare.command(&["DEL", STATE]).await.unwrap();
    let told = sampler::remembered_in_redis(&redis, &facts, &job)
        .await
        .unwrap();
    assert_eq!(told.changes.len(), 1);
    assert_eq!(told.changes[0].found.as_ref(), Some(&on_master));
    let held = sampler::heartbeat_of(&redis, &facts, &job).await.unwrap();
    assert_eq!(held.found, FoundBeat::Beat(heartbeat(&spare).await));
}

#[tokio::test]
async fn a_server_without_heartbeats_has_nothing_to_say() {
    let redis = server(None, &[]).await;
    let site = Site::new(&redis.url(), "");
    let job = site.job();
    let reader = Redis::connect(&job.redis, LIMIT).await.unwrap();
    let facts = reader.facts().await.unwrap();
    let told = sampler::remembered_in_redis(&reader, &facts, &job)
        .await
        .unwrap();
    assert_eq!(told, Remembered::default());
    let held = sampler::heartbeat_of(&reader, &facts, &job).await.unwrap();
    assert_eq!(held.found, FoundBeat::Nothing);
    redis.command(&["SET", STATE, "garbage"]).await.unwrap();
    let fault = sampler::remembered_in_redis(&reader, &facts, &job)
        .await
        .unwrap_err();
    assert!(
        matches!(&fault, sampler::SamplerError::State(_)) && fault.to_string().contains(STATE),
        "{fault}"
    );
}
