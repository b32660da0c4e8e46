//! The streams of a job beside each other.

use crate::job::fault::Fault;
use crate::job::raw::RawStream;
use crate::job::reader::{Setting, Text};

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
