//! Reading from a replica that has everything its primary had committed at one moment.
//!
//! How far a server has come is a set of transactions: MySQL's `gtid_executed`, MariaDB's GTID positions, one a
//! domain. Both can be read by a user with nothing but SELECT.
//! <https://dev.mysql.com/doc/refman/8.4/en/replication-gtids-functions.html>,
//! <https://mariadb.com/kb/en/gtid/>

use super::error::MysqlError;
use super::pool::Mysql;
use super::position::{Position, tells_of_itself};
use super::server::{WITNESS_WIDTH, witness_cells, witness_of};
use crate::model::rows::Rows;

/// What the primary had committed at one moment: a replica that is read must have all of it.
#[derive(Debug, Clone)]
pub struct SourceMark {
    set: Transactions,
    /// Who the primary is.
    primary: String,
}

#[derive(Debug, Clone)]
enum Transactions {
    /// MySQL: `uuid:1-7,uuid:1-3`, without blanks.
    Set(String),
    /// MariaDB: the last transaction of each domain.
    Position(Position),
}

/// How a server stands to a mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It has all of it, and nothing that its primary does not have.
    Past,
    /// It may come to have it; as what both said.
    Behind(String),
}

/// Who alone may answer, and that it still has what was asked of it.
#[derive(Debug)]
pub(super) struct Pin {
    name: String,
    has_all: String,
}

impl Mysql {
    /// What this primary has committed by now. Refused where it does not say so by GTIDs.
    pub async fn mark(&self) -> Result<SourceMark, MysqlError> {
        let primary = self.facts().await?.identity.name;
        let no_gtids = |why: &str| {
            MysqlError::Refused(format!(
                "[mysql].replica_url needs GTIDs to tell how far a replica is, and {why}; set it, or leave \
                 replica_url out"
            ))
        };
        let set = if self.is_mariadb() {
            let cells = self
                .cells("SELECT @@global.log_bin, @@global.gtid_binlog_pos", 2)
                .await?;
            if !is_on(&cells[0]) {
                return Err(no_gtids("the primary writes no binary log (log_bin)"));
            }
            let position = Position::parse(&cells[1])
                .ok_or_else(|| no_gtids("the primary's gtid_binlog_pos cannot be read"))?;
            if position.is_empty() {
                return Err(no_gtids(
                    "the primary has written nothing to its binary log yet (gtid_binlog_pos is empty)",
                ));
            }
            Transactions::Position(position)
        } else {
            let cells = self
                .cells(
                    "SELECT @@global.log_bin, @@global.gtid_mode, @@global.gtid_executed",
                    3,
                )
                .await?;
            if !is_on(&cells[0]) {
                return Err(no_gtids("the primary writes no binary log (log_bin)"));
            }
            if cells[1] != "ON" {
                return Err(no_gtids(&format!(
                    "the primary has gtid_mode = {}",
                    cells[1]
                )));
            }
            let set = without_blanks(&cells[2]);
            if !is_set(&set) {
                return Err(no_gtids("the primary's gtid_executed cannot be read"));
            }
            if set.is_empty() {
                return Err(no_gtids(
                    "the primary has executed no transaction under a GTID yet (gtid_executed is empty)",
                ));
            }
            Transactions::Set(set)
        };
        Ok(SourceMark { set, primary })
    }

    /// How this server, a replica of `primary`, stands to `mark`. Refused where it can never be read instead of
    /// the primary: it is the primary itself, it keeps no GTIDs, it follows somebody else, it was written to.
    pub async fn standing(
        &self,
        primary: &Mysql,
        mark: &SourceMark,
    ) -> Result<Standing, MysqlError> {
        let facts = self.facts().await?;
        if facts.identity.name == mark.primary {
            return Err(MysqlError::Refused(
                "[mysql].replica_url leads to the primary itself: name a replica there, or leave it out"
                    .into(),
            ));
        }
        match &mark.set {
            Transactions::Set(_) if self.is_mariadb() => Err(not_of_a_kind("MariaDB", "MySQL")),
            Transactions::Position(_) if !self.is_mariadb() => {
                Err(not_of_a_kind("MySQL", "MariaDB"))
            }
            Transactions::Set(set) => {
                self.refuse_visible_filters().await?;
                self.standing_of_set(primary, set).await
            }
            Transactions::Position(position) => {
                self.refuse_filters().await?;
                self.standing_of_position(primary, position).await
            }
        }
    }

