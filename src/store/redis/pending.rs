//! A group's pending list, by range and by id. Read by XPENDING alone, which changes nothing.

use ::redis::Value;

use super::batch::BATCH_MAX;
use super::error::RedisError;
use super::reader::Redis;
use super::reply;
use super::stream::{count, id, is_no_group};
use crate::model::stream::{IdRange, PendingRow, StreamId};

impl Redis {
    /// The first `limit` pending rows of the range, ascending: fewer only where the range holds no more. `None`:
    /// there is no such key or group. Asked for in pieces, which are not one moment's.
    pub async fn pending(
        &self,
        key: &[u8],
        group: &[u8],
        range: IdRange,
        limit: usize,
    ) -> Result<Option<Vec<PendingRow>>, RedisError> {
        let mut rows: Vec<PendingRow> = Vec::with_capacity(limit.min(BATCH_MAX));
        let mut first = Some(range.first);
        loop {
            // Also where nothing is wanted: whether there is a group is an answer, too.
            let wanted = BATCH_MAX.min(limit - rows.len());
            let from = first.filter(|first| *first <= range.last);
            let span = from.map_or((range.last, range.last, 0), |from| {
                (from, range.last, wanted)
            });
            let mut pipeline = ::redis::pipe();
            pipeline.cmd("XPENDING").arg(key).arg(group);
            pipeline.arg(span.0.to_string()).arg(span.1.to_string());
            pipeline.arg(span.2);
            let answer = self.nodes.many(&pipeline).await?.pop();
            let Some(found) = self.pending_rows(answer.unwrap_or_default())? else {
                return Ok(None);
            };
            let is_end = span.2 == 0 || found.len() < span.2;
            rows.extend(found);
            first = rows.last().and_then(|row| row.id.next());
            if is_end || rows.len() >= limit || first.is_none() {
                return Ok(Some(rows));
            }
        }
    }

    /// The pending row of each id, in order; `None` in it where the id is not pending, `None` for all where
    /// there is no such key or group.
    pub async fn pending_by_id(
        &self,
        key: &[u8],
        group: &[u8],
        ids: &[StreamId],
    ) -> Result<Option<Vec<Option<PendingRow>>>, RedisError> {
        let mut rows = Vec::with_capacity(ids.len());
        for batch in ids.chunks(BATCH_MAX) {
            let mut pipeline = ::redis::pipe();
            for id in batch {
                let id = id.to_string();
                pipeline.cmd("XPENDING").arg(key).arg(group);
                pipeline.arg(&id).arg(&id).arg(1);
            }
            let answers = self.nodes.many(&pipeline).await?;
            if answers.len() != batch.len() {
                return Err(self.strange("XPENDING"));
            }
            for (answer, id) in answers.into_iter().zip(batch) {
                let Some(found) = self.pending_rows(answer)? else {
                    return Ok(None);
                };
                let row = found.into_iter().next();
                if row.as_ref().is_some_and(|row| row.id != *id) {
                    return Err(self.strange("XPENDING"));
                }
                rows.push(row);
            }
        }
        Ok(Some(rows))
    }

    fn pending_rows(&self, answer: Value) -> Result<Option<Vec<PendingRow>>, RedisError> {
        if is_no_group(&answer) {
            return Ok(None);
        }
        reply::optional_array(self.granted(answer)?)
            .and_then(|rows| rows.into_iter().map(row).collect())
            .map(Some)
            .ok_or_else(|| self.strange("XPENDING"))
    }
}

/// `[id, consumer, idle, deliveries]`. Later servers may hand a message back to nobody: then the consumer is
/// empty or nil, and later ones may add more.
fn row(row: Value) -> Option<PendingRow> {
    let mut row = reply::optional_array(row)?.into_iter();
    Some(PendingRow {
        id: id(row.next()?)?,
        consumer: reply::bytes(row.next()?).unwrap_or_default(),
        idle_millis: count(&row.next()?)?,
        deliveries: count(&row.next()?)?,
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn a_message_of_nobody_is_read() {
        let id = Value::BulkString(b"5-1".to_vec());
        let read = |rest: &[Value]| {
            let mut cells = vec![id.clone()];
            cells.extend_from_slice(rest);
            row(Value::Array(cells))
        };
        let nobody = read(&[Value::Nil, Value::Int(-3), Value::Int(2), Value::Nil]).unwrap();
        assert_eq!(nobody.id, StreamId::new(5, 1));
        assert_eq!(nobody.consumer, b"");
        assert_eq!((nobody.idle_millis, nobody.deliveries), (0, 2));
        assert_eq!(read(&[Value::Nil, Value::Int(1)]), None);
    }
}
