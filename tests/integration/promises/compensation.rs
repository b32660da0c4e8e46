//! `compensation.csv` and `auditor report`: whom to compensate, for what, counted once, exactly.

use auditor::lab::servers::Flavor;

use crate::support::report::{Record, Report, rows};
use crate::support::{Run, World};

const ACCOUNTS: &str = r#"
[[cache]]
name = "balance"
key = "user:{id}:balance"
value = "decimal"
table = "users"
changed_at = "updated_at"
deletes = "never"
order = "source-first"
fields = [{ column = "balance", balance = true }]
subject = "email"
currency = "KRW"
repair = "overwrite"

[[cache]]
name = "account"
key = "user:{id}:account"
value = "json"
table = "users"
changed_at = "updated_at"
deletes = "never"
version = { cache = "/version", column = "version" }
order = "source-first"
fields = [
  { cache = "/grade", column = "grade" },
  { cache = "/points", column = "points", balance = true },
  { cache = "/credit", column = "credit", balance = true, redact = true },
]
subject = "email"
repair = "overwrite"
"#;

const LIMITS: &str = "max_control_mismatch = 1.0";

/// Users 1 to 8, both stores agreeing, changed ten minutes ago; the window is the last hour.
async fn bank() -> World {
    let mut world = World::start(Flavor::MariaDb).await;
    world
        .sql(
            "CREATE TABLE users (id BIGINT PRIMARY KEY, email VARCHAR(40) NULL, grade VARCHAR(9) NOT NULL,
               balance DECIMAL(60,25) NOT NULL, points BIGINT UNSIGNED NOT NULL, credit BIGINT NOT NULL,
               version BIGINT NOT NULL, updated_at DATETIME(6) NOT NULL, KEY (updated_at));
             INSERT INTO users SELECT seq, CONCAT('u', seq, '@x'), 'VIP', 100, 18446744073709551615, 70, 5,
               UTC_TIMESTAMP(6) - INTERVAL 10 MINUTE FROM seq_1_to_8",
        )
        .await;
    for id in 1..=8 {
        world.set(&balance(id), "100.0").await;
        world
            .set(
                &account(id),
                &document(5, "VIP", "18446744073709551615", 70),
            )
            .await;
    }
    world.job_with_limits(LIMITS, ACCOUNTS);
    world
}

fn balance(id: u32) -> String {
    format!("user:{id}:balance")
}

fn account(id: u32) -> String {
    format!("user:{id}:account")
}

