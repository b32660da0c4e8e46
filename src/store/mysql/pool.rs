//! A bounded set of sessions, and the one way a statement is run on them.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::{AssertSqlSafe, Executor, Row, Statement};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connect::{Connector, Session};
use super::error::MysqlError;
use super::pages::WindowPlans;
use super::replica::Pin;
use super::server::WITNESS_WIDTH;
use crate::job::MysqlSpec;
use crate::model::progress::ProgressSink;
use crate::model::rows::Rows;
use crate::store::Waiting;

/// What one statement is given. Pages are cut to take milliseconds; only an aggregate over a large
/// table with a wrong plan comes near this.
pub const STATEMENT_LIMIT: Duration = Duration::from_secs(60);

/// How much later than the server's own limit this side gives up and kills the statement: only a
/// server that does not apply its limit (a metadata lock, a stalled network) is caught here.
const GRACE: Duration = Duration::from_secs(5);

/// A server that does not take a KILL QUERY in this time has other worries.
const KILL_PATIENCE: Duration = Duration::from_secs(2);

/// A page above this is refused, because memory must not grow with the data.
const PAGE_BYTES_MAX: usize = 1 << 30;

/// How many cells the rows of a statement must have.
#[derive(Debug, Clone, Copy)]
pub(super) enum Width {
    Exactly(usize),
    /// Cells beyond these are a person's, and are dropped.
    AtLeast(usize),
}

impl From<usize> for Width {
    fn from(cells: usize) -> Self {
        Width::Exactly(cells)
    }
}

/// A bounded set of plain connections to one server, sessions in UTC, statements limited in time.
/// Clones share the connections.
#[derive(Clone)]
pub struct Mysql {
    shared: Arc<Shared>,
}

struct Shared {
    connector: Connector,
    limit: Duration,
    is_mariadb: bool,
    idle: Mutex<Vec<Session>>,
    permits: Arc<Semaphore>,
    plans: WindowPlans,
    /// Of a replica: who alone may answer.
    pin: OnceLock<Pin>,
    waiting: Waiting,
}