    /// From now on an answer counts only if it came from the server that answers now, and new sessions only if
    /// that server has all of `mark`: a proxy that leads elsewhere is refused.
    pub async fn pin(&self, mark: &SourceMark) -> Result<(), MysqlError> {
        let name = self.facts().await?.identity.name;
        let has_all = match &mark.set {
            Transactions::Set(set) => format!("GTID_SUBSET('{set}', @@global.gtid_executed)"),
            Transactions::Position(position) => {
                // It waits for no time at all: 0 says that the position is reached.
                format!("MASTER_GTID_WAIT('{position}', 0) = 0")
            }
        };
        self.keep_pin(Pin { name, has_all });
        Ok(())
    }

    async fn standing_of_set(&self, primary: &Mysql, set: &str) -> Result<Standing, MysqlError> {
        let sql = format!(
            "SELECT @@global.gtid_mode, @@global.gtid_executed, GTID_SUBSET('{set}', @@global.gtid_executed)"
        );
        let cells = self.cells(&sql, 3).await?;
        if cells[0] != "ON" {
            return Err(refused(&format!(
                "has gtid_mode = {}, so that nobody can tell how far it is; set gtid_mode = ON there",
                cells[0]
            )));
        }
        let executed = without_blanks(&cells[1]);
        if !is_set(&executed) {
            return Err(refused("shows a gtid_executed that is no set of GTIDs"));
        }
        if executed.is_empty() {
            return Err(refused(
                "has executed nothing under a GTID (gtid_executed is empty): it is no replica by GTID",
            ));
        }
        let sql = format!("SELECT GTID_SUBTRACT('{executed}', @@global.gtid_executed)");
        let own = primary.cells(&sql, 1).await?;
        if !own[0].is_empty() {
            return Err(refused(&format!(
                "has transactions that the primary does not have ({}): it follows another server, or was written to",
                shortened(&own[0])
            )));
        }
        Ok(if is_on(&cells[2]) {
            Standing::Past
        } else {
            Standing::Behind(format!(
                "it has executed {}, the primary {}",
                shortened(&executed),
                shortened(set)
            ))
        })
    }

    async fn standing_of_position(
        &self,
        primary: &Mysql,
        wanted: &Position,
    ) -> Result<Standing, MysqlError> {
        let sql = "SELECT @@global.gtid_slave_pos, @@global.gtid_binlog_state, @@global.server_id";
        let cells = self.cells(sql, 3).await?;
        let unread = || refused("shows a gtid_slave_pos or gtid_binlog_state that cannot be read");
        let applied = Position::parse(&cells[0]).ok_or_else(unread)?;
        if applied.is_empty() {
            return Err(refused(
                "has applied nothing by replication (gtid_slave_pos is empty): it is no replica by GTID",
            ));
        }
        let own = tells_of_itself(&cells[1], &cells[2]).ok_or_else(unread)?;
        let sql = "SELECT @@global.gtid_binlog_pos, @@global.gtid_binlog_state";
        let now = primary.cells(sql, 2).await?;
        let primary_position = Position::parse(&now[0]).ok_or_else(unread)?;
        if let Some(ahead) = applied.ahead_of(&primary_position, wanted) {
            return Err(refused(&format!(
                "has applied {ahead}, which the primary does not have (it is at {}): it follows another server",
                shortened(&now[0])
            )));
        }
        let known = tells_of_itself(&now[1], &cells[2]).ok_or_else(unread)?;
        if let Some(written) = own.ahead_of(&known, &own) {
            return Err(refused(&format!(
                "was written to ({written} is its own transaction), so that what it holds is not what the primary \
                 holds"
            )));
        }
        Ok(if applied.has_all(wanted) {
            Standing::Past
        } else {
            Standing::Behind(format!(
                "it has applied {}, the primary is at {}",
                shortened(&applied.to_string()),
                shortened(&wanted.to_string())
            ))
        })
    }

