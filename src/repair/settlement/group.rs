//! The steps that settle a group.

use std::time::Duration;

use super::plan::SettlementRefusal as Refusal;
use super::plan::{PlannedSettlement, report_only};
use crate::model::finding::Remedy;
use crate::model::stream::{GroupLook, Identity, OnRewound, StreamCheck, StreamState};
use crate::store::redis::Settlement;

/// At the last entry before the first that is not proven: what follows is delivered, perhaps once more.
pub(super) fn recreate(
    check: &StreamCheck,
    look: &GroupLook,
) -> Result<PlannedSettlement, Refusal> {
    if look.cursor_before.is_some() || look.cursor_after.is_some() {
        return Err(Refusal::NotAsJudged);
    }
    let settlement = Settlement::RecreateGroup {
        key: check.key.clone(),
        group: check.group.clone(),
        at: look.proven_to.ok_or(Refusal::NoPosition)?,
        makes_stream: look.stream == StreamState::Missing,
    };
    Ok(PlannedSettlement::write(Remedy::RecreateGroup, settlement))
}

pub(super) fn advance(check: &StreamCheck, look: &GroupLook) -> Result<PlannedSettlement, Refusal> {
    let from = look.cursor_before.filter(|_| look.counts());
    let from = from.ok_or(Refusal::NotAsJudged)?;
    let to = look.proven_to.filter(|to| *to > from);
    let to = to.ok_or(Refusal::NotAsJudged)?;
    match check.on_rewound {
        OnRewound::Report => Err(report_only("on_rewound")),
        OnRewound::Advance => {
            let settlement = Settlement::Advance {
                key: check.key.clone(),
                group: check.group.clone(),
                from,
                to,
                passed: look.proven_count,
            };
            Ok(PlannedSettlement::write(Remedy::Advance, settlement))
        }
    }
}

pub(super) fn raise_last_id(
    check: &StreamCheck,
    look: &GroupLook,
    skew: Duration,
) -> Result<PlannedSettlement, Refusal> {
    // Of a row whose entry is lost there is nothing to raise, but ids of entries.
    if check.identity != Identity::EntryId {
        return Err(Refusal::NoRemedy);
    }
    if !check.raise_last_id {
        return Err(Refusal::MayNotRaise);
    }
    let facts = look.stream.facts().ok_or(Refusal::NoStream)?;
    let to = look
        .highest_in_source
        .filter(|id| *id > facts.last_generated)
        .filter(|id| !id.is_from_the_future(look.cache_time, skew))
        .ok_or(Refusal::NothingToRaise)?;
    let settlement = Settlement::RaiseLastId {
        key: check.key.clone(),
        to,
        skew_millis: u64::try_from(skew.as_millis()).unwrap_or(u64::MAX),
    };
    Ok(PlannedSettlement::write(Remedy::RaiseLastId, settlement))
}
