//! Settled entries and groups become rows of `findings.csv`.

use super::check::StreamRun;
use super::entries::EntryTarget;
use super::group::GroupRun;
use super::money::{Sides, compensations, sides};
use crate::model::finding::{Finding, Suspect, Verdict};
use crate::model::observation::{Position, Subject};
use crate::model::rows::RowRef;
use crate::model::stream::{EntryLook, StreamId};
use crate::model::time::Micros;
use crate::plan::attribute;
use crate::rules::{Proof, changed_at};
use crate::run::findings::joined;
use crate::run::mend::Mended;
use crate::run::settle::Settled;

/// The findings of an entry: one, or none where nothing is wrong with it.
pub(super) fn entry_findings(
    run: &StreamRun,
    settled: &Settled<StreamRun>,
    mended: &Mended,
) -> Vec<Finding> {
    let EntryTarget { id, position } = settled.target;
    let finding = |suspect: &Suspect| {
        let look = settled.look.as_ref();
        let entry = look.and_then(|look| look.entry.as_ref());
        let row = look.and_then(|look| row_of(run, look));
        let is_rejected = look.is_some_and(|look| look.evidence.is_rejected);
        let is_unprovable = look
            .is_some_and(|look| run.judge.proof(id, entry, &look.evidence) == Proof::Unprovable);
        let changed_at = row.and_then(|row| changed_at(&run.judge.mapping().rows, row));
        let told = mended.told(&settled.reason);
        let observed_at = look.map_or_else(Micros::now, |look| look.at);
        let settled_at = match settled.verdict {
            Verdict::Transient => Some(observed_at),
            _ => told.repaired_at,
        };
        let disputed = suspect.field.or(run.check().money);
        let shown = |index: Option<usize>| {
            index.map_or_else(Sides::default, |index| sides(run, index, entry, row))
        };
        let (values, money) = (shown(disputed), shown(run.check().money));
        let since = changed_at.or_else(|| id.instant());
        Finding {
            cache_value: values.cache,
            source_value: values.source,
            compensated: run.judge.compensated(entry, row),
            changed_at,
            // Nobody knows whether its effect is missing.
            compensations: match is_unprovable {
                true => Vec::new(),
                false => compensations(run, suspect.rule, &money, (since, settled_at)),
            },
            // A refused entry is worth nothing on either side.
            money_delta: money.delta.filter(|_| !is_rejected && !is_unprovable),
            remedy: told.remedy,
            outcome: told.outcome,
            reason: joined(suspect, &told.reason),
            attribution: attribute(since, run.ground.window, &run.ground.timing),
            observed_at,
            settled_at,
            ..bare(run, run.subject(id), position, suspect, settled.verdict)
        }
        .of_entry(id)
    };
    settled.suspects.iter().map(finding).collect()
}

/// What one rule says of a group.
pub(super) fn group_finding(
    group: &GroupRun,
    settled: &Settled<GroupRun>,
    suspect: &Suspect,
    mended: &Mended,
) -> Finding {
    let run = &group.run;
    let told = mended.told(&settled.reason);
    let observed_at = settled
        .look
        .as_ref()
        .map_or_else(Micros::now, |look| look.at);
    let position = settled.target.position;
    Finding {
        remedy: told.remedy,
        outcome: told.outcome,
        reason: joined(suspect, &told.reason),
        observed_at,
        settled_at: match settled.verdict {
            Verdict::Transient => Some(observed_at),
            _ => told.repaired_at,
        },
        ..bare(run, group.subject(), position, suspect, settled.verdict)
    }
}

/// A finding of which only the rule and the place are known.
pub(super) fn bare(
    run: &StreamRun,
    subject: Subject,
    position: Position,
    suspect: &Suspect,
    verdict: Verdict,
) -> Finding {
    Finding {
        check: run.name().to_owned(),
        subject,
        position,
        stream_id: None,
        suspect: suspect.clone(),
        verdict,
        attribution: attribute(None, run.ground.window, &run.ground.timing),
        cache_value: None,
        source_value: None,
        cache_version: None,
        source_version: None,
        compensated: None,
        changed_at: None,
        money_delta: None,
        remedy: crate::model::finding::Remedy::None,
        outcome: None,
        reason: suspect.detail.clone().unwrap_or_default(),
        observed_at: Micros::now(),
        settled_at: None,
        compensations: Vec::new(),
    }
}

/// Of several rows with the entry's identity, the one that proves it where there is such a one.
pub(super) fn row_of<'a>(run: &StreamRun, look: &'a EntryLook) -> Option<RowRef<'a>> {
    run.judge.row_for(look.entry.as_ref(), &look.evidence)
}

impl Finding {
    /// The same finding, about this entry.
    pub(super) fn of_entry(self, id: StreamId) -> Self {
        Self {
            stream_id: Some(id),
            ..self
        }
    }
}
