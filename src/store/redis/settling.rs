//! How a step of a settlement becomes a call of its script.

use bytes::Bytes;

use super::scripts::{
    ACKNOWLEDGE, ADVANCE, Argument, CLAIM, Call, DEAD_LETTER, Guarded, NO, NOTHING, RAISE_LAST_ID,
    RECREATE_GROUP, REQUEUE, STILL_HELD, YES,
};
use super::settlement::{Delivery, Held, Settlement};

/// Lua hands a command at most some 8000 arguments; an entry has two for each field, and one field is added.
const FIELDS_MAX: usize = 3_500;

impl<'a> Call<'a> {
    /// The call for `settlement`; an error says why it must not even be sent.
    pub(super) fn settling(settlement: &'a Settlement) -> Result<Self, &'static str> {
        check(settlement)?;
        let (script, keys, own) = parts(settlement);
        Ok(Self::new(script, keys, own))
    }
}

/// What could only be refused, or would mean something else than what was judged, never leaves the process.
fn check(settlement: &Settlement) -> Result<(), &'static str> {
    match settlement {
        Settlement::Requeue { fields, .. } | Settlement::DeadLetter { fields, .. }
            if fields.len() > FIELDS_MAX =>
        {
            Err("the entry has more fields than a script can move (3500)")
        }
        Settlement::Requeue { fields, .. } | Settlement::DeadLetter { fields, .. }
            if fields.is_empty() =>
        {
            Err("no entry was judged, so nothing would guard its move")
        }
        Settlement::Requeue {
            id,
            delivery: Delivery::Pending(held),
            ..
        }
        | Settlement::StillHeld {
            id,
            delivery: Delivery::Pending(held),
            ..
        } if held.id != *id => Err("the pending message is another one than the entry"),
        Settlement::DeadLetter {
            key, dead_letter, ..
        } if key == dead_letter => {
            Err("dead letters cannot lie in the stream itself: its group would get them")
        }
        Settlement::Advance { from, to, .. } if to <= from => Err("a cursor is only moved forward"),
        _ => Ok(()),
    }
}

/// The script, its keys and its own arguments, in the order its head says.
fn parts(settlement: &Settlement) -> (&'static Guarded, Vec<&[u8]>, Vec<Argument<'_>>) {
    use Argument::{Bytes as B, Text as T};
    match settlement {
        Settlement::StillHeld {
            key,
            group,
            id,
            delivery,
        } => {
            let mut own = vec![B(group), T(id.to_string())];
            own.extend(delivered(delivery));
            (&STILL_HELD, vec![key], own)
        }
        Settlement::Ack {
            key,
            group,
            held,
            is_trimmed,
        } => {
            let rest = [if *is_trimmed { YES } else { NO }];
            (&ACKNOWLEDGE, vec![key], message(group, held, rest))
        }
        Settlement::Claim {
            key,
            group,
            held,
            consumer,
        } => (&CLAIM, vec![key], message(group, held, [B(consumer)])),
        Settlement::Requeue {
            key,
            group,
            id,
            delivery,
            fields,
        } => {
            let mut own = vec![B(group), T(id.to_string())];
            own.extend(delivered(delivery));
            own.extend(flat(fields));
            (&REQUEUE, vec![key], own)
        }
        Settlement::DeadLetter {
            key,
            group,
            held,
            dead_letter,
            fields,
        } => {
            let own = message(group, held, flat(fields));
            (&DEAD_LETTER, vec![key, dead_letter], own)
        }
        Settlement::RecreateGroup {
            key,
            group,
            at,
            makes_stream,
        } => {
            let makes_stream = if *makes_stream { YES } else { NO };
            let own = vec![B(group), T(at.to_string()), makes_stream];
            (&RECREATE_GROUP, vec![key], own)
        }
        Settlement::Advance {
            key,
            group,
            from,
            to,
            passed,
        } => {
            let ids = [from.to_string(), to.to_string(), passed.to_string()];
            let own = std::iter::once(B(group)).chain(ids.map(T)).collect();
            (&ADVANCE, vec![key], own)
        }
        Settlement::RaiseLastId {
            key,
            to,
            skew_millis,
        } => {
            let own = vec![T(to.to_string()), T(skew_millis.to_string())];
            (&RAISE_LAST_ID, vec![key], own)
        }
    }
}

