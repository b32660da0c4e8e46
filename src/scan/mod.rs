//! What both sides say: pages of rows paired with what Redis holds, keys that SCAN brings up, and looks.
//! Reads only, and judges nothing.

mod keys;
mod keyspace;
mod look;
mod pages;
mod tally;

use crate::store::mysql::MysqlError;
use crate::store::redis::RedisError;

pub use keys::{Target, candidates, lockable_keys, subject_of, target_of};
pub use keyspace::{KeyspaceCursor, KeyspacePage, Place, next_keyspace_page};
pub use look::{look, look_once};
pub use pages::{CachedPage, Looked, PairedPage, page};
pub use tally::Tally;

/// We could not look: which side, and why.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    #[error(transparent)]
    Source(#[from] MysqlError),
    #[error(transparent)]
    Cache(#[from] RedisError),
}
