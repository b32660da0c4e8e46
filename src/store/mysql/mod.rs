//! MySQL and MariaDB, read as text rows over plain connections.

use std::time::Duration;

use crate::job::MysqlSpec;
use crate::model::check::{TimeForm, Tombstone};
use crate::model::column::{Column, TableSchema};
use crate::model::identity::SourceIdentity;
use crate::model::mapping::Mapping;
use crate::model::rows::Rows;
use crate::model::time::Micros;

/// Errors by what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum MysqlError {
    /// Not reachable, or the connection went away: retry within a bound, else partial.
    #[error("MySQL could not be reached: {0}")]
    Unreachable(String),
    /// Wrong user, password, grants, TLS: nobody can retry.
    #[error("MySQL refused: {0}")]
    Refused(String),
    /// The statement itself is wrong (a missing table or column, a syntax error): the job file's fault.
    #[error("MySQL rejects the statement: {0}")]
    Statement(String),
    /// A statement took longer than its limit; it was killed.
    #[error("a statement took longer than {0:?} and was stopped")]
    TimedOut(Duration),
    /// A row or table lock was not to be had at once.
    #[error("the rows are locked by another transaction")]
    Locked,
}

/// What a server says of itself.
#[derive(Debug, Clone)]
pub struct ServerFacts {
    pub version: String,
    pub is_mariadb: bool,
    pub identity: SourceIdentity,
    /// `NOW(6)` in UTC.
    pub now: Micros,
    /// `@@default_storage_engine`-independent: `true` where group replication runs multi-primary or Galera is on.
    pub is_multi_primary: bool,
}

/// The id of one row: the cells of `Mapping::sweep_key`, in its order, as the server printed them.
pub type SweepKey = Vec<Vec<u8>>;

/// A part of a check's ids, in the order of the sweep key: `after < key <= upto`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyRange {
    pub after: Option<SweepKey>,
    pub upto: Option<SweepKey>,
}

/// Which rows a page is cut from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// Every row.
    All,
    /// Rows changed at or after this instant, by the check's window and tombstone columns. Never an upper bound.
    ChangedSince(Micros),
    /// Rows not changed since this instant (the control sample).
    UnchangedSince(Micros),
}

/// Rows with who answered and when.
#[derive(Debug, Clone)]
pub struct Witnessed {
    pub rows: Rows,
    pub source: SourceIdentity,
    pub source_time: Micros,
}
