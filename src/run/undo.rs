//! `auditor undo`: takes back what a run wrote, where nobody has touched it since.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use super::RunError;
use super::consent::ask_for;
use super::execute::ending;
use super::lease::take_lease;
use super::open::{bind_all, named, open_stores};
use super::patience::Patience;
use super::repairing::fence_replicas;
use super::request::{Console, Ending, UndoRequest};
use super::sink::report;
use super::stop::Stop;
use crate::job;
use crate::model::finding::OutcomeKind;
use crate::model::mapping::Mapping;
use crate::model::outcome::RunVerdict;
use crate::model::shard::Shard;
use crate::repair::{StepOutcome, Undoer};
use crate::report::{
    EarlierRun, JournalReader, ReportError, RunFolder, UndoEntry, UndoOutcome, find_run,
    note_undone,
};

/// Records looked at and written together.
const BATCH: usize = 200;

/// Puts back what the run replaced. Its own writes are journaled in a folder of their own, so an undo can
/// be undone.
pub(super) async fn undo(request: &UndoRequest, console: &mut Console) -> Ending {
    ending(run(request, console).await)
}

async fn run(request: &UndoRequest, console: &mut Console) -> Result<Ending, RunError> {
    let job = job::load(&request.job_path, &|name| std::env::var(name).ok())
        .map_err(|faults| RunError::Job(Box::new(faults)))?;
    let bad = |e: ReportError| RunError::BadRequest(e.to_string());
    let folder = find_run(&request.output, &job.name, &request.run).map_err(bad)?;
    let journal = JournalReader::open(&folder).map_err(bad)?;
    if journal.job != job.name || journal.config_hash != job.config_hash {
        return Err(RunError::BadRequest(format!(
            "run {} was made with another job file (or another version of this one); undo it with that one",
            journal.run_id
        )));
    }
    if journal.is_torn {
        tracing::warn!("the journal's last line is torn; the write it announces never began");
    }
    // A run that was killed has no run.json; its journal is all that is needed.
    if let Ok(earlier) = EarlierRun::read(&folder) {
        tracing::info!("run {} ended as {}", earlier.run_id, earlier.verdict);
    }
    let stop = Stop::watching(console.stop.clone(), None);
    let patience = Patience::new(Arc::clone(&console.progress), stop);
    let opened = open_stores(&job, &patience).await?;
    let mappings = bind_all(&job, &job.caches, &[], &opened.stores.source)
        .await?
        .caches;
    ask_for(
        request.consent,
        &format!(
            "Take back {} write(s) of run {} on the Redis {}?",
            journal.len(),
            journal.run_id,
            named(&opened.nodes)
        ),
        console,
    )?;
    let lease = take_lease(&job, Shard::WHOLE, &opened.stores.source).await?;
    let own = RunFolder::open(&request.output, &job.name, uuid::Uuid::now_v7()).map_err(report)?;
    // First, so that nobody goes on with a run of which a part is taken back.
    note_undone(&folder, own.run_id()).map_err(report)?;
    let mut undoer = Undoer::new(
        opened.stores.source.clone(),
        opened.stores.cache.clone(),
        &job.redis,
        opened.stores.pinned.clone(),
        own.journal(&job.config_hash),
        lease,
        fence_replicas(&job, &opened),
    )
    .await?;
    let by_name: BTreeMap<&str, &Arc<Mapping>> = mappings
        .iter()
        .map(|m| (m.check.name.text.as_str(), m))
        .collect();
    let mut tally: BTreeMap<(&'static str, String), u64> = BTreeMap::new();
    let mut batch: Vec<UndoEntry> = Vec::new();
    for entry in journal.newest_first() {
        let entry = entry.map_err(bad)?;
        if !may_have_happened(entry.outcome.as_ref()) {
            continue;
        }
        let is_full = batch.len() == BATCH
            || batch
                .first()
                .is_some_and(|first| first.record.check != entry.record.check);
        if is_full {
            work(
                &mut undoer,
                &by_name,
                std::mem::take(&mut batch),
                &mut tally,
            )
            .await;
        }
        batch.push(entry);
    }
    work(&mut undoer, &by_name, batch, &mut tally).await;
    leave_settlements(&journal, &folder, &mut tally);
    undoer.finish().map_err(report)?;
    let verdict = verdict(&tally);
    say(console, &tally, verdict, own.path());
    Ok(Ending::Verdict(verdict))
}

/// A message that was acknowledged, moved or claimed is the application's again, and a row that was inserted may
/// have been read: nothing of it is taken back. The journal keeps what a person needs to do so.
fn leave_settlements(
    journal: &JournalReader,
    folder: &std::path::Path,
    tally: &mut BTreeMap<(&'static str, String), u64>,
) {
    let kept = folder.join("undo.jsonl");
    let reason = format!(
        "what was settled in a stream is not taken back by undo; owner, ids and entries are kept in {}",
        kept.display()
    );
    for (place, outcome) in journal.settlements() {
        if !may_have_happened(outcome) {
            continue;
        }
        tracing::warn!(
            "{} of {} ({}) was not taken back: it is a settlement; its record is line {} of {}",
            place.remedy,
            place.subject,
            place.check,
            place.line,
            kept.display()
        );
        let refused = OutcomeKind::Refused.name();
        *tally.entry((refused, reason.clone())).or_default() += 1;
    }
}

/// A write whose outcome is unknown is undone too, if its bytes are there.
fn may_have_happened(outcome: Option<&UndoOutcome>) -> bool {
    match outcome.map(|o| o.outcome) {
        None | Some(None) => true,
        Some(Some(kind)) => matches!(kind, OutcomeKind::Applied | OutcomeKind::Failed),
    }
}

async fn work(
    undoer: &mut Undoer,
    mappings: &BTreeMap<&str, &Arc<Mapping>>,
    batch: Vec<UndoEntry>,
    tally: &mut BTreeMap<(&'static str, String), u64>,
) {
    let Some(first) = batch.first() else { return };
    let outcomes: Vec<StepOutcome> = match mappings.get(first.record.check.as_str()) {
        Some(mapping) => undoer.undo(mapping, &batch).await,
        None => return,
    };
    for (entry, outcome) in batch.iter().zip(outcomes) {
        if !is_back(outcome.kind.name()) {
            tracing::warn!(
                "{} was not taken back: {}",
                crate::report::escape(&entry.record.key),
                outcome.reason
            );
        }
        *tally
            .entry((outcome.kind.name(), outcome.reason))
            .or_default() += 1;
    }
}

fn verdict(tally: &BTreeMap<(&'static str, String), u64>) -> RunVerdict {
    if tally.keys().all(|(kind, _)| is_back(kind)) {
        RunVerdict::Consistent
    } else {
        RunVerdict::FindingsRemain
    }
}

/// Taken back now, or as it was before already.
fn is_back(kind: &str) -> bool {
    [OutcomeKind::Applied, OutcomeKind::AlreadyRight]
        .iter()
        .any(|back| back.name() == kind)
}

fn say(
    console: &mut Console,
    tally: &BTreeMap<(&'static str, String), u64>,
    verdict: RunVerdict,
    folder: &std::path::Path,
) {
    let mut text = String::new();
    for ((kind, reason), count) in tally {
        let why = if reason.is_empty() {
            String::new()
        } else {
            format!(": {reason}")
        };
        text.push_str(&format!("{count} {kind}{why}\n"));
    }
    let state = match verdict {
        RunVerdict::Consistent => "everything was taken back",
        _ => "not everything was taken back",
    };
    // A reader that is gone does not change what was done.
    let _ = writeln!(
        console.out,
        "{text}{state}; the journal of this undo lies in {}",
        folder.display()
    );
}
