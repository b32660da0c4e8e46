//! `auditor undo` puts back what a run replaced, and nothing that was touched since.

use std::time::Duration;

use auditor::lab::servers::Flavor;
use auditor::lab::wait;

use super::killed::kill_after;
use crate::support::monitor::Monitor;
use crate::support::shop::{CHECKS, LIMITS, balance_key, profile, profile_key, snapshot};
use crate::support::{Run, World};

/// A hash, a sorted set and a set beside the shop's strings.
const MORE: &str = r#"
[[cache]]
name = "top"
key = "auction:{id}"
value = "hash"
table = "auctions"
changed_at = "updated_at"
deletes = "never"
fields = [
  { cache = "price", column = "price", compare = "at-least" },
  { cache = "bidder", column = "bidder", follows = "price" },
]
order = "source-first"
repair = "overwrite"

[[cache]]
name = "queue"
key = "closing"
value = "zset"
member = "{id}"
score = { column = "price" }
table = "auctions"
where = "open = 1"
changed_at = "updated_at"
deletes = "scan"
expiry = "none"
expect = "present"
order = "source-first"
repair = "overwrite"
repair_orphans = "invalidate"

[[cache]]
name = "open"
key = "open"
value = "set"
member = "{id}"
table = "auctions"
where = "open = 1"
changed_at = "updated_at"
deletes = "scan"
expiry = "none"
expect = "present"
order = "source-first"
repair = "overwrite"
repair_orphans = "invalidate"
"#;

async fn house() -> World {
    let mut world = World::start(Flavor::MariaDb).await;
    world.open_shop(40).await;
    world.job_with_limits(LIMITS, &format!("{CHECKS}{MORE}"));
    world
        .sql(
            "CREATE TABLE auctions (id BIGINT PRIMARY KEY, price BIGINT NOT NULL, bidder VARCHAR(9) NOT NULL,
               open TINYINT NOT NULL, updated_at DATETIME(6) NOT NULL);
             INSERT INTO auctions VALUES (1, 10, 'a', 1, '2024-01-01'), (2, 20, 'b', 1, '2024-01-01'),
               (3, 30, 'c', 0, '2024-01-01')",
        )
        .await;
    for id in ["1", "2", "3"] {
        world
            .redis::<()>(&[
                "HSET",
                &format!("auction:{id}"),
                "price",
                &format!("{id}0"),
                "bidder",
                ["a", "b", "c"][id.parse::<usize>().unwrap() - 1],
                "seen",
                "x",
            ])
            .await;
    }
    world
        .redis::<()>(&["ZADD", "closing", "10", "1", "20", "2"])
        .await;
    world.redis::<()>(&["SADD", "open", "1", "2"]).await;
    world
}

/// One loss of every kind of write.
async fn damage(world: &mut World) {
    world.set(&profile_key(3), &profile(3, 4)).await;
    world
        .redis::<()>(&["PEXPIREAT", &profile_key(3), "4102444800000"])
        .await;
    world.set(&balance_key(4), "-7").await;
    // A tombstone whose key came back, with an expiry of its own.
    world
        .sql("UPDATE users SET deleted_at = '2024-01-01' WHERE id = 5")
        .await;
    world
        .redis::<()>(&["PEXPIREAT", &profile_key(5), "4102444800001"])
        .await;
    world
        .redis::<()>(&["HSET", "auction:1", "price", "7", "bidder", "z"])
        .await;
    world
        .redis::<()>(&["ZADD", "closing", "5", "1", "30", "3"])
        .await;
    world.redis::<()>(&["ZREM", "closing", "2"]).await;
    world.redis::<()>(&["SREM", "open", "1"]).await;
    world.redis::<()>(&["SADD", "open", "3"]).await;
}

fn run_id(run: &Run) -> String {
    run.report().run["run_id"].as_str().unwrap().to_owned()
}

fn undo(world: &World, run: &str) -> Run {
    world.auditor(&["undo", "job.toml", run, "--yes"])
}

#[tokio::test]
async fn everything_replaced_is_put_back_with_its_expiry_and_can_be_replaced_again() {
    let mut world = house().await;
    damage(&mut world).await;
    let damaged = snapshot(&mut world).await;
    let repaired = world.repair_full().expect(0);
    let right = snapshot(&mut world).await;
    assert_ne!(damaged, right);
    undo(&world, &run_id(&repaired)).expect(0);
    assert_eq!(snapshot(&mut world).await, damaged);
    // What the undo wrote is journaled too: it can be undone by its own folder.
    let newest = newest_run(&world);
    undo(&world, &newest).expect(0);
    assert_eq!(snapshot(&mut world).await, right);
}

fn newest_run(world: &World) -> String {
    let runs = std::fs::read_dir(world.folder.path().join("output/shop")).unwrap();
    runs.map(|run| run.unwrap().file_name().into_string().unwrap())
        .max()
        .unwrap()
}

