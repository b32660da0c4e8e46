//! `scan` and `repair`: from the job file to the verdict.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, Semaphore};
use uuid::Uuid;

use super::RunError;
use super::audit::{Scope, audit_check};
use super::check::CheckRun;
use super::control::{Control, control_sample};
use super::ledger::{CheckLedger, Ledger};
use super::mend::Mending;
use super::open::{Opened, bind_checks, open_cache, open_stores};
use super::pace::Pacer;
use super::repairing::{take_lease, start_applier};
use super::scope::scope_of;
use super::sink::{Sink, report};
use super::stop::Stop;
use crate::job::Job;
use crate::model::mapping::Mapping;
use crate::model::outcome::{Coverage, RunVerdict};
use crate::model::progress::ProgressSink;
use crate::model::time::TimeWindow;
use crate::plan::Timing;
use crate::report::RunFolder;
use crate::rules::judge::{Judge, JudgeContext};
use crate::store::mysql::Selection;

/// Pages of all checks in the works at once: what bounds the memory of the sweeps.
const PAGES_AT_ONCE: usize = 4;
/// A check begins again after a topology change this often; then the run is partial.
const ATTEMPTS: u32 = 3;
