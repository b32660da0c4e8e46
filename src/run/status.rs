//! `auditor status`: who repairs this job now, and how far its latest runs are. Looks only.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use super::RunError;
use super::execute::ending;
use super::lease::holders;
use super::request::{Console, Ending, Format, StatusRequest};
use crate::job::{self, Job};
use crate::model::shard::Shard;
use crate::model::time::Micros;
use crate::report::{EarlierRun, Progress, ReportError, runs_of_job};
use crate::store::mysql::{Holder, Mysql, MysqlError};

/// Writes what is known to stdout.
pub(super) async fn status(request: &StatusRequest, console: &mut Console) -> Ending {
    ending(run(request, console).await)
}

async fn run(request: &StatusRequest, console: &mut Console) -> Result<Ending, RunError> {
    let job = job::load(&request.job_path, &|name| std::env::var(name).ok())
        .map_err(|faults| RunError::Job(Box::new(faults)))?;
    let source = Mysql::connect(&job.mysql, 1).await.map_err(failed)?;
    let leases = leases(&job, &source).await?;
    let runs = runs(&request.output, &job).map_err(|f| RunError::BadRequest(f.to_string()))?;
    let written = match request.format {
        Format::Text => write_text(&mut console.out, &job, &leases, &runs),
        Format::Json => write_json(&mut console.out, &job, &leases, &runs),
    };
    // A reader that is gone is no error.
    if let Err(fault) = written.and_then(|()| console.out.flush()) {
        tracing::debug!("the status was not read: {fault}");
    }
    Ok(Ending::Done)
}

fn failed(fault: MysqlError) -> RunError {
    RunError::NothingJudged(fault.to_string())
}

/// One lock that is held.
struct Held {
    shard: Shard,
    connection: u64,
    /// `None`: this user may not see it.
    holder: Option<Holder>,
}

async fn leases(job: &Job, source: &Mysql) -> Result<Vec<Held>, RunError> {
    let mut held = Vec::new();
    for (shard, connection) in holders(job, Shard::all(), source).await.map_err(failed)? {
        held.push(Held {
            shard,
            connection,
            holder: source.holder(connection).await.map_err(failed)?,
        });
    }
    Ok(held)
}

/// The latest run of a shard.
struct Latest {
    run: EarlierRun,
    is_at_work: bool,
    checks: Vec<CheckStatus>,
}

struct CheckStatus {
    name: String,
    /// `done`, `underway` or `not begun`.
    state: &'static str,
    observed: u64,
    estimated: Option<u64>,
    slices: u64,
}

impl CheckStatus {
    /// Of what is known to be there; a finished check is whole, whatever the estimate.
    fn percent(&self) -> Option<u64> {
        match (self.state, self.estimated) {
            ("done", _) => Some(100),
            (_, Some(estimated)) if estimated > 0 => {
                Some((self.observed * 100 / estimated).min(99))
            }
            _ => None,
        }
    }
}

/// The newest run that tells of itself, and the newest of every other shard of its split.
fn runs(output: &Path, job: &Job) -> Result<Vec<Latest>, ReportError> {
    let mut latest: BTreeMap<Shard, Latest> = BTreeMap::new();
    let mut count = None;
    for folder in runs_of_job(output, &job.name)? {
        let Some(progress) = Progress::read(&folder)? else {
            continue;
        };
        let shard = progress.shard().unwrap_or_default();
        let is_of_split = *count.get_or_insert(shard.count()) == shard.count();
        if !is_of_split || latest.contains_key(&shard) {
            continue;
        }
        let run = match EarlierRun::read(&folder) {
            Ok(run) => Some(run),
            Err(_) => EarlierRun::read_unfinished(&folder)?,
        };
        if let Some(run) = run {
            let checks = checks_of(&progress);
            let is_at_work = Progress::is_at_work(&folder);
            let status = Latest {
                run,
                is_at_work,
                checks,
            };
            latest.insert(shard, status);
        }
        if latest.len() == usize::from(shard.count()) {
            break;
        }
    }
    Ok(latest.into_values().collect())
}

