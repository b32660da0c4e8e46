//! `scan` and `repair`: from the request to the verdict.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Mutex;
use uuid::Uuid;

use super::RunError;
use super::asked::{Asked, Mode, Options, asked};
use super::check::{CheckRun, check_runs, judge_context};
use super::close::close;
use super::ground::Shared;
use super::header::{Beginning, header_of};
use super::lease::take_lease;
use super::ledger::Ledger;
use super::marks::{Copies, Marks, can_deal_with_all, remark_on};
use super::mend::Mending;
use super::open::{Opened, bind_all, named, open_stores};
use super::outlook::{is_handled, remembered_in_folder};
use super::patience::Patience;
use super::plan::plans_of;
use super::record::Closing;
use super::repairing::start_applier;
use super::replicas::Gate;
use super::request::{
    Consent, Console, Control as ControlChoice, Ending, RepairRequest, RepairRun, RequestError,
    RunRequest, ScanRequest, Scope,
};
use super::resume::Resumed;
use super::rounds::Rounds;
use super::scheduled::{HANDLED_MEANWHILE, say};
use super::sink::{Sink, report};
use super::stop::Stop;
use super::streams::{StreamRun, stream_runs, with_siblings};
use super::targets::earlier_run;
use super::task::Task;
use super::topology;
use super::window::{Window, looked_at, refuse_strangers, refuse_times, window_of};
use crate::failover::Outlook;
use crate::job::Job;
use crate::model::mapping::Mapping;
use crate::model::outcome::RunVerdict;
use crate::model::shard::Shard;
use crate::model::slots::SlotSet;
use crate::model::time::Micros;
use crate::plan::window::{Since, WindowText};
use crate::report::RunFolder;

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
    let Asked {
        job,
        request,
        mut resumed,
        has_no_control,
    } = asked(request, mode, &options)?;
    let request = &request;
    let bad = |fault: RequestError| RunError::BadRequest(fault.to_string());
    let caches = request.select(&job).map_err(bad)?;
    let caches: Vec<_> = caches.into_iter().cloned().collect();
    let selected = request.select_streams(&job).map_err(bad)?;
    let selected: Vec<_> = selected.into_iter().cloned().collect();
    refuse_times(request, &job, console)?;
    let budget = request.time_budget.or(job.limits.time_budget);
    let stop = Stop::watching(console.stop.clone(), budget);
    let patience = Patience::new(Arc::clone(&console.progress), stop.clone());
    let mut opened = open_stores(&job, &patience).await?;
    refuse_strangers(options.found.as_ref(), &opened)?;
    let window = window_of(request, &job, &opened, options.found.as_ref(), console).await?;
    let window = match &resumed {
        Some(resumed) => window.map(|w| resumed.pin(w)),
        None => window,
    };
    // Asked beside everything else: a node that is gone must not hold up the rest.
    // Every shard would say the same of them.
    let is_asked = !matches!(request.scope, Scope::One(..)) && request.shard.index() == 0;
    let nodes = is_asked.then(|| Task::spawn(topology::look(job.redis.clone())));
    let streams = with_siblings(&job, &selected);
    let bound = bind_all(&job, &caches, &streams, &opened.stores.source).await?;
    let is_repair = matches!(mode, Mode::Repair { .. });
    let lease = match mode {
        Mode::Repair { consent } => {
            refuse_multi_primary(&opened, &bound.caches)?;
            ask(consent, &job, &opened, console)?;
            Some(take_lease(&job, request.shard, &opened.stores.source).await?)
        }
        Mode::Scan | Mode::DryRun => None,
    };
    if options.found.is_some() && is_handled(&remembered_in_folder(&job)?, &opened.nodes) {
        say(
            &job,
            request.format,
            "handled",
            HANDLED_MEANWHILE,
            0,
            console,
        );
        return Ok(Ending::Done);
    }
    // What a repair by hand has to hold before the failover counts as dealt with.
    let outlook = match (&options.found, mode) {
        (Some(outlook), _) => Some(outlook.clone()),
        (None, Mode::Repair { .. }) if can_deal_with_all(request) => looked_at(&job, &opened).await,
        _ => None,
    };
    if request.scope.sweeps() {
        let gate = Gate {
            job: &job,
            source: &opened.stores.source,
            masters: &opened.nodes,
            progress: &console.progress,
            stop: &stop,
        };
        opened.stores.reading = gate.open().await?;
    }
    let shared = Shared::new(
        &job,
        request.shard,
        &opened,
        window.as_ref().map(|w| w.span),
        &stop,
        console,
    );
    // Everything is every shard, whatever the window says of them.
    let narrowing = window
        .as_ref()
        .filter(|_| !matches!(request.scope, Scope::Full(_)));
    let shared = shared.within(narrowing.map_or_else(SlotSet::all, Window::slots));
    let run_id = Uuid::now_v7();
    let scratch = request.output.join(&job.name).join(run_id.to_string());
    let runs = check_runs(&shared, &bound.caches);
    let stream_runs = stream_runs(&shared, &bound.streams, &selected, &scratch);
    let mappings = rows_of(&runs, &stream_runs);
    let mut ledger = Ledger::default();
    let begun_anew = resumed.as_mut().and_then(|resumed| resumed.check(&opened));
    ledger.remarks.extend(begun_anew);
    ledger
        .remarks
        .extend(resumed.iter().flat_map(Resumed::untold));
    ledger.remarks.extend(outlook.as_ref().and_then(remark_on));
    let earlier = earlier_run(request, &job)?;
    if earlier
        .as_ref()
        .is_some_and(|e| e.verdict == RunVerdict::Partial.name())
    {
        let why = "the run named by --from was partial, and only what it found was looked at";
        ledger.partial.push(why.to_owned());
    }
    let plans = plans_of(request, earlier.as_ref(), runs, stream_runs, &mut ledger)?;

    let folder = RunFolder::open(&request.output, &job.name, run_id)
        .map_err(|e| RunError::BadRequest(e.to_string()))?;
    let beginning = Beginning {
        job: &job,
        request,
        mode,
        command: options.command(mode),
        window: window.as_ref(),
        opened: &opened,
        plans: &plans,
        started_at: started.0,
        has_no_control,
        resumes: resumed.as_ref().and_then(Resumed::run_id),
    };
    let mut sink = Sink::open(&folder, &header_of(&beginning, run_id)).map_err(report)?;
    if let Some(resumed) = &resumed {
        sink.inherit(resumed)?;
    }
    let sink = match request.scope {
        Scope::One(..) => sink.showing(),
        _ => sink,
    };
    let sink = Arc::new(Mutex::new(sink));
    let mending = match lease {
        Some(lease) => {
            let applier = start_applier(&job, &opened, lease, &folder).await?;
            Mending::Apply(Arc::new(Mutex::new(applier)))
        }
        None => Mending::PlanOnly,
    };
    let rounds = Rounds {
        job: &job,
        options_accept_control: options.control == ControlChoice::Accepted,
        mending: &mending,
        resumed: resumed.as_ref(),
        sink: &sink,
        stop: &stop,
        patience: &patience,
        ledger: &mut ledger,
        progress: &console.progress,
        context: judge_context(&opened.nodes),
    };
    let stores = rounds.run(plans, opened.stores.clone()).await;
    let copies = match options.found {
        Some(_) => Copies::Begin,
        None => Copies::KeepUp,
    };
    let marks = is_repair.then_some(Marks { outlook, copies });
    let closing = Closing {
        job: &job,
        request,
        mode,
        command: options.command(mode),
        window,
        opened: &opened,
        stores,
        started,
        resumes: resumed
            .as_ref()
            .and_then(|r| Uuid::parse_str(r.run_id()?).ok()),
        mappings: &mappings,
        from_run: earlier.and_then(|e| Uuid::parse_str(&e.run_id).ok()),
        nodes,
        marks,
    };
    close(closing, ledger, mending, sink, &folder, &stop, console).await
}

