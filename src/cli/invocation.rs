//! Raw arguments → an [`Invocation`] that cannot contradict itself.

use std::ffi::OsString;
use std::time::Duration;

use clap::Parser;

use super::args::{
    RawArgs, RawCheckpoint, RawCommand, RawFormat, RawRepair, RawReport, RawRun, RawScan, RawUndo,
};
use super::shard::shard;
use crate::job::Rate;
use crate::plan::window::{Audience, Since, TimeError, TimeText, WindowText};
use crate::report::{CellError, unescape, unescape_id};
use crate::run::request::{
    CheckpointRequest, Consent, Control, Format, RepairRequest, RepairRun, ReportRequest, Request,
    RunRequest, ScanRequest, Scope, StatusRequest, Target, UndoRequest,
};

/// More often, the heartbeats would be the load; more seldom, cron does the same without a process that waits.
const EVERY_MIN: Duration = Duration::from_millis(100);
const EVERY_MAX: Duration = Duration::from_secs(3_600);

/// What was asked, and how it is shown while it runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Invocation {
    pub request: Request,
    pub log: Format,
    pub loudness: Loudness,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loudness {
    /// Warnings and errors, no progress.
    Quiet,
    Normal,
    Verbose,
    Everything,
}

/// Why there is nothing to run.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// clap's own: an error, or `--help` and `--version`, which are none.
    #[error(transparent)]
    Clap(#[from] clap::Error),
    #[error("--until without --since: a window needs its beginning, which may be --since auto")]
    UntilAlone,
    #[error("{0} and {1} together: say one of them")]
    Together(&'static str, &'static str),
    #[error("--since/--until: {0}")]
    Time(#[from] TimeError),
    #[error("{option}: {fault}")]
    Spelling {
        option: &'static str,
        fault: CellError,
    },
    #[error("--id needs exactly one --only, since an id alone names no check")]
    IdNeedsOneCheck,
    #[error("--rate `{0}`: say a number of keys a second, at least 1, or `unlimited`")]
    Rate(String),
    #[error("--time-budget `{0}`: say a duration longer than none, such as 30m or 1h30m")]
    TimeBudget(String),
    #[error("--every `{0}`: say a duration from 100ms to 1h, such as 1s")]
    Every(String),
    #[error("{option} is empty: {hint}")]
    Empty {
        option: &'static str,
        hint: &'static str,
    },
    #[error("--max-repairs 0 would repair nothing: say --dry-run for that")]
    NoRepairs,
    #[error("{0} is no shard: say I/N with I from 0 to N-1 and N at most 64, such as 0/4")]
    Shard(String),
    #[error(
        "{0} is set and {1} is not: a shard needs its index and the number of shards; or say --shard I/N"
    )]
    HalfAShard(&'static str, &'static str),
    #[error(
        "--shard with a time that is counted from now: shards begin at different moments, and each would look at another \
         window; say the same instant to all, such as --since 2026-11-21T14:03:00Z"
    )]
    RelativeShard,
    #[error(
        "this would write and nobody can be asked here: say --yes, or --dry-run to see the plan"
    )]
    NoConsent,
}

impl Invocation {
    /// Reads a command line, program name first. `audience` says whether a person can be asked.
    pub fn from_args(
        args: impl IntoIterator<Item = impl Into<OsString>>,
        audience: Audience,
    ) -> Result<Self, Refusal> {
        let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
        let raw = RawArgs::try_parse_from(&args)?;
        let arguments = args
            .iter()
            .skip(1)
            .map(|a| a.to_string_lossy().into_owned())
            .collect();
        let request = match raw.command {
            RawCommand::Scan(scan) => Request::Scan(scan_request(scan, arguments)?),
            RawCommand::Repair(repair) => {
                Request::Repair(repair_request(repair, arguments, audience)?)
            }
            RawCommand::Run(run) => Request::Run(run_request(run, arguments)?),
            RawCommand::Undo(undo) => Request::Undo(undo_request(undo, arguments, audience)?),
            RawCommand::Checkpoint(raw) => Request::Checkpoint(checkpoint_request(raw)?),
            RawCommand::Status(status) => Request::Status(StatusRequest {
                job_path: status.job,
                output: status.output,
                format: format(status.format),
            }),
            RawCommand::Report(report) => Request::Report(report_request(report)?),
            RawCommand::Explain { rule } => Request::Explain { rule },
            RawCommand::Schema => Request::Schema,
            #[cfg(feature = "lab")]
            RawCommand::Demo => Request::Demo,
        };
        let loudness = match (raw.quiet, raw.verbose) {
            (true, _) => Loudness::Quiet,
            (false, 0) => Loudness::Normal,
            (false, 1) => Loudness::Verbose,
            (false, _) => Loudness::Everything,
        };
        Ok(Self {
            request,
            log: format(raw.log),
            loudness,
        })
    }
}

