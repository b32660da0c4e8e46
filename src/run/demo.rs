//! `auditor demo`: a real failover on this machine, from loss to report, told in plain lines.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use tokio::process::Command;

use super::demo_proof::{Proof, ranges_table};
use super::request::{Console, Ending};
use crate::lab::app::{Load, Stock};
use crate::lab::cluster::ClusterOptions;
use crate::lab::demo_streams::{DemoStreams, LostStreams, StreamSides};
use crate::lab::servers::{MysqlOptions, MysqlProgram};
use crate::lab::story::{Acts, Loss, Stage};
use crate::lab::truth::Truth;
use crate::lab::{LabError, demo_job};

const SEED: u64 = 20_261_121;
const USERS: u64 = 2_000;
const AUCTIONS: u64 = 200;
/// How many of everything that can be lost of a stream.
const STREAM_COUNT: usize = 4;
const CUSTOMERS_SHOWN: usize = 3;
const REPAIRS_MAX: usize = 3;
const ACTS: Acts = Acts {
    load: Load {
        clerks: 4,
        per_second: Some(2_000),
        seed: SEED,
    },
    before: 1_500,
    lost: 800,
    after: 500,
};

/// Starts the servers, loses writes, and runs the program on it as a person would.
pub(super) async fn demo(console: &mut Console) -> Ending {
    match play(console).await {
        Ok(true) => Ending::Done,
        Ok(false) => Ending::NothingJudged(
            "the demo did not go as it should: what was found differs from what was planted".into(),
        ),
        Err(fault) => Ending::NothingJudged(fault.to_string()),
    }
}

async fn play(console: &mut Console) -> Result<bool, LabError> {
    let started = Instant::now();
    let say = &mut |text: &str| {
        // Whoever closed the pipe does not want the story.
        let _ = writeln!(console.out, "{text}");
        let _ = console.out.flush();
    };
    let program = MysqlProgram::find_any()?;
    say(&format!(
        "1. Starting a real {} and a Redis master with two replicas and three Sentinels, in a temporary folder …",
        program.version
    ));
    let database = MysqlOptions {
        flavor: program.flavor,
        arguments: Vec::new(),
        tls: false,
    };
    let cluster = ClusterOptions {
        replicas: 2,
        sentinel_name: Some("mymaster".into()),
        ..ClusterOptions::default()
    };
    let mut stage = Stage::start(database, cluster, Stock::new(USERS, AUCTIONS, SEED)).await?;
    let streams = DemoStreams::start(&stage, STREAM_COUNT, SEED).await?;
    say(&format!(
        "   An auction house with {USERS} users and {AUCTIONS} auctions writes MySQL first and Redis second; bids also\n   \
         travel through three streams, whose consumers insert them into MySQL and acknowledge them."
    ));
    say(
        "2. The replicas fall behind, customers go on bidding, the master is killed, Sentinel promotes a replica …",
    );
    let (loss, lost) = streams.fail_over(&mut stage, ACTS).await?;
    let scene = Scene {
        planted: stage.truth().await?,
        before: lost.read(&stage).await?,
        stage,
        lost,
    };
    tell_loss(say, &loss, &scene.lost);
    tell_planted(say, &scene)?;
    audit(say, &scene, &loss, started).await
}

/// The stage after the failover, and what is wrong on it.
struct Scene {
    stage: Stage,
    lost: LostStreams,
    planted: Truth,
    before: StreamSides,
}

fn tell_loss(say: &mut impl FnMut(&str), loss: &Loss, streams: &LostStreams) {
    say(&format!(
        "   {} requests were acknowledged before that, {} more while the replicas were behind: their Redis \
         writes ({} bytes) are gone.",
        loss.acknowledged_before, loss.acknowledged_lost, loss.lost_bytes
    ));
    let lost = &streams.facts.lost;
    say(&format!(
        "   Of the streams {} XADDs are gone, {} reads, {} acknowledgements, {} claims, {} deletions and {} consumer \
         group(s).\n   Redis reports no error, MySQL has everything that was committed, and the application goes on \
         with old values.",
        lost.adds, lost.reads, lost.acknowledgements, lost.claims, lost.trims, lost.groups
    ));
}

