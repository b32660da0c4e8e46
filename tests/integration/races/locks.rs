//! Values that say nothing of their age: the row is held while they are written, never longer.

use auditor::lab::proxy::{Mode, Proxy};
use auditor::lab::servers::Flavor;
use auditor::model::finding::OutcomeKind;
use sqlx::Executor;

use super::hands::{Hands, is_held_back, kinds};
use crate::support::{DATABASE, World};

pub(super) const BALANCE: &str = r#"
[[cache]]
name = "balance"
key = "user:{id}:balance"
value = "integer"
table = "users"
changed_at = "updated_at"
deletes = "never"
order = "source-first"
fields = [{ column = "balance", balance = true }]
repair = "overwrite"
guard = "row-lock"
"#;

const BOTH: [Flavor; 2] = [Flavor::MariaDb, Flavor::MySql];

/// Users 1, 2, … with these balances, changed long ago; Redis says 100 for each.
pub(super) async fn world_of(flavor: Flavor, balances: &[i64]) -> World {
    let mut world = World::start(flavor).await;
    world
        .sql("CREATE TABLE users (id BIGINT PRIMARY KEY, balance BIGINT NOT NULL, updated_at DATETIME(6) NOT NULL)")
        .await;
    for (index, balance) in balances.iter().enumerate() {
        let id = index + 1;
        let insert = format!("INSERT INTO users VALUES ({id}, {balance}, '2026-01-01')");
        world.sql(&insert).await;
        let key = format!("user:{id}:balance");
        world.redis::<()>(&["SET", &key, "100"]).await;
    }
    world
}

#[tokio::test]
async fn a_value_that_went_away_and_came_back_is_left_alone() {
    for flavor in BOTH {
        let mut world = world_of(flavor, &[90]).await;
        let hands = Hands::of(&world, BALANCE).await;
        let items = hands.confirmed().await;
        assert_eq!(items.len(), 1);
        let proxy = Proxy::start(world.redis.port()).await.unwrap();
        let (mut applier, journal) = hands.applier(proxy.port(), 0).await;
        proxy.set_mode(Mode::BlackHole);
        let application = async {
            journal.is_written().await;
            // Nothing of ours reaches Redis, and yet the application need not wait for its row.
            world.sql("SET innodb_lock_wait_timeout = 2").await;
            world
                .sql("UPDATE users SET balance = 100, updated_at = NOW(6) WHERE id = 1")
                .await;
            world.redis::<()>(&["SET", "user:1:balance", "90"]).await;
            world.redis::<()>(&["SET", "user:1:balance", "100"]).await;
            proxy.set_mode(Mode::Pass);
        };
        let (outcomes, ()) = tokio::join!(hands.apply(&mut applier, &items), application);
        assert_ne!(kinds(&outcomes), [OutcomeKind::Applied]);
        let value: String = world.redis(&["GET", "user:1:balance"]).await;
        assert_eq!(value, "100", "{flavor:?}: {outcomes:?}");
    }
}

#[tokio::test]
async fn a_row_that_changed_before_it_was_locked_is_not_judged_by_its_old_value() {
    for flavor in BOTH {
        let mut world = world_of(flavor, &[90]).await;
        let hands = Hands::of(&world, BALANCE).await;
        let items = hands.confirmed().await;
        let (mut applier, journal) = hands.applier(world.redis.port(), 0).await;
        let mut session = world.mysql.connect(DATABASE).await.unwrap();
        session.execute("START TRANSACTION").await.unwrap();
        let update = "UPDATE users SET balance = 100, updated_at = NOW(6) WHERE id = 1";
        session.execute(update).await.unwrap();
        let application = async {
            // The last look saw the old row; the lock is refused until the new one is there.
            journal.is_written().await;
            session.execute("COMMIT").await.unwrap();
        };
        let (outcomes, ()) = tokio::join!(hands.apply(&mut applier, &items), application);
        assert_ne!(kinds(&outcomes), [OutcomeKind::Applied]);
        let value: String = world.redis(&["GET", "user:1:balance"]).await;
        assert_eq!(value, "100", "{flavor:?}: {outcomes:?}");
    }
}