/// Group, id and who must hold it, then the `rest`.
fn message<'a>(
    group: &'a [u8],
    held: &'a Held,
    rest: impl IntoIterator<Item = Argument<'a>>,
) -> Vec<Argument<'a>> {
    let mut own = vec![Argument::Bytes(group), Argument::Text(held.id.to_string())];
    own.extend(owner(held));
    own.extend(rest);
    own
}

/// Owner, deliveries, idle and the owner's idle, as `not_held` of `lua/stream.lua` reads them.
fn owner(held: &Held) -> [Argument<'_>; 4] {
    [
        Argument::Bytes(&held.consumer),
        Argument::Text(held.deliveries.to_string()),
        Argument::Text(held.idle_millis.to_string()),
        held.owner_idle_min_millis
            .map_or(NOTHING, |millis| Argument::Text(millis.to_string())),
    ]
}

fn delivered(delivery: &Delivery) -> Vec<Argument<'_>> {
    let (word, held) = match delivery {
        Delivery::Pending(held) => ("pending", Some(held)),
        Delivery::Settled => ("settled", None),
        Delivery::Undelivered => ("undelivered", None),
    };
    let mut own = vec![Argument::Bytes(word.as_bytes())];
    own.extend(held.map_or([NOTHING; 4], owner));
    own
}

fn flat(fields: &[(Bytes, Bytes)]) -> impl Iterator<Item = Argument<'_>> {
    fields
        .iter()
        .flat_map(|(name, value)| [Argument::Bytes(name), Argument::Bytes(value)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::stream::StreamId;

    fn refusal(settlement: &Settlement) -> Option<&'static str> {
        Call::settling(settlement).err()
    }

    fn held(id: StreamId) -> Held {
        Held {
            id,
            consumer: b"c".to_vec(),
            deliveries: 1,
            idle_millis: 2,
            owner_idle_min_millis: None,
        }
    }

    #[test]
    fn a_move_without_a_judged_entry_is_not_sent() {
        let requeue = |count: usize, of: u64| Settlement::Requeue {
            key: b"k".to_vec(),
            group: b"g".to_vec(),
            id: StreamId::new(1, 1),
            delivery: Delivery::Pending(held(StreamId::new(1, of))),
            fields: vec![(Bytes::from("f"), Bytes::from("v")); count],
        };
        assert_eq!(refusal(&requeue(1, 1)), None);
        assert_eq!(refusal(&requeue(FIELDS_MAX, 1)), None);
        assert!(refusal(&requeue(0, 1)).is_some());
        assert!(refusal(&requeue(FIELDS_MAX + 1, 1)).is_some());
        assert!(refusal(&requeue(1, 2)).is_some(), "another message");
    }

    #[test]
    fn a_dead_letter_leaves_the_stream_and_a_cursor_never_goes_back() {
        let letter = |to: &[u8]| Settlement::DeadLetter {
            key: b"k".to_vec(),
            group: b"g".to_vec(),
            held: held(StreamId::MIN),
            dead_letter: to.to_vec(),
            fields: vec![(Bytes::from("f"), Bytes::from("v"))],
        };
        assert!(refusal(&letter(b"k")).is_some());
        assert_eq!(refusal(&letter(b"k:dead")), None);
        let advance = |to: u64| Settlement::Advance {
            key: b"k".to_vec(),
            group: b"g".to_vec(),
            from: StreamId::new(9, 0),
            to: StreamId::new(to, 0),
            passed: 1,
        };
        assert!(refusal(&advance(8)).is_some());
        assert!(refusal(&advance(9)).is_some());
        assert_eq!(refusal(&advance(10)), None);
    }
}