fn checks_of(progress: &Progress) -> Vec<CheckStatus> {
    let shards = u64::from(progress.run.shard_count.max(1));
    let checks = progress.run.checks.iter();
    checks
        .map(|check| {
            let of = progress.check(&check.name);
            let state = match (&of.done, &of.mark, of.slices.len()) {
                (Some(_), ..) => "done",
                (None, None, 0) => "not begun",
                (None, ..) => "underway",
            };
            CheckStatus {
                name: check.name.clone(),
                state,
                observed: of.counts().observed,
                estimated: check.estimated.map(|all| all / shards),
                slices: of.slices.len() as u64,
            }
        })
        .collect()
}

impl Latest {
    fn state(&self) -> &str {
        match (self.is_at_work, self.run.is_finished) {
            (true, _) => "at work",
            (false, true) => &self.run.verdict,
            (false, false) => "interrupted",
        }
    }
}

/// When the run began that holds the lease of a shard, where its folder lies here.
fn since(shard: Shard, runs: &[Latest]) -> Option<&str> {
    let mut at_work = runs.iter().filter(|latest| latest.is_at_work);
    let run = at_work.find(|l| l.run.shard == shard && l.run.command != "scan");
    run.map(|latest| latest.run.started_at.as_str())
}

fn write_text(
    out: &mut dyn Write,
    job: &Job,
    leases: &[Held],
    runs: &[Latest],
) -> std::io::Result<()> {
    writeln!(out, "job      {}", job.name)?;
    if leases.is_empty() {
        writeln!(out, "lease    nobody repairs this job")?;
    }
    for held in leases {
        let who = match &held.holder {
            Some(holder) => format!(
                "{} from {}, heard of {} s ago",
                holder.user, holder.host, holder.idle_seconds
            ),
            None => "which this user may not see".to_owned(),
        };
        let since = since(held.shard, runs);
        let since = since.map_or_else(String::new, |at| format!(" since {at}"));
        writeln!(
            out,
            "lease    shard {} is held by connection {}{since}: {who}",
            held.shard, held.connection
        )?;
    }
    if runs.is_empty() {
        writeln!(out, "run      none yet")?;
    }
    for latest in runs {
        let run = &latest.run;
        writeln!(
            out,
            "run      {} {} of shard {}, begun {}: {}",
            run.run_id,
            run.command,
            run.shard,
            run.started_at,
            latest.state()
        )?;
        for check in &latest.checks {
            let percent = check
                .percent()
                .map_or_else(String::new, |percent| format!(", {percent} %"));
            writeln!(
                out,
                "  {}: {}{percent}; {} observed, {} slice(s) whole",
                check.name, check.state, check.observed, check.slices
            )?;
        }
    }
    Ok(())
}

fn write_json(
    out: &mut dyn Write,
    job: &Job,
    leases: &[Held],
    runs: &[Latest],
) -> std::io::Result<()> {
    let leases: Vec<serde_json::Value> = leases
        .iter()
        .map(|held| {
            let holder = held.holder.as_ref();
            serde_json::json!({
                "shard": { "index": held.shard.index(), "count": held.shard.count() },
                "connection": held.connection,
                "user": holder.map(|h| h.user.as_str()),
                "host": holder.map(|h| h.host.as_str()),
                "idle_seconds": holder.map(|h| h.idle_seconds),
                "since": since(held.shard, runs),
            })
        })
        .collect();
    let runs: Vec<serde_json::Value> = runs
        .iter()
        .map(|latest| {
            let run = &latest.run;
            let checks = latest.checks.iter().map(|check| {
                serde_json::json!({
                    "name": check.name,
                    "state": check.state,
                    "percent": check.percent(),
                    "observed": check.observed,
                    "estimated": check.estimated,
                    "slices": check.slices,
                })
            });
            serde_json::json!({
                "run_id": run.run_id,
                "folder": run.folder.to_string_lossy(),
                "command": run.command,
                "shard": { "index": run.shard.index(), "count": run.shard.count() },
                "started_at": run.started_at,
                "state": latest.state(),
                "checks": checks.collect::<Vec<_>>(),
            })
        })
        .collect();
    let status = serde_json::json!({
        "auditor_status": 1,
        "job": job.name,
        "at": Micros::now().to_rfc3339(),
        "leases": leases,
        "runs": runs,
    });
    writeln!(out, "{status}")
}
