//! What Redis says of a stream, its groups and their consumers.

use ::redis::Value;

use super::error::RedisError;
use super::reader::Redis;
use super::reply;
use crate::model::stream::{ConsumerFacts, GroupFacts, StreamFacts, StreamId, StreamState};

/// How often a key that changes its type between two commands is asked again.
const ATTEMPTS_MAX: usize = 3;

/// The last words of an error that says what to do about it.
const GRANTS: &str = "grant the reading user XINFO, XRANGE, XPENDING and TYPE on the stream";

impl Redis {
    /// The stream under `key` and its groups. The two are read by one pipeline but by two commands, the
    /// stream's own facts first.
    pub async fn stream_state(&self, key: &[u8]) -> Result<StreamState, RedisError> {
        for _ in 0..ATTEMPTS_MAX {
            if let Some(state) = self.stream_state_now(key).await? {
                return Ok(state);
            }
        }
        Err(RedisError::Protocol(format!(
            "{}: the key {} changed its type between each two commands",
            self.nodes.address(),
            key.escape_ascii()
        )))
    }

    /// The consumers that the group lists, with what they last did. `None`: there is no such key or group.
    pub async fn consumers(
        &self,
        key: &[u8],
        group: &[u8],
    ) -> Result<Option<Vec<ConsumerFacts>>, RedisError> {
        let mut pipeline = ::redis::pipe();
        pipeline.cmd("XINFO").arg("CONSUMERS").arg(key).arg(group);
        let answer = self.nodes.many(&pipeline).await?.pop();
        let answer = answer.unwrap_or_default();
        if is_no_group(&answer) || is_no_key(&answer) {
            return Ok(None);
        }
        let listed = reply::optional_array(self.granted(answer)?);
        listed
            .and_then(|rows| rows.into_iter().map(consumer).collect())
            .map(Some)
            .ok_or_else(|| self.strange("XINFO CONSUMERS"))
    }

    /// `None`: the key changed its type in between.
    async fn stream_state_now(&self, key: &[u8]) -> Result<Option<StreamState>, RedisError> {
        let mut pipeline = ::redis::pipe();
        pipeline.cmd("TYPE").arg(key);
        pipeline.cmd("XINFO").arg("STREAM").arg(key);
        pipeline.cmd("XINFO").arg("GROUPS").arg(key);
        let answers = self.nodes.many(&pipeline).await?;
        let Ok([kind, stream, groups]) = <[Value; 3]>::try_from(answers) else {
            return Err(self.strange("XINFO"));
        };
        let kind = reply::text(self.granted(kind)?).ok_or_else(|| self.strange("TYPE"))?;
        if is_no_key(&stream) || is_no_key(&groups) {
            return Ok(Some(StreamState::Missing));
        }
        if is_wrong_type(&stream) || is_wrong_type(&groups) {
            let is_known = kind != "stream" && kind != "none";
            return Ok(is_known.then_some(StreamState::WrongType(kind)));
        }
        let mut facts =
            stream_facts(self.granted(stream)?).ok_or_else(|| self.strange("XINFO STREAM"))?;
        facts.groups = reply::optional_array(self.granted(groups)?)
            .and_then(|rows| rows.into_iter().map(group).collect())
            .ok_or_else(|| self.strange("XINFO GROUPS"))?;
        Ok(Some(StreamState::Stream(facts)))
    }

    /// An error reply turned into an error; one about rights says which are needed.
    pub(super) fn granted(&self, answer: Value) -> Result<Value, RedisError> {
        reply::accepted(self.nodes.address(), answer).map_err(|error| match error {
            RedisError::Refused(said) => RedisError::Refused(format!("{said} ({GRANTS})")),
            error => error,
        })
    }

    pub(super) fn strange(&self, command: &str) -> RedisError {
        RedisError::unexpected(self.nodes.address(), command)
    }
}

/// Whether the command met no such key, or no such group.
pub(super) fn is_no_group(answer: &Value) -> bool {
    matches!(answer, Value::ServerError(error) if error.code() == "NOGROUP")
}

/// A millisecond count of the server; a clock that was set back makes it negative, which is taken as "just
/// now".
pub(super) fn count(value: &Value) -> Option<u64> {
    reply::integer(value).map(|number| u64::try_from(number).unwrap_or(0))
}

pub(super) fn id(value: Value) -> Option<StreamId> {
    match value {
        Value::BulkString(text) => StreamId::parse(&text),
        Value::SimpleString(text) => StreamId::parse(text.as_bytes()),
        _ => None,
    }
}

