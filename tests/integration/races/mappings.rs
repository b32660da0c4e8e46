//! A mapping that is wrong everywhere is no failover.

use auditor::lab::servers::Flavor;

use super::locks::world_of;

/// Reads the wrong column: no two sides ever agree.
const WRONG: &str = r#"
[[cache]]
name = "balance"
key = "user:{id}:balance"
value = "integer"
table = "users"
changed_at = "updated_at"
deletes = "never"
order = "source-first"
fields = [{ column = "id" }]
repair = "overwrite"
"#;

#[tokio::test]
async fn a_wrong_mapping_is_refused_by_the_control_sample_unless_it_is_accepted() {
    let mut world = world_of(Flavor::MariaDb, &[100; 60]).await;
    world
        .sql("UPDATE users SET updated_at = NOW(6) WHERE id <= 2")
        .await;
    world.job(WRONG);
    let run = ["repair", "job.toml", "--since", "5m", "--yes"];
    let refused = world.auditor(&run).expect(4).report();
    assert_eq!(refused.lines(), Vec::<String>::new());
    assert!(refused.undo().is_empty());
    let value: String = world.redis(&["GET", "user:1:balance"]).await;
    assert_eq!(value, "100");

    let accepted = [&run[..], &["--accept-control"]].concat();
    world.auditor(&accepted).expect(0);
    let values: Vec<String> = world
        .redis(&["MGET", "user:1:balance", "user:2:balance", "user:3:balance"])
        .await;
    assert_eq!(values, ["1", "2", "100"]);
}
