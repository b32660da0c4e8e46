//! Every key of a job file, once: what the reader checks against and the JSON Schema is made from.

mod cache;
mod file;
mod kind;
mod stream;

pub(super) use file::FILE;
pub(super) use kind::{Key, Kind, Table, integer, number};
