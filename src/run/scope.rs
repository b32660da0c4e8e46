//! What of a check a run looks at, and what it leaves out.

use super::audit::Scope;
use crate::model::check::{Deletes, Window};
use crate::model::mapping::Mapping;
use crate::model::time::TimeWindow;
use crate::plan::select_since;
use crate::rules::ConfirmTiming;
use crate::store::mysql::Selection;

/// A check's scope; `Err` says why nothing of it can be searched.
pub(super) fn scope_of(
    mapping: &Mapping,
    timing: &ConfirmTiming,
    window: Option<TimeWindow>,
    is_full: bool,
) -> Result<Scope, String> {
    if is_full {
        return Ok(Scope::Sweep {
            selection: Selection::All,
            keyspace: true,
        });
    }
    let check = &mapping.check;
    match (window, &check.window) {
        (Some(window), Some(Window::ChangedAt(_) | Window::ChangedIds { .. })) => {
            Ok(Scope::Sweep {
                selection: Selection::ChangedSince(select_since(timing, window)),
                keyspace: matches!(check.deletes, Deletes::Scan),
            })
        }
        _ => Err(format!(
            "check {} has neither changed_at nor changed_ids, so no window can be searched; it needs --full",
            check.name.text
        )),
    }
}

/// From where the control sample is drawn: outside the window, or anywhere under `--full`.
pub(super) fn control_selection(scope: &Scope) -> Option<Selection> {
    match scope {
        Scope::Sweep {
            selection: Selection::ChangedSince(since),
            ..
        } => Some(Selection::UnchangedSince(*since)),
        Scope::Sweep { .. } => Some(Selection::All),
        Scope::Targets(_) => None,
    }
}