fn scan_request(raw: RawScan, arguments: Vec<String>) -> Result<ScanRequest, Refusal> {
    let scope = scope(&raw)?;
    let shard = shard(raw.shard.as_deref(), &|name| std::env::var(name).ok())?;
    if let Some(option) = scope_of_few(&scope).filter(|_| !shard.is_whole()) {
        return Err(Refusal::Together("--shard", option));
    }
    if !shard.is_whole() && scope.window().is_some_and(WindowText::is_relative) {
        return Err(Refusal::RelativeShard);
    }
    let mut only = Vec::new();
    for name in raw.only {
        if name.is_empty() {
            return Err(Refusal::Empty {
                option: "--only",
                hint: "name a check of the job",
            });
        }
        if !only.contains(&name) {
            only.push(name);
        }
    }
    if matches!(scope, Scope::One(Target::Id(_), _)) && only.len() > 1 {
        return Err(Refusal::IdNeedsOneCheck);
    }
    Ok(ScanRequest {
        job_path: raw.job,
        scope,
        shard,
        only,
        output: raw.output,
        rate: raw.rate.map(|text| rate(&text)).transpose()?,
        time_budget: raw.time_budget.map(|text| time_budget(&text)).transpose()?,
        format: format(raw.format),
        arguments,
    })
}

fn repair_request(
    raw: RawRepair,
    arguments: Vec<String>,
    audience: Audience,
) -> Result<RepairRequest, Refusal> {
    if raw.max_repairs == Some(0) && !raw.dry_run {
        return Err(Refusal::NoRepairs);
    }
    let scan = scan_request(raw.scan, arguments)?;
    let mode = if raw.dry_run {
        RepairRun::DryRun
    } else {
        RepairRun::Write(consent(raw.yes, audience)?)
    };
    let control = if raw.accept_control {
        Control::Accepted
    } else {
        Control::Refuses
    };
    Ok(RepairRequest {
        scan,
        mode,
        max_repairs: raw.max_repairs,
        control,
    })
}

fn run_request(raw: RawRun, arguments: Vec<String>) -> Result<RunRequest, Refusal> {
    Ok(RunRequest {
        job_path: raw.job,
        output: raw.output,
        rate: raw.rate.map(|text| rate(&text)).transpose()?,
        time_budget: raw.time_budget.map(|text| time_budget(&text)).transpose()?,
        format: format(raw.format),
        arguments,
    })
}

fn undo_request(
    raw: RawUndo,
    arguments: Vec<String>,
    audience: Audience,
) -> Result<UndoRequest, Refusal> {
    if raw.run.is_empty() {
        return Err(Refusal::Empty {
            option: "RUN",
            hint: "name a run id or the folder of a run",
        });
    }
    Ok(UndoRequest {
        job_path: raw.job,
        run: raw.run,
        consent: consent(raw.yes, audience)?,
        output: raw.output,
        format: format(raw.format),
        arguments,
    })
}

fn checkpoint_request(raw: RawCheckpoint) -> Result<CheckpointRequest, Refusal> {
    Ok(CheckpointRequest {
        job_path: raw.job,
        every: raw.every.map(|text| every(&text)).transpose()?,
        format: format(raw.format),
    })
}

fn report_request(raw: RawReport) -> Result<ReportRequest, Refusal> {
    if raw.runs.iter().any(String::is_empty) {
        return Err(Refusal::Empty {
            option: "RUN",
            hint: "name a run id or the folder of a run",
        });
    }
    Ok(ReportRequest {
        runs: raw.runs,
        output: raw.output,
        format: format(raw.format),
    })
}

/// What an interrupted run left: it brings everything along that says what is looked at.
fn rest(raw: &RawScan, run: &str) -> Result<Scope, Refusal> {
    let said = [
        ("--since", raw.since.is_some()),
        ("--until", raw.until.is_some()),
        ("--full", raw.full),
        ("--only", !raw.only.is_empty()),
        ("--key", raw.key.is_some()),
        ("--id", raw.id.is_some()),
        ("--from", raw.from.is_some()),
    ];
    match said.into_iter().find(|(_, is_said)| *is_said) {
        Some((option, _)) => Err(Refusal::Together("--resume", option)),
        None => Ok(Scope::Rest((!run.is_empty()).then(|| run.to_owned()))),
    }
}

