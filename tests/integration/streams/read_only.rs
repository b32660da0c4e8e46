//! `scan` and `repair --dry-run` of a stream write nothing, to neither store, and need no right to.

use std::collections::BTreeSet;

use crate::support::bids::{DEAD, GONE, GROUP, STREAM, id};
use crate::support::monitor::Monitor;
use crate::support::{Run, World};

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

/// The rights that `sql/grants.sql` names for a repair of streams, and no other.
#[tokio::test]
async fn a_repair_needs_no_more_than_the_grants_say() {
    let settings = format!(
        "on_persisted = \"ack\"\non_unpersisted = \"insert\"\ninsert_is_enough = true\non_rewound = \"advance\"\n\
         max_deliveries = 3\ndead_letter = \"{DEAD}\"\n"
    );
    let mut world = World::open_bids(&settings).await;
    world.group().await;
    world.done(1..=5).await;
    for number in 6..=8 {
        world.add(number).await;
    }
    world.read(GONE, 3).await;
    world.save(6).await;
    let poison = [
        "XCLAIM",
        STREAM,
        GROUP,
        GONE,
        "0",
        &id(8),
        "RETRYCOUNT",
        "9",
    ];
    world.redis::<redis::Value>(&poison).await;
    world.add(9).await;
    world.save(9).await;
    world.wait_until_gone(GONE).await;
    let named = include_str!("../../../sql/grants.sql");
    let user = "ACL SETUSER auditor_repair";
    let line = named
        .lines()
        .find_map(|line| line.split_once(user))
        .unwrap()
        .1;
    let line = line.replace(">change-me", ">mender-secret");
    let rule = ["ACL", "SETUSER", "mender"]
        .into_iter()
        .chain(line.split_whitespace());
    world.redis::<()>(&rule.collect::<Vec<_>>()).await;
    world
        .sql(
            "CREATE USER 'mender'@'127.0.0.1' IDENTIFIED BY 'mender-secret';
             GRANT SELECT, LOCK TABLES ON shop.* TO 'mender'@'127.0.0.1';
             GRANT INSERT ON shop.bid TO 'mender'@'127.0.0.1'",
        )
        .await;
    let mut command = world.command(&["repair", "job.toml", "--full", "--yes"]);
    let (mysql, redis) = (world.mysql.port(), world.redis.port());
    command.env(
        "MYSQL_URL",
        format!("mysql://mender:mender-secret@127.0.0.1:{mysql}/shop"),
    );
    command.env(
        "REDIS_URL",
        format!("redis://mender:mender-secret@127.0.0.1:{redis}"),
    );
    let run = Run::of(command.output().unwrap(), world.folder.path()).expect(0);
    assert_eq!(
        run.report().settled(),
        [
            "group-rewound bid-group advance applied".to_owned(),
            format!("orphan-pending {} insert applied", id(7)),
            format!("poison-pending {} dead-letter applied", id(8)),
            format!("unacked-persisted {} ack applied", id(6)),
        ]
    );
    world
        .redis::<i64>(&["XGROUP", "DESTROY", STREAM, GROUP])
        .await;
    let mut command = world.command(&["repair", "job.toml", "--full", "--yes"]);
    command.env(
        "MYSQL_URL",
        format!("mysql://mender:mender-secret@127.0.0.1:{mysql}/shop"),
    );
    command.env(
        "REDIS_URL",
        format!("redis://mender:mender-secret@127.0.0.1:{redis}"),
    );
    let run = Run::of(command.output().unwrap(), world.folder.path()).expect(0);
    assert_eq!(
        run.report().settled(),
        ["group-missing bid-group recreate-group applied"]
    );
}

/// Everything but the times, which go on by themselves.
fn shape(value: &redis::Value) -> String {
    format!("{value:?}")
}
