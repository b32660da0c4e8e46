//! From the process's start to its exit code.

use std::future::Future;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;

use indicatif::{MultiProgress, ProgressDrawTarget};

use super::consent::{NobodyConfirms, TerminalConfirm};
use super::exit::ExitStatus;
use super::invocation::{Invocation, Loudness, Refusal};
use super::output::QuietPipe;
use super::progress::{BarProgress, LineProgress};
use super::{logging, stop};
use crate::model::progress::{ProgressSink, Silent};
use crate::plan::window::Audience;
use crate::run::request::{Confirm, Console, Ending, Format, Request};

/// Reads the command line, prepares logging, progress and signals, runs `execute` and turns its
/// ending into the exit code.
pub fn start<E, F>(execute: E) -> ExitCode
where
    E: FnOnce(Request, Console) -> F,
    F: Future<Output = Ending>,
{
    // redis brings rustls without a provider; a second installer (a test) changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let audience = if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
        Audience::Terminal
    } else {
        Audience::Machine
    };
    let invocation = match Invocation::from_args(std::env::args_os(), audience) {
        Ok(invocation) => invocation,
        Err(refusal) => return refuse(&refusal).into(),
    };
    let log = invocation.log;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers())
        .enable_all()
        .build();
    let ending = match runtime {
        Ok(runtime) => runtime.block_on(run(invocation, audience, execute)),
        Err(fault) => Ending::NothingJudged(format!("cannot start worker threads: {fault}")),
    };
    if let Ending::BadRequest(text) | Ending::NothingJudged(text) | Ending::LeaseHeld(text) =
        &ending
    {
        match log {
            Format::Text => say(text),
            Format::Json => tracing::error!("{text}"),
        }
    }
    ExitStatus::from(&ending).into()
}

async fn run<E, F>(invocation: Invocation, audience: Audience, execute: E) -> Ending
where
    E: FnOnce(Request, Console) -> F,
    F: Future<Output = Ending>,
{
    let shows_bars = std::io::stderr().is_terminal() && invocation.loudness != Loudness::Quiet;
    let target = if shows_bars {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bars = MultiProgress::with_draw_target(target);
    logging::init(invocation.log, invocation.loudness, &bars);
    let stop = match stop::watch_signals() {
        Ok(stop) => stop,
        Err(fault) => return Ending::NothingJudged(format!("cannot listen to signals: {fault}")),
    };
    let progress: Arc<dyn ProgressSink> = match (invocation.loudness, shows_bars, invocation.log) {
        (Loudness::Quiet, ..) => Arc::new(Silent),
        (_, true, Format::Text) => Arc::new(BarProgress::new(bars.clone())),
        _ => Arc::new(LineProgress::new()),
    };
    let confirm: Arc<dyn Confirm> = match audience {
        Audience::Terminal => Arc::new(TerminalConfirm::new(bars)),
        Audience::Machine => Arc::new(NobodyConfirms),
    };
    let out = Box::new(QuietPipe::new(std::io::stdout()));
    execute(
        invocation.request,
        Console {
            out,
            progress,
            confirm,
            audience,
            stop,
        },
    )
    .await
}

/// Prints why nothing was run: help and version to stdout, everything else to stderr.
fn refuse(refusal: &Refusal) -> ExitStatus {
    match refusal {
        Refusal::Clap(fault) => {
            // It fails only where the reader is gone, and then there is nobody to tell.
            let _ = fault.print();
            if fault.use_stderr() {
                ExitStatus::BadRequest
            } else {
                ExitStatus::Consistent
            }
        }
        other => {
            say(&other.to_string());
            ExitStatus::BadRequest
        }
    }
}

/// An error for a person, on stderr.
fn say(text: &str) {
    let text = if text.starts_with("error") {
        text.to_owned()
    } else {
        format!("error: {text}")
    };
    let _ = writeln!(std::io::stderr().lock(), "{}", text.trim_end());
}

/// At least two: one may be busy comparing while the other reads.
fn workers() -> usize {
    std::thread::available_parallelism()
        .map_or(2, |n| n.get())
        .max(2)
}
