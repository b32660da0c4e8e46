//! `scan` and `repair`: from the request to the verdict.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Mutex;
use uuid::Uuid;

use super::RunError;
use super::asked::{Mode, Options, asked};
use super::check::{CheckRun, check_runs, judge_context};
use super::close::close;
use super::ground::Shared;
use super::header::{Beginning, header_of};
use super::ledger::Ledger;
use super::marks::{Copies, Marks};
use super::mend::Mending;
use super::opening::{Opening, open};
use super::patience::Patience;
use super::plan::{Plan, plans_of};
use super::record::Closing;
use super::repairing::start_applier;
use super::request::{
    Consent, Console, Control as ControlChoice, Ending, RepairRequest, RepairRun, RunRequest,
    ScanRequest, Scope,
};
use super::resume::Resumed;
use super::rounds::Rounds;
use super::sink::{Sink, report};
use super::stop::Stop;
use super::streams::{StreamRun, stream_runs};
use super::targets::earlier_run;
use crate::failover::Outlook;
use crate::model::mapping::Mapping;
use crate::model::outcome::RunVerdict;
use crate::model::shard::Shard;
use crate::model::time::Micros;
use crate::plan::window::{Since, WindowText};
use crate::report::{EarlierRun, RunFolder};

/// Looks and reports; writes to no store.
pub(super) async fn scan(request: &ScanRequest, console: &mut Console) -> Ending {
    ending(run(request, Mode::Scan, console).await)
}

/// Looks, repairs, verifies and reports; with `DryRun` it plans and writes to no store.
pub(super) async fn repair(request: &RepairRequest, console: &mut Console) -> Ending {
    let mode = match request.mode {
        RepairRun::DryRun => Mode::DryRun,
        RepairRun::Write(consent) => Mode::Repair { consent },
    };
    let options = Options {
        max_repairs: request.max_repairs,
        control: request.control,
        found: None,
    };
    ending(run_with(&request.scan, mode, options, console).await)
}

/// A failover that `run` found, and what of the data it asks for.
pub(super) enum Found {
    Window(Outlook),
    Everything(Outlook),
}

/// Repairs what was found, by the consent of the job file.
pub(super) async fn repair_found(
    request: &RunRequest,
    found: Found,
    console: &mut Console,
) -> Result<Ending, RunError> {
    let window = WindowText {
        since: Since::Auto,
        until: None,
    };
    let (scope, control, outlook) = match found {
        Found::Window(outlook) => (Scope::Window(window), ControlChoice::Refuses, outlook),
        Found::Everything(outlook) => (
            Scope::Full(Some(window)),
            ControlChoice::NotApplicable,
            outlook,
        ),
    };
    let scan = ScanRequest {
        job_path: request.job_path.clone(),
        scope,
        shard: Shard::WHOLE,
        only: Vec::new(),
        output: request.output.clone(),
        rate: request.rate,
        time_budget: request.time_budget,
        format: request.format,
        arguments: request.arguments.clone(),
    };
    let mode = Mode::Repair {
        consent: Consent::Given,
    };
    let options = Options {
        max_repairs: None,
        control,
        found: Some(outlook),
    };
    run_with(&scan, mode, options, console).await
}

pub(super) fn ending(result: Result<Ending, RunError>) -> Ending {
    match result {
        Ok(ending) => ending,
        Err(RunError::BadRequest(text)) => Ending::BadRequest(text),
        Err(RunError::Job(faults)) => Ending::BadRequest(faults.to_string()),
        Err(RunError::LeaseTaken(text)) => Ending::LeaseHeld(text),
        // Something may have been judged and even repaired by then; only the record of it is missing.
        Err(fault @ RunError::Report(_)) => {
            tracing::error!("{fault}");
            Ending::Verdict(RunVerdict::Partial)
        }
        Err(fault) => Ending::NothingJudged(fault.to_string()),
    }
}

async fn run(request: &ScanRequest, mode: Mode, console: &mut Console) -> Result<Ending, RunError> {
    let options = Options {
        max_repairs: None,
        control: ControlChoice::Refuses,
        found: None,
    };
    run_with(request, mode, options, console).await
}

