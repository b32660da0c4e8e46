//! Who the server is and how busy it is.

use chrono::NaiveDateTime;

use super::error::MysqlError;
use super::pool::Mysql;
use crate::model::identity::SourceIdentity;
use crate::model::rows::RowRef;
use crate::model::time::Micros;

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

/// Cells of [`witness_cells`].
pub(super) const WITNESS_WIDTH: usize = 5;

impl Mysql {
    pub async fn facts(&self) -> Result<ServerFacts, MysqlError> {
        let is_mariadb = self.is_mariadb();
        let sql = format!("SELECT VERSION(), {}", witness_cells(is_mariadb));
        let rows = self.fetch(&sql, 1 + WITNESS_WIDTH).await?;
        if rows.is_empty() {
            return Err(MysqlError::Unreachable(
                "the server says nothing of itself".into(),
            ));
        }
        let row = rows.row(0);
        let (identity, now) = witness_of(row, 1)?;
        Ok(ServerFacts {
            version: String::from_utf8_lossy(row.cell(0).unwrap_or_default()).into_owned(),
            is_mariadb,
            identity,
            now,
            is_multi_primary: self.is_multi_primary().await?,
        })
    }

    /// `Threads_running`, for the load pause.
    pub async fn threads_running(&self) -> Result<u32, MysqlError> {
        let rows = self
            .fetch("SHOW GLOBAL STATUS LIKE 'Threads_running'", 2)
            .await?;
        rows.iter()
            .next()
            .and_then(|row| std::str::from_utf8(row.cell(1)?).ok()?.parse().ok())
            .ok_or_else(|| MysqlError::Refused("the server hides `Threads_running`".into()))
    }

    /// Unknown variables are simply not listed, so a server without either feature answers with nothing.
    async fn is_multi_primary(&self) -> Result<bool, MysqlError> {
        let variables = self
            .fetch(
                "SHOW GLOBAL VARIABLES WHERE Variable_name IN \
                 ('wsrep_on', 'group_replication_single_primary_mode')",
                2,
            )
            .await?;
        let is = |name: &[u8], value: &[u8]| {
            variables.iter().any(|row| {
                row.cell(0).is_some_and(|n| n.eq_ignore_ascii_case(name))
                    && row.cell(1).is_some_and(|v| v.eq_ignore_ascii_case(value))
            })
        };
        if is(b"wsrep_on", b"ON") {
            let size = self
                .fetch("SHOW GLOBAL STATUS LIKE 'wsrep_cluster_size'", 2)
                .await?;
            let is_alone = size.iter().any(|row| row.cell(1) == Some(b"1"));
            return Ok(!is_alone);
        }
        if is(b"group_replication_single_primary_mode", b"OFF") {
            let members = self
                .fetch(
                    "SELECT COUNT(*) FROM performance_schema.replication_group_members \
                     WHERE member_state = 'ONLINE'",
                    1,
                )
                .await;
            // Where the members may not be seen, the careful answer is that there are some.
            return Ok(
                !matches!(members, Ok(rows) if rows.iter().all(|r| r.cell(0) == Some(b"0"))),
            );
        }
        Ok(false)
    }
}

/// Select list of who answers and when. The aliases keep clear of a user's column names.
pub(super) fn witness_cells(is_mariadb: bool) -> &'static str {
    // Aurora readers are read-only by `innodb_read_only` alone.
    if is_mariadb {
        "@@hostname AS auditor_w0, CONCAT(@@port, '/', @@server_id) AS auditor_w1, \
         @@global.read_only AS auditor_w2, @@global.innodb_read_only AS auditor_w3, \
         NOW(6) AS auditor_w4"
    } else {
        "@@server_uuid AS auditor_w0, '' AS auditor_w1, @@global.read_only AS auditor_w2, \
         @@global.innodb_read_only AS auditor_w3, NOW(6) AS auditor_w4"
    }
}

/// Reads [`witness_cells`] back from the cells of `row` that begin at `first`.
pub(super) fn witness_of(
    row: RowRef<'_>,
    first: usize,
) -> Result<(SourceIdentity, Micros), MysqlError> {
    let text = |n: usize| String::from_utf8_lossy(row.cell(first + n).unwrap_or_default());
    let (host, rest) = (text(0), text(1));
    let name = if rest.is_empty() {
        host.into_owned()
    } else {
        format!("{host}:{rest}")
    };
    // MariaDB 12 names the kinds of read-only, so anything that is not plainly off is on.
    let is_on = |value: &str| !matches!(value, "0" | "OFF");
    let read_only = is_on(&text(2)) || is_on(&text(3));
    let now = NaiveDateTime::parse_from_str(&text(4), "%Y-%m-%d %H:%M:%S%.f")
        .map_err(|_| MysqlError::Unreachable("the server's clock cannot be read".into()))?;
    Ok((
        SourceIdentity { name, read_only },
        Micros(now.and_utc().timestamp_micros()),
    ))
}
