//! Going on with an interrupted run: what it was asked for, and what of that is dealt with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::RunError;
use super::asked::Mode;
use super::open::Opened;
use super::request::{ScanRequest, Scope};
use super::sink::header_nodes;
use super::window::Window;
use crate::job::Job;
use crate::model::shard::Shard;
use crate::model::time::Micros;
use crate::plan::window::{Since, TimeText, WindowText};
use crate::report::{
    AtWork, Before, CheckProgress, FoundBefore, HeaderWindow, Progress, ReportError, RunHeader,
    find_run, runs_of_job, was_undone,
};

/// A run that is gone on with.
pub(super) struct Resumed {
    before: Before,
    /// Nobody else goes on with it meanwhile.
    _held: AtWork,
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
    let folder = match asked {
        Some(run) => named(request, run, job, mode)?,
        None => newest(request, job, mode)?,
    };
    // From here on what is read of it stays so.
    let held = hold(&folder)?;
    let before = interrupted(&folder)?;
    refuse_gone_on_with(request, job, &before)?;
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
    Ok((
        request,
        Resumed {
            before,
            _held: held,
            counts,
        },
    ))
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

    /// What of the runs before stands in no report, in sentences.
    pub(super) fn untold(&self) -> Vec<String> {
        let untold = self.before.untold.iter();
        untold
            .map(|(run, count)| {
                format!(
                    "run {run} was killed before it could tell of up to {count} value(s) it had written: they are right, or \
                     looked at again here, and stand in its undo.jsonl"
                )
            })
            .collect()
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
}

/// The newest run of this kind.
fn newest(request: &ScanRequest, job: &Job, mode: Mode) -> Result<PathBuf, RunError> {
    for folder in runs_of_job(&request.output, &job.name).map_err(bad)? {
        let Some(progress) = Progress::read(&folder).map_err(bad)? else {
            continue;
        };
        if progress.shard() == Some(request.shard) && is_of_kind(&progress.run, mode) {
            return Ok(folder);
        }
    }
    let part = match request.shard {
        Shard::WHOLE => String::new(),
        shard => format!(" of shard {shard}"),
    };
    Err(RunError::BadRequest(format!(
        "there is no run{part} to go on with under {}; leave --resume out, and begin anew",
        request.output.join(&job.name).display()
    )))
}

/// The run of this name, if it is of this kind.
fn named(request: &ScanRequest, run: &str, job: &Job, mode: Mode) -> Result<PathBuf, RunError> {
    let folder = find_run(&request.output, &job.name, run).map_err(bad)?;
    let not =
        |what: &str| RunError::BadRequest(format!("run {run} cannot be gone on with: {what}"));
    let of_job = request.output.join(&job.name).canonicalize().ok();
    let lies_in = folder.canonicalize().ok();
    if of_job.as_deref() != lies_in.as_deref().and_then(Path::parent) {
        return Err(not(
            "it lies in another folder, where this run would be without it; say --output",
        ));
    }
    let progress = Progress::read(&folder).map_err(bad)?;
    let progress = progress.ok_or_else(|| not("nothing tells how far it came"))?;
    if !request.shard.is_whole() && progress.shard() != Some(request.shard) {
        return Err(not("it is of another shard"));
    }
    match is_of_kind(&progress.run, mode) {
        true => Ok(folder),
        false => Err(not("it was another command, or a dry run and this is none")),
    }
}

/// What it writes meanwhile is not known, and two that go on with one run would tell everything twice.
fn hold(folder: &Path) -> Result<AtWork, RunError> {
    Progress::hold(folder).map_err(bad)?.ok_or_else(|| {
        RunError::LeaseTaken(format!(
            "the run in {} is still at work, or gone on with; wait for that, or stop it, and run again",
            folder.display()
        ))
    })
}

/// The run in `folder`, unless it came to its end, or what it wrote was taken back.
fn interrupted(folder: &Path) -> Result<Before, RunError> {
    let refused = |what: String| Err(RunError::BadRequest(what));
    let Some(before) = Before::read(folder).map_err(bad)? else {
        return refused(format!("nothing tells how far {} came", folder.display()));
    };
    if !before.is_interrupted() {
        return refused(format!(
            "run {} came to its end; leave --resume out, and begin anew, or name an interrupted run",
            before.progress.run.run_id
        ));
    }
    let run = &before.progress.run;
    let is_done = |name: &str| before.progress.check(name).done.is_some();
    let is_all_done = run.checks.iter().all(|check| is_done(&check.name));
    if before.has_ended() && is_all_done {
        return refused(format!(
            "run {} looked at everything it was to look at, and what it could not settle would stay so; leave --resume out \
             and begin anew, or look again at what it found with --from {}",
            run.run_id, run.run_id
        ));
    }
    match before.folders.iter().find(|folder| was_undone(folder)) {
        Some(undone) => refused(format!(
            "what the run in {} wrote was taken back by `auditor undo`; leave --resume out, and begin anew",
            undone.display()
        )),
        None => Ok(before),
    }
}

/// What two runs found that both go on from one would be told twice.
fn refuse_gone_on_with(request: &ScanRequest, job: &Job, before: &Before) -> Result<(), RunError> {
    let id = &before.progress.run.run_id;
    for folder in runs_of_job(&request.output, &job.name).map_err(bad)? {
        // Another one that cannot be read was not made from this one by this version.
        let other = Progress::read(&folder).unwrap_or_default();
        if let Some(other) = other.filter(|other| other.run.resumes.as_ref() == Some(id)) {
            return Err(RunError::BadRequest(format!(
                "run {id} was gone on with by run {}; go on with that one",
                other.run.run_id
            )));
        }
    }
    Ok(())
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
