//! Redis and Valkey over plain connections that never reconnect by themselves.

use std::time::Duration;

use bytes::Bytes;

use crate::job::RedisSpec;
use crate::model::identity::NodeIdentity;
use crate::model::mapping::Mapping;
use crate::model::observation::{CachedState, KeyExpiry, Subject};
use crate::model::time::Micros;

/// Errors by what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    /// Closed, reset, timed out, LOADING, BUSY: back off, connect again, compare identities.
    #[error("Redis could not be reached: {0}")]
    Unreachable(String),
    /// NOAUTH, WRONGPASS, NOPERM, TLS: nobody can retry.
    #[error("Redis refused: {0}")]
    Refused(String),
    /// READONLY, UNBLOCKED, MASTERDOWN, or another run id, replication id or role than was pinned.
    #[error("the Redis topology changed: {0}")]
    TopologyChanged(String),
    /// OOM, MISCONF, NOREPLICAS: writes must stop.
    #[error("Redis takes no writes: {0}")]
    NotWritable(String),
    /// Anything else the server answers: a fault of ours, or a server we do not know.
    #[error("Redis answered {0}")]
    Protocol(String),
}

/// What a node says of itself (INFO, ROLE and where allowed CONFIG).
#[derive(Debug, Clone)]
pub struct NodeFacts {
    /// host:port, or the socket's path.
    pub address: String,
    pub identity: NodeIdentity,
    /// `redis` or `valkey`, and its version.
    pub server: String,
    pub version: String,
    pub is_cluster: bool,
    pub offset: i64,
    pub replication_id2: String,
    /// First byte not shared with `replication_id2`'s history; -1 without one.
    pub second_offset: i64,
    pub uptime_seconds: u64,
    /// Replicas `state=online`, with their lag in seconds.
    pub replicas_online: Vec<ReplicaFacts>,
    /// From INFO memory; e.g. `noeviction`, `allkeys-lru`.
    pub eviction_policy: Option<String>,
    /// The server's clock.
    pub time: Micros,
}

#[derive(Debug, Clone)]
pub struct ReplicaFacts {
    pub address: String,
    pub offset: i64,
    pub lag_seconds: u64,
}

/// A reader's connection to one node, with `CLIENT NO-TOUCH ON` where the server has it.
#[derive(Clone)]
pub struct Redis;

/// One page of a keyspace or member scan.
#[derive(Debug, Clone)]
pub struct ScanPage<T> {
    /// 0: the walk is done.
    pub next: u64,
    pub items: Vec<T>,
}

impl Redis {
    /// Finds the master (by Sentinel: asked, then confirmed by ROLE), connects, authenticates, selects the
    /// database. `response_timeout` bounds every answer.
    pub async fn connect(_spec: &RedisSpec, _response_timeout: Duration) -> Result<Self, RedisError> {
        unimplemented!()
    }

    /// Whether reading leaves the server's eviction order alone.
    pub fn is_no_touch(&self) -> bool {
        unimplemented!()
    }

    pub async fn facts(&self) -> Result<NodeFacts, RedisError> {
        unimplemented!()
    }

    pub async fn time(&self) -> Result<Micros, RedisError> {
        unimplemented!()
    }

    /// The state of every subject, in order: pipelined in batches of at most 1000, `MGET`, `HMGET`,
    /// `ZMSCORE`, `SMISMEMBER`; what comes back empty is told apart by EXISTS and TYPE. Expiry is read
    /// only when `with_expiry`.
    pub async fn read(
        &self,
        _mapping: &Mapping,
        _subjects: &[Subject],
        _with_expiry: bool,
    ) -> Result<Vec<CachedState>, RedisError> {
        unimplemented!()
    }

    /// The fast path of a sweep over strings: `MGET` of `keys` (any number; cut into commands of 1000, up to
    /// four in flight).
    pub async fn read_strings(&self, _keys: &[Vec<u8>]) -> Result<Vec<Option<Bytes>>, RedisError> {
        unimplemented!()
    }

    /// TYPE of every key, pipelined: `none`, `string`, `hash`, …
    pub async fn types(&self, _keys: &[Vec<u8>]) -> Result<Vec<String>, RedisError> {
        unimplemented!()
    }

    /// One page of SCAN with `MATCH glob COUNT 1000`.
    pub async fn scan_keys(&self, _cursor: u64, _glob: &[u8]) -> Result<ScanPage<Vec<u8>>, RedisError> {
        unimplemented!()
    }

    /// One page of ZSCAN, HSCAN or SSCAN of `key`: the members' names.
    pub async fn scan_members(
        &self,
        _mapping: &Mapping,
        _key: &[u8],
        _cursor: u64,
    ) -> Result<ScanPage<Vec<u8>>, RedisError> {
        unimplemented!()
    }

