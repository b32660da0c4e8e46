//! One check from its sweep to its written findings: three stages joined by bounded channels, in sweep
//! order throughout.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use tokio::sync::{Mutex, mpsc};

use super::RunError;
use super::batch::{BATCH_TARGETS, Batch, Passed};
use super::check::CheckRun;
use super::examine::Examined;
use super::keyspace::sweep_keyspace;
use super::mend::{Mending, mend};
use super::settle::{Settled, settle};
use super::sink::Sink;
use super::sweep::{add, sweep_source};
use super::task::Task;
use crate::model::finding::Verdict;
use crate::model::outcome::Coverage;
use crate::report::Mark;
use crate::scan::{Tally, Target};
use crate::store::mysql::Selection;

/// Batches of one check on their way to a verdict; how many of all checks hold looks is bounded apart.
const BATCHES_SETTLING: usize = 16;
/// Slices of a check that began again lie behind all earlier ones, so that positions only grow.
pub(super) const SLICES_PER_ATTEMPT: u32 = 100_000;

/// What of a check is looked at.
#[derive(Debug, Clone)]
pub(super) enum Scope {
    Sweep {
        selection: Selection,
        /// Also walk Redis for what no row explains.
        keyspace: bool,
    },
    /// Just these (`--key`, `--id`, `--from`).
    Targets(Vec<Target>),
}

/// Audits one check, its rows from where an earlier run came to. `attempt` counts from 0; what could not be searched
/// goes to `left_out`, each as a sentence.
pub(super) async fn audit_check(
    check: &Arc<CheckRun>,
    scope: &Scope,
    from: Option<&Mark>,
    attempt: u32,
    mending: &Mending,
    sink: &Arc<Mutex<Sink>>,
    left_out: &mut Vec<String>,
) -> Result<Coverage, RunError> {
    let (batches, inbox) = mpsc::channel(1);
    let sweeping = async move {
        // Moved in, so that the channel closes when the sweep ends.
        let batches = batches;
        sweep(check, scope, from, attempt, &batches, left_out).await
    };
    // The first fault ends both: what the other stage still held does not count after it.
    let settling = settle_all(check, inbox, mending, sink);
    let (coverage, ()) = tokio::try_join!(sweeping, settling)?;
    if matches!(mending, Mending::Apply(_)) {
        verify_clean(check, mending, sink).await?;
    }
    Ok(coverage)
}

/// A sample of what was right must still be right after the repairs; what is not is a finding like any other.
async fn verify_clean(
    check: &Arc<CheckRun>,
    mending: &Mending,
    sink: &Arc<Mutex<Sink>>,
) -> Result<(), RunError> {
    let clean = std::mem::take(&mut *check.clean.lock().expect("nobody panics while holding it"));
    let mut settled = settle(check, clean).await?;
    settled.retain(|s| s.verdict != Verdict::Transient);
    mend(check, settled, &Passed::default(), mending, sink).await
}

async fn sweep(
    check: &Arc<CheckRun>,
    scope: &Scope,
    from: Option<&Mark>,
    attempt: u32,
    batches: &mpsc::Sender<Batch<Target>>,
    left_out: &mut Vec<String>,
) -> Result<Coverage, RunError> {
    let first_slice = attempt * SLICES_PER_ATTEMPT;
    match scope {
        Scope::Sweep {
            selection,
            keyspace,
        } => {
            // Only a sweep over all rows leads to every key that has one.
            let is_whole = *selection == Selection::All && from.is_none();
            let tally = (*keyspace && is_whole).then(|| Arc::new(Tally::default()));
            let mut counts = sweep_source(
                check,
                *selection,
                from,
                first_slice,
                tally.as_ref(),
                batches,
            )
            .await?;
            if *keyspace {
                let last_slice = first_slice + SLICES_PER_ATTEMPT - 1;
                let tally = tally.as_deref();
                let found = sweep_keyspace(check, last_slice, tally, batches, left_out);
                add(&mut counts, &found.await?);
            }
            Ok(counts)
        }
        Scope::Targets(targets) => {
            check
                .ground
                .observed
                .fetch_add(targets.len() as u64, Ordering::Relaxed);
            for group in targets.chunks(BATCH_TARGETS) {
                let batch = Batch::of(group.to_vec());
                if batches.send(batch).await.is_err() {
                    break;
                }
            }
            let count = targets.len() as u64;
            Ok(Coverage {
                observed: count,
                suspect: count,
                ..Coverage::default()
            })
        }
    }
}

/// Settles and mends batches as they come, in their order, until the sender is gone.
pub(super) async fn settle_all<E: Examined>(
    check: &Arc<E>,
    mut inbox: mpsc::Receiver<Batch<E::Target>>,
    mending: &Mending,
    sink: &Arc<Mutex<Sink>>,
) -> Result<(), RunError> {
    let mut running = FuturesOrdered::new();
    let mut is_open = true;
    // Some suspects were left without a verdict, or without what should have been done.
    let mut is_cut_short = false;
    while is_open || !running.is_empty() {
        tokio::select! {
            batch = inbox.recv(), if is_open && running.len() < BATCHES_SETTLING => match batch {
                Some(batch) => running.push_back(settling(check, batch)),
                None => is_open = false,
            },
            Some(done) = running.next(), if !running.is_empty() => {
                let (settled, passed) = done;
                let settled = settled?;
                let had_suspects = !settled.is_empty();
                mend(check, settled, &passed, mending, sink).await?;
                let is_stopped = check.ground().stop.is_requested() || mending.has_stopped().await;
                is_cut_short |= had_suspects && is_stopped;
                if let Some(mark) = passed.mark.filter(|_| !is_cut_short) {
                    sink.lock().await.mark(check.check_name(), mark)?;
                }
            }
        }
    }
    Ok(())
}

type Settling<E> = Task<(Result<Vec<Settled<E>>, RunError>, Passed)>;

fn settling<E: Examined>(check: &Arc<E>, batch: Batch<E::Target>) -> Settling<E> {
    let check = Arc::clone(check);
    Task::spawn(async move {
        let Batch { targets, passed } = batch;
        // What holds no suspects holds no looks either.
        let _permit = match targets.is_empty() {
            true => None,
            false => Some(check.ground().settling.acquire().await),
        };
        (settle(&check, targets).await, passed)
    })
}
