//! What both sides say: pages of rows paired with what Redis holds, keys that SCAN brings up, streams, and
//! looks. Reads only, and judges nothing.

mod keys;
mod keyspace;
mod look;
mod owner;
mod pages;
pub mod streams;
mod tally;

use crate::store::mysql::MysqlError;
use crate::store::redis::RedisError;

pub use keys::{Target, candidates, lockable_keys, subject_of, target_of};
pub use keyspace::{KeyspaceCursor, KeyspacePage, Place, next_keyspace_page};
pub use look::{look, look_once};
pub use owner::{Portion, has_place, has_sweep_key};
pub use pages::{CachedPage, Looked, PairedPage, Rowless, page};
pub use tally::Tally;

/// We could not look: which side, and why.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    #[error(transparent)]
    Source(#[from] MysqlError),
    #[error(transparent)]
    Cache(#[from] RedisError),
    #[error(
        "the key {key} is no stream but of type {kind}; check the key of the [[stream]] in the job file"
    )]
    NotAStream { key: String, kind: String },
    #[error(
        "the dead letters {key} are more than {max}, and are not read whole; trim the ones that are dealt with"
    )]
    TooManyDeadLetters { key: String, max: usize },
    #[error("asked to stop before everything was read")]
    Stopped,
    #[error(
        "digests could not be spilled to disk: {0}; make room in, or name another, temporary folder"
    )]
    Spill(#[from] std::io::Error),
}
