//! The auditor's own keys beside those it audits.

use auditor::lab::servers::Flavor;

use super::{EVIDENCE, HEARTBEAT, STATE};
use crate::support::World;

const CHECK: &str = r#"
[[cache]]
name = "anything"
key = "{name}"
value = "string"
table = "things"
changed_at = "updated_at"
deletes = "scan"
fields = [{ column = "motto" }]
order = "source-first"
repair = "report"
repair_orphans = "invalidate"
"#;

#[tokio::test]
async fn heartbeat_evidence_and_copy_are_nobodys_orphans() {
    let mut world = World::start(Flavor::MariaDb).await;
    world
        .sql(
            "CREATE TABLE things (name VARCHAR(80) PRIMARY KEY, motto VARCHAR(40) NOT NULL,
               updated_at DATETIME(6) NOT NULL);
             INSERT INTO things VALUES ('ann', 'carpe diem', '2026-01-01')",
        )
        .await;
    world.redis::<()>(&["SET", "ann", "carpe diem"]).await;
    world.redis::<()>(&["SET", "nobody", "x"]).await;
    let planted = "auditor-heartbeat 1 1 aa bb 1";
    world.redis::<()>(&["SET", HEARTBEAT, planted]).await;
    world.job(CHECK);
    world.auditor(&["checkpoint", "job.toml"]).expect(0);
    let report = world.repair_full().expect(0).report();
    assert_eq!(report.lines(), ["orphan-key nobody confirmed applied"]);
    let mut left: Vec<String> = world.redis(&["KEYS", "*"]).await;
    left.sort();
    assert_eq!(left, ["ann", EVIDENCE, HEARTBEAT, STATE]);
}
