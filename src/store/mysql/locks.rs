//! Rows that cannot change while Redis is written.

use std::time::Duration;

use super::error::MysqlError;
use super::pool::{Lent, Mysql};
use super::range::{SweepKey, Witnessed};
use super::server::WITNESS_WIDTH;
use super::{placeholder, statement, witness};
use crate::model::check::Source;
use crate::model::mapping::Mapping;

/// Row locks are taken without waiting, but a metadata lock (a running ALTER TABLE) may still hold a
/// statement up; then the rows count as locked.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);

/// Share-locked rows, and the transaction that holds them.
pub struct RowLock {
    pub witnessed: Witnessed,
    lent: Lent,
}

impl RowLock {
    /// Ends the transaction. An error means that the connection was lost, and the locks with it.
    pub async fn release(mut self) -> Result<(), MysqlError> {
        self.lent.run("COMMIT", LOCK_PATIENCE).await?;
        self.lent.give_back();
        Ok(())
    }
}

impl Mysql {
    /// Opens a transaction on a connection of its own, share-locks the rows of `keys` without waiting
    /// (`FOR SHARE NOWAIT`, MariaDB `LOCK IN SHARE MODE NOWAIT`; for `sql` sources by `lock_sql`) and reads
    /// them. The locks last until [`RowLock::release`]; dropping it closes the connection.
    ///
    /// Meant for tens of keys: every key of a table is a statement of its own, all in one round trip.
    pub async fn lock_rows(
        &self,
        mapping: &Mapping,
        keys: &[SweepKey],
    ) -> Result<RowLock, MysqlError> {
        statement::check_key(mapping)?;
        let mut lent = self.lend_apart().await?;
        let witnessed = match &mapping.check.source {
            Source::Table { .. } => self.lock_table_rows(&mut lent, mapping, keys).await,
            Source::Sql { lock_sql, .. } => {
                let lock_sql = lock_sql.as_ref().ok_or_else(|| {
                    MysqlError::Statement("a row lock of a `sql` source needs `lock_sql`".into())
                })?;
                let locking = locking_select(mapping, &lock_sql.text, keys, self.is_mariadb())?;
                self.lock_parents(&mut lent, mapping, keys, &locking).await
            }
        };
        match witnessed {
            Ok(witnessed) => Ok(RowLock { witnessed, lent }),
            Err(MysqlError::TimedOut(_)) => Err(MysqlError::Locked),
            Err(other) => Err(other),
        }
    }

    /// One statement a key: equality on a whole unique key is the only access that surely locks nothing
    /// else, whatever the optimiser thinks of the table's size. The locking read itself gives the latest
    /// committed row; REPEATABLE READ makes it lock the gap too where there is no row, so that none
    /// appears while the locks last.
    async fn lock_table_rows(
        &self,
        lent: &mut Lent,
        mapping: &Mapping,
        keys: &[SweepKey],
    ) -> Result<Witnessed, MysqlError> {
        lent.run(&begin("REPEATABLE READ"), LOCK_PATIENCE).await?;
        let columns = statement::key_columns(mapping);
        let is_mariadb = self.is_mariadb();
        let clause = locking_clause(is_mariadb);
        let each: Vec<&[SweepKey]> = if keys.is_empty() {
            vec![keys]
        } else {
            keys.chunks(1).collect()
        };
        let statements: Vec<String> = each
            .into_iter()
            .map(|key| {
                format!(
                    "{} {clause}",
                    witness::select(mapping, &columns, key, is_mariadb)
                )
            })
            .collect();
        let width = WITNESS_WIDTH + mapping.width();
        let found = lent
            .fetch_within(&statements.join("; "), width, LOCK_PATIENCE)
            .await?;
        witness::take_apart(mapping, &found)
    }

    /// The parent rows first, then the aggregate over what can no longer change. READ COMMITTED, so that
    /// the second statement sees what was committed before the first one had its locks.
    async fn lock_parents(
        &self,
        lent: &mut Lent,
        mapping: &Mapping,
        keys: &[SweepKey],
        locking: &str,
    ) -> Result<Witnessed, MysqlError> {
        let sql = format!("{}; {locking}", begin("READ COMMITTED"));
        lent.run(&sql, LOCK_PATIENCE).await?;
        let columns = statement::key_columns(mapping);
        let sql = witness::select(mapping, &columns, keys, self.is_mariadb());
        let width = WITNESS_WIDTH + mapping.width();
        let found = lent.fetch_within(&sql, width, LOCK_PATIENCE).await?;
        witness::take_apart(mapping, &found)
    }
}

/// `lock_sql` with its `:ids` replaced by the ids (row values for composite ones) and the locking clause.
pub(super) fn locking_select(
    mapping: &Mapping,
    lock_sql: &str,
    keys: &[SweepKey],
    is_mariadb: bool,
) -> Result<String, MysqlError> {
    let columns = statement::key_columns(mapping);
    let ids: Vec<String> = keys
        .iter()
        .filter_map(|key| statement::id_literals(&columns, key))
        .map(|values| match values.len() {
            1 => values.concat(),
            _ => format!("({})", values.join(", ")),
        })
        .collect();
    let ids = match (ids.is_empty(), columns.len()) {
        (false, _) => ids.join(", "),
        (true, 1) => "NULL".to_owned(),
        (true, n) => format!("({})", vec!["NULL"; n].join(", ")),
    };
    let select = placeholder::replace(lock_sql, "ids", &ids).ok_or_else(|| {
        MysqlError::Statement(
            "`lock_sql` has no `:ids`, so it would lock every row; write `WHERE id IN (:ids)`"
                .into(),
        )
    })?;
    let clause = locking_clause(is_mariadb);
    Ok(format!(
        "{}\n{clause}",
        select.trim_end().trim_end_matches(';')
    ))
}

fn locking_clause(is_mariadb: bool) -> &'static str {
    if is_mariadb {
        "LOCK IN SHARE MODE NOWAIT"
    } else {
        "FOR SHARE NOWAIT"
    }
}

/// Sessions are READ ONLY; a transaction that locks says READ WRITE, which a read-only server refuses.
fn begin(isolation: &str) -> String {
    format!("SET TRANSACTION ISOLATION LEVEL {isolation}; START TRANSACTION READ WRITE")
}