/// XINFO of a key that is not there has no code of its own.
fn is_no_key(answer: &Value) -> bool {
    matches!(answer, Value::ServerError(error)
        if error.code() == "ERR" && error.details().is_some_and(|d| d.starts_with("no such key")))
}

fn is_wrong_type(answer: &Value) -> bool {
    matches!(answer, Value::ServerError(error) if reply::is_wrong_type(error))
}

/// The stream's facts, its groups still left out.
fn stream_facts(value: Value) -> Option<StreamFacts> {
    let (mut length, mut last_generated, mut first, mut last) = (None, None, None, None);
    for (name, value) in reply::named_values(value)? {
        match name.as_slice() {
            b"length" => length = count(&value),
            b"last-generated-id" => last_generated = id(value),
            b"first-entry" => first = entry_id(value),
            b"last-entry" => last = entry_id(value),
            _ => {}
        }
    }
    Some(StreamFacts {
        length: length?,
        last_generated: last_generated?,
        first,
        last,
        groups: Vec::new(),
    })
}

fn group(value: Value) -> Option<GroupFacts> {
    let (mut group, mut last_delivered, mut pending) = (None, None, None);
    let (mut consumers, mut entries_read) = (0, None);
    for (name, value) in reply::named_values(value)? {
        match name.as_slice() {
            b"name" => group = reply::bytes(value),
            b"last-delivered-id" => last_delivered = id(value),
            b"pending" => pending = count(&value),
            b"consumers" => consumers = count(&value)?,
            b"entries-read" => entries_read = count(&value),
            _ => {}
        }
    }
    Some(GroupFacts {
        name: group?,
        last_delivered: last_delivered?,
        pending: pending?,
        consumers,
        entries_read,
    })
}

fn consumer(value: Value) -> Option<ConsumerFacts> {
    let (mut consumer, mut pending, mut idle, mut inactive) = (None, None, None, None);
    for (name, value) in reply::named_values(value)? {
        match name.as_slice() {
            b"name" => consumer = reply::bytes(value),
            b"pending" => pending = count(&value),
            b"idle" => idle = count(&value),
            // -1: it never got anything.
            b"inactive" if reply::integer(&value) != Some(-1) => inactive = count(&value),
            _ => {}
        }
    }
    Some(ConsumerFacts {
        name: consumer?,
        pending: pending?,
        idle_millis: idle?,
        inactive_millis: inactive,
    })
}

/// The id of an entry that XINFO shows; its fields are not looked at.
fn entry_id(value: Value) -> Option<StreamId> {
    id(reply::optional_array(value)?.into_iter().next()?)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn a_group_of_another_release_is_read_by_the_names_it_is_known_by() {
        let flat = vec![
            text("nacked-count"),
            Value::Int(3),
            text("name"),
            text("g"),
            text("pending"),
            Value::Int(2),
            text("last-delivered-id"),
            text("7-18446744073709551615"),
            text("entries-read"),
            Value::Nil,
            text("lag"),
            Value::Nil,
        ];
        let facts = group(Value::Array(flat.clone())).unwrap();
        assert_eq!(facts.last_delivered, StreamId::new(7, u64::MAX));
        assert_eq!((facts.pending, facts.consumers), (2, 0));
        assert_eq!(facts.entries_read, None);
        let mut pairs = flat.into_iter();
        let mut map = Vec::new();
        while let (Some(name), Some(value)) = (pairs.next(), pairs.next()) {
            map.push((name, value));
        }
        assert_eq!(group(Value::Map(map)).unwrap(), facts);
        assert_eq!(group(Value::Array(vec![text("name"), text("g")])), None);
    }

    #[test]
    fn inactive_may_be_missing_or_never() {
        let facts = |inactive: Option<i64>| {
            let mut flat = vec![text("name"), text("c"), text("pending"), Value::Int(0)];
            flat.extend([text("idle"), Value::Int(9)]);
            flat.extend(inactive.map(|_| text("inactive")));
            flat.extend(inactive.map(Value::Int));
            consumer(Value::Array(flat)).unwrap().inactive_millis
        };
        assert_eq!(facts(None), None);
        assert_eq!(facts(Some(-1)), None);
        assert_eq!(facts(Some(-7)), Some(0), "the clock was set back");
        assert_eq!(facts(Some(7)), Some(7));
    }
}
