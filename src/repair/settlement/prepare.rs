//! The last judgement before a step: is it still wrong, is it still what was confirmed, what is the step?

use std::time::Duration;

use super::apply::{GroupItem, SettleItem};
use super::plan::{PlannedSettlement, plan_entry, plan_group};
use crate::model::finding::{OutcomeKind, Remedy};
use crate::model::identity::SourceIdentity;
use crate::model::stream::{EntryLook, GroupLook, Pending};
use crate::repair::StepOutcome;
use crate::rules::StreamJudge;

/// Plans the step for `item`, given a fresh `look`. `Err`: nothing is to be done, with the reason.
pub(super) fn prepare_entry(
    judge: &StreamJudge,
    pinned: &SourceIdentity,
    item: &SettleItem,
    look: &EntryLook,
) -> Result<PlannedSettlement, StepOutcome> {
    is_pinned(&look.source, pinned)?;
    if !look.counts() {
        return Err(lost(
            "the message was delivered, claimed or acknowledged while it was being read",
        ));
    }
    let Some(suspect) = judge.judge_entry(look) else {
        return Err(healed());
    };
    if !is_held_alike(&item.look.after, &look.before) {
        return Err(lost(
            "the message was delivered, claimed or acknowledged after it was confirmed",
        ));
    }
    if item.look.entry != look.entry {
        return Err(lost("the entry was changed after it was confirmed"));
    }
    if (suspect.rule, suspect.field) != (item.suspect.rule, item.suspect.field) {
        return Err(lost("it is another case than the one that was confirmed"));
    }
    plan_entry(judge, look, &suspect).map_err(|why| refused(why.to_string()))
}

/// The same for a group.
pub(super) fn prepare_group(
    judge: &StreamJudge,
    pinned: &SourceIdentity,
    item: &GroupItem,
    look: &GroupLook,
    skew: Duration,
) -> Result<PlannedSettlement, StepOutcome> {
    is_pinned(&look.source, pinned)?;
    let suspects = judge.judge_group(look);
    let Some(suspect) = suspects.iter().find(|s| s.rule == item.suspect.rule) else {
        return Err(healed());
    };
    // An id above the stream's last one is wrong wherever the cursor is.
    let is_about_cursor = suspect.rule.0 != "lost-entry";
    if is_about_cursor && !look.counts() {
        return Err(lost("the group moved while it was being read"));
    }
    if is_about_cursor && look.cursor_before != item.look.cursor_after {
        return Err(lost("the group moved after it was confirmed"));
    }
    plan_group(judge, look, suspect, skew).map_err(|why| refused(why.to_string()))
}

fn is_pinned(found: &SourceIdentity, pinned: &SourceIdentity) -> Result<(), StepOutcome> {
    match found == pinned {
        true => Ok(()),
        false => Err(refused(
            "another MySQL server answered than the one that was judged by".to_owned(),
        )),
    }
}

/// Whether the message has the owner and the deliveries that it had, and was not delivered in between.
fn is_held_alike(confirmed: &Option<Pending>, fresh: &Option<Pending>) -> bool {
    match (confirmed, fresh) {
        (None, None) => true,
        (Some(confirmed), Some(fresh)) => confirmed.row.is_untouched(&fresh.row),
        _ => false,
    }
}

fn healed() -> StepOutcome {
    StepOutcome::new(Remedy::None, OutcomeKind::AlreadyRight, "it healed")
}

fn lost(reason: &str) -> StepOutcome {
    StepOutcome::new(Remedy::None, OutcomeKind::LostRace, reason)
}

fn refused(reason: String) -> StepOutcome {
    StepOutcome::new(Remedy::None, OutcomeKind::Refused, reason)
}
