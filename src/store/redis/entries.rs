//! Entries of a stream, by range and by id.

use ::redis::Value;
use bytes::Bytes;

use super::batch::BATCH_MAX;
use super::error::RedisError;
use super::reader::Redis;
use super::reply;
use super::stream::id;
use crate::model::stream::{Entry, IdRange, StreamId};

impl Redis {
    /// The first `limit` entries of the range, ascending: fewer only where the range holds no more, none where there is no such
    /// key. Asked for in pieces, so that no answer stalls the server or weighs more than some megabytes; the pieces
    /// are not one moment's.
    pub async fn entries(
        &self,
        key: &[u8],
        range: IdRange,
        limit: usize,
    ) -> Result<Vec<Entry>, RedisError> {
        let within = self.entries_within(key, range, limit, usize::MAX);
        within.await.map(|(entries, _)| entries)
    }

    /// The same, but no further piece is asked for once the entries weigh `bytes_max` together; and whether the range
    /// holds no more.
    pub async fn entries_within(
        &self,
        key: &[u8],
        range: IdRange,
        limit: usize,
        bytes_max: usize,
    ) -> Result<(Vec<Entry>, bool), RedisError> {
        let mut entries = Vec::with_capacity(limit.min(BATCH_MAX));
        let mut weight = 0;
        let mut first = Some(range.first);
        while let Some(from) = first.filter(|first| *first <= range.last) {
            if entries.len() >= limit || weight >= bytes_max {
                return Ok((entries, false));
            }
            let wanted = self.entry_pace.batch().min(limit - entries.len());
            let mut command = ::redis::cmd("XRANGE");
            command.arg(key);
            command.arg(from.to_string()).arg(range.last.to_string());
            command.arg("COUNT").arg(wanted);
            let mut pipeline = ::redis::pipe();
            pipeline.add_command(command);
            let answer = self.nodes.many(&pipeline).await?.pop();
            let (found, weighs) = self.taken(answer.unwrap_or_default(), &mut entries)?;
            if found < wanted {
                break;
            }
            weight += weighs;
            first = entries.last().and_then(|entry: &Entry| entry.id.next());
        }
        Ok((entries, true))
    }

    /// The entry of each id, in order; `None` where the stream holds none.
    pub async fn entries_by_id(
        &self,
        key: &[u8],
        ids: &[StreamId],
    ) -> Result<Vec<Option<Entry>>, RedisError> {
        self.entries_by_id_within(key, ids, usize::MAX).await
    }

    /// The same, but no further ids are asked for once the entries weigh `bytes_max` together: there may be fewer
    /// answers than ids.
    pub async fn entries_by_id_within(
        &self,
        key: &[u8],
        ids: &[StreamId],
        bytes_max: usize,
    ) -> Result<Vec<Option<Entry>>, RedisError> {
        let mut entries = Vec::with_capacity(ids.len());
        let mut weight_of_all = 0;
        for batch in self.entry_pace.cut(ids) {
            if weight_of_all >= bytes_max {
                break;
            }
            let mut pipeline = ::redis::pipe();
            for id in batch {
                let id = id.to_string();
                pipeline.cmd("XRANGE").arg(key).arg(&id).arg(&id);
            }
            let answers = self.nodes.many(&pipeline).await?;
            if answers.len() != batch.len() {
                return Err(self.strange("XRANGE"));
            }
            let mut weight = 0;
            for (answer, id) in answers.into_iter().zip(batch) {
                let rows = self.rows(answer)?;
                let entry = match rows.into_iter().next() {
                    Some(row) => Some(entry(row).ok_or_else(|| self.strange("XRANGE"))?),
                    None => None,
                };
                if entry.as_ref().is_some_and(|entry| entry.id != *id) {
                    return Err(self.strange("XRANGE"));
                }
                weight += entry.as_ref().map_or(0, Entry::weight);
                entries.push(entry);
            }
            weight_of_all += weight;
            self.entry_pace.learn(batch.len(), weight);
        }
        Ok(entries)
    }

    /// Adds the entries of an answer; how many there were, and what they weighed.
    fn taken(&self, answer: Value, entries: &mut Vec<Entry>) -> Result<(usize, usize), RedisError> {
        let rows = self.rows(answer)?;
        let (count, mut weight) = (rows.len(), 0);
        for row in rows {
            let entry = entry(row).ok_or_else(|| self.strange("XRANGE"))?;
            weight += entry.weight();
            entries.push(entry);
        }
        self.entry_pace.learn(count, weight);
        Ok((count, weight))
    }

    fn rows(&self, answer: Value) -> Result<Vec<Value>, RedisError> {
        reply::optional_array(self.granted(answer)?).ok_or_else(|| self.strange("XRANGE"))
    }
}

/// `[id, [field, value, …]]`. The bytes are those of the answer, not copies of them.
pub(super) fn entry(row: Value) -> Option<Entry> {
    let mut row = reply::optional_array(row)?.into_iter();
    let (id, flat) = (id(row.next()?)?, reply::optional_array(row.next()?)?);
    let mut fields = Vec::with_capacity(flat.len() / 2);
    let mut flat = flat.into_iter();
    while let (Some(name), Some(value)) = (flat.next(), flat.next()) {
        let name = Bytes::from(reply::bytes(name)?);
        fields.push((name, Bytes::from(reply::bytes(value)?)));
    }
    Some(Entry { id, fields })
}
