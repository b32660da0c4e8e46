//! Undo: putting back what a run replaced, where nobody has touched it or its row since.

use bytes::Bytes;

use crate::model::finding::Remedy;
use crate::model::observation::KeyExpiry;
use crate::report::{Previous, UndoRecord, digest_of_fields, digest_of_value};
use crate::store::redis::Write;

/// How far the expiry that a write set may lie from what its journal record says: the script's patience,
/// and this host's clock against the server's.
const EXPIRY_LEEWAY_MILLIS: i64 = 15_000;

/// What is there now, as far as a record speaks of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Present {
    /// A string, or `None`.
    Text(Option<Bytes>),
    /// The fields the record names, in its order.
    HashFields(Vec<(Bytes, Option<Bytes>)>),
    /// Whether the hash key exists at all.
    WholeHash {
        exists: bool,
    },
    /// The member's score, or `None`.
    Score(Option<Bytes>),
    SetMember(bool),
}

/// The write that takes `record` back, or why it must not be: the bytes are no longer those the run
/// wrote, or there was nothing to put back. The guards inside the write hold if it is overtaken.
pub(super) fn undo_write(record: &UndoRecord, present: &Present) -> Result<Write, String> {
    let key = record.key.clone();
    match (&record.previous, present) {
        (Previous::Text(_), Present::Text(_)) if record.remedy == Remedy::SetTtl => {
            let ttl = record.ttl_millis.unwrap_or_default();
            let set_at = record.at.0 / 1_000;
            Ok(Write::Persist {
                key,
                not_before_millis: set_at + ttl - EXPIRY_LEEWAY_MILLIS,
                not_after_millis: set_at + ttl + EXPIRY_LEEWAY_MILLIS,
            })
        }
        (Previous::Text(old), Present::Text(now)) => {
            same(record, now.as_deref().map(digest_of_value))?;
            match (old, now) {
                (Some(old), now) => Ok(Write::RestoreString {
                    key,
                    judged: now.clone(),
                    old: Some(Bytes::copy_from_slice(old)),
                    expiry: record.expiry,
                }),
                (None, Some(now)) => Ok(Write::DeleteString {
                    key,
                    judged: now.clone(),
                }),
                (None, None) => {
                    Err("there was nothing before, and there is nothing now".to_owned())
                }
            }
        }
        (Previous::HashFields(old), Present::HashFields(now)) => {
            let fields = now.iter().map(|(n, v)| (n.as_ref(), v.as_deref()));
            same(record, Some(digest_of_fields(fields)))?;
            let fields = old
                .iter()
                .map(|(n, v)| {
                    (
                        Bytes::copy_from_slice(n),
                        v.as_deref().map(Bytes::copy_from_slice),
                    )
                })
                .collect();
            Ok(Write::SetHashFields {
                key,
                judged: now.clone(),
                fields,
            })
        }
        (Previous::WholeHash(_), Present::WholeHash { exists: true }) => {
            Err("the application has written the hash again".to_owned())
        }
        (Previous::WholeHash(old), Present::WholeHash { exists: false }) => {
            let fields = old
                .iter()
                .map(|(n, v)| (Bytes::copy_from_slice(n), Bytes::copy_from_slice(v)))
                .collect();
            Ok(Write::RestoreHash {
                key,
                fields,
                expiry: record.expiry,
            })
        }
        (Previous::Score(old), Present::Score(now)) => {
            same(record, now.as_deref().map(digest_of_value))?;
            let member = record.member.clone().unwrap_or_default();
            match (old, now) {
                (Some(old), now) => Ok(Write::SetScore {
                    key,
                    member,
                    judged: now.clone(),
                    new: Bytes::copy_from_slice(old),
                }),
                (None, Some(now)) => Ok(Write::RemoveScore {
                    key,
                    member,
                    judged: now.clone(),
                }),
                (None, None) => {
                    Err("there was nothing before, and there is nothing now".to_owned())
                }
            }
        }
        (Previous::SetMember(was), Present::SetMember(is)) if was == is => {
            Err("the member is as it was before".to_owned())
        }
        (Previous::SetMember(was), Present::SetMember(_)) => Ok(Write::SetMember {
            key,
            member: record.member.clone().unwrap_or_default(),
            present: *was,
        }),
        _ => Err("the key has another type now".to_owned()),
    }
}