fn tell_planted(say: &mut impl FnMut(&str), scene: &Scene) -> Result<(), LabError> {
    let (truth, streams) = (&scene.planted, &scene.before);
    if let [example, ..] = &scene.lost.disagreements(streams)[..] {
        return Err(LabError::Unfit(format!(
            "the streams are not as they were made: {example}"
        )));
    }
    say(&format!(
        "   An independent comparison of all {} rows with all {} keys finds {} wrong place(s):",
        truth.rows,
        truth.keys,
        truth.expected.len()
    ));
    tell_counts(say, truth.by_rule());
    say(&format!(
        "   … and of all {} entries and {} pending messages of the streams with their rows {}:",
        streams.entries(),
        streams.pending(),
        streams.expected.len()
    ));
    tell_counts(say, streams.by_rule());
    say(&format!(
        "   {} bid(s) were in Redis only and went down with it: neither side knows them, so nothing here can find them.",
        scene.lost.facts.lost_for_good.len()
    ));
    Ok(())
}

fn tell_counts<'a>(say: &mut impl FnMut(&str), counts: impl IntoIterator<Item = (&'a str, usize)>) {
    for (rule, count) in counts {
        say(&format!("     {count:>5} {rule}"));
    }
}

/// Scan, dry run, repair, scan again; true if every step ended as it should.
async fn audit(
    say: &mut impl FnMut(&str),
    scene: &Scene,
    loss: &Loss,
    started: Instant,
) -> Result<bool, LabError> {
    let folder = tempfile::tempdir().map_err(LabError::io("make a temporary folder"))?;
    let job = demo_job::write_to(folder.path())?;
    let since = loss
        .since
        .to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let program = std::env::current_exe().map_err(LabError::io("find this program"))?;
    let auditor = Auditor {
        program,
        job,
        since,
        environment: scene.stage.environment(),
    };

    say(&format!(
        "\n3. $ auditor scan auction.toml --since {}",
        auditor.since
    ));
    let scan = auditor.run(&["scan"]).await?;
    scan.tell(say);
    let proof = match &scan.folder {
        Some(folder) => Some(Proof::of(folder, &scene.planted, &scene.before.expected)?),
        None => None,
    };
    let said = proof.as_ref().map(Proof::sentence);
    say(&format!(
        "   {}",
        said.unwrap_or_else(|| "The scan wrote no report.".to_owned())
    ));
    say("\n4. $ auditor repair auction.toml --since … --dry-run");
    let dry = auditor.run(&["repair", "--dry-run"]).await?;
    say("   The same findings, what would be done about each, and nothing written:");
    dry.tell_end(say);
    let repairs = repair(say, &auditor).await?;
    let [repaired, ..] = &repairs[..] else {
        return Ok(false);
    };
    say("\n6. $ auditor scan auction.toml --since …");
    let again = auditor.run(&["scan"]).await?;
    again.tell(say);
    let is_right = tell_what_is_left(say, scene).await?;
    tell_csv(say, repaired)?;
    let is_totalled = tell_totals(say, &auditor, &repairs).await?;
    say(&format!(
        "\nThe whole demo took {:.0} s.",
        started.elapsed().as_secs_f64()
    ));
    let end = repairs.last().and_then(|repair| repair.code);
    let codes = [scan.code, dry.code, end, again.code];
    let as_planned = codes == [Some(1), Some(1), Some(0), Some(0)];
    let is_proved = proof.is_some_and(|proof| proof.holds());
    let is_planted = !scene.planted.expected.is_empty() && !scene.before.expected.is_empty();
    Ok(as_planned && is_proved && is_planted && is_right && is_totalled)
}

/// Repairs, and again as long as something was refused: a machine that stalls misses the deadlines of its writes,
/// which then do nothing and say so. The first run comes first.
async fn repair(say: &mut impl FnMut(&str), auditor: &Auditor) -> Result<Vec<Told>, LabError> {
    let mut repairs: Vec<Told> = Vec::new();
    for turn in 1..=REPAIRS_MAX {
        say("\n5. $ auditor repair auction.toml --since … --yes");
        let repair = auditor.run(&["repair", "--yes"]).await?;
        repair.tell(say);
        let is_left = repair.code == Some(1);
        repairs.push(repair);
        if !is_left {
            break;
        }
        if turn < REPAIRS_MAX {
            say(
                "   This machine was too busy to keep a write's deadline, so the write was refused. Once more:",
            );
        }
    }
    Ok(repairs)
}

