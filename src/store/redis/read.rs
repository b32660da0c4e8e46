//! What Redis holds: keys read in batches, the empty ones told apart.

use std::collections::HashMap;

use ::redis::Value;
use bytes::Bytes;
use futures_util::TryStreamExt;
use futures_util::stream::FuturesOrdered;

use super::batch::BATCH_MAX;
use super::error::RedisError;
use super::expiry::Found;
use super::reader::Redis;
use super::reply;
use super::shape::{Read, Shape};
use crate::model::mapping::Mapping;
use crate::model::observation::{Cached, CachedState, KeyExpiry, Subject};

impl Redis {
    /// The state of every subject, in order: pipelined in batches of at most 1000, `MGET`, `HMGET`,
    /// `ZMSCORE`, `SMISMEMBER`; what comes back empty is told apart by EXISTS and TYPE. Expiry is read
    /// only when `with_expiry`; a key that is not there has none.
    pub async fn read(
        &self,
        mapping: &Mapping,
        subjects: &[Subject],
        with_expiry: bool,
    ) -> Result<Vec<CachedState>, RedisError> {
        let shape = Shape::of(&mapping.check)?;
        let mut states = Vec::with_capacity(subjects.len());
        let mut batches = self.pace.cut(subjects);
        let mut asked = FuturesOrdered::new();
        loop {
            while asked.len() < self.pace.in_flight()
                && let Some(batch) = batches.next()
            {
                asked.push_back(self.read_batch(&shape, batch, with_expiry));
            }
            match asked.try_next().await? {
                Some(answer) => states.extend(answer),
                None => break,
            }
        }
        Ok(states)
    }

