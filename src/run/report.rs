//! `auditor report`: runs put together, every exposure counted once. Asks no server.

use std::io::Write;

use super::RunError;
use super::execute::ending;
use super::request::{Console, Ending, Format, ReportRequest};
use crate::report::{
    EarlierRun, ReportError, merge, newest_runs, one_job, runs_named, write_merge_json,
    write_merge_text,
};

/// Writes a merged report beside the runs, and its sums to stdout: one report for the runs that were named, else
/// one for each job.
pub(super) fn merge_report(request: &ReportRequest, console: &mut Console) -> Ending {
    ending(run(request, console))
}

fn run(request: &ReportRequest, console: &mut Console) -> Result<Ending, RunError> {
    for runs in chosen(request).map_err(fault)? {
        let stop = console.stop.clone();
        let record = merge(&request.output, runs, &|| *stop.borrow()).map_err(fault)?;
        let written = match request.format {
            Format::Text => write_merge_text(&mut console.out, &record),
            Format::Json => write_merge_json(&mut console.out, &record),
        };
        // The report is on disk, whoever reads the summary of it.
        if let Err(fault) = written.and_then(|()| console.out.flush()) {
            tracing::debug!("the summary was not read: {fault}");
        }
    }
    Ok(Ending::Done)
}

/// The runs of each report.
fn chosen(request: &ReportRequest) -> Result<Vec<Vec<EarlierRun>>, ReportError> {
    if request.runs.is_empty() {
        return newest_runs(&request.output);
    }
    let runs = runs_named(&request.output, &request.runs)?;
    one_job(&runs)?;
    Ok(vec![runs])
}

fn fault(fault: ReportError) -> RunError {
    match fault {
        ReportError::NotWritable { .. } | ReportError::Exists(_) | ReportError::Stopped(_) => {
            RunError::Report(fault.to_string())
        }
        other => RunError::BadRequest(other.to_string()),
    }
}