/// Compares both sides once more; true if nothing is wrong.
async fn tell_what_is_left(say: &mut impl FnMut(&str), scene: &Scene) -> Result<bool, LabError> {
    let left = scene.stage.truth().await?;
    let after = scene.lost.read(&scene.stage).await?;
    let complaints = scene.lost.complaints(&scene.before, &after);
    say(&format!(
        "\n7. The independent comparison now finds {} wrong place(s).",
        left.expected.len() + after.expected.len()
    ));
    tell_counts(say, left.by_rule());
    tell_counts(say, after.by_rule());
    if complaints.is_empty() {
        say(
            "   Every bid that MySQL or the new master knew of is in its table once, was refused, or waits in its stream \
             or among\n   the dead letters; nothing that is done is pending; what live consumers hold is still theirs.",
        );
    }
    for complaint in &complaints {
        say(&format!("   WRONG: {complaint}"));
    }
    Ok(left.expected.is_empty() && after.expected.is_empty() && complaints.is_empty())
}

fn tell_csv(say: &mut impl FnMut(&str), repair: &Told) -> Result<(), LabError> {
    let Some(folder) = &repair.folder else {
        return Ok(());
    };
    let csv = folder.join("affected_ranges.csv");
    say("\n8. What was affected, for the morning after (the longest range of each kind):");
    for line in ranges_table(&csv)? {
        say(&format!("     {line}"));
    }
    for (what, path) in [
        ("All of it, with more columns", csv),
        ("Every single finding", folder.join("findings.csv")),
        (
            "What each customer was served, and what was true",
            folder.join("compensation.csv"),
        ),
        ("Every value that was replaced", folder.join("undo.jsonl")),
    ] {
        say(&format!("   {what}: {}", path.display()));
    }
    Ok(())
}

/// What `auditor report` adds up, as far as a person reads it first; true if it did.
async fn tell_totals(
    say: &mut impl FnMut(&str),
    auditor: &Auditor,
    repairs: &[Told],
) -> Result<bool, LabError> {
    say("\n9. $ auditor report … (what customers were shown, added up; money is exact)");
    let folders = repairs.iter().filter_map(|repair| repair.folder.as_ref());
    let folders: Vec<String> = folders.map(|folder| folder.display().to_string()).collect();
    let words: Vec<&str> = ["report"]
        .into_iter()
        .chain(folders.iter().map(String::as_str))
        .collect();
    let told = auditor.call(&words).await?;
    let is_customer = |line: &&str| line.trim_start().starts_with("customer");
    let sums = told
        .text
        .lines()
        .skip_while(|line| !line.is_empty())
        .skip(1);
    let until_customers = sums.clone().take_while(|line| !is_customer(line));
    let customers = sums.skip_while(|line| !is_customer(line));
    for line in until_customers.chain(customers.take(1 + CUSTOMERS_SHOWN)) {
        say(&format!("   {line}"));
    }
    say("   …");
    Ok(told.code == Some(0))
}

/// The program itself, run on the stage as a person would run it.
struct Auditor {
    program: PathBuf,
    job: PathBuf,
    since: String,
    environment: [(&'static str, String); 2],
}

/// What a run printed.
struct Told {
    code: Option<i32>,
    text: String,
    folder: Option<PathBuf>,
}

impl Auditor {
    /// A command on the job and its window.
    async fn run(&self, words: &[&str]) -> Result<Told, LabError> {
        let job = self.job.display().to_string();
        let on_job = [words[0], &job]
            .into_iter()
            .chain(words[1..].iter().copied());
        let window = ["--since", &self.since, "--output", "output"];
        self.call(&on_job.chain(window).collect::<Vec<_>>()).await
    }

    async fn call(&self, words: &[&str]) -> Result<Told, LabError> {
        let output = Command::new(&self.program)
            .args(words)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .output()
            .await
            .map_err(LabError::io("run the auditor"))?;
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        if text.is_empty() {
            text = String::from_utf8_lossy(&output.stderr).into_owned();
        }
        let last = text.lines().last().unwrap_or_default();
        let place = Path::new(last.rsplit(' ').next().unwrap_or_default()).to_owned();
        let folder = place.is_dir().then_some(place);
        Ok(Told {
            code: output.status.code(),
            text,
            folder,
        })
    }
}

impl Told {
    fn tell(&self, say: &mut impl FnMut(&str)) {
        let lines = self.text.lines().count();
        let all_but_last = self.text.lines().take(lines.saturating_sub(1));
        all_but_last.for_each(|line| say(&format!("   {line}")));
        self.tell_end(say);
    }

    /// The last line, which is the verdict, and the exit code.
    fn tell_end(&self, say: &mut impl FnMut(&str)) {
        if let Some(line) = self.text.lines().last() {
            say(&format!("   {line}"));
        }
        let code = self
            .code
            .map_or_else(|| "none, it was killed".to_owned(), |c| c.to_string());
        say(&format!("   exit code {code}"));
    }
}