/// Whether everything is as it was before the run: its write never happened (it was killed between the
/// record and the write), or somebody has put it back.
pub(super) fn is_as_before(record: &UndoRecord, present: &Present, expiry: KeyExpiry) -> bool {
    let bytes = |old: &Option<Vec<u8>>, now: &Option<Bytes>| old.as_deref() == now.as_deref();
    match (&record.previous, present) {
        // The bytes are the same before and after; only the expiry tells.
        (Previous::Text(_), _) if record.remedy == Remedy::SetTtl => expiry == record.expiry,
        (Previous::Text(old), Present::Text(now)) => bytes(old, now),
        (Previous::Score(old), Present::Score(now)) => bytes(old, now),
        (Previous::SetMember(was), Present::SetMember(is)) => was == is,
        (Previous::HashFields(old), Present::HashFields(now)) => {
            old.len() == now.len()
                && old
                    .iter()
                    .zip(now)
                    .all(|((_, old), (_, now))| bytes(old, now))
        }
        _ => false,
    }
}

/// Whether what is there now is what the run wrote.
fn same(record: &UndoRecord, now: Option<[u8; 32]>) -> Result<(), String> {
    if record.digest == now {
        Ok(())
    } else {
        Err("the value changed after the repair".to_owned())
    }
}

/// Whether a key with this expiry would be gone by now; such a value is not put back.
pub(super) fn has_expired(expiry: KeyExpiry, now_millis: i64) -> bool {
    matches!(expiry, KeyExpiry::AtMillis(at) if at <= now_millis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Micros;

    fn record(previous: Previous, digest: Option<[u8; 32]>) -> UndoRecord {
        UndoRecord {
            check: "balance".into(),
            key: b"user:7:balance".to_vec(),
            member: None,
            previous,
            expiry: KeyExpiry::AtMillis(5_000),
            digest,
            ttl_millis: None,
            row_fingerprint: Vec::new(),
            id: vec![b"7".to_vec()],
            remedy: Remedy::Overwrite,
            at: Micros(0),
        }
    }

    fn text(value: &'static [u8]) -> Present {
        Present::Text(Some(Bytes::from_static(value)))
    }

    #[test]
    fn puts_back_what_the_run_replaced() {
        let overwritten = record(
            Previous::Text(Some(b"90".to_vec())),
            Some(digest_of_value(b"100")),
        );
        assert_eq!(
            undo_write(&overwritten, &text(b"100")),
            Ok(Write::RestoreString {
                key: b"user:7:balance".to_vec(),
                judged: Some(Bytes::from_static(b"100")),
                old: Some(Bytes::from_static(b"90")),
                expiry: KeyExpiry::AtMillis(5_000),
            })
        );
        let created = record(Previous::Text(None), Some(digest_of_value(b"100")));
        assert!(matches!(
            undo_write(&created, &text(b"100")),
            Ok(Write::DeleteString { .. })
        ));
        let deleted = record(Previous::Text(Some(b"90".to_vec())), None);
        assert!(matches!(
            undo_write(&deleted, &Present::Text(None)),
            Ok(Write::RestoreString { judged: None, .. })
        ));
    }

    #[test]
    fn leaves_what_the_application_has_written_since() {
        let overwritten = record(
            Previous::Text(Some(b"90".to_vec())),
            Some(digest_of_value(b"100")),
        );
        assert!(undo_write(&overwritten, &text(b"110")).is_err());
        assert!(undo_write(&overwritten, &Present::Text(None)).is_err());
        let deleted = record(Previous::Text(Some(b"90".to_vec())), None);
        assert!(undo_write(&deleted, &text(b"100")).is_err());
        let hash = record(
            Previous::WholeHash(vec![(b"a".to_vec(), b"1".to_vec())]),
            None,
        );
        assert!(undo_write(&hash, &Present::WholeHash { exists: true }).is_err());
        assert!(
            undo_write(&overwritten, &Present::Score(None)).is_err(),
            "another type"
        );
    }

    #[test]
    fn an_expired_value_stays_gone() {
        assert!(has_expired(KeyExpiry::AtMillis(5_000), 5_000));
        assert!(!has_expired(KeyExpiry::AtMillis(5_001), 5_000));
        assert!(!has_expired(KeyExpiry::Never, 5_000));
    }
}
