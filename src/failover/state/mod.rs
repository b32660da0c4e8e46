//! What outlives a run: the state folder, and the copy of it in Redis.
//!
//! `state_dir/<job>/samples.jsonl` has one line for each beat, thinned with age; `state.json` has changes, handled histories and
//! *audited until*, and is replaced as a whole; `shards.json` holds the shards
//! of a repair that have ended; `lock` keeps two writers apart.

mod copy;
mod file;
mod folder;
mod record;
mod samples;
mod shards;
mod thin;

pub use copy::{decode_copy, encode_copy};
pub use folder::StateFolder;
pub use shards::{Extent, ShardDone};

use std::path::PathBuf;

/// Why the state could not be read or written. What is wrong with a file is never mended by replacing it.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("could not read {}: {source}", path.display())]
    NotReadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("could not write {}: {source}; state_dir in the job file must be a folder that can be written", path.display())]
    NotWritable {
        path: PathBuf,
        source: std::io::Error,
    },
    /// `place` is a file, or the copy in Redis.
    #[error(
        "{place} is damaged: {reason}; look at it and move it away: what it held of earlier failovers is then forgotten"
    )]
    Damaged { place: String, reason: String },
    #[error(
        "{place} was written by version {version} of its form, which this program does not know: use the program that wrote it, or move it away"
    )]
    OtherVersion { place: String, version: u64 },
    #[error(
        "{place} belongs to the job \"{found}\": give each job its own name, state_dir and [checkpoint] prefix"
    )]
    OtherJob { place: String, found: String },
    #[error("another process has held {} for {seconds} s", path.display())]
    Busy { path: PathBuf, seconds: u64 },
}
