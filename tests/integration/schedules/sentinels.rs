//! The hook as real Sentinels call it, on a real failover.

use std::time::Duration;

use auditor::lab::servers::{RedisOptions, RedisServer, SentinelGroup, SentinelOptions};
use auditor::lab::wait;

use super::hook::{Bench, HOOK};
use super::*;

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn three_sentinels_start_one_run() {
    let bench = Bench::new();
    bench.program("auditor", "");
    std::fs::write(bench.file("mymaster.toml"), "").unwrap();
    // What Sentinel's environment would say; and who was called.
    bench.program(
        "client-reconfig",
        &format!(
            "echo \"$2\" >>'{}'\nexport PATH='{}' AUDITOR_JOBS='{}' AUDITOR_LOG='{}'\nexec '{}' \"$@\"\n",
            bench.file("roles").display(),
            bench.path(),
            bench.folder().display(),
            bench.file("log").display(),
            repository().join(HOOK).display(),
        ),
    );
    let script = bench.file("bin/client-reconfig").display().to_string();

    let old = RedisServer::start(RedisOptions::default()).await.unwrap();
    let replica = RedisOptions {
        replica_of: Some(old.port()),
        ..RedisOptions::default()
    };
    let new = RedisServer::start(replica).await.unwrap();
    old.wait_for_replicas(1).await.unwrap();
    let line = format!("sentinel client-reconfig-script mymaster {script}");
    let sentinels = SentinelGroup::start_with(
        old.port(),
        "mymaster",
        SentinelOptions {
            lines: vec![line],
            ..SentinelOptions::default()
        },
    )
    .await
    .unwrap();
    sentinels.wait_until_ready(1).await.unwrap();
    let (from, to) = (old.port(), new.port());
    old.kill().unwrap();
    assert_eq!(sentinels.wait_for_new_master(from).await.unwrap(), to);

    let roles = || std::fs::read_to_string(bench.file("roles")).unwrap_or_default();
    let called = wait::until("every Sentinel has called", LIMIT, async || {
        roles().lines().count() == 3
    });
    called.await.unwrap_or_else(|e| panic!("{e}: {}", roles()));
    assert_eq!(
        roles().lines().filter(|role| *role == "leader").count(),
        1,
        "{}",
        roles()
    );
    let ended = wait::until("the run has ended", LIMIT, async || {
        bench.log().contains("exit code 0 of: auditor run")
    });
    ended
        .await
        .unwrap_or_else(|e| panic!("{e}: {}", bench.log()));
    let moved = format!("master mymaster moved from 127.0.0.1:{from} to 127.0.0.1:{to}");
    assert!(bench.log().contains(&moved), "{}", bench.log());
    assert_eq!(
        bench.log().matches("starting").count(),
        1,
        "{}",
        bench.log()
    );
    let calls = bench.calls("auditor");
    assert_eq!(calls.len(), 1);
    assert_eq!(
        calls[0][..2],
        [
            "run".to_owned(),
            bench.file("mymaster.toml").display().to_string()
        ]
    );
}