/// A session taken from the pool. Dropped without [`Lent::give_back`] it is closed: whatever
/// statement or transaction is on it ends with it.
pub(super) struct Lent {
    pub(super) session: Session,
    is_reused: bool,
    shared: Arc<Shared>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Mysql {
    /// Opens one connection to prove that user, password and TLS are right; more are opened as needed,
    /// `connections_max` at most, beside one for each lease and row lock.
    pub async fn connect(spec: &MysqlSpec, connections_max: usize) -> Result<Self, MysqlError> {
        Self::connect_with_limit(spec, connections_max, STATEMENT_LIMIT).await
    }

    /// The same with another statement limit than [`STATEMENT_LIMIT`].
    pub async fn connect_with_limit(
        spec: &MysqlSpec,
        connections_max: usize,
        statement_limit: Duration,
    ) -> Result<Self, MysqlError> {
        let connector = Connector::new(spec, statement_limit)?;
        let first = connector.open().await?;
        let shared = Shared {
            connector,
            limit: statement_limit,
            is_mariadb: first.is_mariadb,
            idle: Mutex::new(vec![first]),
            permits: Arc::new(Semaphore::new(connections_max.max(1))),
            plans: WindowPlans::default(),
            pin: OnceLock::new(),
            waiting: Waiting::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// From now on waiting for the server to come back is shown there, with its reason.
    pub fn show_waiting_to(&self, progress: Arc<dyn ProgressSink>) {
        self.shared.waiting.show_to(progress);
    }

    pub(super) fn plans(&self) -> &WindowPlans {
        &self.shared.plans
    }

    /// A server is pinned once, before it is shared.
    pub(super) fn keep_pin(&self, pin: Pin) {
        let _ = self.shared.pin.set(pin);
    }

    /// Whether the server is a MariaDB; decides about dialect only.
    pub(super) fn is_mariadb(&self) -> bool {
        self.shared.is_mariadb
    }

    /// A session from the pool, or a new one; waits for one when all are in use.
    pub(super) async fn lend(&self) -> Result<Lent, MysqlError> {
        self.lend_from(true).await
    }

    async fn lend_from(&self, may_reuse: bool) -> Result<Lent, MysqlError> {
        let shared = Arc::clone(&self.shared);
        let permit = Arc::clone(&shared.permits)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        Self::lend_with(shared, Some(permit), may_reuse).await
    }

    /// A session beside the bounded ones, for a lock or a lease that is kept while others read: were it
    /// counted, its keeper could wait for itself.
    pub(super) async fn lend_apart(&self) -> Result<Lent, MysqlError> {
        let mut lent = Self::lend_with(Arc::clone(&self.shared), None, true).await?;
        // A transaction cannot be begun again on another session half-way, so this one must be alive.
        if lent.is_reused && lent.run("DO 0", GRACE).await.is_err() {
            drop(lent);
            lent = Self::lend_with(Arc::clone(&self.shared), None, false).await?;
        }
        Ok(lent)
    }

    async fn lend_with(
        shared: Arc<Shared>,
        permit: Option<OwnedSemaphorePermit>,
        may_reuse: bool,
    ) -> Result<Lent, MysqlError> {
        let reused = if may_reuse { shared.idle().pop() } else { None };
        let is_reused = reused.is_some();
        let session = match reused {
            Some(session) => session,
            None => shared.waiting.open(&shared.connector).await?,
        };
        let mut lent = Lent {
            session,
            is_reused,
            shared,
            _permit: permit,
        };
        if !is_reused {
            lent.prove_at_opening().await?;
        }
        Ok(lent)
    }

    /// Runs one SELECT and gives its rows, `width` cells each.
    pub(super) async fn fetch(
        &self,
        sql: &str,
        width: impl Into<Width>,
    ) -> Result<Rows, MysqlError> {
        let width = width.into();
        let mut lent = self.lend().await?;
        let mut outcome = lent.fetch_proven(sql, width).await;
        // The session may have been closed by the server meanwhile, or be lost with it. Reading once more on a
        // fresh one is safe, because nothing here writes.
        if matches!(outcome, Err(MysqlError::Unreachable(_))) {
            drop(lent);
            lent = self.lend_from(false).await?;
            outcome = lent.fetch_proven(sql, width).await;
        }
        // After any error the session is closed rather than understood: rows may still be on their way,
        // and MariaDB hands the error of a killed statement to the next one.
        if outcome.is_ok() {
            lent.give_back();
        }
        outcome
    }

    /// The columns a statement gives: name and the driver's type name, by preparing it without
    /// running it.
    pub(super) async fn prepare(&self, sql: &str) -> Result<Vec<(String, String)>, MysqlError> {
        let mut lent = self.lend().await?;
        let mut outcome = lent.prepare(sql).await;
        if lent.is_reused && matches!(outcome, Err(MysqlError::Unreachable(_))) {
            drop(lent);
            lent = self.lend_from(false).await?;
            outcome = lent.prepare(sql).await;
        }
        if outcome.is_ok() {
            lent.give_back();
        }
        outcome
    }
}

impl Lent {
    /// Back into the pool, for the next one who asks.
    pub(super) fn give_back(self) {
        let Self {
            session, shared, ..
        } = self;
        shared.idle().push(session);
    }

    /// Runs statements (one, or several parted by `;`) and gives the rows of all of them, `width`
    /// cells each; rows of another width are an error.
    pub(super) async fn fetch(
        &mut self,
        sql: &str,
        width: impl Into<Width>,
    ) -> Result<Rows, MysqlError> {
        let limit = self.shared.limit;
        self.fetch_within(sql, width, limit + GRACE).await
    }

    /// The same, and that it was the pinned server who answered, where one is pinned. A proxy that hands out
    /// statement by statement is not followed any closer than this.
    async fn fetch_proven(&mut self, sql: &str, width: Width) -> Result<Rows, MysqlError> {
        let rows = self.fetch(sql, width).await?;
        let shared = Arc::clone(&self.shared);
        if let Some(pin) = shared.pin.get() {
            let question = Pin::witness(shared.is_mariadb);
            pin.accept(&self.fetch(&question, WITNESS_WIDTH).await?)?;
        }
        Ok(rows)
    }

    async fn prove_at_opening(&mut self) -> Result<(), MysqlError> {
        let shared = Arc::clone(&self.shared);
        if let Some(pin) = shared.pin.get() {
            let question = pin.opening(shared.is_mariadb);
            pin.accept(&self.fetch(&question, WITNESS_WIDTH + 1).await?)?;
        }
        Ok(())
    }

    /// The same, given up (and killed) after `patience`.
    pub(super) async fn fetch_within(
        &mut self,
        sql: &str,
        width: impl Into<Width>,
        patience: Duration,
    ) -> Result<Rows, MysqlError> {
        let limit = self.shared.limit;
        let width = width.into();
        match tokio::time::timeout(patience, collect(&mut self.session, sql, width, limit)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                self.kill().await;
                Err(MysqlError::TimedOut(patience))
            }
        }
    }

    /// Runs statements (one, or several parted by `;`) and throws their rows away.
    pub(super) async fn run(&mut self, sql: &str, patience: Duration) -> Result<(), MysqlError> {
        let limit = self.shared.limit;
        let text = AssertSqlSafe(sql.to_owned());
        let done = sqlx::raw_sql(text).execute(&mut self.session.connection);
        match tokio::time::timeout(patience, done).await {
            Ok(outcome) => outcome
                .map(drop)
                .map_err(|e| MysqlError::from_driver(e, limit)),
            Err(_) => {
                self.kill().await;
                Err(MysqlError::TimedOut(patience))
            }
        }
    }

    async fn prepare(&mut self, sql: &str) -> Result<Vec<(String, String)>, MysqlError> {
        let limit = self.shared.limit;
        let text = AssertSqlSafe(sql.to_owned());
        let prepared = (&mut self.session.connection).prepare(sqlx::SqlSafeStr::into_sql_str(text));
        let Ok(outcome) = tokio::time::timeout(limit + GRACE, prepared).await else {
            self.kill().await;
            return Err(MysqlError::TimedOut(limit));
        };
        let statement = outcome.map_err(|e| MysqlError::from_driver(e, limit))?;
        if statement.parameters().and_then(|p| p.right()).unwrap_or(0) > 0 {
            return Err(MysqlError::Statement(
                "it has a `?`, which nothing would be bound to".into(),
            ));
        }
        Ok(statement
            .columns()
            .iter()
            .map(|c| {
                use sqlx::{Column, TypeInfo};
                (c.name().to_owned(), c.type_info().name().to_owned())
            })
            .collect())
    }

    /// Ends this session's statement from a second connection. Best effort: the statement's own limit
    /// ends it too, and the session is dropped in any case.
    pub(super) async fn kill(&self) {
        let kill = format!("KILL QUERY {}", self.session.id);
        let killing = async {
            let mut other = self.shared.connector.open().await.ok()?;
            let done = sqlx::raw_sql(AssertSqlSafe(kill)).execute(&mut other.connection);
            done.await.ok()
        };
        if !matches!(
            tokio::time::timeout(KILL_PATIENCE, killing).await,
            Ok(Some(_))
        ) {
            tracing::warn!("a late MySQL statement could not be killed; its own limit ends it");
        }
    }
}

impl Shared {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Session>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn collect(
    session: &mut Session,
    sql: &str,
    width: Width,
    limit: Duration,
) -> Result<Rows, MysqlError> {
    let driver = |e| MysqlError::from_driver(e, limit);
    let (width, may_be_wider) = match width {
        Width::Exactly(width) => (width, false),
        Width::AtLeast(width) => (width, true),
    };
    let mut rows = Rows::with_width(width);
    let mut bytes = 0_usize;
    let mut stream = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch(&mut session.connection);
    while let Some(row) = stream.try_next().await.map_err(driver)? {
        if row.len() < width || (row.len() > width && !may_be_wider) {
            return Err(MysqlError::Statement(format!(
                "it gives {} columns where {width} were expected",
                row.len()
            )));
        }
        for index in 0..width {
            let cell: Option<&[u8]> = row.try_get_unchecked(index).map_err(driver)?;
            bytes += cell.map_or(0, <[u8]>::len);
            if bytes > PAGE_BYTES_MAX {
                return Err(MysqlError::Statement(
                    "one page of rows holds more than 1 GiB; map fewer or smaller columns".into(),
                ));
            }
            rows.push_cell(cell);
        }
    }
    Ok(rows)
}
