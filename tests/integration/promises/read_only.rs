//! `scan` and `repair --dry-run` write nothing, to neither store, and need no right to.

use std::collections::{BTreeMap, BTreeSet};

use auditor::lab::servers::Flavor;

use crate::support::World;
use crate::support::monitor::Monitor;
use crate::support::shop::{balance_key, profile, profile_key};

const RULES: &str = "+@read +@connection +info +time +role";

async fn damaged(replicas: usize) -> World {
    let mut world = World::with_replicas(Flavor::MariaDb, replicas).await;
    world.open_shop(40).await;
    world.set(&profile_key(3), &profile(3, 4)).await;
    world.set(&balance_key(4), "-7").await;
    world.set("user:77:profile", &profile(77, 1)).await;
    world
        .sql("GRANT SELECT ON shop.* TO 'looker'@'127.0.0.1' IDENTIFIED BY 'looker-secret'")
        .await;
    let mut rule = vec![
        "ACL",
        "SETUSER",
        "looker",
        "on",
        ">looker-secret",
        "resetkeys",
        "~*",
        "-@all",
    ];
    rule.extend(RULES.split(' '));
    world.redis::<()>(&rule).await;
    world
}

/// Every command Redis itself calls a write, and scripts, which could hold one.
async fn writes(world: &mut World) -> BTreeSet<String> {
    let listed: Vec<String> = world
        .redis(&["COMMAND", "LIST", "FILTERBY", "ACLCAT", "write"])
        .await;
    assert!(listed.iter().any(|c| c == "set"));
    let scripts = ["eval", "evalsha", "fcall", "multi"].map(str::to_owned);
    listed.into_iter().chain(scripts).collect()
}

/// Statements by which MySQL itself counts writes and locks.
async fn mysql_writes(world: &mut World) -> BTreeMap<String, String> {
    let mut counted = BTreeMap::new();
    for name in [
        "insert",
        "update",
        "delete",
        "replace",
        "lock_tables",
        "create_table",
        "alter_table",
        "drop_table",
    ] {
        let value = world.sql_text(&format!("SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'COM_{name}'")).await;
        counted.insert(name.to_owned(), value.unwrap());
    }
    counted
}

async fn looks_only(replicas: usize) {
    let mut world = damaged(replicas).await;
    let writes = writes(&mut world).await;
    let before = mysql_writes(&mut world).await;
    let monitor = Monitor::start(world.redis.port());
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
    for restricted in [true, false] {
        for arguments in [
            &["scan", "job.toml", "--full"][..],
            &["scan", "job.toml", "--since", "2h"],
            &["repair", "job.toml", "--full", "--dry-run"],
            &["repair", "job.toml", "--key", "user:3:profile", "--dry-run"],
        ] {
            let mut command = world.command(arguments);
            if restricted {
                command.env("MYSQL_URL", &mysql).env("REDIS_URL", &redis);
            }
            let run =
                crate::support::Run::of(command.output().unwrap(), world.folder.path()).expect(1);
            let report = run.report();
            assert!(!report.findings.is_empty(), "{}", run.stdout);
            assert!(!report.folder.join("undo.jsonl").exists());
        }
    }
    let told = monitor.commands();
    assert!(told.contains("mget"), "MONITOR hears the program: {told:?}");
    assert_eq!(
        told.intersection(&writes).collect::<Vec<_>>(),
        Vec::<&String>::new()
    );
    assert_eq!(mysql_writes(&mut world).await, before);
    let denied: Vec<redis::Value> = world.redis(&["ACL", "LOG"]).await;
    let denied = format!("{denied:?}");
    let tried: Vec<&String> = writes
        .iter()
        .filter(|c| denied.contains(&format!("'{c}'")))
        .collect();
    assert_eq!(tried, Vec::<&String>::new(), "tried and denied: {denied}");
}

#[tokio::test]
async fn a_look_writes_nothing_and_needs_no_right_to() {
    looks_only(0).await;
}

#[tokio::test]
async fn a_look_at_a_replicated_master_writes_nothing_either() {
    looks_only(1).await;
}

/// The same commands seen from the other side: a repair does write, and MONITOR would have told.
#[tokio::test]
async fn a_repair_is_heard_by_the_same_ear() {
    let mut world = damaged(0).await;
    let writes = writes(&mut world).await;
    let monitor = Monitor::start(world.redis.port());
    world.repair_full().expect(1);
    let told = monitor.commands();
    assert!(told.intersection(&writes).count() > 0, "{told:?}");
    assert_eq!(world.get(&profile_key(3)).await.unwrap(), profile(3, 5));
    assert_eq!(world.get(&balance_key(4)).await.unwrap(), "100");
}