    /// The fast path of a sweep over strings: `MGET` of `keys` (any number; cut into commands of at most
    /// 1000, up to four in flight). A key of another type comes back as `None`, too: `read` tells.
    pub async fn read_strings(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Bytes>>, RedisError> {
        let mut values = Vec::with_capacity(keys.len());
        let mut batches = self.pace.cut(keys);
        let mut asked = FuturesOrdered::new();
        loop {
            while asked.len() < self.pace.in_flight()
                && let Some(batch) = batches.next()
            {
                asked.push_back(self.get_many(batch));
            }
            match asked.try_next().await? {
                Some(answer) => values.extend(answer),
                None => break,
            }
        }
        Ok(values)
    }

    /// TYPE of every key, pipelined: `none`, `string`, `hash`, …
    pub async fn types(&self, keys: &[Vec<u8>]) -> Result<Vec<String>, RedisError> {
        let mut types = Vec::with_capacity(keys.len());
        for batch in keys.chunks(BATCH_MAX) {
            types.extend(self.types_of(batch).await?);
        }
        Ok(types)
    }

    /// Names and values of every field of a hash, for documents that must be known whole (an invalidation's
    /// journal); empty when there is no such key, or one of another type.
    pub async fn whole_hashes(
        &self,
        keys: &[Vec<u8>],
    ) -> Result<Vec<Vec<(Bytes, Bytes)>>, RedisError> {
        let mut hashes = Vec::with_capacity(keys.len());
        for batch in self.pace.cut(keys) {
            hashes.extend(self.whole_hashes_of(batch).await?);
        }
        Ok(hashes)
    }

    async fn get_many(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Bytes>>, RedisError> {
        let values = if self.nodes.takes_many_keys() {
            self.get_at_once(keys).await?
        } else {
            self.get_each(keys).await?
        };
        self.pace
            .learn(keys.len(), values.iter().flatten().map(Bytes::len).sum());
        Ok(values)
    }

    async fn get_at_once(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Bytes>>, RedisError> {
        let mut command = ::redis::cmd("MGET");
        keys.iter().for_each(|key| {
            command.arg(key.as_slice());
        });
        reply::optional_strings(self.nodes.one_of(&command).await?)
            .filter(|values| values.len() == keys.len())
            .ok_or_else(|| RedisError::unexpected(self.nodes.address(), "MGET"))
    }

    /// GET of each; a key of another type is `None`, as MGET has it.
    async fn get_each(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Bytes>>, RedisError> {
        let mut pipeline = ::redis::Pipeline::with_capacity(keys.len());
        for key in keys {
            pipeline.cmd("GET").arg(key.as_slice());
        }
        let answers = self.nodes.many(&pipeline).await?;
        let values = answers.into_iter().map(|answer| match answer {
            Value::ServerError(error) if reply::is_wrong_type(&error) => Ok(None),
            Value::Nil => Ok(None),
            answer => reply::bytes(reply::accepted(self.nodes.address(), answer)?)
                .map(|bytes| Some(Bytes::from(bytes)))
                .ok_or_else(|| RedisError::unexpected(self.nodes.address(), "GET")),
        });
        values.collect()
    }

    async fn types_of(&self, keys: &[Vec<u8>]) -> Result<Vec<String>, RedisError> {
        let mut pipeline = ::redis::pipe();
        for key in keys {
            pipeline.cmd("TYPE").arg(key.as_slice());
        }
        let answers = self.nodes.many(&pipeline).await?;
        answers
            .into_iter()
            .map(|answer| {
                reply::text(reply::accepted(self.nodes.address(), answer)?)
                    .ok_or_else(|| RedisError::unexpected(self.nodes.address(), "TYPE"))
            })
            .collect()
    }

    async fn whole_hashes_of(
        &self,
        keys: &[Vec<u8>],
    ) -> Result<Vec<Vec<(Bytes, Bytes)>>, RedisError> {
        let mut pipeline = ::redis::pipe();
        for key in keys {
            pipeline.cmd("HGETALL").arg(key.as_slice());
        }
        let mut weight = 0;
        let mut hashes = Vec::with_capacity(keys.len());
        for answer in self.nodes.many(&pipeline).await? {
            if matches!(&answer, Value::ServerError(error) if reply::is_wrong_type(error)) {
                hashes.push(Vec::new());
                continue;
            }
            let flat = reply::optional_array(reply::accepted(self.nodes.address(), answer)?)
                .ok_or_else(|| RedisError::unexpected(self.nodes.address(), "HGETALL"))?;
            let mut flat = flat.into_iter().filter_map(reply::bytes).map(Bytes::from);
            let mut fields = Vec::new();
            while let (Some(name), Some(value)) = (flat.next(), flat.next()) {
                weight += name.len() + value.len();
                fields.push((name, value));
            }
            hashes.push(fields);
        }
        self.pace.learn(keys.len(), weight);
        Ok(hashes)
    }

    async fn read_batch(
        &self,
        shape: &Shape,
        subjects: &[Subject],
        with_expiry: bool,
    ) -> Result<Vec<CachedState>, RedisError> {
        let keys = Keys::of(subjects);
        let plan = shape.plan(subjects, &keys, self.nodes.takes_many_keys())?;
        let mut pipeline = plan.pipeline(shape, subjects, &keys);
        let value_commands = pipeline.len();
        if with_expiry {
            self.expiries
                .ask(&mut pipeline, keys.distinct.iter().copied());
        }
        let mut answers = self.nodes.many(&pipeline).await?;
        let expiries = answers.split_off(value_commands.min(answers.len()));
        let mut reads = plan.take_apart(shape, subjects, self.nodes.address(), answers)?;
        self.pace
            .learn(subjects.len(), reads.iter().map(Read::weight).sum());

        let found = if with_expiry {
            self.expiries
                .finish(&self.nodes, &keys.distinct, expiries)
                .await?
        } else {
            Vec::new()
        };
        let types = self.types_of_unsettled(&reads, &keys).await?;
        self.look_again_at_bare_hashes(shape, subjects, &keys, &types, &mut reads)
            .await?;
        let states = reads.into_iter().enumerate().map(|(index, read)| {
            let key = keys.of_subject[index];
            state(shape, read, types.get(&key), found.get(key))
        });
        Ok(states.collect())
    }

    /// Type names of the keys that gave nothing or an error, by key index; keys that do not exist are
    /// left out. One EXISTS settles the usual case that none of them is there.
    async fn types_of_unsettled(
        &self,
        reads: &[Read],
        keys: &Keys<'_>,
    ) -> Result<HashMap<usize, String>, RedisError> {
        let (mut empty, mut wrong) = (Vec::new(), Vec::new());
        for (index, read) in reads.iter().enumerate() {
            match read {
                Read::Found(_) => {}
                Read::Empty => empty.push(keys.of_subject[index]),
                Read::WrongType => wrong.push(keys.of_subject[index]),
            }
        }
        empty.dedup();
        if !empty.is_empty() && self.nodes.takes_many_keys() {
            let mut exists = ::redis::cmd("EXISTS");
            empty.iter().for_each(|&key| {
                exists.arg(keys.distinct[key]);
            });
            if reply::integer(&self.nodes.one_of(&exists).await?) == Some(0) {
                empty.clear();
            }
        }
        empty.append(&mut wrong);
        empty.sort_unstable();
        empty.dedup();
        let names: Vec<Vec<u8>> = empty
            .iter()
            .map(|&key| keys.distinct[key].to_vec())
            .collect();
        let types = self.types(&names).await?;
        Ok(empty
            .into_iter()
            .zip(types)
            .filter(|(_, name)| name != "none")
            .collect())
    }

    /// A hash without any of the mapped fields may have been created after it was read. Only a second
    /// read tells, now that it is known to exist.
    async fn look_again_at_bare_hashes(
        &self,
        shape: &Shape,
        subjects: &[Subject],
        keys: &Keys<'_>,
        types: &HashMap<usize, String>,
        reads: &mut [Read],
    ) -> Result<(), RedisError> {
        let Shape::Document(fields) = shape else {
            return Ok(());
        };
        let bare: Vec<usize> = (0..reads.len())
            .filter(|&index| matches!(reads[index], Read::Empty))
            .filter(|&index| {
                types
                    .get(&keys.of_subject[index])
                    .is_some_and(|t| t == "hash")
            })
            .collect();
        let mut pipeline = ::redis::pipe();
        for &index in &bare {
            pipeline
                .cmd("HMGET")
                .arg(subjects[index].key.as_slice())
                .arg(fields);
        }
        let answers = self.nodes.many(&pipeline).await?;
        for (index, answer) in bare.into_iter().zip(answers) {
            if matches!(&answer, Value::ServerError(error) if reply::is_wrong_type(error)) {
                continue;
            }
            let values = reply::optional_strings(reply::accepted(self.nodes.address(), answer)?)
                .ok_or_else(|| RedisError::unexpected(self.nodes.address(), "HMGET"))?;
            reads[index] = Read::Found(Cached::Fields(values));
        }
        Ok(())
    }
}

/// The distinct keys of a batch, in order of first use, and which one each subject is about.
pub(super) struct Keys<'a> {
    pub(super) distinct: Vec<&'a [u8]>,
    pub(super) of_subject: Vec<usize>,
}

impl<'a> Keys<'a> {
    fn of(subjects: &'a [Subject]) -> Self {
        let mut known: HashMap<&[u8], usize> = HashMap::with_capacity(subjects.len());
        let mut distinct = Vec::new();
        let mut of_subject = Vec::with_capacity(subjects.len());
        for subject in subjects {
            let index = *known.entry(&subject.key).or_insert_with(|| {
                distinct.push(subject.key.as_slice());
                distinct.len() - 1
            });
            of_subject.push(index);
        }
        Self {
            distinct,
            of_subject,
        }
    }
}

/// Puts together what was read of one subject. `type_name`: none where the key is not there, or
/// where it need not be asked for.
fn state(
    shape: &Shape,
    read: Read,
    type_name: Option<&String>,
    expiry: Option<&Found>,
) -> CachedState {
    let cached = match (read, type_name) {
        (Read::Found(cached), _) => cached,
        (_, None) => Cached::Missing { key_exists: false },
        (Read::WrongType, Some(name)) => Cached::WrongType(name.clone()),
        (Read::Empty, Some(name)) if name != shape.type_name() => Cached::WrongType(name.clone()),
        // A string that is there now was not when it was read. A member's key is there without it.
        (Read::Empty, Some(_)) => Cached::Missing {
            key_exists: shape.has_members(),
        },
    };
    match expiry {
        None => CachedState {
            cached,
            expiry: KeyExpiry::Unread,
        },
        // Expired or deleted after it was read: by now there is nothing.
        Some(Found::NoKey) => missing(),
        Some(_) if cached == (Cached::Missing { key_exists: false }) => missing(),
        Some(Found::Expiry(expiry)) => CachedState {
            cached,
            expiry: *expiry,
        },
    }
}

fn missing() -> CachedState {
    CachedState {
        cached: Cached::Missing { key_exists: false },
        expiry: KeyExpiry::Never,
    }
}
