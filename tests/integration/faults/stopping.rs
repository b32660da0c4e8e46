//! SIGINT and SIGTERM end a run truthfully; secrets stay where they belong.

use std::io::{BufRead, BufReader};
use std::process::Command;
use std::time::{Duration, Instant};

use auditor::lab::servers::Flavor;

use crate::support::shop::{CHECKS, LIMITS, profile, profile_key};
use crate::support::{Run, World};

/// A loss in a row that changed just now, so that its second look is half a minute away; the window holds
/// no other row.
async fn slow_shop() -> World {
    let mut world = World::start(Flavor::MariaDb).await;
    world.open_shop(40).await;
    world.set(&profile_key(3), &profile(3, 4)).await;
    world
        .sql("UPDATE users SET updated_at = UTC_TIMESTAMP(6) WHERE id = 3")
        .await;
    let slow = CHECKS.replace(
        "value = \"json\"",
        "value = \"json\"\ncache_delay = \"30s\"",
    );
    world.job_with_limits(LIMITS, &slow);
    world
}

async fn stopped_by(signal: &str) {
    let mut world = slow_shop().await;
    let mut child = world.spawn(&[
        "repair", "job.toml", "--since", "5m", "--only", "profile", "--yes",
    ]);
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("second look at 1 suspect") {
        line.clear();
        assert_ne!(said.read_line(&mut line).unwrap(), 0, "it ended");
    }
    let sent = Instant::now();
    assert!(
        Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    let run = Run::of(child.wait_with_output().unwrap(), world.folder.path()).expect(4);
    assert!(
        sent.elapsed() < Duration::from_secs(15),
        "it did not wait for the second look"
    );
    let report = run.report();
    assert_eq!(report.run["verdict"], "partial");
    assert_eq!(report.run["exit_code"], 4);
    assert!(
        report.run.to_string().contains("told to stop"),
        "{}",
        report.run
    );
    let profile_check = report.run["checks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|c| c["name"] == "profile")
        .unwrap();
    assert!(
        profile_check["not_searched"]
            .to_string()
            .contains("stopped"),
        "{profile_check}"
    );
    assert_eq!(profile_check["coverage"]["unknown"], 1, "{profile_check}");
    assert!(run.stdout.contains("partial"), "{}", run.stdout);
    assert_eq!(world.get(&profile_key(3)).await.unwrap(), profile(3, 4));
    assert!(
        report.folder.join("findings.csv").exists()
            && !report.folder.join("findings.csv.partial").exists()
    );
}

#[tokio::test]
async fn sigint_ends_in_a_truthful_partial_report() {
    stopped_by("-INT").await;
}

#[tokio::test]
async fn sigterm_ends_in_a_truthful_partial_report() {
    stopped_by("-TERM").await;
}

#[tokio::test]
async fn passwords_are_nowhere_to_be_seen() {
    let mut world = slow_shop().await;
    world
        .sql("GRANT ALL ON *.* TO 'keeper'@'127.0.0.1' IDENTIFIED BY 'geheim-m'")
        .await;
    world
        .redis::<()>(&["ACL", "SETUSER", "keeper", "on", ">geheim-r", "~*", "+@all"])
        .await;
    let mut command = world.command(&[
        "repair",
        "job.toml",
        "--full",
        "--yes",
        "-vv",
        "--time-budget",
        "2s",
    ]);
    let child = command
        .env(
            "MYSQL_URL",
            format!(
                "mysql://keeper:geheim-m@127.0.0.1:{}/shop",
                world.mysql.port()
            ),
        )
        .env(
            "REDIS_URL",
            format!("redis://keeper:geheim-r@127.0.0.1:{}", world.redis.port()),
        )
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    world.has_begun().await;
    let arguments = std::fs::read(format!("/proc/{}/cmdline", child.id())).unwrap();
    let run = Run::of(child.wait_with_output().unwrap(), world.folder.path()).expect(4);
    let mut all = vec![
        arguments,
        run.stdout.clone().into_bytes(),
        run.stderr.clone().into_bytes(),
    ];
    for file in std::fs::read_dir(run.report().folder).unwrap() {
        all.push(std::fs::read(file.unwrap().path()).unwrap());
    }
    assert!(all.len() >= 6, "three files at least");
    for text in all {
        let text = String::from_utf8_lossy(&text);
        assert!(!text.contains("geheim"), "{text}");
    }
}

#[tokio::test]
async fn without_its_journal_a_repair_writes_nothing() {
    let mut world = World::start(Flavor::MariaDb).await;
    world.open_shop(40).await;
    world.set(&profile_key(3), &profile(3, 4)).await;
    let slow = CHECKS.replace("value = \"json\"", "value = \"json\"\nsettle = \"3s\"");
    world.job_with_limits(LIMITS, &slow);
    let child = world.spawn(&["repair", "job.toml", "--full", "--yes"]);
    world.has_begun().await;
    std::fs::remove_dir_all(world.folder.path().join("output")).unwrap();
    let run = Run::of(child.wait_with_output().unwrap(), world.folder.path()).expect(4);
    assert!(run.stderr.contains("cannot write"), "{}", run.stderr);
    assert_eq!(world.get(&profile_key(3)).await.unwrap(), profile(3, 4));
}
