//! The lab's bidding streams under a job file of three checks, and the program as a child.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::Duration;

use auditor::lab::app::streams::{LIVE, Layout};
use auditor::lab::cluster::ClusterOptions;
use auditor::lab::servers::{Flavor, MysqlOptions};
use auditor::lab::stream_script::StreamFacts;
use auditor::lab::stream_story::StreamStage;
use auditor::lab::truth::streams::{EntryFacts, EntryId, StreamTruth, StreamView, StreamWorld};
use tempfile::TempDir;

use super::Run;
use super::report::Report;

/// From when on a silent consumer is taken for dead. Long enough for a live one on a busy machine.
pub const ORPHAN_AFTER: Duration = Duration::from_secs(3);

/// What the job says is to be done with what is not in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settling {
    /// The row is the whole effect, and the program writes it.
    Insert,
    /// Put back at the stream's end, for whoever reads it next.
    Requeue,
}

/// The streams, and which of them is settled how.
pub struct Bidding {
    pub stage: StreamStage,
    settlings: [(Layout, Settling); 3],
    folder: TempDir,
}

/// check, rule, id: what names a finding of a stream.
pub type Named = (String, String, String);

/// Everything of the three layouts at one moment.
pub type Worlds = BTreeMap<Layout, StreamWorld>;

impl Bidding {
    pub async fn start(
        replicas: usize,
        sentinel_name: Option<&str>,
        by_entry_id: Settling,
    ) -> Self {
        let database = MysqlOptions {
            flavor: Flavor::MariaDb,
            arguments: Vec::new(),
            tls: false,
        };
        Self::start_on(database, replicas, sentinel_name, by_entry_id).await
    }

    /// The same on a database of its own kind.
    pub async fn start_on(
        database: MysqlOptions,
        replicas: usize,
        sentinel_name: Option<&str>,
        by_entry_id: Settling,
    ) -> Self {
        let cluster = ClusterOptions {
            replicas,
            sentinel_name: sentinel_name.map(str::to_owned),
            ..ClusterOptions::default()
        };
        let stage = StreamStage::start(database, cluster).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let settlings = [
            // Its application rejects bids, so nothing is inserted.
            (Layout::ByBidId, Settling::Requeue),
            (Layout::ByEntryId, by_entry_id),
            (Layout::LateGroup, Settling::Insert),
        ];
        let checks = settlings.map(|(layout, settling)| check(layout, settling));
        let job = format!("{JOB}{}", checks.concat());
        std::fs::write(folder.path().join("job.toml"), job).unwrap();
        Self {
            stage,
            settlings,
            folder,
        }
    }

    /// What the job says of a layout, for the lab's own judgement; [`LIVE`] is alive.
    pub fn view(&self, layout: Layout) -> StreamView {
        StreamView {
            needs_effect: layout.has_effects(),
            compares_tuples: true,
            keeps_entries: true,
            live: BTreeSet::from([LIVE.to_owned()]),
            ..StreamView::new(layout.stream(), layout)
        }
    }

    /// Rules of which a repair leaves everything as it is.
    pub fn left(&self, layout: Layout) -> Vec<&'static str> {
        let mut left = vec![
            "duplicate-entry",
            "duplicate-row",
            "lost-entry",
            "undecodable-value",
        ];
        // Only an entry whose name is its id can be given another one.
        if !layout.is_by_entry_id() || self.settling(layout) == Settling::Insert {
            left.push("payload-conflict");
        }
        left
    }

    /// Both sides of every layout. The application must be quiet.
    pub async fn worlds(&self) -> Worlds {
        let mut worlds = Worlds::new();
        for layout in Layout::ALL {
            worlds.insert(layout, self.stage.world(layout).await.unwrap());
        }
        worlds
    }

    /// Everything that is wrong, as the program names such things.
    pub fn truth(&self, worlds: &Worlds) -> BTreeSet<Named> {
        let named = worlds
            .iter()
            .flat_map(|(layout, world)| as_reported(world, &self.view(*layout)));
        named.collect()
    }

    /// What the script of a failover planted, as the program names it.
    pub fn planted(&self, facts: &StreamFacts) -> BTreeSet<Named> {
        let expected = facts.expected.iter();
        expected
            .map(|(layout, rule, id)| {
                let id = match *rule {
                    "group-missing" | "group-rewound" => layout.group(),
                    _ => id,
                };
                (
                    layout.stream().to_owned(),
                    (*rule).to_owned(),
                    id.to_owned(),
                )
            })
            .collect()
    }

    /// Waits until everyone but [`LIVE`] is taken for dead, and so is what they hold.
    pub async fn wait_until_gone(&self) {
        let nobody = BTreeSet::new();
        // A group that is not there has nobody who could be alive.
        for layout in [Layout::ByBidId, Layout::ByEntryId] {
            let waited = self.stage.wait_until_gone(layout, &nobody, ORPHAN_AFTER);
            waited.await.unwrap();
        }
    }

    /// The program on the job file, with these variables in place of the stage's own.
    pub fn command(
        &self,
        words: &[&str],
        variables: &[(&'static str, String)],
    ) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_auditor"));
        command
            .args([words[0], "job.toml"])
            .args(&words[1..])
            .envs(self.stage.environment())
            .envs(variables.iter().cloned())
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .current_dir(self.folder.path())
            .kill_on_drop(true);
        command
    }

    /// Runs the program to its end, while everything else goes on.
    pub async fn auditor(&self, words: &[&str]) -> Run {
        self.auditor_with(words, &[]).await
    }

    /// The same with further variables.
    pub async fn auditor_with(&self, words: &[&str], variables: &[(&'static str, String)]) -> Run {
        let output = self.command(words, variables).output().await.unwrap();
        Run::of(output, self.folder.path())
    }

    /// Where runs are written to.
    pub fn output(&self) -> std::path::PathBuf {
        self.folder.path().join("output/bidding")
    }

    pub fn settling(&self, layout: Layout) -> Settling {
        let mut all = self.settlings.iter();
        all.find(|(of, _)| *of == layout).unwrap().1
    }
}

/// The findings, each once. All of them have to be confirmed.
#[track_caller]
pub fn found(report: &Report) -> BTreeSet<Named> {
    let mut named = BTreeSet::new();
    for row in &report.findings {
        assert_eq!(row["verdict"], "confirmed", "{row:?}");
        let name = ["check", "rule", "id"].map(|column| row[column].clone());
        assert!(
            named.insert(name.clone().into()),
            "reported twice: {name:?}"
        );
    }
    named
}

/// A field of an entry, empty where it has none of this name.
pub fn field<'a>(entry: &'a EntryFacts, name: &str) -> &'a str {
    entry.fields.get(name).map_or("", String::as_str)
}

