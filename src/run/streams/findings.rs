//! Settled entries and groups become rows of `findings.csv`.

use std::time::Duration;

use super::check::StreamRun;
use super::entries::EntryTarget;
use super::group::GroupRun;
use super::money::{Sides, compensations, sides};
use crate::model::finding::{Attribution, Finding, Remedy, Suspect, Verdict};
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
    let EntryTarget { id, position, .. } = settled.target;
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
        // After any other remedy the row is still to come.
        let exposed_until = match settled.verdict {
            Verdict::Transient => Some(observed_at),
            _ => told.repaired_at.filter(|_| told.remedy == Remedy::Insert),
        };
        let disputed = suspect.field.or(run.check().money);
        let shown = |index: Option<usize>, row| {
            index.map_or_else(Sides::default, |index| sides(run, index, entry, row))
        };
        // What is disputed is shown as it stands; whose money it is, never from two customers at once.
        let own = run.judge.own_row(entry, row);
        let (values, money) = (shown(disputed, row), shown(run.check().money, own));
        let since = changed_at.or_else(|| id.instant());
        Finding {
            cache_value: values.cache,
            source_value: values.source,
            compensated: run.judge.compensated(entry, own),
            changed_at,
            // Nobody knows whether its effect is missing.
            compensations: match is_unprovable {
                true => Vec::new(),
                false => compensations(run, suspect.rule, &money, (since, exposed_until)),
            },
            // A refused entry is worth nothing on either side.
            money_delta: money.delta.filter(|_| !is_rejected && !is_unprovable),
            remedy: told.remedy,
            outcome: told.outcome,
            reason: joined(suspect, &told.reason),
            attribution: attributed(run, since, look.and_then(delivered_at)),
            observed_at,
            settled_at,
            ..bare(run, run.subject(id), position, suspect, settled.verdict)
        }
        .of_entry(id)
    };
    settled.suspects.iter().map(finding).collect()
}

/// An old message is of the window, too, where it was delivered in it.
fn attributed(run: &StreamRun, since: Option<Micros>, delivered: Option<Micros>) -> Attribution {
    let of = |at| attribute(at, run.ground.window, &run.ground.timing);
    match (of(since), of(delivered)) {
        (_, Attribution::Window) => Attribution::Window,
        (of_entry, _) => of_entry,
    }
}

/// When the message was given to its consumer, by Redis's clock; `None` where it is not pending.
fn delivered_at(look: &EntryLook) -> Option<Micros> {
    let idle = Duration::from_millis(look.before.as_ref()?.row.idle_millis);
    Some(look.cache_time.minus(idle))
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
        remedy: Remedy::None,
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
