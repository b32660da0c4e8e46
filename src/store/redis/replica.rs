//! What matters of a replica that is to be read in place of its master.

use super::error::RedisError;
use super::reader::Redis;
use super::reply;

impl Redis {
    /// Whether clients may write to this replica (`replica-read-only no`), so that it may hold what its master does
    /// not.
    pub async fn is_writable_replica(&self) -> Result<bool, RedisError> {
        let mut command = ::redis::cmd("INFO");
        command.arg("replication");
        let link = &self.nodes.links()[0];
        let text = reply::text(reply::one(link, &command).await?)
            .ok_or_else(|| RedisError::unexpected(&link.address, "INFO"))?;
        Ok(text
            .lines()
            .any(|line| line.trim_end() == "slave_read_only:0"))
    }
}
