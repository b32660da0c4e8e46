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

/// A bounded set of plain connections to one server, sessions in UTC, statements limited in time.
pub struct Mysql;

impl Mysql {
    /// Opens one connection to prove that user, password and TLS are right; more are opened as needed,
    /// `connections_max` at most.
    pub async fn connect(_spec: &MysqlSpec, _connections_max: usize) -> Result<Self, MysqlError> {
        unimplemented!()
    }

    pub async fn facts(&self) -> Result<ServerFacts, MysqlError> {
        unimplemented!()
    }

    /// `Threads_running`, for the load pause.
    pub async fn threads_running(&self) -> Result<u32, MysqlError> {
        unimplemented!()
    }

    /// `table` is `name` or `schema.name`; `None`: there is no such table (or it is hidden by grants).
    pub async fn table_schema(&self, _table: &str) -> Result<Option<TableSchema>, MysqlError> {
        unimplemented!()
    }

    /// The columns a SELECT gives, by preparing it without running it.
    pub async fn select_schema(&self, _select: &str) -> Result<Vec<Column>, MysqlError> {
        unimplemented!()
    }

    /// Runs `SELECT … LIMIT 0` of every statement the mapping will need, so that a wrong `where`,
    /// tombstone condition or `changed_ids` is found before any output is opened.
    pub async fn probe(&self, _mapping: &Mapping) -> Result<(), MysqlError> {
        unimplemented!()
    }

    /// Smallest and largest sweep key, for cutting slices; `None` for an empty source or a `sql` source
    /// whose id is not a single integer.
    pub async fn key_bounds(&self, _mapping: &Mapping) -> Result<Option<(SweepKey, SweepKey)>, MysqlError> {
        unimplemented!()
    }

    /// At most `limit` rows of `range`, in sweep-key order. Fewer than `limit` rows: the range is done.
    /// With `Selection::ChangedSince` and a `changed_ids` window the ids come from that SELECT, each once.
    pub async fn page(
        &self,
        _mapping: &Mapping,
        _range: &KeyRange,
        _selection: Selection,
        _limit: usize,
    ) -> Result<Rows, MysqlError> {
        unimplemented!()
    }

    /// Rows by sweep key, in any order; absent ones are absent. One autocommit statement that brings the
    /// server's identity and clock along, also when there is no row.
    pub async fn rows_by_key(&self, _mapping: &Mapping, _keys: &[SweepKey]) -> Result<Witnessed, MysqlError> {
        unimplemented!()
    }

    /// Rows by the distinct placeholder columns (`Subject::id` order), which contain the sweep key: what
    /// explains a key found by SCAN. Text ids are matched as the column's collation says.
    pub async fn rows_by_id(&self, _mapping: &Mapping, _ids: &[Vec<Vec<u8>>]) -> Result<Witnessed, MysqlError> {
        unimplemented!()
    }

    /// Opens a transaction on a connection of its own, share-locks the rows of `keys` without waiting
    /// (`FOR SHARE NOWAIT`, MariaDB `LOCK IN SHARE MODE NOWAIT`; for `sql` sources by `lock_sql`) and reads
    /// them. The locks last until [`RowLock::release`]; dropping it closes the connection.
    pub async fn lock_rows(&self, _mapping: &Mapping, _keys: &[SweepKey]) -> Result<RowLock, MysqlError> {
        unimplemented!()
    }

    /// Takes `GET_LOCK(name, 0)` on a connection of its own; `None`: someone else has it.
    pub async fn take_lease(&self, _name: &str) -> Result<Option<Lease>, MysqlError> {
        unimplemented!()
    }
}

/// Share-locked rows, and the transaction that holds them.
pub struct RowLock {
    pub witnessed: Witnessed,
}

impl RowLock {
    pub async fn release(self) -> Result<(), MysqlError> {
        unimplemented!()
    }
}

/// An advisory lock and the connection that owns it.
pub struct Lease;

impl Lease {
    /// Whether this connection still owns the lock.
    pub async fn is_held(&mut self) -> Result<bool, MysqlError> {
        unimplemented!()
    }
}
