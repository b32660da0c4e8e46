//! What can go wrong with the source, by what the caller can do about it.

use std::time::Duration;

use sqlx::mysql::MySqlDatabaseError;

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

impl MysqlError {
    /// Sorts a driver's error. `limit` is the statement limit that was in force.
    pub(super) fn from_driver(error: sqlx::Error, limit: Duration) -> Self {
        match error {
            sqlx::Error::Database(database) => {
                match database.try_downcast::<MySqlDatabaseError>() {
                    Ok(server) => from_server(server.number(), server.message(), limit),
                    Err(other) => MysqlError::Unreachable(other.to_string()),
                }
            }
            sqlx::Error::Tls(source) => {
                MysqlError::Refused(format!("TLS could not be established: {source}"))
            }
            // The driver's text may quote the URL, and the URL holds the password.
            sqlx::Error::Configuration(_) => MysqlError::Refused(
                "the connection settings are not understood; check the url and the TLS files"
                    .into(),
            ),
            sqlx::Error::InvalidArgument(text) => MysqlError::Refused(text),
            sqlx::Error::Io(source) => MysqlError::Unreachable(source.to_string()),
            other => MysqlError::Unreachable(other.to_string()),
        }
    }
}

/// Server error numbers: <https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html>,
/// <https://mariadb.com/kb/en/mariadb-error-code-reference/>.
fn from_server(number: u16, message: &str, limit: Duration) -> MysqlError {
    let text = format!("{message} ({number})");
    match number {
        // Query interrupted (a KILL QUERY); MariaDB's and MySQL's statement limits.
        1317 | 1969 | 3024 => MysqlError::TimedOut(limit),
        // Lock wait timeout, deadlock, NOWAIT, and MariaDB's "record has changed since last read".
        1020 | 1205 | 1213 | 3572 => MysqlError::Locked,
        // Too many connections (also per user), host blocked, shutdown, connection killed,
        // out of memory, table definition changed.
        1040
        | 1053
        | 1129
        | 1152
        | 1158..=1161
        | 1203
        | 1226
        | 1412
        | 1927
        | 2006
        | 2013
        | 3169 => MysqlError::Unreachable(text),
        // Access denied in all its forms, unknown database at login, secure transport required,
        // expired or locked accounts, host not allowed, plugin missing, read-only server.
        1044 | 1045 | 1049 | 1130 | 1142 | 1143 | 1227 | 1251 | 1290 | 1370 | 1524 | 1698
        | 1820 | 1862 | 3118 | 3159 | 4151 => MysqlError::Refused(text),
        _ => MysqlError::Statement(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(number: u16) -> &'static str {
        match from_server(number, "x", Duration::from_secs(1)) {
            MysqlError::Unreachable(_) => "unreachable",
            MysqlError::Refused(_) => "refused",
            MysqlError::Statement(_) => "statement",
            MysqlError::TimedOut(_) => "timed out",
            MysqlError::Locked => "locked",
        }
    }

    #[test]
    fn server_errors_are_sorted_by_what_can_be_done() {
        for (numbers, kind) in [
            (&[1045, 1044, 1142, 1227, 3159][..], "refused"),
            (&[1146, 1054, 1064, 1305, 1267], "statement"),
            (&[1317, 1969, 3024], "timed out"),
            (&[3572, 1205, 1213], "locked"),
            (&[1040, 1053], "unreachable"),
        ] {
            for &number in numbers {
                assert_eq!(sorted(number), kind, "{number}");
            }
        }
    }
}
