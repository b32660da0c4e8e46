//! Runs over named things: one key, one row, or the findings of an earlier run.

use super::RunError;
use super::check::CheckRun;
use super::request::{ScanRequest, Scope, Target as Asked};
use crate::job::Job;
use crate::model::check::Layout;
use crate::model::mapping::Mapping;
use crate::model::observation::{Position, Subject};
use crate::report::{EarlierRun, FindingsReader, ReportError, find_run};
use crate::scan::{Target, candidates};

/// The target of `--key` or `--id` in this check; `None`: the key is not this check's.
pub(super) fn one_target(mapping: &Mapping, asked: &Asked) -> Result<Option<Target>, RunError> {
    match asked {
        Asked::Key(key) => {
            if let Layout::RowPerMember(_) = mapping.check.layout {
                return Ok(None);
            }
            Ok(target(mapping, key.clone(), None))
        }
        Asked::Id(id) => by_id(mapping, id).map(Some),
    }
}

fn target(mapping: &Mapping, key: Vec<u8>, member: Option<Vec<u8>>) -> Option<Target> {
    let candidates = candidates(mapping, &key, member.as_deref())?;
    let id = candidates.first()?.clone();
    Some(Target {
        subject: Subject { key, member, id },
        position: Position::default(),
        sweep_key: None,
        candidates,
    })
}

/// The key that the parts of an id, in template order, render to.
fn by_id(mapping: &Mapping, id: &[Vec<u8>]) -> Result<Target, RunError> {
    let mut cells = Vec::new();
    for &cell in mapping.key_cells.iter().chain(&mapping.member_cells) {
        if !cells.contains(&cell) {
            cells.push(cell);
        }
    }
    let name = &mapping.check.name.text;
    if cells.len() != id.len() {
        let columns: Vec<&str> = cells
            .iter()
            .map(|&c| mapping.columns[c].name.as_str())
            .collect();
        return Err(RunError::BadRequest(format!(
            "an id of check {name} has {} part(s), {}, in this order; {} given",
            cells.len(),
            columns.join(","),
            id.len()
        )));
    }
    let value = |cell: &usize| {
        cells
            .iter()
            .position(|c| c == cell)
            .map(|at| id[at].as_slice())
    };
    let key = mapping
        .check
        .key
        .render(mapping.key_cells.iter().map(value));
    let member = match &mapping.check.layout {
        Layout::KeyPerRow => None,
        Layout::RowPerMember(t) => t.render(mapping.member_cells.iter().map(value)),
    };
    key.and_then(|key| target(mapping, key, member))
        .ok_or_else(|| {
            RunError::BadRequest(format!(
                "this is no id that a row of check {name} could have"
            ))
        })
}

/// The run that `--from` names. Another config hash is refused: its ids may mean something else.
pub(super) fn earlier_run(
    request: &ScanRequest,
    job: &Job,
) -> Result<Option<EarlierRun>, RunError> {
    let Scope::EarlierRun(run, _) = &request.scope else {
        return Ok(None);
    };
    let folder = find_run(&request.output, &job.name, run).map_err(bad)?;
    let earlier = EarlierRun::read(&folder).map_err(bad)?;
    if earlier.config_hash != job.config_hash {
        return Err(RunError::BadRequest(format!(
            "run {} was made with another version of this job file; run a new scan",
            earlier.run_id
        )));
    }
    Ok(Some(earlier))
}

/// What an earlier run confirmed, found hot or left unknown in this check, in its order.
pub(super) fn earlier_targets(
    earlier: &EarlierRun,
    check: &CheckRun,
) -> Result<Vec<Target>, RunError> {
    let mut targets = Vec::new();
    let mut last: Option<Subject> = None;
    for finding in FindingsReader::open(&earlier.folder).map_err(bad)? {
        let finding = finding.map_err(bad)?;
        if finding.check != check.name() || finding.verdict == "transient" {
            continue;
        }
        let subject = finding.subject(&check.mapping.check);
        // Several findings of one key follow one another.
        if last.as_ref() == Some(&subject) {
            continue;
        }
        last = Some(subject.clone());
        let candidates = vec![subject.id.clone()];
        let as_reported = Target {
            subject,
            position: Position::default(),
            sweep_key: None,
            candidates,
        };
        let Subject { key, member, .. } = as_reported.subject.clone();
        // A key that can be split in too many ways is looked up by the id that was reported.
        let mut target = target(&check.mapping, key, member).unwrap_or(as_reported);
        target.position.ordinal = 2 * targets.len() as u64;
        targets.push(target);
    }
    Ok(targets)
}

fn bad(fault: ReportError) -> RunError {
    RunError::BadRequest(fault.to_string())
}
