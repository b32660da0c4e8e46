//! From a planned step to its journal record: what will be replaced, and by what.

use bytes::Bytes;

use super::plan::PlannedStep;
use crate::model::mapping::Mapping;
use crate::model::observation::CachedState;
use crate::model::time::Micros;
use crate::report::{Previous, UndoRecord, digest_of_fields, digest_of_value};
use crate::scan::Target;
use crate::store::redis::Write;

/// What goes to disk before the write of `step`.
pub(super) fn record_of(
    mapping: &Mapping,
    target: &Target,
    step: &PlannedStep,
    state: &CachedState,
    whole: Option<&Vec<(Bytes, Bytes)>>,
    fingerprint: Option<[u8; 32]>,
) -> UndoRecord {
    let (previous, digest, ttl_millis) = replaced(&step.write, whole);
    UndoRecord {
        check: mapping.check.name.text.clone(),
        key: target.subject.key.clone(),
        member: target.subject.member.clone(),
        previous,
        expiry: state.expiry,
        digest,
        ttl_millis,
        row_fingerprint: fingerprint.map(|f| f.to_vec()).unwrap_or_default(),
        id: target.subject.id.clone(),
        remedy: step.remedy,
        at: Micros::now(),
    }
}

type Replaced = (Previous, Option<[u8; 32]>, Option<i64>);

fn replaced(write: &Write, whole: Option<&Vec<(Bytes, Bytes)>>) -> Replaced {
    let text = |judged: &Bytes| Previous::Text(Some(judged.to_vec()));
    match write {
        Write::ReplaceString { judged, new, .. } => {
            (text(judged), Some(digest_of_value(new)), None)
        }
        Write::CreateString {
            new, ttl_millis, ..
        } => (
            Previous::Text(None),
            Some(digest_of_value(new)),
            *ttl_millis,
        ),
        Write::DeleteString { judged, .. } => (text(judged), None, None),
        Write::AddToString { judged, gap, .. } => (text(judged), sum_digest(judged, *gap), None),
        Write::SetHashFields { judged, fields, .. } => fields_replaced(judged, fields),
        Write::DeleteHash { judged, .. } => {
            let fields = match whole {
                Some(whole) => whole
                    .iter()
                    .map(|(n, v)| (n.to_vec(), v.to_vec()))
                    .collect(),
                None => judged
                    .iter()
                    .filter_map(|(n, v)| Some((n.to_vec(), v.as_ref()?.to_vec())))
                    .collect(),
            };
            (Previous::WholeHash(fields), None, None)
        }
        Write::AddToHashField {
            field, judged, gap, ..
        } => {
            let previous = Previous::HashFields(vec![(field.to_vec(), Some(judged.to_vec()))]);
            let digest = sum(judged, *gap)
                .map(|new| digest_of_fields([(field.as_ref(), Some(new.as_slice()))]));
            (previous, digest, None)
        }
        Write::SetScore { judged, new, .. } => {
            let previous = Previous::Score(judged.as_ref().map(|j| j.to_vec()));
            (previous, Some(digest_of_value(new)), None)
        }
        Write::RemoveScore { judged, .. } => (Previous::Score(Some(judged.to_vec())), None, None),
        Write::SetMember { present, .. } => (
            Previous::SetMember(!present),
            present.then(|| digest_of_value(b"1")),
            None,
        ),
        Write::SetExpiry {
            judged, ttl_millis, ..
        } => {
            let previous = Previous::Text(judged.as_ref().map(|j| j.to_vec()));
            (
                previous,
                judged.as_ref().map(|j| digest_of_value(j)),
                Some(*ttl_millis),
            )
        }
        Write::RestoreString { judged, old, .. } => (
            Previous::Text(judged.as_ref().map(|j| j.to_vec())),
            old.as_ref().map(|o| digest_of_value(o)),
            None,
        ),
        Write::RestoreHash { fields, .. } => {
            let restored = fields.iter().map(|(n, v)| (n.as_ref(), Some(v.as_ref())));
            (
                Previous::WholeHash(Vec::new()),
                Some(digest_of_fields(restored)),
                None,
            )
        }
        Write::Persist { .. } => (Previous::Text(None), None, None),
    }
}

/// Only the written fields are put back by an undo; the others were the application's all along.
fn fields_replaced(
    judged: &[(Bytes, Option<Bytes>)],
    fields: &[(Bytes, Option<Bytes>)],
) -> Replaced {
    let before = |name: &Bytes| {
        judged
            .iter()
            .find(|(n, _)| n == name)
            .and_then(|(_, v)| v.clone())
    };
    let previous = fields
        .iter()
        .map(|(n, _)| (n.to_vec(), before(n).map(|v| v.to_vec())))
        .collect();
    let digest = digest_of_fields(fields.iter().map(|(n, v)| (n.as_ref(), v.as_deref())));
    (Previous::HashFields(previous), Some(digest), None)
}

fn sum(judged: &[u8], gap: i64) -> Option<Vec<u8>> {
    let before: i64 = std::str::from_utf8(judged).ok()?.parse().ok()?;
    Some(before.checked_add(gap)?.to_string().into_bytes())
}

fn sum_digest(judged: &[u8], gap: i64) -> Option<[u8; 32]> {
    sum(judged, gap).map(|new| digest_of_value(&new))
}