    /// MySQL's filters, where this user may see them: it takes SELECT on performance_schema.
    async fn refuse_visible_filters(&self) -> Result<(), MysqlError> {
        let sql = "SELECT filter_name, filter_rule FROM performance_schema.replication_applier_filters \
             UNION ALL SELECT filter_name, filter_rule FROM performance_schema.replication_applier_global_filters";
        match self.fetch(sql, 2).await {
            Ok(rows) => rows.iter().next().map_or(Ok(()), |row| {
                let text =
                    |n| String::from_utf8_lossy(row.cell(n).unwrap_or_default()).into_owned();
                Err(leaves_out(&text(0), &text(1)))
            }),
            // Hidden from this user, or a server that has no such tables.
            Err(MysqlError::Refused(_) | MysqlError::Statement(_)) => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// What a replica leaves out would never be looked at. MariaDB tells everybody.
    async fn refuse_filters(&self) -> Result<(), MysqlError> {
        const FILTERS: [&str; 6] = [
            "replicate_do_db",
            "replicate_ignore_db",
            "replicate_do_table",
            "replicate_ignore_table",
            "replicate_wild_do_table",
            "replicate_wild_ignore_table",
        ];
        let list: Vec<String> = FILTERS.iter().map(|f| format!("@@global.{f}")).collect();
        let sql = format!("SELECT {}", list.join(", "));
        let cells = self.cells(&sql, FILTERS.len()).await?;
        match FILTERS.iter().zip(&cells).find(|(_, set)| !set.is_empty()) {
            None => Ok(()),
            Some((filter, set)) => Err(leaves_out(filter, set)),
        }
    }

    /// The cells of a one-row answer as text; NULL is empty.
    async fn cells(&self, sql: &str, width: usize) -> Result<Vec<String>, MysqlError> {
        let rows = self.fetch(sql, width).await?;
        let row = rows.iter().next().ok_or_else(|| {
            MysqlError::Unreachable("the server does not say how far it is".into())
        })?;
        let text = |n| String::from_utf8_lossy(row.cell(n).unwrap_or_default()).into_owned();
        Ok((0..width).map(text).collect())
    }
}

impl Pin {
    /// What a session is asked before it is used.
    pub(super) fn opening(&self, is_mariadb: bool) -> String {
        format!("SELECT {}, {}", witness_cells(is_mariadb), self.has_all)
    }

    /// What a session is asked after each answer.
    pub(super) fn witness(is_mariadb: bool) -> String {
        format!("SELECT {}", witness_cells(is_mariadb))
    }

    /// Judges the answer to either question.
    pub(super) fn accept(&self, answer: &Rows) -> Result<(), MysqlError> {
        let row = answer.iter().next().ok_or_else(|| {
            MysqlError::Unreachable("an answer came without the server's identity".into())
        })?;
        let (identity, _) = witness_of(row, 0)?;
        if identity.name != self.name {
            return Err(refused(&format!(
                "is {} now, and was {} before: a proxy that changes its mind? Name the replica itself",
                identity.name, self.name
            )));
        }
        let is_opening = answer.width() > WITNESS_WIDTH;
        if is_opening && row.cell(WITNESS_WIDTH) != Some(b"1") {
            return Err(refused(
                "no longer has what it had when the run began: was it set up anew?",
            ));
        }
        Ok(())
    }
}

fn refused(why: &str) -> MysqlError {
    MysqlError::Refused(format!("the server at [mysql].replica_url {why}"))
}

fn leaves_out(filter: &str, rule: &str) -> MysqlError {
    refused(&format!(
        "leaves out a part of what it is sent ({filter} = {rule}), and that part would never be looked at"
    ))
}

fn not_of_a_kind(replica: &str, primary: &str) -> MysqlError {
    refused(&format!(
        "is a {replica} and the primary is a {primary}: their GTIDs cannot be compared"
    ))
}

fn is_on(cell: &str) -> bool {
    matches!(cell, "1" | "ON")
}

/// MySQL breaks long sets into lines.
fn without_blanks(set: &str) -> String {
    set.split_ascii_whitespace().collect()
}

/// Whether nothing in it could end the literal it is put in: UUIDs, tags, numbers.
fn is_set(set: &str) -> bool {
    set.bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b':' | b',' | b'_'))
}

/// Sets of old servers hold hundreds of UUIDs, and a person reads this.
fn shortened(set: &str) -> String {
    const SHOWN: usize = 200;
    match set.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &set[..end]),
        None => set.to_owned(),
    }
}