async fn run_with(
    request: &ScanRequest,
    mode: Mode,
    options: Options,
    console: &mut Console,
) -> Result<Ending, RunError> {
    let started = (Micros::now(), Instant::now());
    let asked = asked(request, mode, &options)?;
    let budget = asked.request.time_budget.or(asked.job.limits.time_budget);
    let stop = Stop::watching(console.stop.clone(), budget);
    let patience = Patience::new(Arc::clone(&console.progress), stop.clone());
    let waiting = (&stop, &patience);
    let Some(mut opening) = open(asked, mode, &options, waiting, console).await? else {
        return Ok(Ending::Done);
    };
    let lease = opening.lease.take();
    let nodes = opening.nodes.take();
    let mut ledger = opening.ledger();
    let opening = opening;
    let run_id = Uuid::now_v7();
    let work = work_of(&opening, run_id, &mut ledger, &stop, console)?;
    let (job, request) = (&opening.job, &opening.request);
    let folder = RunFolder::open(&request.output, &job.name, run_id)
        .map_err(|e| RunError::BadRequest(e.to_string()))?;
    let command = options.command(mode);
    let sink = sink_of(&opening, (mode, command), started.0, &work.plans, &folder)?;
    let mending = match lease {
        Some(lease) => {
            let applier = start_applier(job, &opening.opened, lease, &folder).await?;
            Mending::Apply(Arc::new(Mutex::new(applier)))
        }
        None => Mending::PlanOnly,
    };
    let rounds = Rounds {
        job,
        options_accept_control: options.control == ControlChoice::Accepted,
        mending: &mending,
        resumed: opening.resumed.as_ref(),
        sink: &sink,
        stop: &stop,
        patience: &patience,
        ledger: &mut ledger,
        progress: &console.progress,
        context: judge_context(&opening.opened.nodes),
    };
    let stores = opening.opened.stores.clone();
    let stores = rounds.run(work.plans, stores).await;
    let id = |run: &str| Uuid::parse_str(run).ok();
    let closing = Closing {
        job,
        request,
        mode,
        command,
        window: opening.window.clone(),
        opened: &opening.opened,
        stores,
        started,
        resumes: opening.resumed.as_ref().and_then(|r| id(r.run_id()?)),
        mappings: &work.mappings,
        from_run: work.earlier.and_then(|earlier| id(&earlier.run_id)),
        nodes,
        marks: marks_of(&opening, mode, &options),
    };
    close(closing, ledger, mending, sink, &folder, &stop, console).await
}

/// What is looked at.
struct Work {
    plans: Vec<Plan>,
    /// Of every check that may be looked at.
    mappings: Vec<Arc<Mapping>>,
    /// The run whose findings are judged again.
    earlier: Option<EarlierRun>,
}

fn work_of(
    opening: &Opening,
    run_id: Uuid,
    ledger: &mut Ledger,
    stop: &Stop,
    console: &Console,
) -> Result<Work, RunError> {
    let (job, request) = (&opening.job, &opening.request);
    let window = opening.window.as_ref().map(|w| w.span);
    let shared = Shared::new(job, request.shard, &opening.opened, window, stop, console);
    let shared = shared.within(opening.slots());
    let scratch = request.output.join(&job.name).join(run_id.to_string());
    let runs = check_runs(&shared, &opening.bound.caches);
    let streams = &opening.bound.streams;
    let stream_runs = stream_runs(&shared, streams, &opening.selected, &scratch);
    let mappings = rows_of(&runs, &stream_runs);
    let earlier = earlier_run(request, job)?;
    let is_partial = |run: &EarlierRun| run.verdict == RunVerdict::Partial.name();
    if earlier.as_ref().is_some_and(is_partial) {
        let why = "the run named by --from was partial, and only what it found was looked at";
        ledger.partial.push(why.to_owned());
    }
    let plans = plans_of(request, earlier.as_ref(), runs, stream_runs, ledger)?;
    Ok(Work {
        plans,
        mappings,
        earlier,
    })
}

/// Where findings go, begun with what the run is.
fn sink_of(
    opening: &Opening,
    (mode, command): (Mode, &'static str),
    started_at: Micros,
    plans: &[Plan],
    folder: &RunFolder,
) -> Result<Arc<Mutex<Sink>>, RunError> {
    let beginning = Beginning {
        job: &opening.job,
        request: &opening.request,
        mode,
        command,
        window: opening.window.as_ref(),
        opened: &opening.opened,
        plans,
        started_at,
        has_no_control: opening.has_no_control,
        resumes: opening.resumed.as_ref().and_then(Resumed::run_id),
    };
    let mut sink = Sink::open(folder, &header_of(&beginning, folder.run_id())).map_err(report)?;
    if let Some(resumed) = &opening.resumed {
        sink.inherit(resumed)?;
    }
    let sink = match opening.request.scope {
        Scope::One(..) => sink.showing(),
        _ => sink,
    };
    Ok(Arc::new(Mutex::new(sink)))
}

/// What is noted of a failover once everything is repaired; `None`: nothing is written.
fn marks_of(opening: &Opening, mode: Mode, options: &Options) -> Option<Marks> {
    let copies = match options.found {
        Some(_) => Copies::Begin,
        None => Copies::KeepUp,
    };
    matches!(mode, Mode::Repair { .. }).then(|| Marks {
        outlook: opening.outlook.clone(),
        copies,
    })
}

/// The rows of every check: a cache's, and those in which a stream's entries end.
fn rows_of(caches: &[CheckRun], streams: &[StreamRun]) -> Vec<Arc<Mapping>> {
    let of_caches = caches.iter().map(|c| Arc::clone(&c.mapping));
    let of_streams = streams.iter().map(|s| Arc::clone(&s.judge.mapping().rows));
    of_caches.chain(of_streams).collect()
}
