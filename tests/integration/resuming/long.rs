//! Stores with so much in them that a run can be cut short in the middle, and how that is done.

use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use auditor::lab::servers::Flavor;
use auditor::lab::wait;
use serde_json::Value;

use crate::support::World;
use crate::support::report::{Record, Report, rows};

const USERS: u32 = 24_000;
const WORDS: u32 = 12_000;

/// Keys a second: a sweep of everything takes some seconds, and notes how far it is once a second.
pub const RATE: &str = "6000";

const CHECKS: &str = r#"
[[cache]]
name = "balance"
key = "user:{id}:balance"
value = "integer"
table = "users"
changed_at = "t"
deletes = "never"
fields = [{ column = "balance", balance = true }]
subject = "id"
currency = "KRW"
order = "source-first"
repair = "overwrite"
repair_orphans = "invalidate"

[[cache]]
name = "word"
key = "word:{word}"
value = "integer"
table = "words"
changed_at = "t"
deletes = "never"
fields = [{ column = "points" }]
order = "source-first"
repair = "overwrite"
"#;

impl World {
    pub async fn open_long() -> Self {
        let mut world = Self::start(Flavor::MariaDb).await;
        world.job_with_limits("max_control_mismatch = 1.0\ncontrol_sample = 10", CHECKS);
        world
            .sql(&format!(
                "CREATE TABLE users (id BIGINT PRIMARY KEY, balance BIGINT NOT NULL, t DATETIME(6) NOT NULL);
                 INSERT INTO users SELECT seq, 100, '2026-01-01' FROM seq_1_to_{USERS};
                 CREATE TABLE words (word VARCHAR(20) PRIMARY KEY, points INT NOT NULL, t DATETIME(6) NOT NULL);
                 INSERT INTO words SELECT CONCAT('w', seq), 7, '2026-01-01' FROM seq_1_to_{WORDS};
                 ANALYZE TABLE users, words"
            ))
            .await;
        world.lose().await;
        world
    }

    /// Losses all over, some of them in long ranges, and keys that no row explains.
    pub async fn lose(&mut self) {
        let mut all = redis::pipe();
        for id in 1..=USERS {
            let value = if is_user_lost(id) { 90 } else { 100 };
            all.set(format!("user:{id}:balance"), value).ignore();
        }
        for number in 1..=WORDS {
            let is_lost = number % 89 == 0;
            all.set(format!("word:w{number}"), if is_lost { 6 } else { 7 })
                .ignore();
        }
        for id in USERS + 1..USERS + 8 {
            all.set(format!("user:{id}:balance"), 1).ignore();
        }
        all.query_async::<()>(&mut self.cache).await.unwrap();
    }

