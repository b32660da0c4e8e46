//! What `progress.jsonl` begins with.

use uuid::Uuid;

use super::asked::Mode;
use super::open::Opened;
use super::plan::Plan;
use super::request::{ScanRequest, Scope};
use super::sink::header_nodes;
use super::window::Window;
use crate::job::Job;
use crate::model::time::Micros;
use crate::report::{HeaderCheck, HeaderWindow, RunHeader};

/// What a run is, when it begins.
pub(super) struct Beginning<'a> {
    pub job: &'a Job,
    pub request: &'a ScanRequest,
    pub mode: Mode,
    pub command: &'static str,
    pub window: Option<&'a Window>,
    pub opened: &'a Opened,
    pub plans: &'a [Plan],
    pub started_at: Micros,
    pub has_no_control: bool,
    pub resumes: Option<&'a str>,
}

pub(super) fn header_of(beginning: &Beginning<'_>, run_id: Uuid) -> RunHeader {
    let request = beginning.request;
    let checks = beginning.plans.iter().map(|plan| HeaderCheck {
        name: plan.name().to_owned(),
        estimated: plan.estimated(),
    });
    RunHeader {
        auditor_progress: RunHeader::FORMAT,
        run_id: run_id.to_string(),
        job: beginning.job.name.clone(),
        config_hash: beginning.job.config_hash.clone(),
        command: beginning.command.to_owned(),
        is_dry_run: beginning.mode == Mode::DryRun,
        shard_index: request.shard.index(),
        shard_count: request.shard.count(),
        started_at_us: beginning.started_at.0,
        is_full: matches!(request.scope, Scope::Full(_)),
        is_sweep: request.scope.sweeps(),
        only: request.only.clone(),
        window: beginning.window.map(|window| HeaderWindow {
            since_us: window.span.since.0,
            until_us: window.span.until.map(|until| until.0),
            found_by: window.record().found_by,
        }),
        has_no_control: beginning.has_no_control,
        resumes: beginning.resumes.map(str::to_owned),
        nodes: header_nodes(&beginning.opened.stores.pinned),
        source: beginning.opened.source.identity.name.clone(),
        checks: checks.collect(),
    }
}
