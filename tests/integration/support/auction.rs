//! The lab's auction house under the job file that is shipped for it, and the program as a child.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Stdio;

use auditor::lab::cluster::ClusterOptions;
use auditor::lab::servers::{Flavor, MysqlOptions};
use auditor::lab::story::Stage;
use auditor::lab::truth::Expected;
use auditor::lab::{app::Stock, demo_job};
use tempfile::TempDir;

use super::Run;
use super::report::Report;

pub struct Auction {
    pub stage: Stage,
    folder: TempDir,
}

/// check, rule, key, field: what names a finding.
pub type Named = (String, String, String, String);

impl Auction {
    pub async fn start(
        flavor: Flavor,
        replicas: usize,
        sentinel_name: Option<&str>,
        stock: Stock,
    ) -> Self {
        let cluster = ClusterOptions {
            replicas,
            sentinel_name: sentinel_name.map(str::to_owned),
            ..ClusterOptions::default()
        };
        Self::start_with(flavor, cluster, stock).await
    }

    pub async fn start_with(flavor: Flavor, cluster: ClusterOptions, stock: Stock) -> Self {
        let database = MysqlOptions {
            flavor,
            arguments: Vec::new(),
            tls: false,
        };
        let stage = Stage::start(database, cluster, stock).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        demo_job::write_caches_to(folder.path()).unwrap();
        Self { stage, folder }
    }

    /// Rewrites the job file; everything that is replaced must be there.
    pub fn edit_job(&self, edits: &[(&str, &str)]) {
        let path = self.folder.path().join("jobs/auction.toml");
        let mut text = std::fs::read_to_string(&path).unwrap();
        for (from, to) in edits {
            assert!(text.contains(from), "the job file has no {from}");
            text = text.replace(from, to);
        }
        std::fs::write(path, text).unwrap();
    }

    /// Runs the program on the auction's job file to its end, while everything else goes on.
    pub async fn auditor(&self, command: &str, arguments: &[&str]) -> Run {
        let output = self.command(command, arguments).output().await.unwrap();
        Run::of(output, self.folder.path())
    }

    /// The same, and does not wait for its end; dropping it kills it. What it says goes to `COMMAND.log`.
    pub fn spawn(&self, command: &str, arguments: &[&str]) -> tokio::process::Child {
        let log = self.folder.path().join(format!("{command}.log"));
        let log = std::fs::File::create(log).unwrap();
        let mut command = self.command(command, arguments);
        command.stdout(log.try_clone().unwrap()).stderr(log);
        command.spawn().unwrap()
    }

    fn command(&self, command: &str, arguments: &[&str]) -> tokio::process::Command {
        let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_auditor"));
        program
            .args([command, "jobs/auction.toml"])
            .args(arguments)
            .envs(self.stage.environment())
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .current_dir(self.folder.path())
            .kill_on_drop(true);
        program
    }

    /// The folders of all runs so far.
    pub fn run_folders(&self) -> BTreeSet<PathBuf> {
        let runs = std::fs::read_dir(self.folder.path().join("output/auction"));
        let entries = runs.into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// The planted truth as the program names such things.
    pub async fn truth(&self) -> BTreeSet<Named> {
        let truth = self.stage.truth().await.unwrap();
        truth.expected.iter().map(as_reported).collect()
    }
}

/// The findings of this verdict, each once.
#[track_caller]
pub fn found(report: &Report, verdict: &str) -> BTreeSet<Named> {
    let rows = report.findings.iter().filter(|f| f["verdict"] == verdict);
    let mut named = BTreeSet::new();
    for row in rows {
        let name = ["check", "rule", "key", "field"].map(|column| row[column].clone());
        assert!(
            named.insert(name.clone().into()),
            "reported twice: {name:?}"
        );
    }
    named
}

/// The truth's words in the program's. They differ in two places: a version is about the whole document, so
/// that the program names no field, and `field` is the member where there are members.
fn as_reported(expected: &Expected) -> Named {
    let field = match (expected.member.as_str(), expected.field.as_str()) {
        ("", "/version") => "",
        ("", field) => field,
        (member, _) => member,
    };
    (
        expected.check.to_owned(),
        expected.rule.to_owned(),
        expected.key.clone(),
        field.to_owned(),
    )
}
