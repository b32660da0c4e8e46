//! The advisory lock by which two repairs of one job exclude each other.

use super::error::MysqlError;
use super::literal;
use super::pool::{Lent, Mysql};

/// An advisory lock and the connection that owns it. Dropping it closes the connection, which frees the
/// lock.
pub struct Lease {
    name: String,
    lent: Lent,
}

impl Mysql {
    /// Takes `GET_LOCK(name, 0)` on a connection of its own; `None`: someone else has it. `name` has at
    /// most 64 characters; case does not matter.
    pub async fn take_lease(&self, name: &str) -> Result<Option<Lease>, MysqlError> {
        let mut lent = self.lend_apart().await?;
        let rows = lent
            .fetch(&format!("SELECT GET_LOCK({}, 0)", literal::text(name)), 1)
            .await?;
        match rows.iter().next().and_then(|row| row.cell(0)) {
            Some(b"1") => Ok(Some(Lease {
                name: name.to_owned(),
                lent,
            })),
            Some(_) => Ok(None),
            None => Err(MysqlError::Unreachable(
                "the server could not say who has the lock".into(),
            )),
        }
    }
}

/// A connection, as the server lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    pub user: String,
    /// host:port
    pub host: String,
    /// Since it was last heard of.
    pub idle_seconds: u64,
}

impl Mysql {
    /// The connection of this id; `None`: it is gone, or this user may not see those of others.
    pub async fn holder(&self, connection: u64) -> Result<Option<Holder>, MysqlError> {
        let sql = format!(
            "SELECT USER, HOST, TIME FROM information_schema.PROCESSLIST WHERE ID = {connection}"
        );
        let rows = self.fetch(&sql, 3).await?;
        let row = rows.iter().next();
        Ok(row.map(|row| {
            let text = |at: usize| {
                let bytes = row.cell(at).unwrap_or_default();
                String::from_utf8_lossy(bytes).into_owned()
            };
            Holder {
                user: text(0),
                host: text(1),
                idle_seconds: text(2).parse().unwrap_or_default(),
            }
        }))
    }

    /// Who holds each of the locks `names`, in one statement: the ids of their connections, in the order of `names`.
    pub async fn lease_holders(&self, names: &[String]) -> Result<Vec<Option<u64>>, MysqlError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let asked: Vec<String> = names
            .iter()
            .map(|name| format!("IS_USED_LOCK({})", literal::text(name)))
            .collect();
        let rows = self
            .fetch(&format!("SELECT {}", asked.join(", ")), names.len())
            .await?;
        let row = rows.iter().next();
        let holder = |at: usize| std::str::from_utf8(row?.cell(at)?).ok()?.parse().ok();
        Ok((0..names.len()).map(holder).collect())
    }
}

impl Lease {
    /// Whether this connection still owns the lock.
    pub async fn is_held(&mut self) -> Result<bool, MysqlError> {
        let name = literal::text(&self.name);
        let rows = self
            .lent
            .fetch(&format!("SELECT IS_USED_LOCK({name}) = CONNECTION_ID()"), 1)
            .await?;
        Ok(rows.iter().any(|row| row.cell(0) == Some(b"1")))
    }

    /// Frees the lock before the connection closes, so that the next run finds it free at once.
    pub async fn release(mut self) -> Result<(), MysqlError> {
        let name = literal::text(&self.name);
        self.lent
            .fetch(&format!("SELECT RELEASE_LOCK({name})"), 1)
            .await?;
        self.lent.give_back();
        Ok(())
    }
}
