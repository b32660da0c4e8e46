//! The one way a row gets into the source: a plain INSERT, sent once, on a connection of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::mysql::MySqlDatabaseError;

use super::cell_literal::{Capacity, cell_literal};
use super::error::MysqlError;
use super::literal;
use super::pool::{Lent, Mysql};
use super::server::{WITNESS_WIDTH, witness_cells, witness_of};
use super::statement;
use crate::model::identity::SourceIdentity;
use crate::model::stream::{NewRow, StreamMapping};

/// An INSERT of one row takes milliseconds; one that waits this long for a lock is given up by the server.
const LOCK_WAIT_SECONDS: u32 = 5;

/// When this side gives up on an answer; after the server's own limits, so that it seldom has to.
const PATIENCE: Duration = Duration::from_secs(15);

/// What came of one INSERT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inserted {
    Inserted,
    /// A row with the same unique key is there: this identity's, or another's where the table has more unique
    /// keys. Read again which.
    AlreadyThere,
    /// Nothing was inserted, for this reason.
    Refused(String),
    /// No answer: it may or may not have been inserted. Read again.
    Unknown(String),
}

/// A session that may write. Only `repair` asks for one.
pub struct Inserter {
    mysql: Mysql,
    pinned: SourceIdentity,
    /// `None`: the last one was lost, or is not to be trusted any more.
    lent: Option<Lent>,
    /// By schema and table.
    capacities: BTreeMap<(String, String), Vec<Capacity>>,
}

impl Mysql {
    /// A writing session of its own beside the pool, in strict mode. An error where the server that answers is
    /// not `pinned`, or takes no writes.
    pub async fn inserter(&self, pinned: &SourceIdentity) -> Result<Inserter, MysqlError> {
        let mut inserter = Inserter {
            mysql: self.clone(),
            pinned: pinned.clone(),
            lent: None,
            capacities: BTreeMap::new(),
        };
        let lent = inserter.open().await?;
        inserter.lent = Some(lent);
        Ok(inserter)
    }
}

impl Inserter {
    /// Sends one autocommit INSERT of `row` into the mapping's table, once. Never IGNORE, never ON DUPLICATE
    /// KEY; whatever the columns would not hold as it is, is refused. An error: nothing was sent.
    pub async fn insert(
        &mut self,
        mapping: &StreamMapping,
        row: &NewRow,
    ) -> Result<Inserted, MysqlError> {
        let Some(table) = mapping.rows.table.clone() else {
            return Ok(Inserted::Refused(
                "the check has no table to insert into".into(),
            ));
        };
        if !self.capacities.contains_key(&table) {
            let found = self.mysql.capacities(&table.0, &table.1).await?;
            self.capacities.insert(table.clone(), found);
        }
        let sql = match insert_statement(mapping, row, &self.capacities[&table]) {
            Ok(sql) => sql,
            Err(why) => return Ok(Inserted::Refused(why)),
        };
        let mut lent = self.ready().await?;
        let inserting = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut lent.session.connection);
        let (outcome, is_usable) = match tokio::time::timeout(PATIENCE, inserting).await {
            Ok(Ok(done)) if done.rows_affected() == 1 => (Inserted::Inserted, true),
            Ok(Ok(done)) => {
                let said = format!("the server says that {} rows came in", done.rows_affected());
                (Inserted::Unknown(said), false)
            }
            Ok(Err(fault)) => outcome_of(fault, mapping),
            Err(_) => {
                lent.kill().await;
                let said = format!("no answer within {} s", PATIENCE.as_secs());
                (Inserted::Unknown(said), false)
            }
        };
        // A session is closed, not given back: the pool's are read-only.
        self.lent = is_usable.then_some(lent);
        Ok(outcome)
    }

    /// The session, if it is alive and the pinned server's; a lost one is opened anew, because nothing was
    /// sent on it yet.
    async fn ready(&mut self) -> Result<Lent, MysqlError> {
        if let Some(mut lent) = self.lent.take() {
            match self.check(&mut lent).await {
                Ok(()) => return Ok(lent),
                Err(MysqlError::Unreachable(_) | MysqlError::TimedOut(_)) => {}
                Err(fault) => return Err(fault),
            }
        }
        self.open().await
    }

    async fn open(&self) -> Result<Lent, MysqlError> {
        let mut lent = self.mysql.lend_apart().await?;
        let mut setup = format!(
            "SET SESSION TRANSACTION READ WRITE; SET SESSION autocommit = 1; \
             SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,\
             ERROR_FOR_DIVISION_BY_ZERO,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION'; \
             SET SESSION innodb_lock_wait_timeout = {LOCK_WAIT_SECONDS}; \
             SET SESSION lock_wait_timeout = {LOCK_WAIT_SECONDS}; \
             SET SESSION foreign_key_checks = 1; SET SESSION unique_checks = 1"
        );
        if self.mysql.is_mariadb() {
            let limit = 2 * LOCK_WAIT_SECONDS;
            setup.push_str(&format!("; SET SESSION max_statement_time = {limit}"));
        }
        lent.run(&setup, PATIENCE).await?;
        self.check(&mut lent).await?;
        Ok(lent)
    }

    /// Who answers on this very session, and whether it takes writes.
    async fn check(&self, lent: &mut Lent) -> Result<(), MysqlError> {
        let sql = format!("SELECT {}", witness_cells(self.mysql.is_mariadb()));
        let rows = lent.fetch(&sql, WITNESS_WIDTH).await?;
        let Some(row) = rows.iter().next() else {
            return Err(MysqlError::Unreachable(
                "an answer came without the server's identity".into(),
            ));
        };
        let (found, _) = witness_of(row, 0)?;
        if found.read_only {
            return Err(MysqlError::Refused(format!(
                "the server {} is read-only, so nothing is inserted",
                found.name
            )));
        }
        if found != self.pinned {
            return Err(MysqlError::Refused(format!(
                "the server {} answers where {} was judged by, so nothing is inserted",
                found.name, self.pinned.name
            )));
        }
        Ok(())
    }
}