/// The rows of every check: a cache's, and those in which a stream's entries end.
fn rows_of(caches: &[CheckRun], streams: &[StreamRun]) -> Vec<Arc<Mapping>> {
    let of_caches = caches.iter().map(|c| Arc::clone(&c.mapping));
    let of_streams = streams.iter().map(|s| Arc::clone(&s.judge.mapping().rows));
    of_caches.chain(of_streams).collect()
}

/// Row locks on one of several primaries hold nobody back on the others.
fn refuse_multi_primary(opened: &Opened, mappings: &[Arc<Mapping>]) -> Result<(), RunError> {
    let repairs = |m: &&Arc<Mapping>| m.check.repair != crate::model::check::RepairMode::Report;
    match mappings
        .iter()
        .filter(repairs)
        .find(|m| !m.check.has_direction())
    {
        Some(m) if opened.source.is_multi_primary => Err(RunError::BadRequest(format!(
            "check {} needs row locks, and this MySQL takes writes on several primaries, where a lock on one \
             does not hold back the others; set repair = \"report\" for it",
            m.check.name.text
        ))),
        _ => Ok(()),
    }
}

fn ask(consent: Consent, job: &Job, opened: &Opened, console: &Console) -> Result<(), RunError> {
    let question = format!(
        "Repair job {} on the Redis {} (every value that is replaced is kept in undo.jsonl)?",
        job.name,
        named(&opened.nodes)
    );
    ask_for(consent, &question, console)
}

/// Lets a person decide, where the request did not.
pub(super) fn ask_for(consent: Consent, question: &str, console: &Console) -> Result<(), RunError> {
    match consent {
        Consent::Given => Ok(()),
        Consent::Ask if console.confirm.confirm(question) => Ok(()),
        Consent::Ask => Err(RunError::BadRequest(
            "nothing was written: you did not say yes".into(),
        )),
    }
}
