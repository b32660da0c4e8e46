//! Two repairs of one job exclude each other; scans exclude nobody.

use auditor::lab::servers::Flavor;

use crate::support::World;
use crate::support::shop::{CHECKS, LIMITS, profile, profile_key};

#[tokio::test]
async fn a_second_repair_of_the_job_is_turned_away() {
    let mut world = World::start(Flavor::MariaDb).await;
    world.open_shop(40).await;
    world.set(&profile_key(3), &profile(3, 4)).await;
    // Long enough between its two looks that the others run meanwhile.
    let slow = CHECKS.replace("value = \"json\"", "value = \"json\"\nsettle = \"6s\"");
    world.job_with_limits(LIMITS, &slow);
    let first = world.spawn(&["repair", "job.toml", "--full", "--yes"]);
    // The run's folder is made once the lease is held.
    let output = world.folder.path().join("output/shop");
    world.has_begun().await;
    let second = world
        .auditor(&["repair", "job.toml", "--full", "--yes"])
        .expect(5);
    assert!(second.stderr.contains("lease"), "{}", second.stderr);
    assert_eq!(
        std::fs::read_dir(&output).unwrap().count(),
        1,
        "the one turned away leaves no folder"
    );
    // Neither of these waits for it or is refused.
    world
        .auditor(&["scan", "job.toml", "--full", "--only", "balance"])
        .expect(0);
    world
        .auditor(&[
            "repair",
            "job.toml",
            "--full",
            "--only",
            "balance",
            "--dry-run",
        ])
        .expect(0);
    let first = first.wait_with_output().unwrap();
    assert_eq!(
        first.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&first.stderr)
    );
    assert_eq!(world.get(&profile_key(3)).await.unwrap(), profile(3, 5));
    // The lease goes with its run.
    world
        .auditor(&["repair", "job.toml", "--full", "--yes"])
        .expect(0);
}