/// The truth's words in the program's. They differ where the group is objected to: the program names the group, the
/// truth the place where it belongs; and rows above the stream's last id are an objection to the group too.
fn as_reported(world: &StreamWorld, view: &StreamView) -> BTreeSet<Named> {
    let truth = StreamTruth::of(world, view);
    let group = view.layout.group().to_owned();
    let mut named: BTreeSet<Named> = truth
        .expected
        .iter()
        .map(|expected| {
            let id = match expected.rule {
                "group-missing" | "group-rewound" => group.clone(),
                _ => expected.id.clone(),
            };
            (expected.check.clone(), expected.rule.to_owned(), id)
        })
        .collect();
    let last = world.last_generated.unwrap_or(EntryId::START);
    let mut ids = world.rows.keys().filter_map(|row| EntryId::parse(row));
    if view.layout.is_by_entry_id() && ids.any(|id| id > last) {
        named.insert((view.check.clone(), "lost-entry".to_owned(), group));
    }
    named
}

const JOB: &str = r#"
name = "bidding"
time_zone = "UTC"
[mysql]
url = "${MYSQL_URL}"
replica_url = "${MYSQL_REPLICA_URL:-}"
[redis]
url = "${REDIS_URL}"
read_url = "${REDIS_READ_URL:-}"
[limits]
settle = "100ms"
cache_delay = "300ms"
commit_margin = "1s"
# Streams this small have more losses than a control sample should accept.
max_control_mismatch = 1.0
"#;

fn check(layout: Layout, settling: Settling) -> String {
    let identity = match layout.is_by_entry_id() {
        true => "$id",
        false => "bidId",
    };
    let at = match layout.is_by_entry_id() {
        true => "placed_at",
        false => "created_at",
    };
    let placed = match layout.is_by_entry_id() {
        true => ", \"placed_at\"",
        false => "",
    };
    let effects = match layout.has_effects() {
        false => "",
        true => &[PROOF, REJECTED].concat(),
    };
    let unpersisted = match settling {
        Settling::Insert => {
            "on_unpersisted = \"insert\"\non_skipped = \"insert\"\ninsert_is_enough = true\n"
        }
        Settling::Requeue => "on_unpersisted = \"requeue\"\non_skipped = \"requeue\"\n",
    };
    let raise = match layout.is_by_entry_id() {
        true => "raise_last_id = true\n",
        false => "",
    };
    format!(
        r#"
[[stream]]
name = "{stream}"
key = "{stream}"
group = "{group}"
match = {{ type = "BID_SAVE" }}
identity = "{identity}"
table = "{table}"
identity_column = "{identity_column}"
columns = {{ auction_id = "auctionId", bidder_id = "bidderId", amount = "amount", {at} = {{ field = "at", as = "epoch-ms" }} }}
unique = ["auction_id", "bidder_id", "amount"{placed}]
changed_at = "created_at"
orphan_after = "{orphan_after}ms"
max_deliveries = 10
on_persisted = "ack"
on_rewound = "advance"
on_trimmed = "ack"
keeps_entries = true
dead_letter = "{dead}"
subject = "bidder_id"
money = "amount"
currency = "KRW"
{effects}{unpersisted}{raise}"#,
        stream = layout.stream(),
        group = layout.group(),
        table = layout.table(),
        identity_column = layout.identity_column(),
        orphan_after = ORPHAN_AFTER.as_millis(),
        dead = layout.dead_letter(),
    )
}

const PROOF: &str = "proof_sql = \"SELECT b.bid_id FROM bid b JOIN bid_effect e USING (bid_id) \
                     WHERE b.bid_id IN (:ids)\"\n";
const REJECTED: &str =
    "rejected_sql = \"SELECT bid_id FROM bid_rejected WHERE bid_id IN (:ids)\"\n";
