//! Stopped by its time budget, or by a limit, a run is gone on with as well.

use super::long::{RATE, coverage, lines, merged, told};
use crate::support::World;

#[tokio::test]
async fn a_scan_whose_time_was_used_up_goes_on_where_it_was() {
    let world = World::open_long().await;
    let whole = world
        .auditor(&["scan", "job.toml", "--full"])
        .expect(1)
        .report();
    let budget = ["--rate", RATE, "--time-budget", "3s"];
    let begin = [&["scan", "job.toml", "--full"][..], &budget].concat();
    world.auditor(&begin).expect(4);
    let last = world
        .auditor(&["scan", "job.toml", "--resume"])
        .expect(1)
        .report();
    assert_eq!(
        coverage(&last.run["checks"]),
        coverage(&whole.run["checks"])
    );
    let (folder, _) = merged(&world, &last);
    for name in ["findings.csv", "affected_ranges.csv", "compensation.csv"] {
        let (one, other) = (told(&whole.folder, name), told(&folder, name));
        assert!(
            one == other,
            "{name}: {} rows, in pieces {}",
            one.len(),
            other.len()
        );
    }
}

#[tokio::test]
async fn what_a_limit_left_unrepaired_is_repaired_by_who_goes_on() {
    let mut world = World::open_long().await;
    let limited = [
        "repair",
        "job.toml",
        "--full",
        "--yes",
        "--max-repairs",
        "100",
        // Slow enough that it goes on, past what it leaves, for longer than it takes to note how far it is.
        "--rate",
        RATE,
    ];
    let first = world.auditor(&limited).expect(4).report();
    let applied = first.findings.iter().filter(|f| f["outcome"] == "applied");
    assert_eq!(applied.count(), 100);
    let rest = ["repair", "job.toml", "--resume", "--yes"];
    world.auditor(&rest).expect(0);
    world.auditor(&["scan", "job.toml", "--full"]).expect(0);
    assert_eq!(world.get("word:w89").await.unwrap(), "7");
}

#[tokio::test]
async fn what_was_left_out_is_for_who_goes_on() {
    let mut world = World::open_bids("keeps_entries = true").await;
    let job = std::fs::read_to_string(world.folder.path().join("job.toml")).unwrap();
    let undated = job.replace("changed_at = \"created_at\"\n", "");
    std::fs::write(world.folder.path().join("job.toml"), undated).unwrap();
    world.group().await;
    world.add(1).await;
    let words = ["scan", "job.toml", "--since", "10m"];
    let first = world.auditor(&words).expect(4).report();
    let left_out = &first.run["checks"][0]["not_searched"];
    assert!(!left_out.as_array().unwrap().is_empty());
    assert!(lines(&first.folder, "done").is_empty());
    let go_on = ["scan", "job.toml", "--resume"];
    let last = world.auditor(&go_on).expect(4).report();
    assert_eq!(&last.run["checks"][0]["not_searched"], left_out);
}
