//! Going on with an interrupted run: what it was asked for, and what of that is dealt with.

use std::collections::BTreeMap;
use std::path::Path;

use super::RunError;
use super::execute::Mode;
use super::open::Opened;
use super::request::{ScanRequest, Scope};
use super::sink::header_nodes;
use super::window::Window;
use crate::job::Job;
use crate::model::shard::Shard;
use crate::model::time::Micros;
use crate::plan::window::{Since, TimeText, WindowText};
use crate::report::{
    Before, CheckProgress, FoundBefore, HeaderWindow, Progress, ReportError, RunHeader, find_run,
    runs_of_job,
};

/// A run that is gone on with.
pub(super) struct Resumed {
    before: Before,
    /// Whether the stores are still those it saw; if not, nothing of it counts.
    counts: bool,
}

/// What the request comes to, once it is known what was interrupted.
pub(super) fn resolve(
    request: &ScanRequest,
    asked: Option<&str>,
    job: &Job,
    mode: Mode,
) -> Result<(ScanRequest, Resumed), RunError> {
    let before = match asked {
        Some(run) => named(request, run, job, mode)?,
        None => newest(request, job, mode)?,
    };
    let run = &before.progress.run;
    if run.config_hash != job.config_hash {
        return Err(RunError::BadRequest(format!(
            "run {} was made with another version of this job file; leave --resume out, and begin anew",
            run.run_id
        )));
    }
    let request = ScanRequest {
        scope: scope_of(run),
        shard: before.progress.shard().unwrap_or_default(),
        only: run.only.clone(),
        ..request.clone()
    };
    let counts = true;
    Ok((request, Resumed { before, counts }))
}

impl Resumed {
    pub(super) fn header(&self) -> &RunHeader {
        &self.before.progress.run
    }

    /// Whether the nodes and the primary are those that the run saw last; if not, nothing of it counts, and this says
    /// so.
    pub(super) fn check(&mut self, opened: &Opened) -> Option<String> {
        let nodes = |of: &[crate::report::HeaderNode]| {
            let mut ids: Vec<_> = of
                .iter()
                .map(|node| (node.run_id.clone(), node.replication_id.clone()))
                .collect();
            ids.sort();
            ids
        };
        let now = header_nodes(&opened.stores.pinned);
        let is_same = nodes(&self.before.progress.nodes) == nodes(&now)
            && self.header().source == opened.source.identity.name;
        self.counts = is_same;
        (!is_same).then(|| {
            format!(
                "run {} saw other servers, or another history of theirs: everything it looked at is looked at again",
                self.header().run_id
            )
        })
    }

    /// Says of the window how the run had found it.
    pub(super) fn pin(&self, window: Window) -> Window {
        match &self.header().window {
            Some(pinned) => window.pinned_as(&pinned.found_by),
            None => window,
        }
    }

    /// The run's id, where it counts.
    pub(super) fn run_id(&self) -> Option<&str> {
        self.counts.then_some(self.header().run_id.as_str())
    }

    /// How far it came with a check, where it counts.
    pub(super) fn of_check(&self, name: &str) -> Option<&CheckProgress> {
        let checks = &self.before.progress.checks;
        checks.get(name).filter(|_| self.counts)
    }

    /// What it found, where it counts.
    pub(super) fn found(&self) -> BTreeMap<String, FoundBefore> {
        match self.counts {
            true => self.before.found.clone(),
            false => BTreeMap::new(),
        }
    }

    /// When what counts was begun, if that is before `now`.
    pub(super) fn begun_at(&self, now: Micros) -> Micros {
        match self.counts {
            true => now.min(Micros(self.before.begun_at_us)),
            false => now,
        }
    }
}

/// The newest run of this kind, if it was interrupted.
fn newest(request: &ScanRequest, job: &Job, mode: Mode) -> Result<Before, RunError> {
    for folder in runs_of_job(&request.output, &job.name).map_err(bad)? {
        let Some(progress) = Progress::read(&folder).map_err(bad)? else {
            continue;
        };
        if progress.shard() != Some(request.shard) || !is_of_kind(&progress.run, mode) {
            continue;
        }
        let id = progress.run.run_id;
        refuse_at_work(&folder)?;
        let before = Before::read(&folder)
            .map_err(bad)?
            .ok_or_else(|| none(request, job))?;
        return match before.is_interrupted() {
            true => Ok(before),
            false => Err(RunError::BadRequest(format!(
                "the newest such run, {id}, came to its end; leave --resume out, and begin anew"
            ))),
        };
    }
    Err(none(request, job))
}

fn none(request: &ScanRequest, job: &Job) -> RunError {
    let part = match request.shard {
        Shard::WHOLE => String::new(),
        shard => format!(" of shard {shard}"),
    };
    RunError::BadRequest(format!(
        "there is no run{part} to go on with under {}; leave --resume out, and begin anew",
        request.output.join(&job.name).display()
    ))
}

fn named(request: &ScanRequest, run: &str, job: &Job, mode: Mode) -> Result<Before, RunError> {
    let folder = find_run(&request.output, &job.name, run).map_err(bad)?;
    refuse_at_work(&folder)?;
    let not =
        |what: &str| RunError::BadRequest(format!("run {run} cannot be gone on with: {what}"));
    let before = Before::read(&folder).map_err(bad)?;
    let before = before.ok_or_else(|| not("nothing tells how far it came"))?;
    let shard = before.progress.shard();
    if !request.shard.is_whole() && shard != Some(request.shard) {
        return Err(not("it is of another shard"));
    }
    if !is_of_kind(&before.progress.run, mode) {
        return Err(not("it was another command, or a dry run and this is none"));
    }
    match before.is_interrupted() {
        true => Ok(before),
        false => Err(not("it came to its end")),
    }
}

/// What it writes meanwhile is not known.
fn refuse_at_work(folder: &Path) -> Result<(), RunError> {
    match Progress::is_at_work(folder) {
        false => Ok(()),
        true => Err(RunError::LeaseTaken(format!(
            "the run in {} is still at work; wait for it, or stop it, and run again",
            folder.display()
        ))),
    }
}

fn is_of_kind(run: &RunHeader, mode: Mode) -> bool {
    let is_command = match mode {
        Mode::Scan => run.command == "scan",
        // What cron began, a person may go on with.
        Mode::DryRun | Mode::Repair { .. } => matches!(run.command.as_str(), "repair" | "run"),
    };
    is_command && run.is_dry_run == (mode == Mode::DryRun) && run.is_sweep
}

fn scope_of(run: &RunHeader) -> Scope {
    let window = run.window.as_ref().map(pinned);
    match (run.is_full, window) {
        (false, Some(window)) => Scope::Window(window),
        (_, window) => Scope::Full(window),
    }
}

/// A window as it was, to the microsecond.
fn pinned(window: &HeaderWindow) -> WindowText {
    let text = |us: i64| {
        let text = Micros(us).to_rfc3339();
        TimeText::parse(&text).expect("RFC 3339 is a time")
    };
    WindowText {
        since: Since::At(text(window.since_us)),
        until: window.until_us.map(text),
    }
}

fn bad(fault: ReportError) -> RunError {
    RunError::BadRequest(fault.to_string())
}
