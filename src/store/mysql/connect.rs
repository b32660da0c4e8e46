//! From the job's URL and TLS files to one session that reads what the server prints.

use std::str::FromStr;
use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use sqlx::{ConnectOptions, Row};

use super::error::MysqlError;
use crate::job::MysqlSpec;

/// A server that does not finish the handshake in this time counts as not reachable.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// How sessions are opened. Holds the password, so it has no `Debug`.
pub(super) struct Connector {
    options: MySqlConnectOptions,
    limit: Duration,
}

/// One session.
pub(super) struct Session {
    pub(super) connection: MySqlConnection,
    /// `CONNECTION_ID()`, for KILL QUERY.
    pub(super) id: u64,
    pub(super) is_mariadb: bool,
}

impl Connector {
    /// `limit` is what every statement is given by the server itself.
    pub(super) fn new(spec: &MysqlSpec, limit: Duration) -> Result<Self, MysqlError> {
        let url = spec.url.reveal();
        if !url.starts_with("mysql://") && !url.starts_with("mariadb://") {
            return Err(MysqlError::Refused(
                "the MySQL url does not begin with `mysql://`; write mysql://user:password@host:port/database"
                    .into(),
            ));
        }
        let mut options =
            MySqlConnectOptions::from_str(url).map_err(|e| MysqlError::from_driver(e, limit))?;
        let tls = &spec.tls;
        if let Some(ca) = &tls.ca {
            options = options.ssl_ca(readable("tls_ca", ca)?);
            // Who names a CA wants it checked; the URL may still ask for more (VERIFY_IDENTITY).
            if !matches!(options.get_ssl_mode(), MySqlSslMode::VerifyIdentity) {
                options = options.ssl_mode(MySqlSslMode::VerifyCa);
            }
        }
        if let Some(cert) = &tls.cert {
            options = options.ssl_client_cert(readable("tls_cert", cert)?);
        }
        if let Some(key) = &tls.key {
            options = options.ssl_client_key(readable("tls_key", key)?);
        }
        // The driver would change what a user's SQL means (`||`) and log every statement with its
        // values. Instants are read as UTC and text as UTF-8 whatever the URL says.
        let options = options
            .pipes_as_concat(false)
            .no_engine_substitution(false)
            .timezone(Some("+00:00".to_owned()))
            .charset("utf8mb4")
            .statement_cache_capacity(0)
            .disable_statement_logging();
        Ok(Self { options, limit })
    }

    /// Opens a session: UTC, READ COMMITTED, READ ONLY, statements limited in time by the server.
    pub(super) async fn open(&self) -> Result<Session, MysqlError> {
        match tokio::time::timeout(CONNECT_LIMIT, self.open_unlimited()).await {
            Ok(opened) => {
                opened.map_err(|e| self.at_address(MysqlError::from_driver(e, self.limit)))
            }
            Err(_) => Err(self.at_address(MysqlError::Unreachable(format!(
                "no session within {} s",
                CONNECT_LIMIT.as_secs()
            )))),
        }
    }

    /// Says which server did not answer; the rest of the URL stays unsaid.
    fn at_address(&self, fault: MysqlError) -> MysqlError {
        match fault {
            MysqlError::Unreachable(why) => {
                let (host, port) = (self.options.get_host(), self.options.get_port());
                MysqlError::Unreachable(format!("{host}:{port}: {why}"))
            }
            other => other,
        }
    }

    async fn open_unlimited(&self) -> Result<Session, sqlx::Error> {
        let mut connection = self.options.connect().await?;
        let row = sqlx::raw_sql("SELECT CONNECTION_ID(), VERSION()")
            .fetch_one(&mut connection)
            .await?;
        let id = text_cell(&row, 0)?
            .parse()
            .map_err(|_| sqlx::Error::Protocol("CONNECTION_ID() is not a number".into()))?;
        let is_mariadb = text_cell(&row, 1)?.to_ascii_lowercase().contains("mariadb");
        // READ ONLY makes the server itself refuse a write; READ COMMITTED gives every statement the
        // latest committed rows, whatever the server's default is.
        let limit = if is_mariadb {
            format!(
                "SET SESSION max_statement_time = {:.3}",
                self.limit.as_secs_f64()
            )
        } else {
            format!(
                "SET SESSION max_execution_time = {}",
                self.limit.as_millis().max(1)
            )
        };
        let setup =
            format!("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY; {limit}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(setup))
            .execute(&mut connection)
            .await?;
        Ok(Session {
            connection,
            id,
            is_mariadb,
        })
    }
}

fn text_cell(row: &sqlx::mysql::MySqlRow, index: usize) -> Result<String, sqlx::Error> {
    let bytes: &[u8] = row.try_get_unchecked(index)?;
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

/// The path, if the file can be opened: the driver's own message does not say which file it missed.
fn readable<'p>(
    setting: &str,
    path: &'p std::path::Path,
) -> Result<&'p std::path::Path, MysqlError> {
    match std::fs::File::open(path) {
        Ok(_) => Ok(path),
        Err(e) => Err(MysqlError::Refused(format!(
            "`{setting}` {} cannot be read: {e}",
            path.display()
        ))),
    }
}
