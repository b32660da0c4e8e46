//! The streams of a job beside each other.

use crate::job::fault::Fault;
use crate::job::raw::RawStream;
use crate::job::reader::{Setting, Text};
use crate::model::slots::Slot;

/// Refuses two checks of one key and group that could both claim an entry: the proof of the one would
/// acknowledge what the other still waits for. Apart are only those that ask one field for two values.
pub(super) fn refuse_shared_entries(streams: &[RawStream], faults: &mut Vec<Fault>) {
    for (at, stream) in streams.iter().enumerate() {
        let Some(key) = stream.key.given() else {
            continue;
        };
        let other = streams[..at]
            .iter()
            .find(|other| is_same_group(stream, other) && !are_apart(stream, other));
        let Some(name) = other.map(|other| other.name.given()) else {
            continue;
        };
        let named = name.map_or(String::new(), |name| format!(" `{}`", name.value.text));
        faults.push(
            Fault::new(
                key.span.clone(),
                format!("the stream check{named} may claim the same entries"),
            )
            .hint(
                "give both a value for one field: match = { type = \"BID_SAVE\" }; an entry with two effects \
                 is one check with proof_sql",
            ),
        );
    }
}

/// Refuses dead letters that lie on another master than their stream: one script could not put an entry there and
/// acknowledge it.
pub(super) fn refuse_far_dead_letters(streams: &[RawStream], faults: &mut Vec<Fault>) {
    for stream in streams {
        let (Some(key), Some(dead_letter)) = (stream.key.given(), stream.dead_letter.given())
        else {
            continue;
        };
        if Slot::of(&key.value) == Slot::of(&dead_letter.value) {
            continue;
        }
        let key = String::from_utf8_lossy(&key.value);
        // A key with a tag of its own shares its slot with whatever carries the tag.
        let near = match key.contains('{') {
            true => format!("{key}:dead"),
            false => format!("{{{key}}}:dead"),
        };
        faults.push(
            Fault::new(
                dead_letter.span.clone(),
                "in a Redis Cluster the dead letters must lie in the stream's own slot",
            )
            .hint(format!("write dead_letter = \"{near}\"")),
        );
    }
}

fn is_same_group(a: &RawStream, b: &RawStream) -> bool {
    let same = |a: Option<&Vec<u8>>, b: Option<&Vec<u8>>| a.is_some() && a == b;
    let keys = |s: &RawStream| s.key.given().map(|at| at.value.clone());
    let groups = |s: &RawStream| s.group.given().map(|at| at.value.clone());
    same(keys(a).as_ref(), keys(b).as_ref()) && same(groups(a).as_ref(), groups(b).as_ref())
}

fn are_apart(a: &RawStream, b: &RawStream) -> bool {
    if matches!(a.matches, Setting::Faulty) || matches!(b.matches, Setting::Faulty) {
        return true;
    }
    fn asked(stream: &RawStream) -> &[(Text, Text)] {
        stream.matches.given().map_or(&[], Vec::as_slice)
    }
    asked(a).iter().any(|(field, value)| {
        asked(b)
            .iter()
            .any(|(other, wanted)| other.value == field.value && wanted.value != value.value)
    })
}
