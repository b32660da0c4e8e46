//! What is to be done: the request, the job file, and what an interrupted run left.

use super::RunError;
use super::request::{Consent, Control as ControlChoice, ScanRequest, Scope};
use super::resume::{Resumed, resolve};
use crate::failover::Outlook;
use crate::job::{self, Job};

/// What is done with what is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Scan,
    DryRun,
    Repair { consent: Consent },
}

impl Mode {
    pub(super) fn command(self) -> &'static str {
        match self {
            Mode::Scan => "scan",
            Mode::DryRun | Mode::Repair { .. } => "repair",
        }
    }
}

pub(super) struct Options {
    pub max_repairs: Option<u64>,
    pub control: ControlChoice,
    /// What `run` found out before; `None`: somebody asked for a scan or a repair.
    pub found: Option<Outlook>,
}

impl Options {
    pub(super) fn command(&self, mode: Mode) -> &'static str {
        match self.found {
            Some(_) => "run",
            None => mode.command(),
        }
    }
}

/// What is to be done, once it is known what an interrupted run left.
pub(super) struct Asked {
    /// Its limits are those of this run.
    pub job: Job,
    pub request: ScanRequest,
    pub resumed: Option<Resumed>,
    /// Everything may be lost, so that a control sample would prove nothing.
    pub has_no_control: bool,
}

/// Reads the job file, and what is to be gone on with.
pub(super) fn asked(
    request: &ScanRequest,
    mode: Mode,
    options: &Options,
) -> Result<Asked, RunError> {
    let mut job = job::load(&request.job_path, &|name| std::env::var(name).ok())
        .map_err(|faults| RunError::Job(Box::new(faults)))?;
    let (request, resumed) = match &request.scope {
        Scope::Rest(run) => {
            let (request, resumed) = resolve(request, run.as_deref(), &job, mode)?;
            (request, Some(resumed))
        }
        _ => (request.clone(), None),
    };
    if let Some(rate) = request.rate {
        job.limits.max_keys_per_second = rate;
    }
    if let Some(max) = options.max_repairs {
        job.limits.max_repairs = max;
    }
    job.limits = job.limits.share_of(request.shard);
    let had_no_control = resumed.as_ref().is_some_and(|r| r.header().has_no_control);
    let has_no_control = options.control == ControlChoice::NotApplicable || had_no_control;
    if has_no_control {
        job.limits.control_sample = 0;
    }
    Ok(Asked {
        job,
        request,
        resumed,
        has_no_control,
    })
}