/// The INSERT, or why the row is none.
fn insert_statement(
    mapping: &StreamMapping,
    row: &NewRow,
    capacities: &[Capacity],
) -> Result<String, String> {
    let mut cells: BTreeMap<usize, String> = BTreeMap::new();
    for (place, cell) in &row.cells {
        let column = mapping
            .rows
            .columns
            .get(*place)
            .ok_or("the row has a cell for which there is no column")?;
        let capacity = Capacity::of(capacities, column)
            .ok_or_else(|| format!("column `{}` is not there any more", column.name))?;
        let literal = cell_literal(column, capacity, cell.as_deref())
            .map_err(|why| format!("column `{}` {why}", column.name))?;
        if cells.get(place).is_some_and(|known| *known != literal) {
            return Err(format!(
                "the entry asks for two values of column `{}`",
                column.name
            ));
        }
        cells.insert(*place, literal);
    }
    if cells.is_empty() {
        return Err("the entry asks for no cell at all".to_owned());
    }
    let names: Vec<String> = cells
        .keys()
        .map(|&place| literal::identifier(&mapping.rows.columns[place].name))
        .collect();
    let values: Vec<String> = cells.into_values().collect();
    Ok(format!(
        "INSERT INTO {} ({}) VALUES ({})",
        statement::source(&mapping.rows),
        names.join(", "),
        values.join(", ")
    ))
}

/// What an error means for the row, and whether the session may be used again.
fn outcome_of(fault: sqlx::Error, mapping: &StreamMapping) -> (Inserted, bool) {
    let sqlx::Error::Database(database) = fault else {
        return (Inserted::Unknown(fault.to_string()), false);
    };
    let Ok(server) = database.try_downcast::<MySqlDatabaseError>() else {
        return (
            Inserted::Unknown("the server's error cannot be read".into()),
            false,
        );
    };
    let number = server.number();
    match number {
        // Duplicate key in its four forms.
        1022 | 1062 | 1169 | 1586 => (Inserted::AlreadyThere, true),
        // Errors of going down, of the connection, of the commit and of what follows it (binary log, group): the
        // row may be in all the same.
        1053
        | 1079
        | 1080
        | 1152
        | 1158..=1161
        | 1180
        | 1184
        | 1598
        | 1927
        | 2006
        | 2013
        | 3100
        | 3101
        | 3169
        | 4031 => (Inserted::Unknown(server.message().to_owned()), false),
        // The server's text may quote the row's values.
        _ if mapping.rows.check.fields.iter().any(|f| f.redact) => {
            let said = format!(
                "the server's error {number}; its text is left out, because a field is redacted"
            );
            (Inserted::Refused(said), true)
        }
        _ => (
            Inserted::Refused(format!("{} ({number})", server.message())),
            true,
        ),
    }
}