#[tokio::test]
async fn a_script_that_reaches_a_stalled_server_after_its_lock_has_gone_refuses() {
    for flavor in BOTH {
        let mut world = world_of(flavor, &[90]).await;
        let hands = Hands::of(&world, BALANCE).await;
        let items = hands.confirmed().await;
        let (mut applier, _) = hands.applier(world.redis.port(), 0).await;
        world
            .redis::<()>(&["CLIENT", "PAUSE", "60000", "WRITE"])
            .await;
        let application = async {
            is_held_back(&world).await;
            // That it is done proves that the row lock has gone; and what lies in Redis is right now.
            world
                .sql("UPDATE users SET balance = 100, updated_at = NOW(6) WHERE id = 1")
                .await;
            world.redis::<()>(&["CLIENT", "UNPAUSE"]).await;
        };
        let (outcomes, ()) = tokio::join!(hands.apply(&mut applier, &items), application);
        // Late, it wrote nothing; under the next lock the row was another one.
        assert_eq!(kinds(&outcomes), [OutcomeKind::LostRace], "{outcomes:?}");
        assert!(
            outcomes[0].reason.contains("the row changed"),
            "{outcomes:?}"
        );
        let value: String = world.redis(&["GET", "user:1:balance"]).await;
        assert_eq!(value, "100", "{flavor:?}");
    }
}

#[tokio::test]
async fn a_row_that_the_application_holds_is_left_and_the_others_are_repaired() {
    for flavor in BOTH {
        let mut world = world_of(flavor, &[91, 92, 93]).await;
        world.job(BALANCE);
        let mut session = world.mysql.connect(DATABASE).await.unwrap();
        session.execute("START TRANSACTION").await.unwrap();
        let hold = "SELECT * FROM users WHERE id = 2 FOR UPDATE";
        session.execute(hold).await.unwrap();
        let report = world.repair_full().expect(1).report();
        assert_eq!(
            report.lines(),
            [
                "value-mismatch user:1:balance confirmed applied",
                "value-mismatch user:2:balance confirmed refused",
                "value-mismatch user:3:balance confirmed applied",
            ]
        );
        let busy = &report.findings[1];
        assert!(busy["reason"].contains("holds the row"), "{busy:?}");
        let values: Vec<String> = world
            .redis(&["MGET", "user:1:balance", "user:2:balance", "user:3:balance"])
            .await;
        assert_eq!(values, ["91", "100", "93"]);
        session.execute("ROLLBACK").await.unwrap();
        world.repair_full().expect(0);
        let value: String = world.redis(&["GET", "user:2:balance"]).await;
        assert_eq!(value, "92");
    }
}

/// A key that is named, or comes from an earlier run, leads to a row that can be locked as well.
#[tokio::test]
async fn a_named_key_and_an_earlier_finding_lead_to_a_row_lock() {
    let mut world = world_of(Flavor::MariaDb, &[91, 92]).await;
    world.job(BALANCE);
    let key = "user:1:balance";
    let run = ["repair", "job.toml", "--key", key, "--yes"];
    world.auditor(&run).expect(0);
    let values: Vec<String> = world.redis(&["MGET", key, "user:2:balance"]).await;
    assert_eq!(values, ["91", "100"]);

    let scan = world.auditor(&["scan", "job.toml", "--key", "user:2:balance"]);
    let scan = scan.expect(1).report();
    let earlier = scan.folder.file_name().unwrap().to_str().unwrap();
    let run = ["repair", "job.toml", "--from", earlier, "--yes"];
    world.auditor(&run).expect(0);
    let value: String = world.redis(&["GET", "user:2:balance"]).await;
    assert_eq!(value, "92");
}
