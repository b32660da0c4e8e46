//! What was asked: one TOML file, read into a [`Job`] that cannot be invalid.

mod spec;

pub use spec::{Endpoint, Job, Limits, MysqlSpec, Rate, RedisSpec, TlsFiles};
