//! The job file's spanned twin: every setting read alone, none yet judged beside another.

mod cache;
mod field;
mod file;
mod statement;
mod stream;
mod time_column;

pub(super) use cache::RawCache;
pub(super) use field::RawField;
pub(super) use file::{RawFile, RawLimits, RawMysql, RawRedis, RawTlsFiles};
pub(super) use stream::{RawColumn, RawStream};