fn scope(raw: &RawScan) -> Result<Scope, Refusal> {
    if let Some(run) = &raw.resume {
        return rest(raw, run);
    }
    let until = raw.until.as_deref().map(TimeText::parse).transpose()?;
    let since = raw.since.as_deref().map(Since::parse).transpose()?;
    // What names neither a time nor keys is about the last failover.
    let is_all = !raw.full && raw.from.is_none() && raw.key.is_none() && raw.id.is_none();
    let window = match (since, until) {
        (None, Some(_)) if !is_all => return Err(Refusal::UntilAlone),
        (None, None) if !is_all => None,
        (since, until) => Some(WindowText {
            since: since.unwrap_or(Since::Auto),
            until,
        }),
    };
    let target = match (&raw.key, &raw.id) {
        (Some(key), _) if key.is_empty() => {
            return Err(Refusal::Empty {
                option: "--key",
                hint: "name a Redis key",
            });
        }
        (_, Some(id)) if id.is_empty() => {
            return Err(Refusal::Empty {
                option: "--id",
                hint: "name a row id",
            });
        }
        (Some(key), _) => Some(Target::Key(spelled("--key", unescape(key))?)),
        (None, Some(id)) => Some(Target::Id(spelled("--id", unescape_id(id))?)),
        (None, None) => None,
    };
    let target_option = if raw.key.is_some() { "--key" } else { "--id" };
    match (raw.full, target, raw.from.as_deref()) {
        (_, _, Some("")) => Err(Refusal::Empty {
            option: "--from",
            hint: "name a run id or the folder of a run",
        }),
        (true, Some(_), _) => Err(Refusal::Together("--full", target_option)),
        (true, None, Some(_)) => Err(Refusal::Together("--full", "--from")),
        (false, Some(_), Some(_)) => Err(Refusal::Together(target_option, "--from")),
        (true, None, None) => Ok(Scope::Full(window)),
        (false, Some(target), None) => Ok(Scope::One(target, window)),
        (false, None, Some(run)) => Ok(Scope::EarlierRun(run.to_owned(), window)),
        (false, None, None) => {
            let window = window.expect("without keys, a run or --full there is a window");
            Ok(Scope::Window(window))
        }
    }
}

/// What names single things is not divided.
fn scope_of_few(scope: &Scope) -> Option<&'static str> {
    match scope {
        Scope::One(Target::Key(_), _) => Some("--key"),
        Scope::One(Target::Id(_), _) => Some("--id"),
        Scope::EarlierRun(..) => Some("--from"),
        Scope::Window(_) | Scope::Full(_) | Scope::Rest(_) => None,
    }
}

fn spelled<T>(option: &'static str, read: Result<T, CellError>) -> Result<T, Refusal> {
    read.map_err(|fault| Refusal::Spelling { option, fault })
}

fn consent(said_yes: bool, audience: Audience) -> Result<Consent, Refusal> {
    match (said_yes, audience) {
        (true, _) => Ok(Consent::Given),
        (false, Audience::Terminal) => Ok(Consent::Ask),
        (false, Audience::Machine) => Err(Refusal::NoConsent),
    }
}

fn rate(text: &str) -> Result<Rate, Refusal> {
    if text == "unlimited" {
        return Ok(Rate::Unlimited);
    }
    match text.replace('_', "").parse::<u32>() {
        Ok(per_second) if per_second > 0 => Ok(Rate::PerSecond(per_second)),
        _ => Err(Refusal::Rate(text.to_owned())),
    }
}

fn time_budget(text: &str) -> Result<Duration, Refusal> {
    match humantime::parse_duration(text) {
        Ok(budget) if !budget.is_zero() => Ok(budget),
        _ => Err(Refusal::TimeBudget(text.to_owned())),
    }
}

fn every(text: &str) -> Result<Duration, Refusal> {
    match humantime::parse_duration(text) {
        Ok(every) if (EVERY_MIN..=EVERY_MAX).contains(&every) => Ok(every),
        _ => Err(Refusal::Every(text.to_owned())),
    }
}

