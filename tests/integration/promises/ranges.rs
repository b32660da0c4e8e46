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

/// Slices are cut at about 15,000, 22,500 and 30,000, however many rows the server estimates.
const AROUND_THE_CUTS: [(u64, u64); 3] = [(14_500, 15_500), (22_000, 23_000), (29_500, 30_500)];

#[tokio::test]
async fn a_range_goes_on_across_slices() {
    let mut world = World::start(Flavor::MariaDb).await;
    world
        .sql(
            "CREATE TABLE users (id BIGINT PRIMARY KEY, balance DECIMAL(40,20) NOT NULL,
               updated_at DATETIME(6) NOT NULL);
             INSERT INTO users SELECT seq, 1, '2026-01-01' FROM seq_1_to_45000;
             ANALYZE TABLE users",
        )
        .await;
    let mut pipe = redis::pipe();
    for (first, last) in AROUND_THE_CUTS {
        (first..=last).for_each(|id| {
            pipe.set(format!("user:{id}:balance"), "0").ignore();
        });
    }
    pipe.query_async::<()>(&mut world.cache).await.unwrap();
    world.job(BALANCE);
    let arguments = [
        "repair",
        "job.toml",
        "--full",
        "--dry-run",
        "--accept-control",
    ];
    let report = world.auditor(&arguments).expect(1).report();
    let mut told: Vec<(u64, u64, String)> = report
        .ranges
        .iter()
        .map(|r| {
            let number = |column: &str| r[column].parse().unwrap();
            (
                number("first_id"),
                number("last_id"),
                r["keys_affected"].clone(),
            )
        })
        .collect();
    told.sort_unstable();
    let expected = AROUND_THE_CUTS.map(|(first, last)| (first, last, "1001".to_owned()));
    assert_eq!(told, expected);
}
