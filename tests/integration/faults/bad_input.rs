//! What cannot be run is told before anything is read or written: exit 2, a cause, no output folder.

use std::time::{SystemTime, UNIX_EPOCH};

use auditor::lab::servers::Flavor;

use crate::support::shop::{CHECKS, LIMITS};
use crate::support::{Run, World};

const SCAN: [&str; 3] = ["scan", "job.toml", "--full"];

async fn shop() -> World {
    let mut world = World::start(Flavor::MariaDb).await;
    world.open_shop(5).await;
    world
}

#[track_caller]
fn refused(world: &World, run: Run, says: &[&str]) {
    let run = run.expect(2);
    for word in says {
        assert!(
            run.stderr.contains(word),
            "{word:?} is not in\n{}",
            run.stderr
        );
    }
    assert_eq!(run.stdout, "", "nothing to stdout");
    assert!(
        !world.folder.path().join("output").exists(),
        "no output is opened"
    );
}

/// Faults of the file itself and against the live schema, each by its place and its name.
#[tokio::test]
async fn faults_of_the_job_are_told_by_name() {
    let world = shop().await;
    let twice = format!(
        "{CHECKS}{}",
        &CHECKS[CHECKS.find("[[cache]]\nname = \"balance\"").unwrap()..]
    );
    let stream = format!("{CHECKS}\n[[stream]]\nname = \"bids\"\n");
    let cases: &[(&str, String, &[&str])] = &[
        (
            "unknown key",
            CHECKS.replace("lazy = true", "lasy = true"),
            &["lasy", "lazy", "job.toml:"],
        ),
        (
            "bad pointer",
            CHECKS.replace("\"/name\"", "\"name\""),
            &["pointer", "job.toml:"],
        ),
        (
            "missing column",
            CHECKS.replace("column = \"name\"", "column = \"nmae\""),
            &["nmae", "job.toml:"],
        ),
        (
            "missing table",
            CHECKS.replace("table = \"users\"", "table = \"user\""),
            &["no table `user`", "job.toml:"],
        ),
        ("two of one name", twice, &["balance", "job.toml:"]),
        (
            "half a stream",
            stream,
            &["a [[stream]] has no `key`", "has no `group`"],
        ),
        (
            "an unreadable SQL file",
            CHECKS.replacen("table = \"users\"", "sql = \"no/such.sql\"\nid = \"id\"", 1),
            &["no/such.sql"],
        ),
        (
            "an unknown value",
            CHECKS.replace("\"integer\"", "\"number\""),
            &["number", "integer"],
        ),
        (
            "no deletes",
            CHECKS.replacen("deletes = \"tombstone\"\n", "", 1),
            &["deletes"],
        ),
    ];
    for (name, checks, says) in cases {
        assert_ne!(*checks, CHECKS, "{name}");
        world.job_with_limits(LIMITS, checks);
        refused(&world, world.auditor(&SCAN), says);
    }
}

#[tokio::test]
async fn every_fault_is_told_at_once() {
    let world = shop().await;
    let checks = CHECKS
        .replace("lazy = true", "lasy = true")
        .replace("\"/name\"", "\"name\"")
        .replace("\"integer\"", "\"number\"");
    world.job_with_limits("setle = \"1s\"", &checks);
    refused(
        &world,
        world.auditor(&SCAN),
        &["lasy", "pointer", "number", "setle"],
    );
}

#[tokio::test]
async fn a_placeholder_of_a_type_that_cannot_name_a_key_is_refused() {
    let mut world = shop().await;
    world
        .sql("CREATE TABLE odd (id DOUBLE PRIMARY KEY, v INT NOT NULL, t DATETIME(6) NOT NULL)")
        .await;
    world.job_with_limits(
        LIMITS,
        "[[cache]]\nname = \"odd\"\nkey = \"odd:{id}\"\nvalue = \"integer\"\ntable = \"odd\"\nchanged_at = \"t\"\n\
         deletes = \"never\"\nfields = [{ column = \"v\" }]\norder = \"source-first\"\n",
    );
    refused(&world, world.auditor(&SCAN), &["{id}", "job.toml:"]);
}

#[tokio::test]
async fn the_environment_and_the_stores_urls_are_checked() {
    let world = shop().await;
    let mut command = world.command(&SCAN);
    command.env_remove("REDIS_URL");
    let run = Run::of(command.output().unwrap(), world.folder.path());
    refused(&world, run, &["REDIS_URL", "job.toml:"]);
    for (url, says) in [
        ("redis-cluster://127.0.0.1:7000/3", "no database but 0"),
        ("http://127.0.0.1", "redis://"),
    ] {
        let mut command = world.command(&SCAN);
        command.env("REDIS_URL", url);
        refused(
            &world,
            Run::of(command.output().unwrap(), world.folder.path()),
            &[says],
        );
    }
    let mut command = world.command(&SCAN);
    command.env("MYSQL_URL", "mysql://root:geheim-7@127.0.0.1:notaport/shop");
    let run = Run::of(command.output().unwrap(), world.folder.path());
    assert!(!run.stderr.contains("geheim-7"), "{}", run.stderr);
    refused(&world, run, &["job.toml:"]);
    refused(
        &world,
        world.auditor(&["scan", "nowhere.toml", "--full"]),
        &["nowhere.toml"],
    );
}

#[tokio::test]
async fn contradictions_of_the_command_line_are_refused() {
    let world = shop().await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let tomorrow = format!("@{}", now.as_secs() + 86_400);
    let cases: &[(&[&str], &str)] = &[
        (&["scan", "job.toml"], "--full"),
        (&["scan", "job.toml", "--since", "auto"], "auto"),
        (
            &[
                "scan",
                "job.toml",
                "--since",
                "2026-01-02T00:00:00Z",
                "--until",
                "2026-01-01T00:00:00Z",
            ],
            "until",
        ),
        (&["scan", "job.toml", "--since", &tomorrow], "future"),
        (
            &["scan", "job.toml", "--since", "yesterday-ish"],
            "yesterday-ish",
        ),
        (
            &["scan", "job.toml", "--full", "--only", "nothing"],
            "`profile`, `balance`",
        ),
        (&["scan", "job.toml", "--id", "7"], "--only"),
        (&["scan", "job.toml", "--key", "other:7"], "key"),
        (&["scan", "job.toml", "--key", "user:007:profile"], "key"),
        (
            &["scan", "job.toml", "--only", "balance", "--id", "1,2"],
            "part",
        ),
        (&["scan", "job.toml", "--full", "--rate", "0"], "--rate"),
        (
            &["scan", "job.toml", "--full", "--time-budget", "0s"],
            "--time-budget",
        ),
        (
            &["scan", "job.toml", "--from", "no-such-run"],
            "no-such-run",
        ),
        (&["repair", "job.toml", "--full"], "--yes"),
        (
            &[
                "repair",
                "job.toml",
                "--full",
                "--yes",
                "--max-repairs",
                "0",
            ],
            "--max-repairs",
        ),
        (&["scan", "job.toml", "--full", "--yes"], "--yes"),
        (&["explain", "no-rule"], "version-regression"),
        (&["destroy"], "destroy"),
    ];
    for (arguments, says) in cases {
        let run = world.auditor(arguments);
        refused(&world, run, &[says]);
    }
}
