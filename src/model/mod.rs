//! The words everyone shares. Imports nothing of ours; nothing here is serialised
//! (job files, CSV rows and JSON reports have twins of their own) and nothing does I/O.

pub mod check;
pub mod column;
pub mod finding;
pub mod heartbeat;
pub mod identity;
pub mod mapping;
pub mod node;
pub mod observation;
pub mod outcome;
pub mod progress;
pub mod rows;
pub mod secret;
pub mod shard;
pub mod slice;
pub mod slots;
pub mod stream;
pub mod template;
pub mod time;
pub mod topology;
pub mod value;
