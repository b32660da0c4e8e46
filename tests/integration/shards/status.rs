//! `auditor status` says who is at work, and how far the latest runs are.

use std::time::Duration;

use auditor::lab::wait;
use serde_json::Value;

use super::locks::{end, slow_shop, words};
use crate::support::World;

fn json(world: &World) -> Value {
    let told = world
        .auditor(&["status", "job.toml", "--format", "json"])
        .expect(0);
    serde_json::from_str(&told.stdout).unwrap()
}

/// Waits until so many runs are at work, and so many leases are held.
async fn until_at_work(world: &World, runs: usize, leases: usize) {
    let are = async || {
        let status = json(world);
        let all = status["runs"].as_array().unwrap().iter();
        let at_work = all.filter(|run| run["state"] == "at work").count();
        at_work == runs && status["leases"].as_array().unwrap().len() == leases
    };
    wait::until("they are at work", Duration::from_secs(30), are)
        .await
        .unwrap();
}

#[tokio::test]
async fn every_shard_at_work_is_named_and_none_that_has_ended() {
    let world = slow_shop().await;
    let told = world.auditor(&["status", "job.toml"]).expect(0).stdout;
    assert!(told.contains("nobody repairs this job"), "{told}");
    assert!(told.contains("run      none yet"), "{told}");
    let first = world.spawn(&words("0/3"));
    let second = world.spawn(&words("2/3"));
    until_at_work(&world, 2, 2).await;
    let status = json(&world);
    let leases = status["leases"].as_array().unwrap();
    let shards: Vec<&Value> = leases
        .iter()
        .map(|lease| &lease["shard"]["index"])
        .collect();
    assert_eq!(shards, [&Value::from(0), &Value::from(2)]);
    for lease in leases {
        assert_eq!(lease["shard"]["count"], 3);
        assert!(lease["connection"].as_u64().unwrap() > 0);
        assert!(!lease["user"].as_str().unwrap().is_empty(), "{lease}");
        assert!(
            lease["since"].as_str().unwrap().starts_with("20"),
            "{lease}"
        );
    }
    let runs = status["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 2);
    for run in runs {
        assert_eq!(
            (&run["state"], &run["command"]),
            (&"at work".into(), &"repair".into())
        );
        let names: Vec<&Value> = run["checks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| &c["name"])
            .collect();
        assert_eq!(names, ["profile", "balance"]);
    }
    for child in [first, second] {
        let (code, said) = end(child);
        assert_eq!(code, Some(0), "{said}");
    }
    let told = world.auditor(&["status", "job.toml"]).expect(0).stdout;
    assert!(told.contains("nobody repairs this job"), "{told}");
    assert!(
        told.contains("of shard 2/3") && told.contains(": consistent"),
        "{told}"
    );
    assert!(told.contains("profile: done, 100 %"), "{told}");
}

#[tokio::test]
async fn what_was_killed_is_interrupted() {
    let world = slow_shop().await;
    let mut child = world.spawn(&["scan", "job.toml", "--full"]);
    until_at_work(&world, 1, 0).await;
    assert_eq!(
        json(&world)["leases"],
        serde_json::json!([]),
        "a scan takes none"
    );
    child.kill().unwrap();
    child.wait().unwrap();
    let status = json(&world);
    assert_eq!(status["runs"][0]["state"], "interrupted");
    assert_eq!(
        status["runs"][0]["checks"][0]["percent"]
            .as_u64()
            .unwrap_or(0),
        0
    );
}