fn document(version: u32, grade: &str, points: &str, credit: i64) -> String {
    format!(r#"{{"version":{version},"grade":"{grade}","points":{points},"credit":{credit}}}"#)
}

/// Too little, too much by less than a double can tell, beyond 64 bits, an old document, and a loss of nobody's.
async fn lose(world: &mut World) {
    world.set(&balance(1), "99.9999999999999999999999999").await;
    world.set(&balance(2), "18446744073709551716.5").await;
    world
        .set(&balance(3), "100.0000000000000000000000001")
        .await;
    world.set(&account(4), &document(4, "VIP", "1", 60)).await;
    world
        .set(
            &account(5),
            &document(5, "BASIC", "18446744073709551615", 70),
        )
        .await;
    world.set(&balance(6), "1").await;
    world
        .sql("UPDATE users SET email = NULL WHERE id = 6")
        .await;
}

fn scan(world: &World) -> Run {
    world.auditor(&["scan", "job.toml", "--since", "1h"])
}

fn repair(world: &World, more: &[&str]) -> Run {
    let arguments = [&["repair", "job.toml", "--since", "1h"], more].concat();
    world.auditor(&arguments)
}

fn compensation(report: &Report) -> Vec<Record> {
    rows(&report.folder.join("compensation.csv"))
}

/// subject, check, key, field, served, true, delta, currency, attribution; sorted.
fn told(rows: &[Record]) -> Vec<String> {
    let columns = [
        "subject",
        "check",
        "rule",
        "field",
        "served_value",
        "true_value",
        "delta",
        "currency",
        "attribution",
    ];
    let mut told: Vec<String> = rows
        .iter()
        .map(|row| columns.map(|column| row[column].as_str()).join(" "))
        .collect();
    told.sort();
    told
}

fn lost() -> Vec<String> {
    let digest = |text: &str| {
        use sha2::{Digest, Sha256};
        format!("sha256:{}", hex::encode(Sha256::digest(text)))
    };
    let redacted = format!("{} {}", digest("60"), digest("70"));
    let zeros = "100.0000000000000000000000000";
    vec![
        format!("u1@x balance value-mismatch  99.9999999999999999999999999 {zeros} 0.0000000000000000000000001 KRW window"),
        format!("u2@x balance value-mismatch  18446744073709551716.5 {zeros} -18446744073709551616.5 KRW window"),
        format!("u3@x balance value-mismatch  100.0000000000000000000000001 {zeros} -0.0000000000000000000000001 KRW window"),
        format!("u4@x account version-regression /credit {redacted}   window"),
        "u4@x account version-regression /points 1 18446744073709551615 18446744073709551614  window".to_owned(),
        "u5@x account value-mismatch /grade BASIC VIP   window".to_owned(),
    ]
}

#[tokio::test]
async fn every_customer_who_was_served_a_wrong_value_is_told_with_exact_sums() {
    let mut world = bank().await;
    lose(&mut world).await;
    let scanned = scan(&world).expect(1).report();
    let found = compensation(&scanned);
    assert_eq!(told(&found), lost());
    for row in &found {
        assert_eq!(row["exposed_until"], "", "{row:?}");
        let evidence = row["evidence"].split_once("/findings.csv line ").unwrap();
        let finding = &scanned.findings[evidence.1.parse::<usize>().unwrap() - 2];
        assert_eq!(evidence.0, row["run_id"]);
        for column in ["run_id", "check", "rule", "key", "id", "subject"] {
            assert_eq!(finding[column], row[column], "{row:?}");
        }
        assert_eq!(finding["changed_at"], row["exposed_from"]);
    }

    let dry = repair(&world, &["--dry-run"]).expect(1).report();
    assert_eq!(told(&compensation(&dry)), lost());

    let repaired = repair(&world, &["--yes"]).expect(0).report();
    let ended = compensation(&repaired);
    assert_eq!(told(&ended), lost());
    for row in &ended {
        let is_it = |f: &&Record| f["key"] == row["key"] && f["settled_at"] == row["exposed_until"];
        assert!(
            !row["exposed_until"].is_empty() && repaired.findings.iter().any(|f| is_it(&f)),
            "{row:?}"
        );
    }
    let clean = scan(&world).expect(0).report();
    assert_eq!(compensation(&clean), Vec::<Record>::new());
}

fn run_id(run: &Run) -> String {
    run.report().run["run_id"].as_str().unwrap().to_owned()
}

/// The folder the report names in its last line, and its `report.json`.
fn merged(world: &World, run: &Run) -> (std::path::PathBuf, serde_json::Value) {
    let last = run.stdout.lines().last().unwrap();
    let folder = world.folder.path().join(last.rsplit(' ').next().unwrap());
    let json = std::fs::read(folder.join("report.json")).unwrap();
    (folder, serde_json::from_slice(&json).unwrap())
}

#[tokio::test]
async fn a_scan_and_its_repairs_are_counted_once() {
    let mut world = bank().await;
    lose(&mut world).await;
    let first = run_id(&scan(&world).expect(1));
    let refused = repair(&world, &["--yes", "--max-repairs", "2"]).expect(4);
    let left = run_id(&refused);
    let done = run_id(&repair(&world, &["--yes"]).expect(0));

    let report = world.auditor(&[
        "report",
        &done,
        &first,
        &left,
        &format!("output/shop/{first}"),
    ]);
    let report = report.expect(0);
    let (folder, json) = merged(&world, &report);
    assert_eq!(told(&rows(&folder.join("compensation.csv"))), lost());
    for row in rows(&folder.join("compensation.csv")) {
        assert!(
            !row["exposed_until"].is_empty(),
            "each was repaired by one of them: {row:?}"
        );
        assert_eq!(row["run_id"], first);
        assert!(row["evidence"].split("; ").count() >= 2, "{row:?}");
    }
    assert_eq!(json["runs"].as_array().unwrap().len(), 3);
    assert_eq!(json["counted"]["exposures"], 6);
    assert_eq!(json["apart"]["exposures"], 0);
    let won = &json["counted"]["by_currency"][0];
    assert_eq!(won["currency"], "KRW");
    assert_eq!(
        won["delta"],
        "-18446744073709551616.5000000000000000000000000"
    );
    assert_eq!(won["too_little"], "0.0000000000000000000000001");
    assert_eq!(won["open"], 0);
    assert!(
        report
            .stdout
            .contains(&format!("note     run {left} was partial")),
        "{}",
        report.stdout
    );
    assert!(
        report.stdout.contains("6 exposure(s) of 5 customer(s)"),
        "{}",
        report.stdout
    );
    let largest = report
        .stdout
        .lines()
        .skip_while(|l| !l.starts_with("  customer"))
        .nth(1)
        .unwrap();
    assert!(largest.starts_with("  u2@x      KRW"), "{}", report.stdout);
    let of_runs: usize = [&first, &left, &done]
        .map(|id| {
            rows(
                &world
                    .folder
                    .path()
                    .join(format!("output/shop/{id}/findings.csv")),
            )
            .len()
        })
        .iter()
        .sum();
    assert_eq!(rows(&folder.join("findings.csv")).len(), of_runs);

    // Without a name it is the newest run, and nothing earlier is touched.
    let newest = world.auditor(&["report", "--format", "json"]).expect(0);
    let json: serde_json::Value = serde_json::from_str(&newest.stdout).unwrap();
    assert_eq!(json["runs"][0]["run_id"], done);
    assert_ne!(
        world.folder.path().join(json["folder"].as_str().unwrap()),
        folder
    );
    assert_eq!(told(&rows(&folder.join("compensation.csv"))), lost());
}

#[tokio::test]
async fn what_no_window_is_answerable_for_stands_apart() {
    let mut world = bank().await;
    world.set(&balance(1), "90").await;
    let run = run_id(&world.scan_full().expect(1));
    let report = world.auditor(&["report", &run[..35]]).expect(0);
    let (_, json) = merged(&world, &report);
    assert_eq!(json["counted"]["exposures"], 0);
    assert_eq!(json["apart"]["by_subject"][0]["delta"], "10");
    assert!(
        report.stdout.contains("Not counted above"),
        "{}",
        report.stdout
    );
}

#[tokio::test]
async fn what_cannot_be_added_up_is_refused() {
    let mut world = bank().await;
    world.set(&balance(1), "90").await;
    let refused = |arguments: &[&str], why: &str| {
        let run = world.auditor(&[&["report"], arguments].concat()).expect(2);
        assert!(run.stderr.contains(why), "{}", run.stderr);
        let reports = std::fs::read_dir(world.folder.path().join("output/shop"))
            .into_iter()
            .flatten()
            .filter(|e| {
                e.as_ref()
                    .unwrap()
                    .file_name()
                    .to_string_lossy()
                    .starts_with("report-")
            });
        assert_eq!(reports.count(), 0, "a refusal leaves nothing behind");
    };
    refused(&[], "no finished run under output");
    let first = run_id(&scan(&world).expect(1));
    refused(&["no-such-run"], "no run no-such-run under output");
    refused(&["--output", "nowhere", &first], "no run ");

    // Another version of the job file.
    world.job_with_limits("max_control_mismatch = 0.9", ACCOUNTS);
    let other = run_id(&scan(&world).expect(1));
    refused(
        &[&first, &other],
        "the job file of `shop` changed in between",
    );

    // Another job.
    let path = world.job_with_limits(LIMITS, ACCOUNTS);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("name = \"shop\"", "name = \"till\"")).unwrap();
    let till = run_id(&scan(&world).expect(1));
    refused(&[&first, &till], "they are of the jobs `shop` and `till`");

    // A run that was killed.
    let folder = world.folder.path().join("output/till").join(&till);
    std::fs::remove_file(folder.join("run.json")).unwrap();
    refused(&[&till], "it holds no run.json");
}
