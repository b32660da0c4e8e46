//! The last judgement before a write: is it still wrong, is it still what was confirmed, what is the step?

use std::sync::Arc;

use bytes::Bytes;

use super::apply::{Repairable, StepOutcome};
use super::plan::{PlannedStep, plan_step};
use crate::model::check::Locator;
use crate::model::check::Writes;
use crate::model::finding::{OutcomeKind, Remedy};
use crate::model::mapping::Mapping;
use crate::model::observation::{Cached, Look};
use crate::rules::Judge;
use crate::rules::fingerprint;

/// Plans the step for `item`, given a fresh `look` and, read once more with its expiry, `judged`.
/// `Err`: nothing is to be written, with the reason.
pub fn prepare(
    mapping: &Arc<Mapping>,
    judge: &Judge,
    item: &Repairable,
    look: &Look,
    judged: &Look,
    whole: Option<&[(Bytes, Bytes)]>,
) -> Result<PlannedStep, StepOutcome> {
    let lost = |reason: &str| {
        Err(StepOutcome::new(
            Remedy::None,
            OutcomeKind::LostRace,
            reason,
        ))
    };
    if look.source != item.look.source {
        return Err(StepOutcome::new(
            Remedy::None,
            OutcomeKind::Refused,
            "another MySQL server answered than the one that was judged by",
        ));
    }
    if !look.counts() || look.after.cached != judged.after.cached {
        return lost("Redis changed while it was being read");
    }
    if whole.is_some_and(|whole| !is_same_hash(mapping, &judged.after.cached, whole)) {
        return lost("Redis changed while its hash was read whole");
    }
    let row = look.row.as_ref().map(|r| r.as_ref());
    let suspects = judge.suspects(row, &judged.after);
    if suspects.is_empty() {
        return Err(StepOutcome::new(
            Remedy::None,
            OutcomeKind::AlreadyRight,
            "it healed",
        ));
    }
    if look.after.cached != item.look.after.cached {
        return lost("Redis changed after it was confirmed");
    }
    // With a version the cached bytes alone prove the order; without one the row must be the row that
    // was confirmed, or the value in flight for the newer row could be overtaken.
    if mapping.check.version.is_none() || mapping.check.writes == Writes::Delta {
        let print = |l: &Look| l.row.as_ref().map(|r| fingerprint(mapping, r.as_ref()));
        if print(look) != print(&item.look) {
            return lost("the row changed after it was confirmed");
        }
    }
    let step = plan_step(judge, &item.target.subject, judged, &suspects, whole)
        .map_err(|why| StepOutcome::new(Remedy::None, OutcomeKind::Refused, why.to_string()))?;
    if step.needs_whole_hash && whole.is_none() {
        return Err(StepOutcome::new(
            step.remedy,
            OutcomeKind::Refused,
            "the hash could not be read whole",
        ));
    }
    Ok(step)
}

/// Whether the hash, read whole a moment later, still holds the fields that were judged: a deletion is guarded by
/// all of it.
fn is_same_hash(mapping: &Mapping, judged: &Cached, whole: &[(Bytes, Bytes)]) -> bool {
    let Cached::Fields(values) = judged else {
        return true;
    };
    let check = &mapping.check;
    let version = check.version.iter().map(|version| &version.cache);
    let names = version.chain(check.fields.iter().map(|field| &field.cache));
    let names = names.filter_map(|locator| match locator {
        Locator::HashField(name) => Some(name),
        _ => None,
    });
    names.zip(values).all(|(name, value)| {
        let now = whole.iter().find(|(n, _)| n.as_ref() == name.as_slice());
        now.map(|(_, value)| value) == value.as_ref()
    })
}
