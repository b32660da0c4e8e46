//! The two servers: the only room that knows their crates, their SQL and their Lua. It decides nothing.

mod backoff;
pub mod mysql;
pub mod redis;
mod waiting;

pub use backoff::Backoff;
pub use waiting::{Turn, Waiting};
