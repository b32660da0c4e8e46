//! What was asked: one TOML file, read into a [`Job`] that cannot be invalid.
//!
//! text → `raw` (every setting alone, with its place) → `build` (settings beside each other) →
//! [`Job`]. Every fault of a file is reported at once.

mod build;
mod elements;
mod fault;
mod keys;
mod listing;
mod load;
mod mask;
mod raw;
mod reader;
mod schema;
mod spec;
mod substitute;

pub use fault::{Fault, JobFaults};
pub use listing::settings_markdown;
pub use load::load;
pub use schema::json_schema;
pub use spec::{CheckpointSpec, Endpoint, Job, Limits, MysqlSpec, Rate, RedisSpec, TlsFiles};
