//! What is asked for without writing anything.

use bytes::Bytes;

use super::evidence::Evidence;
use crate::model::heartbeat::FoundBeat;
use crate::model::stream::Entry;
use crate::store::redis::connect::Link;
use crate::store::redis::error::RedisError;
use crate::store::redis::reader::Redis;
use crate::store::redis::{entries, reply};

/// The last words of an error that says what to do about it.
const GRANTS: &str = "grant the user GET and XREVRANGE on the keys of [checkpoint] prefix";

impl Redis {
    /// What lies under the heartbeat's key: on a promoted node the last moment known to have been replicated.
    pub async fn heartbeat(&self, key: &[u8]) -> Result<FoundBeat, RedisError> {
        Ok(FoundBeat::of(value(self.nodes.of_key(key), key).await?))
    }

    /// The latest `limit` entries of the evidence, oldest first, without those that no beat wrote; none where there is
    /// no such key.
    pub async fn evidence(&self, key: &[u8], limit: usize) -> Result<Vec<Evidence>, RedisError> {
        evidence(self.nodes.of_key(key), key, limit).await
    }

    /// The bytes of the state's copy.
    pub async fn state_copy(&self, key: &[u8]) -> Result<Option<Bytes>, RedisError> {
        Ok(value(self.nodes.of_key(key), key).await?.map(Bytes::from))
    }
}

pub(super) async fn value(link: &Link, key: &[u8]) -> Result<Option<Vec<u8>>, RedisError> {
    let mut command = ::redis::cmd("GET");
    command.arg(key);
    let answer = reply::one(link, &command).await;
    answer.map(reply::bytes).map_err(|error| said(error, key))
}

pub(super) async fn evidence(
    link: &Link,
    key: &[u8],
    limit: usize,
) -> Result<Vec<Evidence>, RedisError> {
    let mut command = ::redis::cmd("XREVRANGE");
    command.arg(key).arg("+").arg("-").arg("COUNT").arg(limit);
    let answer = reply::one(link, &command).await;
    let rows = reply::optional_array(answer.map_err(|error| said(error, key))?)
        .ok_or_else(|| RedisError::unexpected(&link.address, "XREVRANGE"))?;
    let listed: Option<Vec<Entry>> = rows.into_iter().map(entries::entry).collect();
    let listed = listed.ok_or_else(|| RedisError::unexpected(&link.address, "XREVRANGE"))?;
    Ok(listed.iter().rev().filter_map(Evidence::of).collect())
}

/// The same error with what to do about it.
fn said(error: RedisError, key: &[u8]) -> RedisError {
    match error {
        RedisError::Refused(said) => RedisError::Refused(format!("{said} ({GRANTS})")),
        RedisError::Protocol(said) if said.contains("WRONGTYPE") => RedisError::Refused(format!(
            "{said}: the key {} is somebody else's; choose another [checkpoint] prefix",
            key.escape_ascii()
        )),
        error => error,
    }
}