    /// The folders of all runs, the oldest first.
    pub fn runs(&self) -> Vec<PathBuf> {
        let of_job = self.folder.path().join("output/shop");
        let entries = std::fs::read_dir(of_job).into_iter().flatten();
        let mut runs: Vec<PathBuf> = entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| !path.to_string_lossy().contains("report-"))
            .collect();
        runs.sort();
        runs
    }

    /// Starts the program and kills it once its run has noted how far it is with the users, beyond what it was handed on;
    /// false if it ended before.
    pub fn kill_after_a_mark(&self, words: &[&str]) -> bool {
        self.kill_once(words, |run| {
            let header = lines(run, "run").into_iter().next();
            let went_on = header.is_some_and(|header| !header["resumes"].is_null());
            let inherited = usize::from(went_on);
            let marks = lines(run, "mark");
            let of_users = marks.iter().filter(|mark| mark["check"] == "balance");
            of_users.count() > inherited
        })
    }

    /// Waits until a run says what it is.
    pub async fn says_what_it_is(&self) {
        let says = async || self.runs().iter().any(|run| !lines(run, "run").is_empty());
        wait::until("the run begins", Duration::from_secs(30), says)
            .await
            .unwrap();
    }

    /// Waits until the newest run has marked more than `from`.
    pub async fn runs_on_from(&self, from: Option<u32>) {
        let is_on = async || {
            let newest = self.runs().into_iter().next_back();
            newest.is_some_and(|run| marked(&run) > from)
        };
        wait::until("the run goes on", Duration::from_secs(60), is_on)
            .await
            .unwrap();
    }

    /// How many values are not what MySQL says, of those that rows explain.
    pub async fn wrong(&mut self) -> usize {
        let mut all = redis::pipe();
        (1..=USERS).for_each(|id| {
            all.get(format!("user:{id}:balance"));
        });
        (1..=WORDS).for_each(|number| {
            all.get(format!("word:w{number}"));
        });
        let values: Vec<Option<u32>> = all.query_async(&mut self.cache).await.unwrap();
        let is_right = |value: &&Option<u32>| matches!(value, Some(100 | 7));
        values.len() - values.iter().filter(is_right).count()
    }

    /// The same, as it was at first.
    pub fn lost_at_first(&self) -> usize {
        let users = (1..=USERS).filter(|id| is_user_lost(*id)).count();
        users + (1..=WORDS).filter(|number| number % 89 == 0).count()
    }

    /// The same once its run has written down `intents` intents.
    pub fn kill_after_intents(&self, words: &[&str], intents: usize) -> bool {
        let written =
            |run: &Path| std::fs::read_to_string(run.join("undo.jsonl")).unwrap_or_default();
        self.kill_once(words, |run| {
            written(run).matches("\"intent\"").count() >= intents
        })
    }

    /// The same as soon as its run says what it is.
    pub fn kill_at_once(&self, words: &[&str]) -> bool {
        self.kill_once(words, |run| !lines(run, "run").is_empty())
    }

    fn kill_once(&self, words: &[&str], is_due: impl Fn(&Path) -> bool) -> bool {
        let before = self.runs().len();
        let mut child: Child = self.spawn(words);
        let limit = Instant::now() + Duration::from_secs(120);
        loop {
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            let run = self.runs().into_iter().nth(before);
            if run.is_some_and(|run| is_due(&run)) {
                break;
            }
            assert!(
                Instant::now() < limit,
                "the program neither went on nor ended"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        child.kill().unwrap();
        child.wait_with_output().unwrap().status.code().is_none()
    }
}

fn is_user_lost(id: u32) -> bool {
    id.is_multiple_of(97) || id % 3_000 < 40
}

/// What `progress.jsonl` of a run says of this kind.
pub fn lines(run: &std::path::Path, kind: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(run.join("progress.jsonl")).unwrap_or_default();
    let whole = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    whole.filter_map(|line| line.get(kind).cloned()).collect()
}

/// The last user id before the run's last mark.
pub fn marked(run: &std::path::Path) -> Option<u32> {
    let marks = lines(run, "mark");
    let last = marks.iter().rev().find(|mark| mark["check"] == "balance")?;
    let id = hex::decode(last["upto"][0].as_str().unwrap()).unwrap();
    Some(String::from_utf8(id).unwrap().parse().unwrap())
}

/// Without what differs from run to run, in an order of its own.
pub fn told(folder: &std::path::Path, name: &str) -> Vec<Record> {
    let mut rows = rows(&folder.join(name));
    for row in &mut rows {
        for own in [
            "run_id",
            "observed_at",
            "settled_at",
            "exposed_until",
            "evidence",
        ] {
            row.remove(own);
        }
    }
    rows.sort();
    rows
}

/// The merged report of a run and all it went on from: its folder, and `report.json`.
pub fn merged(world: &World, report: &Report) -> (PathBuf, Value) {
    let run = report.run["run_id"].as_str().unwrap();
    let told = world
        .auditor(&["report", run, "--format", "json"])
        .expect(0);
    let json: Value = serde_json::from_str(&told.stdout).unwrap();
    let folder = world.folder.path().join(json["folder"].as_str().unwrap());
    (folder, json)
}

/// What each check counted.
pub fn coverage(checks: &Value) -> Vec<(Value, Value)> {
    let checks = checks.as_array().unwrap().iter();
    let checks = checks.filter(|check| check["name"] != "topology");
    checks
        .map(|check| (check["name"].clone(), check["coverage"].clone()))
        .collect()
}
