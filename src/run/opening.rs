//! What a run has in its hands before it looks at the first row: connections, window, mappings, lease, and what is
//! known of a failover.

use std::sync::Arc;

use super::RunError;
use super::asked::{Asked, Mode, Options};
use super::consent::ask;
use super::lease::take_lease;
use super::ledger::Ledger;
use super::marks::{needs_outlook, remark_on, why_no_control};
use super::open::{Bound, Opened, bind_all, open_stores};
use super::outlook::remembered_in_folder;
use super::patience::Patience;
use super::replicas::Gate;
use super::request::{Console, RequestError, ScanRequest, Scope};
use super::resume::Resumed;
use super::scheduled::{HANDLED_MEANWHILE, say};
use super::stop::Stop;
use super::streams::with_siblings;
use super::task::Task;
use super::topology::{self, Looked};
use super::window::{Window, looked_at, refuse_strangers, refuse_times, window_of};
use crate::failover::{Outlook, is_dealt_with};
use crate::job::Job;
use crate::model::mapping::Mapping;
use crate::model::slots::SlotSet;
use crate::model::stream::StreamCheck;
use crate::model::time::Micros;
use crate::store::mysql::Lease;

pub(super) struct Opening {
    /// Its limits are those of this run.
    pub job: Job,
    pub request: ScanRequest,
    pub resumed: Option<Resumed>,
    pub opened: Opened,
    pub window: Option<Window>,
    pub bound: Bound,
    /// The streams that are checked; [`Bound::streams`] has their siblings, too.
    pub selected: Vec<Arc<StreamCheck>>,
    /// What all nodes say; `None` where one key was asked for.
    pub nodes: Option<Task<Looked>>,
    /// `None`: nothing is to be written.
    pub lease: Option<Lease>,
    /// What happened; `None` where nothing hangs on it.
    pub outlook: Option<Outlook>,
    /// Why the control sample is left out, if it is for what was seen just now.
    no_control: Option<String>,
    pub has_no_control: bool,
}

/// Connects, finds the window, binds the checks to the schema and takes the lease. `None`: somebody else dealt with the
/// failover meanwhile, which was said.
pub(super) async fn open(
    asked: Asked,
    mode: Mode,
    options: &Options,
    (stop, patience): (&Stop, &Patience),
    console: &mut Console,
) -> Result<Option<Opening>, RunError> {
    let Asked {
        mut job,
        request,
        resumed,
        has_no_control,
    } = asked;
    let bad = |fault: RequestError| RunError::BadRequest(fault.to_string());
    let caches = request.select(&job).map_err(bad)?;
    let caches: Vec<_> = caches.into_iter().cloned().collect();
    let selected = request.select_streams(&job).map_err(bad)?;
    let selected: Vec<_> = selected.into_iter().cloned().collect();
    refuse_times(&request, &job, console)?;
    let mut opened = open_stores(&job, patience).await?;
    let found = options.found.as_ref();
    refuse_strangers(found, &opened)?;
    let window = window_of(&request, &job, &opened, found, console).await?;
    let window = match &resumed {
        Some(resumed) => window.map(|w| resumed.pin(w)),
        None => window,
    };
    // Asked beside everything else: a node that is gone must not hold up the rest.
    // Every shard asks, because each of them has to know of two masters.
    let is_asked = !matches!(request.scope, Scope::One(..));
    let nodes = is_asked.then(|| Task::spawn(topology::look(job.redis.clone())));
    let streams = with_siblings(&job, &selected);
    let bound = bind_all(&job, &caches, &streams, &opened.stores.source).await?;
    let lease = match mode {
        Mode::Repair { consent } => {
            refuse_multi_primary(&opened, &bound.caches)?;
            ask(consent, &job, &opened, console)?;
            Some(take_lease(&job, request.shard, &opened.stores.source).await?)
        }
        Mode::Scan | Mode::DryRun => None,
    };
    if found.is_some() && is_dealt_with(&remembered_in_folder(&job)?, &opened.nodes, Micros::now())
    {
        let format = request.format;
        say(&job, format, "handled", HANDLED_MEANWHILE, 0, console);
        return Ok(None);
    }
    // What a repair by hand has to hold before the failover counts as dealt with.
    let outlook = match found {
        Some(outlook) => Some(outlook.clone()),
        None if needs_outlook(&request, mode) => looked_at(&job, &opened).await,
        None => None,
    };
    let no_control = why_no_control(&request, outlook.as_ref());
    if let Some(why) = &no_control {
        tracing::info!("{why}");
        job.limits.control_sample = 0;
    }
    if request.scope.sweeps() {
        let gate = Gate {
            job: &job,
            source: &opened.stores.source,
            masters: &opened.nodes,
            progress: &console.progress,
            stop,
        };
        opened.stores.reading = gate.open().await?;
    }
    Ok(Some(Opening {
        job,
        request,
        resumed,
        opened,
        window,
        bound,
        selected,
        nodes,
        lease,
        outlook,
        has_no_control: has_no_control || no_control.is_some(),
        no_control,
    }))
}

impl Opening {
    /// A ledger with what is to be said before anything was looked at.
    pub(super) fn ledger(&mut self) -> Ledger {
        let mut ledger = Ledger::default();
        let opened = &self.opened;
        let begun_anew = self.resumed.as_mut().and_then(|run| run.check(opened));
        let untold = self.resumed.iter().flat_map(Resumed::untold);
        ledger.remarks.extend(begun_anew);
        ledger.remarks.extend(untold);
        ledger
            .remarks
            .extend(self.outlook.as_ref().and_then(remark_on));
        ledger.remarks.extend(self.no_control.clone());
        ledger
    }

    /// The slots whose keys are looked at. Everything is every shard, whatever the window says of them.
    pub(super) fn slots(&self) -> SlotSet {
        match (&self.window, &self.request.scope) {
            (Some(window), scope) if !matches!(scope, Scope::Full(_)) => window.slots(),
            _ => SlotSet::all(),
        }
    }
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
