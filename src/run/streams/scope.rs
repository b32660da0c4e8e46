//! What of a stream a run looks at.

use std::collections::BTreeSet;

use super::check::StreamRun;
use crate::model::check::Window;
use crate::model::stream::StreamId;
use crate::plan::select_since;
use crate::report::{EarlierRun, FindingsReader, ReportError};
use crate::run::RunError;
use crate::run::request::{ScanRequest, Scope as Asked, Target};
use crate::store::mysql::Selection;

/// What of a check of a stream is looked at.
#[derive(Debug, Clone)]
pub(in crate::run) enum StreamScope {
    /// Entries from `since` on, and what is pending before it.
    Sweep {
        since: StreamId,
        /// Which rows are looked at by themselves; `None`: nothing tells which ones the window is about.
        rows: Option<Selection>,
    },
    /// Just these entries (`--id`, `--from`).
    Entries {
        ids: Vec<StreamId>,
        group: bool,
        /// What an earlier run found and this one does not look at: each as a sentence.
        left_out: Vec<String>,
    },
    /// Everything pending (`--key`).
    Pending,
}

impl StreamScope {
    /// What a run over this scope does not judge, and is no less whole for; each as a sentence.
    pub(in crate::run) fn remarks(&self, run: &StreamRun) -> Vec<String> {
        let StreamScope::Sweep { since, .. } = self else {
            return Vec::new();
        };
        let name = run.name();
        let mut remarks = Vec::new();
        if *since > StreamId::MIN {
            remarks.push(format!(
                "check {name}: of the entries before {since} those that are pending were looked at and a sample of \
                 the others, and duplicates were looked for only among those after it; --full looks at all"
            ));
        }
        if run.check().may_leave_no_row {
            remarks.push(format!(
                "check {name}: may_leave_no_row = true, so that acknowledged entries without a row count as right"
            ));
        }
        remarks
    }

    /// Whether the group itself is looked at too.
    pub(super) fn is_about_the_group(&self) -> bool {
        !matches!(self, StreamScope::Entries { group: false, .. })
    }
}

/// A check's scope; `None`: what was asked for is not this check's.
pub(in crate::run) fn stream_scope(
    request: &ScanRequest,
    earlier: Option<&EarlierRun>,
    run: &StreamRun,
) -> Result<Option<StreamScope>, RunError> {
    let scope = match &request.scope {
        Asked::Window(_) => windowed(run),
        Asked::Full(_) => StreamScope::Sweep {
            since: StreamId::MIN,
            rows: Some(Selection::All),
        },
        Asked::One(Target::Key(key), _) if *key == run.check().key => StreamScope::Pending,
        Asked::One(Target::Key(_), _) => return Ok(None),
        Asked::One(Target::Id(parts), _) => StreamScope::Entries {
            ids: vec![entry_id(run, parts)?],
            group: false,
            left_out: Vec::new(),
        },
        Asked::Rest(_) => unreachable!("it was replaced by what the interrupted run was asked for"),
        Asked::EarlierRun(..) => {
            let earlier = earlier.expect("it was read before the checks");
            found_before(earlier, run)?
        }
    };
    Ok(Some(scope))
}

/// From the first id that the window's start, less the margins, may have been given.
fn windowed(run: &StreamRun) -> StreamScope {
    let ground = &run.ground;
    let window = ground.window.expect("a windowed run has a window");
    let since = select_since(&ground.timing, window);
    let rows = match run.check().rows.window {
        Some(Window::ChangedAt(_)) => Some(Selection::ChangedSince(since)),
        Some(Window::ChangedIds { .. }) | None => None,
    };
    StreamScope::Sweep {
        since: StreamId::at(since.minus(run.skew)),
        rows,
    }
}

fn entry_id(run: &StreamRun, parts: &[Vec<u8>]) -> Result<StreamId, RunError> {
    let id = match parts {
        [only] => StreamId::parse(only),
        _ => None,
    };
    id.ok_or_else(|| {
        RunError::BadRequest(format!(
            "an id of check {} is the id of an entry, such as 1526919030474-55",
            run.name()
        ))
    })
}

/// The entries of which an earlier run found something.
fn found_before(earlier: &EarlierRun, run: &StreamRun) -> Result<StreamScope, RunError> {
    let bad = |fault: ReportError| RunError::BadRequest(fault.to_string());
    let mut ids = BTreeSet::new();
    let mut others = BTreeSet::new();
    for finding in FindingsReader::open(&earlier.folder).map_err(bad)? {
        let finding = finding.map_err(bad)?;
        if finding.check != run.name() || finding.verdict == "transient" {
            continue;
        }
        match finding.rule.as_str() {
            // Of the ids that rows carry: those are gathered from the whole table.
            "lost-entry" if finding.id.first() == Some(&run.check().group) => {
                others.insert(format!(
                    "lost-entry is judged over a whole table and not again for what run {} found, so that the \
                     stream's last id is not raised; repair check {} without --from for it",
                    earlier.run_id,
                    run.name()
                ));
            }
            "group-missing" | "group-rewound" | "wrong-type" | "lost-entry" => {}
            rule @ ("duplicate-entry" | "duplicate-row") => {
                others.insert(format!(
                    "{rule} is judged over a whole stream or table and not again for what run {} found; scan \
                     check {} for it",
                    earlier.run_id,
                    run.name()
                ));
            }
            _ => {
                let id = finding.id.first().and_then(|id| StreamId::parse(id));
                ids.insert(id.ok_or_else(|| {
                    RunError::BadRequest(format!(
                        "run {} names an entry of check {} that has no entry's id",
                        earlier.run_id,
                        run.name()
                    ))
                })?);
            }
        }
    }
    Ok(StreamScope::Entries {
        ids: ids.into_iter().collect(),
        group: true,
        left_out: others.into_iter().collect(),
    })
}
