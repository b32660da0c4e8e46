//! `affected_ranges.csv`: unbroken runs of one rule, with exact sums.

use auditor::lab::servers::Flavor;

use crate::support::World;

const BALANCE: &str = r#"
[[cache]]
name = "balance"
key = "user:{id}:balance"
value = "decimal"
table = "users"
changed_at = "updated_at"
deletes = "never"
order = "source-first"
fields = [{ column = "balance", balance = true }]
subject = "id"
currency = "KRW"
repair = "overwrite"
"#;

#[tokio::test]
async fn neighbours_are_one_range_and_an_observed_id_breaks_it() {
    let mut world = World::start(Flavor::MariaDb).await;
    world
        .sql(
            "CREATE TABLE users (id BIGINT PRIMARY KEY, balance DECIMAL(40,20) NOT NULL,
               updated_at DATETIME(6) NOT NULL);
             INSERT INTO users SELECT seq * 10, 1.5, '2026-01-01' FROM seq_1_to_9",
        )
        .await;
    for id in 1..=9 {
        // 30, 40 and 50 lost something; 70 has no key at all, which is an observation too; 80 lost more.
        let value = match id {
            3 => "1.49999999999999999999",
            4 | 5 => "0.5",
            7 => continue,
            8 => "-1000000000000000000",
            _ => "1.50",
        };
        let key = format!("user:{}:balance", id * 10);
        world.redis::<()>(&["SET", &key, value]).await;
    }
    world.job(BALANCE);
    let report = world
        .auditor(&["scan", "job.toml", "--full"])
        .expect(4)
        .report();
    assert!(
        report.findings.is_empty(),
        "the control sample refuses so many"
    );

    let report = world.repair_full().expect(0).report();
    let columns = [
        "rule",
        "first_id",
        "last_id",
        "keys_affected",
        "keys_observed",
        "money_delta",
        "repaired",
        "unrepaired",
    ];
    // A range is written when it ends, so ranges of different rules come in no order.
    let mut told: Vec<String> = report
        .ranges
        .iter()
        .map(|range| columns.map(|c| range[c].as_str()).join(" "))
        .collect();
    told.sort();
    assert_eq!(
        told,
        [
            "negative-balance 80 80 1 1 1000000000000000001.5 1 0",
            "value-mismatch 30 50 3 3 2.00000000000000000001 3 0",
        ]
    );
}
