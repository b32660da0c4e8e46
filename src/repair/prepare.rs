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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::check::*;
    use crate::model::column::ColumnType;
    use crate::model::identity::SourceIdentity;
    use crate::model::observation::Subject;
    use crate::model::time::Micros;
    use crate::rules::testing::*;
    use crate::scan::Target;

    #[test]
    fn a_hash_that_moved_on_before_it_was_read_whole_is_not_deleted() {
        let locator = |name: &str| Locator::HashField(name.as_bytes().to_vec());
        let mut spec = check(ValueKind::Hash, vec![field(locator("name"), "name")]);
        spec.version = Some(VersionSpec {
            cache: locator("v"),
            column: named("version"),
        });
        spec.repair = RepairMode::Invalidate;
        spec.lazy = true;
        let judge = judge(spec, &[ColumnType::Text]);
        let mapping = Arc::new(judge.mapping().clone());
        let state = hash(&[Some("5"), Some("old")]);
        let look = Look {
            before: state.clone(),
            after: state.clone(),
            row: Some(row("7", &[Some("new")])),
            source: SourceIdentity {
                name: "primary".into(),
                read_only: false,
            },
            source_time: Micros(0),
            at: Micros(0),
        };
        let suspects = judge.suspects(look.row.as_ref().map(|r| r.as_ref()), &state);
        assert!(!suspects.is_empty(), "it must be wrong to begin with");
        let item = Repairable {
            target: Target {
                subject: Subject {
                    key: b"k:7".to_vec(),
                    member: None,
                    id: vec![b"7".to_vec()],
                },
                position: crate::model::observation::Position::default(),
                sweep_key: None,
                candidates: Vec::new(),
            },
            look: look.clone(),
            suspects,
        };
        let read_whole = |version: &'static str| {
            let whole = [
                (
                    Bytes::from_static(b"v"),
                    Bytes::from_static(version.as_bytes()),
                ),
                (Bytes::from_static(b"name"), Bytes::from_static(b"old")),
            ];
            prepare(&mapping, &judge, &item, &look, &look, Some(&whole))
        };
        assert_eq!(
            read_whole("5").map(|step| step.remedy),
            Ok(Remedy::Invalidate)
        );
        assert_eq!(
            read_whole("10").map_err(|o| o.kind),
            Err(OutcomeKind::LostRace)
        );
    }
}