    /// Names and values of every field of a hash, for documents that must be known whole (an invalidation's
    /// journal); empty when there is no such key.
    pub async fn whole_hashes(&self, _keys: &[Vec<u8>]) -> Result<Vec<Vec<(Bytes, Bytes)>>, RedisError> {
        unimplemented!()
    }
}

/// What a write must find before it happens; checked by the script itself, beside the judged bytes.
#[derive(Debug, Clone)]
pub struct Fence {
    pub replication_id: String,
    /// Replicas online with lag at most `LAG_SECONDS_MAX`.
    pub min_replicas: u32,
    /// By the server's TIME; past it the script refuses.
    pub deadline: Micros,
}

/// One guarded write. Byte strings are compared and stored as they are; expiries are kept unless said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Replace the string `key`, if it still is `judged`, keeping its expiry.
    ReplaceString { key: Vec<u8>, judged: Bytes, new: Bytes },
    /// Create the string `key`, if it is absent.
    CreateString { key: Vec<u8>, new: Bytes, ttl_millis: Option<i64> },
    /// Delete the string `key`, if it still is `judged`.
    DeleteString { key: Vec<u8>, judged: Bytes },
    /// INCRBY the string `key` by `gap` (decimal i64 text), if it still is `judged`.
    AddToString { key: Vec<u8>, judged: Bytes, gap: i64 },
    /// Set `fields` of the hash `key`, if every one of `judged` still is as observed (`None`: absent);
    /// field expiries are kept where the server has them.
    SetHashFields { key: Vec<u8>, judged: Vec<(Bytes, Option<Bytes>)>, fields: Vec<(Bytes, Option<Bytes>)> },
    /// Delete the hash `key`, if every one of `judged` still is as observed.
    DeleteHash { key: Vec<u8>, judged: Vec<(Bytes, Option<Bytes>)> },
    /// HINCRBY `field` by `gap`, if it still is `judged`.
    AddToHashField { key: Vec<u8>, field: Bytes, judged: Bytes, gap: i64 },
    /// ZADD `member` with `new`, if its score still is `judged` (as ZSCORE prints it; `None`: absent).
    SetScore { key: Vec<u8>, member: Vec<u8>, judged: Option<Bytes>, new: Bytes },
    /// ZREM `member`, if its score still is `judged`.
    RemoveScore { key: Vec<u8>, member: Vec<u8>, judged: Bytes },
    /// SADD (`present` = true) or SREM of `member`, if it is not already so.
    SetMember { key: Vec<u8>, member: Vec<u8>, present: bool },
    /// PEXPIRE of `key`, if the key has no expiry and, for a string, still is `judged`.
    SetExpiry { key: Vec<u8>, judged: Option<Bytes>, ttl_millis: i64 },
    /// Put a key back as the journal has it (undo): a string if `judged` still is there (`None`: if absent).
    RestoreString { key: Vec<u8>, judged: Option<Bytes>, old: Option<Bytes>, expiry: KeyExpiry },
    /// Put a whole hash back, if the key is absent.
    RestoreHash { key: Vec<u8>, fields: Vec<(Bytes, Bytes)>, expiry: KeyExpiry },
    /// Take an expiry off again, if it is `AtMillis` of what was set or less.
    Persist { key: Vec<u8> },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteReply {
    Applied,
    /// The judged bytes are no longer there.
    Changed,
    /// Role, replication id or replicas: nothing was written, and the run must stop.
    Fenced(String),
    /// The script came after its deadline: nothing was written.
    Late,
    /// The server answered an error for this one (WRONGTYPE, OOM, …): nothing was written.
    Refused(String),
    /// No answer: it may or may not have been written. Read again.
    Unknown(String),
}

/// A dedicated connection for writing, which never reconnects. Only `repair` is handed one.
pub struct Writer;

impl Writer {
    pub async fn connect(_spec: &RedisSpec, _pinned: &NodeIdentity) -> Result<Self, RedisError> {
        unimplemented!()
    }

    /// The server's clock, on this connection.
    pub async fn time(&mut self) -> Result<Micros, RedisError> {
        unimplemented!()
    }

    /// All writes in one pipeline, one script call each, replies in order. A lost connection turns the
    /// unanswered ones into `Unknown`; no write is ever sent twice.
    pub async fn apply(&mut self, _fence: &Fence, _writes: &[Write]) -> Vec<WriteReply> {
        unimplemented!()
    }

    /// `WAIT replicas timeout` on this very connection: how many replicas have everything written on it.
    pub async fn wait(&mut self, _replicas: u32, _timeout: Duration) -> Result<u32, RedisError> {
        unimplemented!()
    }
}
