//! `scan` and `repair --dry-run` of a stream write nothing, to neither store, and need no right to.

use std::collections::BTreeSet;

use crate::support::World;
use crate::support::bids::{DEAD, GONE, GROUP, STREAM, id};
use crate::support::monitor::Monitor;

#[tokio::test]
async fn looking_at_a_stream_changes_nothing() {
    let settings = format!(
        "on_persisted = \"ack\"\non_unpersisted = \"insert\"\ninsert_is_enough = true\non_rewound = \"advance\"\n\
         keeps_entries = true\ndead_letter = \"{DEAD}\"\nunique = [\"auction_id\", \"bidder_id\", \"amount\"]\n"
    );
    let mut world = World::open_bids(&settings).await;
    world.group().await;
    world.done(1..=5).await;
    world.add(6).await;
    world.add(7).await;
    world.read(GONE, 2).await;
    world.save(6).await;
    world.wait_until_gone(GONE).await;
    world
        .sql("GRANT SELECT ON shop.* TO 'looker'@'127.0.0.1' IDENTIFIED BY 'looker-secret'")
        .await;
    let rule = [
        "ACL",
        "SETUSER",
        "looker",
        "on",
        ">looker-secret",
        "resetkeys",
        "%R~*",
        "-@all",
        "+@read",
        "+@connection",
        "+info",
        "+time",
        "+role",
    ];
    world.redis::<()>(&rule).await;
    let (mysql, redis) = (
        format!(
            "mysql://looker:looker-secret@127.0.0.1:{}/shop",
            world.mysql.port()
        ),
        format!(
            "redis://looker:looker-secret@127.0.0.1:{}",
            world.redis.port()
        ),
    );
    let listed: Vec<String> = world
        .redis(&["COMMAND", "LIST", "FILTERBY", "ACLCAT", "write"])
        .await;
    assert!(listed.iter().any(|c| c == "xack"));
    let others = ["eval", "evalsha", "fcall", "multi"].map(str::to_owned);
    let writes: BTreeSet<String> = listed.into_iter().chain(others).collect();
    let before: redis::Value = world
        .redis(&["XINFO", "STREAM", STREAM, "FULL", "COUNT", "0"])
        .await;
    let monitor = Monitor::start(world.redis.port());
    for arguments in [
        &["scan", "job.toml", "--full"][..],
        &["scan", "job.toml", "--since", "2h"],
        &["repair", "job.toml", "--full", "--dry-run"],
        &["repair", "job.toml", "--key", STREAM, "--dry-run"],
        &["scan", "job.toml", "--only", "bids", "--id", &id(6)],
    ] {
        let mut command = world.command(arguments);
        command.env("MYSQL_URL", &mysql).env("REDIS_URL", &redis);
        let run = crate::support::Run::of(command.output().unwrap(), world.folder.path()).expect(1);
        assert!(
            !run.report().findings.is_empty(),
            "{arguments:?}\n{}",
            run.stdout
        );
    }
    let said = monitor.commands();
    assert!(
        said.contains("xpending") && said.contains("xrange"),
        "{said:?}"
    );
    let written: Vec<&String> = said.intersection(&writes).collect();
    assert!(written.is_empty(), "{written:?}");
    let after: redis::Value = world
        .redis(&["XINFO", "STREAM", STREAM, "FULL", "COUNT", "0"])
        .await;
    assert_eq!(shape(&before), shape(&after));
    let rows = world.sql_text("SELECT COUNT(*) FROM bid").await;
    assert_eq!(rows.as_deref(), Some("6"));
    let exists: i64 = world.redis(&["EXISTS", DEAD]).await;
    assert_eq!(exists, 0);
    assert_eq!(world.redis::<i64>(&["XLEN", STREAM]).await, 7);
    let consumers: Vec<redis::Value> = world.redis(&["XINFO", "CONSUMERS", STREAM, GROUP]).await;
    assert_eq!(consumers.len(), 2);
}

/// Everything but the times, which go on by themselves.
fn shape(value: &redis::Value) -> String {
    format!("{value:?}")
}