fn format(raw: RawFormat) -> Format {
    match raw {
        RawFormat::Text => Format::Text,
        RawFormat::Json => Format::Json,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::model::shard::Shard;

    fn read(line: &str) -> Result<Invocation, Refusal> {
        Invocation::from_args(
            std::iter::once("auditor").chain(line.split(' ')),
            Audience::Machine,
        )
    }

    fn scan(line: &str) -> ScanRequest {
        match read(line).unwrap().request {
            Request::Scan(request) => request,
            other => panic!("{other:?}"),
        }
    }

    fn repair(line: &str) -> RepairRequest {
        match read(line).unwrap().request {
            Request::Repair(request) => request,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_report_names_runs_or_none() {
        let report = |line: &str| match read(line).unwrap().request {
            Request::Report(request) => request,
            other => panic!("{other:?}"),
        };
        let newest = ReportRequest {
            runs: Vec::new(),
            output: "output".into(),
            format: Format::Text,
        };
        assert_eq!(report("report"), newest);
        let two = report("report 0190 elsewhere/run --output out --format json");
        assert_eq!(two.runs, ["0190", "elsewhere/run"]);
        assert_eq!((two.output, two.format), ("out".into(), Format::Json));
        let fault = read("report a ").unwrap_err().to_string();
        assert!(fault.contains("RUN is empty"), "{fault}");
    }

    #[test]
    fn clap_agrees_with_itself() {
        <RawArgs as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn a_plain_scan_has_the_defaults() {
        let window = WindowText {
            since: Since::parse("15m").unwrap(),
            until: None,
        };
        assert_eq!(
            read("scan job.toml --since 15m").unwrap(),
            Invocation {
                request: Request::Scan(ScanRequest {
                    job_path: "job.toml".into(),
                    scope: Scope::Window(window),
                    shard: Shard::WHOLE,
                    only: Vec::new(),
                    output: "output".into(),
                    rate: None,
                    time_budget: None,
                    format: Format::Text,
                    arguments: ["scan", "job.toml", "--since", "15m"]
                        .map(String::from)
                        .into(),
                }),
                log: Format::Text,
                loudness: Loudness::Normal,
            }
        );
    }

    #[test]
    fn without_a_time_the_last_failover_is_meant() {
        for line in ["scan j", "scan j --since auto", "scan j --only a"] {
            assert!(
                matches!(scan(line).scope, Scope::Window(w) if w.is_auto() && w.until.is_none())
            );
        }
        let until = scan("scan j --until 5m").scope;
        assert!(matches!(until, Scope::Window(w) if w.is_auto() && w.until.is_some()));
        assert_eq!(scan("scan j --full").scope, Scope::Full(None));
        let Request::Run(request) = read("run j --output o --rate 7 --time-budget 3m")
            .unwrap()
            .request
        else {
            panic!()
        };
        assert_eq!(request.output.to_str(), Some("o"));
        assert_eq!(request.rate, Some(Rate::PerSecond(7)));
        assert_eq!(request.time_budget, Some(Duration::from_secs(180)));
    }

    #[test]
    fn every_option_reaches_its_place() {
        let request = scan(
            "scan j --full --since 2h --until 1h --only a --only b --only a --output o --rate 5_000 \
             --time-budget 1h30m --format json",
        );
        assert!(matches!(&request.scope, Scope::Full(Some(window)) if window.until.is_some()));
        assert_eq!(request.only, ["a", "b"]);
        assert_eq!(request.output.to_str(), Some("o"));
        assert_eq!(request.rate, Some(Rate::PerSecond(5_000)));
        assert_eq!(request.time_budget, Some(Duration::from_secs(5_400)));
        assert_eq!(request.format, Format::Json);
        assert_eq!(
            scan("scan j --full --shard 3/4").shard,
            Shard::new(3, 4).unwrap()
        );
        assert_eq!(
            scan("scan j --full --rate unlimited").rate,
            Some(Rate::Unlimited)
        );
        let request = repair("repair j --full --yes --max-repairs 7 --accept-control");
        assert_eq!(request.mode, RepairRun::Write(Consent::Given));
        assert_eq!(
            (request.max_repairs, request.control),
            (Some(7), Control::Accepted)
        );
        let quiet = read("-q scan j --full --log json").unwrap();
        assert_eq!((quiet.loudness, quiet.log), (Loudness::Quiet, Format::Json));
        assert_eq!(
            read("scan j --full -v").unwrap().loudness,
            Loudness::Verbose
        );
        assert_eq!(
            read("scan j --full -vv").unwrap().loudness,
            Loudness::Everything
        );
    }

    #[test]
    fn a_key_and_an_id_are_spelled_as_in_the_report() {
        let key = |line: &str| scan(line).scope;
        assert_eq!(
            key("scan j --key user:7"),
            Scope::One(Target::Key(b"user:7".to_vec()), None)
        );
        assert_eq!(
            key("scan j --key a\\xFF\\\\"),
            Scope::One(Target::Key(b"a\xff\\".to_vec()), None)
        );
        let id = [b"-7".to_vec(), b"a,b".to_vec()].into();
        assert_eq!(
            key("scan j --only c --id -7,a\\,b"),
            Scope::One(Target::Id(id), None)
        );
        let from = scan("scan j --from 0190-x");
        assert_eq!(from.scope, Scope::EarlierRun("0190-x".into(), None));
    }

    #[test]
    fn a_run_is_gone_on_with_by_its_name_or_because_it_is_the_newest() {
        assert_eq!(scan("scan j --resume").scope, Scope::Rest(None));
        let named = Scope::Rest(Some("0190".into()));
        assert_eq!(scan("scan j --resume 0190").scope, named);
        let request = repair("repair j --resume --yes --shard 1/2 --max-repairs 7").scan;
        assert_eq!(request.scope, Scope::Rest(None));
        assert_eq!(request.shard, Shard::new(1, 2).unwrap());
    }

    #[test]
    fn what_contradicts_itself_is_refused_with_a_hint() {
        for (line, part) in [
            ("repair j", "say --yes, or --dry-run"),
            ("scan j --full --until 5m", "--until without --since"),
            ("scan j --until auto", "`auto` is no end"),
            ("scan j --since soon", "`soon` is no time"),
            ("scan j --since -15m", "`-15m` is no time"),
            ("scan j --full --key k", "--full and --key"),
            ("scan j --full --id 7", "--full and --id"),
            ("scan j --full --from r", "--full and --from"),
            ("scan j --key k --from r", "--key and --from"),
            ("scan j --key k --id 7", "cannot be used with"),
            ("scan j --id 7 --only a --only b", "exactly one --only"),
            ("scan j --key a\\q", "`\\q` is no escape"),
            ("scan j --key ", "--key is empty"),
            ("scan j --full --only ", "--only is empty"),
            ("scan j --full --rate 0", "at least 1"),
            ("scan j --full --rate fast", "at least 1"),
            ("scan j --full --time-budget 0s", "longer than none"),
            ("scan j --full --time-budget soon", "longer than none"),
            ("scan j --full --shard 2/2", "--shard `2/2` is no shard"),
            ("scan j --key k --shard 0/2", "--shard and --key"),
            ("scan j --id 7 --shard 0/2", "--shard and --id"),
            ("scan j --from r --shard 0/2", "--shard and --from"),
            ("repair j --full --yes --resume", "--resume and --full"),
            ("scan j --resume --since 5m", "--resume and --since"),
            ("scan j --resume r --only a", "--resume and --only"),
            ("scan j --key k --resume", "--resume and --key"),
            ("scan j --since 15m --shard 0/2", "counted from now"),
            ("scan j --full --since 15m --shard 0/2", "counted from now"),
            (
                "scan j --since 14:03 --until 5m --shard 0/2",
                "counted from now",
            ),
            ("repair j --full --yes --max-repairs 0", "say --dry-run"),
            ("scan j --full --yes", "unexpected argument"),
            ("scan j --full -q -v", "cannot be used with"),
            ("undo j", "RUN"),
            ("undo j r", "say --yes"),
            ("repair j --full", "say --yes, or --dry-run"),
            ("frobnicate", "unrecognized subcommand"),
        ] {
            let fault = read(line).expect_err(line).to_string();
            assert!(fault.contains(part), "{line}: {fault}");
        }
    }

    #[test]
    fn consent_is_asked_only_where_somebody_can_answer() {
        let at_terminal = |line: &str| {
            Invocation::from_args(
                std::iter::once("auditor").chain(line.split(' ')),
                Audience::Terminal,
            )
        };
        let Request::Repair(request) = at_terminal("repair j --full").unwrap().request else {
            panic!()
        };
        assert_eq!(request.mode, RepairRun::Write(Consent::Ask));
        let Request::Undo(request) = at_terminal("undo j r").unwrap().request else {
            panic!()
        };
        assert_eq!(request.consent, Consent::Ask);
        assert_eq!(repair("repair j --full --dry-run").mode, RepairRun::DryRun);
    }

    #[test]
    fn the_other_commands_are_read() {
        let request = |line| read(line).unwrap().request;
        let status = StatusRequest {
            job_path: "j".into(),
            output: "o".into(),
            format: Format::Json,
        };
        assert_eq!(
            request("status j --output o --format json"),
            Request::Status(status)
        );
        assert_eq!(
            request("explain hot"),
            Request::Explain { rule: "hot".into() }
        );
        assert_eq!(request("schema"), Request::Schema);
        #[cfg(feature = "lab")]
        assert_eq!(request("demo"), Request::Demo);
        let help = read("--help").unwrap_err().to_string();
        assert!(
            help.contains("Exit codes:") && help.contains("holds the lease"),
            "{help}"
        );
    }
}
