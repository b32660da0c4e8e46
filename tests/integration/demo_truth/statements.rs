//! What a scan costs the database where nearly everything changed in the window.

use auditor::lab::servers::Flavor;

use crate::support::World;

const CHECK: &str = r#"
[[cache]]
name = "n"
key = "n:{id}"
value = "integer"
sql = "SELECT id, n FROM t"
id = "id"
changed_ids = "SELECT id FROM t WHERE at >= :since"
deletes = "never"
fields = [{ column = "n" }]
order = "source-first"
"#;

/// One round of the control sample's forty places, and all the rest of a scan. Ten rounds, each in vain,
/// made a scan of a few thousand ids take minutes.
const STATEMENTS_MAX: u64 = 400;

#[tokio::test]
async fn a_control_sample_that_brings_nothing_is_not_drawn_again_and_again() {
    let mut world = World::start(Flavor::MariaDb).await;
    world
        .sql("CREATE TABLE t (id INT PRIMARY KEY, n INT, at DATETIME(6), KEY (at))")
        .await;
    world
        .sql("INSERT INTO t SELECT seq, seq, UTC_TIMESTAMP(6) FROM seq_1_to_4000")
        .await;
    let mut keys = redis::pipe();
    for id in 1..=4_000 {
        keys.set(format!("n:{id}"), id).ignore();
    }
    keys.exec_async(&mut world.cache).await.unwrap();
    world.job(CHECK);

    let before = statements(&mut world).await;
    world
        .auditor(&["scan", "job.toml", "--since", "10m"])
        .expect(0);
    let needed = statements(&mut world).await - before;
    assert!(needed < STATEMENTS_MAX, "{needed} statements");
}

async fn statements(world: &mut World) -> u64 {
    let count = "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'QUESTIONS'";
    world.sql_text(count).await.unwrap().parse().unwrap()
}
