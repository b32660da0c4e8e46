//! The end of a run: everything written out, the verdict said, what was dealt with noted.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::RunError;
use super::ledger::Ledger;
use super::marks::mark_if_complete;
use super::mend::Mending;
use super::record::{Closing, record_of};
use super::request::{Console, Ending, Format};
use super::show::Shown;
use super::sink::{Sink, report};
use super::stop::Stop;
use super::topology::{Nodes, unseen};
use crate::report::{RunFolder, prune, write_json, write_text};

/// Writes everything out, run.json last, and says the verdict.
pub(super) async fn close(
    mut closing: Closing<'_>,
    mut ledger: Ledger,
    mending: Mending,
    sink: Arc<Mutex<Sink>>,
    folder: &RunFolder,
    stop: &Stop,
    console: &mut Console,
) -> Result<Ending, RunError> {
    if let Some(reason) = stop.reason() {
        ledger.partial.push(format!("stopped early: {reason}"));
    }
    let mut undo_records = 0;
    let mut split_brains = Vec::new();
    if let Mending::Apply(applier) = mending {
        let applier = Arc::into_inner(applier)
            .expect("all stages have ended")
            .into_inner();
        if let Some(why) = applier.stopped() {
            ledger.limits_hit.push(why.to_owned());
        }
        split_brains = applier.split_brains().to_vec();
        undo_records = applier.finish().map_err(report)?;
    }
    let mut sink = Arc::into_inner(sink)
        .expect("all stages have ended")
        .into_inner();
    let nodes = match closing.nodes.take() {
        Some(before) => {
            let before = before.await;
            Some(Nodes::at_the_end(&closing.job.redis, before, &split_brains).await)
        }
        None => None,
    };
    if let Some(nodes) = &nodes {
        sink.write_topology(&nodes.findings)?;
        ledger.remarks.extend(unseen(&nodes.after.topology));
    }
    let run_id = folder.run_id();
    let record = record_of(
        &closing,
        &ledger,
        &sink,
        run_id,
        undo_records,
        nodes.as_ref(),
    )
    .await;
    let shown = spelled(sink.shown(), closing.request.format);
    sink.finish()?;
    let verdict = record.verdict;
    folder.finish(&record).map_err(report)?;
    mark_if_complete(&closing, verdict, nodes.as_ref()).await;
    let keep = closing.job.limits.keep_runs;
    if let Err(fault) = prune(
        &closing.request.output,
        &closing.job.name,
        keep,
        folder.run_id(),
    ) {
        tracing::warn!("old runs could not be removed: {fault}");
    }
    let written = console.out.write_all(shown.as_bytes());
    let written = written.and_then(|()| match closing.request.format {
        Format::Text => write_text(&mut console.out, &record, folder.path()),
        Format::Json => write_json(&mut console.out, &record, folder.path()),
    });
    // The report is on disk; a reader that closed the pipe does not change the verdict.
    if let Err(fault) = written.and_then(|()| console.out.flush()) {
        tracing::debug!("the summary was not read: {fault}");
    }
    Ok(Ending::Verdict(verdict))
}

/// What `--key` and `--id` print before the summary: a block each, or a line of JSON each.
fn spelled(shown: &[Shown], format: Format) -> String {
    let spell = |one: &Shown| match format {
        Format::Text => one.text() + "\n",
        Format::Json => format!("{}\n", one.json()),
    };
    shown.iter().map(spell).collect()
}
