//! Redis and Valkey over plain connections that never reconnect by themselves. This room decides
//! nothing: it reads what is asked for, and it writes only through scripts that check the fence and
//! the judged bytes themselves.

mod batch;
mod checkpoint;
mod cluster_nodes;
mod connect;
mod discovery;
mod entries;
mod error;
mod expiry;
mod info;
mod inventory;
mod known_node;
mod layout;
mod nodes;
mod own_line;
mod pending;
mod per_node;
mod place;
mod read;
mod reader;
mod replica;
mod reply;
mod routed;
mod scan;
mod scripts;
mod seats;
mod sentinel;
mod settlement;
mod settling;
mod shape;
mod soon;
mod stream;
mod tls;
mod witness;
mod write;
mod writer;
mod writer_node;

pub use self::checkpoint::{BeatAnswer, CheckpointKeys, Evidence, Kept, Sampler, Standing};
pub use self::error::RedisError;
pub use self::inventory::{Inventory, read_topology};
pub use self::layout::SlotLayout;
pub use self::per_node::PerNode;
pub use self::reader::Redis;
pub use self::replica::ReplicaHabits;
pub use self::scan::{KeyWalk, ScanPage};
pub use self::settlement::{Delivery, Held, Settlement};
pub use self::write::{Fence, LAG_SECONDS_MAX, Write, WriteReply};
pub use self::writer::Writer;
