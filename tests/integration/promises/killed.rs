//! `repair` killed at random points: started again it ends consistent, and nothing is lost.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use auditor::lab::servers::Flavor;
use base64::Engine;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

use crate::support::World;
use crate::support::monitor::Monitor;
use crate::support::shop::{balance_key, profile, profile_key};

const USERS: u32 = 400;
const REPAIR: [&str; 5] = ["repair", "job.toml", "--full", "--yes", "--accept-control"];

/// Every third profile an old version, every fourth balance wrong, some profiles of users long gone.
async fn plant(world: &mut World, round: u32) -> BTreeMap<String, String> {
    let mut planted = BTreeMap::new();
    for id in 1..=USERS {
        if id % 3 == 0 {
            planted.insert(profile_key(id), profile(id, round % 5));
        }
        if id % 4 == 0 {
            planted.insert(balance_key(id), (1_000 + round).to_string());
        }
    }
    let mut all = redis::pipe();
    for (key, value) in &planted {
        all.set(key, value).ignore();
    }
    all.query_async::<()>(&mut world.cache).await.unwrap();
    planted
}

/// Lets the program go on until the server has heard `commands` more, then kills it.
pub(super) fn kill_after(world: &World, monitor: &Monitor, commands: usize) -> bool {
    let until = monitor.count() + commands;
    let mut child = world.spawn(&REPAIR);
    let limit = Instant::now() + Duration::from_secs(60);
    while monitor.count() < until {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        assert!(
            Instant::now() < limit,
            "the program neither went on nor ended"
        );
        std::thread::sleep(Duration::from_micros(500));
    }
    child.kill().unwrap();
    child.wait_with_output().unwrap().status.code().is_none()
}

fn files_under(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_under(&path));
        } else {
            files.push(path);
        }
    }
    files
}

fn digests(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let digest = |path: PathBuf| {
        let bytes = std::fs::read(&path).unwrap();
        (path, Sha256::digest(bytes).to_vec())
    };
    files_under(folder).into_iter().map(digest).collect()
}

/// (key, previous value) of every intent in every journal.
fn journaled(output: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let text = |value: &serde_json::Value| {
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(value.as_str()?)
            .unwrap();
        Some(String::from_utf8(bytes).unwrap())
    };
    for path in files_under(output) {
        if path.file_name().is_some_and(|name| name == "undo.jsonl") {
            for line in std::fs::read_to_string(&path).unwrap().lines() {
                let Ok(line) = serde_json::from_str::<serde_json::Value>(line) else {
                    continue;
                };
                found.extend(text(&line["key"]).zip(text(&line["previous"])));
            }
        }
    }
    found
}

#[tokio::test]
async fn killed_at_ten_points_it_ends_consistent_with_every_value_kept() {
    let mut world = World::start(Flavor::MariaDb).await;
    world.open_shop(USERS).await;
    let output = world.folder.path().join("output");
    let monitor = Monitor::start(world.redis.port());
    plant(&mut world, 0).await;
    let planting = monitor.lines().len();
    world.repair_full().expect(0);
    let whole = monitor.lines().len() - planting;
    let (mut random, mut killed, mut between) = (StdRng::seed_from_u64(0x5eed), 0, 0);
    for round in 1..=10 {
        let planted = plant(&mut world, round).await;
        let heard_of = monitor.lines().len();
        assert!(heard_of > 0);
        killed += u32::from(kill_after(
            &world,
            &monitor,
            random.random_range(whole / 10..whole * 95 / 100),
        ));
        let left = still_there(&mut world, &planted).await;
        between += u32::from(left > 0 && left < planted.len());
        let before = digests(&output);
        let run = world.repair_full().expect(0);
        assert!(
            run.stdout.contains("exit 0"),
            "round {round}\n{}",
            run.stdout
        );
        for (path, digest) in before {
            let now = std::fs::read(&path).unwrap();
            assert_eq!(
                Sha256::digest(now).to_vec(),
                digest,
                "{} was touched",
                path.display()
            );
        }
        assert_eq!(still_there(&mut world, &planted).await, 0, "round {round}");
        let journaled = journaled(&output);
        for lost in planted {
            assert!(
                journaled.contains(&lost),
                "round {round}: no journal has {lost:?}"
            );
        }
    }
    world.scan_full().expect(0);
    assert!(
        killed >= 8,
        "only {killed} of ten were killed before their end"
    );
    assert!(
        between >= 2,
        "only {between} of ten were killed between two writes"
    );
}

async fn still_there(world: &mut World, planted: &BTreeMap<String, String>) -> usize {
    let mut count = 0;
    for (key, value) in planted {
        count += usize::from(world.get(key).await.as_ref() == Some(value));
    }
    count
}
