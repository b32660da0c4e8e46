//! How a check's subjects are asked for: which command, and how its answer is read.

use ::redis::{Pipeline, Value};
use bytes::Bytes;

use super::error::RedisError;
use super::read::Keys;
use super::reply;
use crate::model::check::{CacheCheck, Layout, Locator, ValueKind};
use crate::model::observation::{Cached, Subject};

/// What the subjects of a check are to Redis.
pub(super) enum Shape {
    /// A string key.
    Text,
    /// A hash key, of which these fields are read.
    Document(Vec<Vec<u8>>),
    HashField,
    SortedSetMember,
    SetMember,
}

/// What one subject's answer held.
pub(super) enum Read {
    Found(Cached),
    /// Nil, or a hash without any of the fields.
    Empty,
    WrongType,
}

impl Read {
    /// Bytes of the values in it.
    pub(super) fn weight(&self) -> usize {
        match self {
            Read::Found(Cached::Value(value)) => value.len(),
            Read::Found(Cached::Fields(values)) => values.iter().flatten().map(Bytes::len).sum(),
            _ => 0,
        }
    }
}

impl Shape {
    pub(super) fn of(check: &CacheCheck) -> Result<Self, RedisError> {
        let unfit = |what: &str| {
            Err(RedisError::Protocol(format!(
                "nothing to read for check \"{}\": {what}",
                check.name.text
            )))
        };
        match (&check.layout, check.value) {
            (
                Layout::KeyPerRow,
                ValueKind::String | ValueKind::Integer | ValueKind::Decimal | ValueKind::Json,
            ) => Ok(Self::Text),
            (Layout::KeyPerRow, ValueKind::Hash) => match document_fields(check) {
                Some(fields) => Ok(Self::Document(fields)),
                None => unfit("a hash needs named fields"),
            },
            (Layout::RowPerMember(_), ValueKind::Hash) => Ok(Self::HashField),
            (Layout::RowPerMember(_), ValueKind::Zset) => Ok(Self::SortedSetMember),
            (Layout::RowPerMember(_), ValueKind::Set) => Ok(Self::SetMember),
            (Layout::KeyPerRow, ValueKind::Zset | ValueKind::Set) => {
                unfit("sets and sorted sets hold members")
            }
            (Layout::RowPerMember(_), _) => unfit("only hashes, sets and sorted sets hold members"),
        }
    }

    /// The type's name as TYPE gives it.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Shape::Text => "string",
            Shape::Document(_) | Shape::HashField => "hash",
            Shape::SortedSetMember => "zset",
            Shape::SetMember => "set",
        }
    }

    pub(super) fn has_members(&self) -> bool {
        self.member_command().is_some()
    }

    /// Groups the subjects of a batch into commands.
    pub(super) fn plan(
        &self,
        subjects: &[Subject],
        keys: &Keys<'_>,
        takes_many_keys: bool,
    ) -> Result<Plan, RedisError> {
        if !self.has_members() {
            let whole = matches!(self, Shape::Text) && takes_many_keys;
            let commands = if whole {
                vec![(0..subjects.len()).collect()]
            } else {
                (0..subjects.len()).map(|index| vec![index]).collect()
            };
            return Ok(Plan { commands });
        }
        let mut commands = vec![Vec::new(); keys.distinct.len()];
        for (index, subject) in subjects.iter().enumerate() {
            if subject.member.is_none() {
                return Err(RedisError::Protocol(format!(
                    "nothing to read for key {}: it was asked for without a member",
                    subject.key.escape_ascii()
                )));
            }
            commands[keys.of_subject[index]].push(index);
        }
        Ok(Plan { commands })
    }

    fn member_command(&self) -> Option<&'static str> {
        match self {
            Shape::Text | Shape::Document(_) => None,
            Shape::HashField => Some("HMGET"),
            Shape::SortedSetMember => Some("ZMSCORE"),
            Shape::SetMember => Some("SMISMEMBER"),
        }
    }
}

/// The commands of a batch: for each, the subjects it asks for, in the order of its answer.
pub(super) struct Plan {
    commands: Vec<Vec<usize>>,
}

impl Plan {
    pub(super) fn pipeline(
        &self,
        shape: &Shape,
        subjects: &[Subject],
        keys: &Keys<'_>,
    ) -> Pipeline {
        let mut pipeline = Pipeline::with_capacity(self.commands.len() + keys.distinct.len());
        for indices in &self.commands {
            let Some(&first) = indices.first() else {
                continue;
            };
            match shape {
                Shape::Text => {
                    pipeline.cmd("MGET");
                    for &index in indices {
                        pipeline.arg(subjects[index].key.as_slice());
                    }
                }
                Shape::Document(fields) => {
                    pipeline
                        .cmd("HMGET")
                        .arg(subjects[first].key.as_slice())
                        .arg(fields);
                }
                Shape::HashField | Shape::SortedSetMember | Shape::SetMember => {
                    pipeline.cmd(shape.member_command().unwrap_or_default());
                    pipeline.arg(subjects[first].key.as_slice());
                    for &index in indices {
                        pipeline.arg(subjects[index].member.as_deref().unwrap_or_default());
                    }
                }
            }
        }
        pipeline
    }

    /// Brings the answers back into the order of the subjects.
    pub(super) fn take_apart(
        &self,
        shape: &Shape,
        subjects: &[Subject],
        address: &str,
        answers: Vec<Value>,
    ) -> Result<Vec<Read>, RedisError> {
        let unexpected = || RedisError::unexpected(address, "a read");
        let mut reads: Vec<Option<Read>> = Vec::new();
        reads.resize_with(subjects.len(), || None);
        let asked = self.commands.iter().filter(|indices| !indices.is_empty());
        for (indices, answer) in asked.zip(answers) {
            if matches!(&answer, Value::ServerError(error) if reply::is_wrong_type(error)) {
                indices
                    .iter()
                    .for_each(|&index| reads[index] = Some(Read::WrongType));
                continue;
            }
            let answer = reply::accepted(address, answer)?;
            if let Shape::Document(fields) = shape {
                let values = reply::optional_strings(answer)
                    .filter(|values| values.len() == fields.len())
                    .ok_or_else(unexpected)?;
                reads[indices[0]] = Some(match values.iter().all(Option::is_none) {
                    true => Read::Empty,
                    false => Read::Found(Cached::Fields(values)),
                });
                continue;
            }
            let values = reply::optional_strings(answer)
                .filter(|values| values.len() == indices.len())
                .ok_or_else(unexpected)?;
            for (&index, value) in indices.iter().zip(values) {
                reads[index] = Some(match value {
                    // SMISMEMBER says 0 where the others say nil.
                    Some(value) if matches!(shape, Shape::SetMember) && value == "0" => Read::Empty,
                    Some(value) => Read::Found(Cached::Value(value)),
                    None => Read::Empty,
                });
            }
        }
        reads
            .into_iter()
            .collect::<Option<Vec<_>>>()
            .ok_or_else(unexpected)
    }
}

/// The version's field first, if it lies in one, then the mapped fields; `None` if one has no name.
fn document_fields(check: &CacheCheck) -> Option<Vec<Vec<u8>>> {
    let name = |locator: &Locator| match locator {
        Locator::HashField(name) => Some(name.clone()),
        _ => None,
    };
    let version = check
        .version
        .as_ref()
        .and_then(|version| name(&version.cache));
    let mapped: Option<Vec<_>> = check
        .fields
        .iter()
        .map(|field| name(&field.cache))
        .collect();
    let fields: Vec<_> = version.into_iter().chain(mapped?).collect();
    (!fields.is_empty()).then_some(fields)
}
