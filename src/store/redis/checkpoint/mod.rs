//! The heartbeat of a master, the evidence beside it and the copy of the state: three keys, read by whoever looks for a
//! failover, written by the sampler alone.

mod evidence;
mod keys;
mod read;
mod sampler;

pub use self::evidence::Evidence;
pub use self::keys::CheckpointKeys;
pub use self::sampler::{BeatAnswer, Kept, Sampler, Standing};
