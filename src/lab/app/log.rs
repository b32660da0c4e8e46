//! The application's own log of what it told Redis, for those who ask afterwards what was lost.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

/// One command that writes, as its sender knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheWrite {
    pub key: String,
    /// The member of a sorted set; empty for everything else.
    pub member: String,
    /// Whether what was there before no longer matters: true for all but INCRBY and DECRBY.
    pub is_whole: bool,
    /// The server it was sent to; `None`: none could be reached.
    pub port: Option<u16>,
    pub is_acknowledged: bool,
    /// When the statement it follows was sent to MySQL: the row is not newer than the key before.
    pub committed_at: DateTime<Utc>,
    /// When it was acknowledged or had failed.
    pub answered_at: DateTime<Utc>,
}

/// Every write in the order of the answers. One clerk's requests follow each other, so that the writes of
/// one place are in the order of their commits.
#[derive(Debug, Clone, Default)]
pub(super) struct WriteLog {
    writes: Arc<Mutex<Vec<CacheWrite>>>,
}

impl WriteLog {
    /// Enters `command` unless it only reads.
    pub(super) fn note(
        &self,
        command: &redis::Cmd,
        port: Option<u16>,
        is_acknowledged: bool,
        committed_at: DateTime<Utc>,
    ) {
        let words: Vec<String> = command
            .args_iter()
            .filter_map(|word| match word {
                redis::Arg::Simple(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
                _ => None,
            })
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (key, member, is_whole) = match words.as_slice() {
            ["SET" | "DEL" | "HSET", key, ..] => (*key, "", true),
            ["INCRBY" | "DECRBY", key, _] => (*key, "", false),
            ["ZADD", key, _, member] | ["ZREM", key, member] => (*key, *member, true),
            _ => return,
        };
        self.lock().push(CacheWrite {
            key: key.to_owned(),
            member: member.to_owned(),
            is_whole,
            port,
            is_acknowledged,
            committed_at,
            answered_at: Utc::now(),
        });
    }

    pub(super) fn take(&self) -> Vec<CacheWrite> {
        std::mem::take(&mut self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<CacheWrite>> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
