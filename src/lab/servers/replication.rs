//! Replication by GTID between two database servers.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Row};

use super::mysql::{Flavor, MysqlOptions, MysqlServer};
use crate::lab::{LabError, wait};

/// An idle pair needs milliseconds; a loaded machine with an unpacked MySQL some seconds.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(60);

impl MysqlOptions {
    /// A server that logs what it does under GTIDs, so that it can have replicas or be one. Every server of a
    /// pair needs its own `server_id`.
    pub fn replicating(flavor: Flavor, server_id: u32) -> Self {
        let mut arguments = vec![
            format!("--server-id={server_id}"),
            // The binary log is named in full, because its default comes from the host's name.
            "--log-bin=binlog".to_owned(),
            "--binlog-format=ROW".to_owned(),
        ];
        match flavor {
            Flavor::MariaDb => arguments.push("--log-slave-updates".to_owned()),
            Flavor::MySql => {
                arguments.push("--gtid-mode=ON".to_owned());
                arguments.push("--enforce-gtid-consistency=ON".to_owned());
            }
        }
        Self {
            flavor,
            arguments,
            tls: false,
        }
    }
}

impl MysqlServer {
    /// Makes this server a replica of `primary` and starts replicating. Both were started with
    /// [`MysqlOptions::replicating`], and `primary` has logged everything it ever did.
    pub async fn follow(&self, primary: &MysqlServer) -> Result<(), LabError> {
        let port = primary.port();
        let statements = match self.flavor() {
            Flavor::MariaDb => format!(
                "CHANGE MASTER TO master_host = '127.0.0.1', master_port = {port}, master_user = 'root', \
                 master_connect_retry = 1, master_use_gtid = slave_pos; START SLAVE"
            ),
            Flavor::MySql => format!(
                "CHANGE REPLICATION SOURCE TO source_host = '127.0.0.1', source_port = {port}, \
                 source_user = 'root', source_connect_retry = 1, source_auto_position = 1, \
                 get_source_public_key = 1; START REPLICA"
            ),
        };
        self.execute("", &statements).await
    }

    /// What the primary does from now on lies in the relay log, and is not applied.
    pub async fn stop_applying(&self) -> Result<(), LabError> {
        self.execute(
            "",
            match self.flavor() {
                Flavor::MariaDb => "STOP SLAVE SQL_THREAD",
                Flavor::MySql => "STOP REPLICA SQL_THREAD",
            },
        )
        .await
    }

    /// Applies what was held back, and what comes.
    pub async fn resume_applying(&self) -> Result<(), LabError> {
        self.execute(
            "",
            match self.flavor() {
                Flavor::MariaDb => "START SLAVE SQL_THREAD",
                Flavor::MySql => "START REPLICA SQL_THREAD",
            },
        )
        .await
    }

    /// Waits until this replica has applied everything that `primary` has committed by now.
    pub async fn catches_up_with(&self, primary: &MysqlServer) -> Result<(), LabError> {
        let (position, has_it) = match self.flavor() {
            Flavor::MariaDb => (
                "SELECT @@global.gtid_binlog_pos",
                "SELECT MASTER_GTID_WAIT('{}', 0) = 0",
            ),
            Flavor::MySql => (
                "SELECT REPLACE(@@global.gtid_executed, '\\n', '')",
                "SELECT GTID_SUBSET('{}', @@global.gtid_executed)",
            ),
        };
        let wanted = primary.text(position).await?;
        let question = has_it.replace("{}", &wanted);
        wait::until(
            format!("the replica at port {} has applied {wanted}", self.port()),
            CATCH_UP_LIMIT,
            async || self.text(&question).await.is_ok_and(|answer| answer == "1"),
        )
        .await
    }

    /// The first cell of a statement's first row, as it is printed.
    async fn text(&self, select: &str) -> Result<String, LabError> {
        let mut connection = self.connect("").await?;
        let row = sqlx::raw_sql(AssertSqlSafe(select.to_owned()))
            .fetch_one(&mut connection)
            .await
            .map_err(LabError::mysql("ask how far replication has come"))?;
        let bytes: Option<&[u8]> = row
            .try_get_unchecked(0)
            .map_err(LabError::mysql("read how far replication has come"))?;
        Ok(String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned())
    }
}