#[tokio::test]
async fn what_was_touched_since_is_left_alone() {
    let mut world = house().await;
    damage(&mut world).await;
    let repaired = world.repair_full().expect(0);
    world.set(&balance_key(4), "150").await;
    world
        .redis::<()>(&["HSET", "auction:1", "price", "11"])
        .await;
    world.redis::<()>(&["SET", &profile_key(5), "back"]).await;
    world
        .sql("UPDATE users SET name = 'new', version = 6 WHERE id = 3")
        .await;
    let undone = undo(&world, &run_id(&repaired)).expect(1);
    assert!(
        undone.stdout.contains("the row changed after the repair"),
        "{}",
        undone.stdout
    );
    assert!(
        undone.stdout.contains("4 refused") || undone.stdout.matches("refused").count() >= 2,
        "{}",
        undone.stdout
    );
    assert_eq!(world.get(&balance_key(4)).await.unwrap(), "150");
    assert_eq!(
        world.redis::<String>(&["HGET", "auction:1", "price"]).await,
        "11"
    );
    assert_eq!(world.get(&profile_key(5)).await.unwrap(), "back");
    assert_eq!(world.get(&profile_key(3)).await.unwrap(), profile(3, 5));
    // The rest went back.
    assert_eq!(
        world.redis::<String>(&["ZSCORE", "closing", "1"]).await,
        "5"
    );
}

#[tokio::test]
async fn what_has_expired_meanwhile_stays_gone() {
    let mut world = house().await;
    world
        .sql("UPDATE users SET deleted_at = '2024-01-01' WHERE id = 5")
        .await;
    world
        .redis::<()>(&["PEXPIRE", &profile_key(5), "5000"])
        .await;
    let expiry: u64 = world.redis(&["PEXPIRETIME", &profile_key(5)]).await;
    let repaired = world.repair_full().expect(0);
    assert_eq!(world.get(&profile_key(5)).await, None);
    assert_eq!(
        repaired.report().lines(),
        ["resurrected-key user:5:profile confirmed applied"]
    );
    let clock = world.cache.clone();
    wait::until(
        "the old expiry passes",
        Duration::from_secs(20),
        async || {
            let mut clock = clock.clone();
            let (seconds, _): (u64, u64) =
                redis::cmd("TIME").query_async(&mut clock).await.unwrap();
            seconds * 1_000 > expiry
        },
    )
    .await
    .unwrap();
    let undone = undo(&world, &run_id(&repaired)).expect(1);
    assert!(
        undone.stdout.contains("expiry has passed"),
        "{}",
        undone.stdout
    );
    assert_eq!(world.get(&profile_key(5)).await, None);
}

#[tokio::test]
async fn a_killed_run_is_taken_back_as_far_as_it_came() {
    let mut world = World::start(Flavor::MariaDb).await;
    world.open_shop(400).await;
    for id in 1..=400 {
        world.set(&profile_key(id), &profile(id, 4)).await;
    }
    let damaged = snapshot(&mut world).await;
    let monitor = Monitor::start(world.redis.port());
    let mut commands = 150;
    // Further and further in, until a write was among what it came to.
    while snapshot(&mut world).await == damaged {
        assert!(
            kill_after(&world, &monitor, commands),
            "it ended before it could be killed"
        );
        commands += 100;
    }
    let killed = newest_run(&world);
    assert!(
        !world
            .folder
            .path()
            .join("output/shop")
            .join(&killed)
            .join("run.json")
            .exists()
    );
    undo(&world, &killed).expect(0);
    assert_eq!(snapshot(&mut world).await, damaged);
}

#[tokio::test]
async fn another_version_of_the_job_is_refused() {
    let mut world = house().await;
    damage(&mut world).await;
    let repaired = world.repair_full().expect(0);
    let right = snapshot(&mut world).await;
    world.job_with_limits(
        LIMITS,
        &format!("{CHECKS}{MORE}").replace("deletes = \"never\"", "deletes = \"scan\""),
    );
    let undone = undo(&world, &run_id(&repaired)).expect(2);
    assert!(undone.stderr.contains("another"), "{}", undone.stderr);
    assert_eq!(snapshot(&mut world).await, right);
    let undone = undo(&world, "019a0000-0000-7000-8000-000000000000").expect(2);
    assert!(undone.stderr.contains("no run"), "{}", undone.stderr);
    world
        .auditor(&["undo", "job.toml", &run_id(&repaired)])
        .expect(2);
}

#[tokio::test]
async fn what_was_settled_in_a_stream_is_named_and_left() {
    let mut world = house().await;
    damage(&mut world).await;
    let damaged = snapshot(&mut world).await;
    let repaired = world.repair_full().expect(0);
    let journal = world
        .folder
        .path()
        .join("output/shop")
        .join(run_id(&repaired))
        .join("undo.jsonl");
    let mut text = std::fs::read_to_string(&journal).unwrap();
    let settlement = |sequence: u64, entry: &str| {
        format!(
            r#"{{"kind":"settlement","sequence":{sequence},"check":"bids","remedy":"ack","entry_id":"{entry}","group_text":"g"}}"#
        )
    };
    let refused = r#"{"kind":"outcome","sequence":9002,"outcome":"refused","reason":"","at":"2026-11-21T14:03:00.000000Z"}"#;
    for line in [&settlement(9001, "1-0"), &settlement(9002, "2-0"), refused] {
        text.push_str(line);
        text.push('\n');
    }
    let line = text.lines().position(|l| l.contains("1-0")).unwrap() + 1;
    std::fs::write(&journal, text).unwrap();
    let undone = undo(&world, &run_id(&repaired)).expect(1);
    assert_eq!(
        snapshot(&mut world).await,
        damaged,
        "values go back all the same"
    );
    assert!(
        undone
            .stdout
            .contains("1 refused: what was settled in a stream is not taken back by undo"),
        "{}",
        undone.stdout
    );
    let place = format!("line {line} of");
    assert!(undone.stderr.contains(&place), "{}", undone.stderr);
    assert!(
        !undone.stderr.contains("2-0"),
        "what never happened needs no word"
    );
}
