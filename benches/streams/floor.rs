//! The floor: the same entries, pending ids and rows, fetched by the servers' own clients and thrown away.

use std::error::Error;
use std::process::Command;
use std::time::Duration;

use super::market::Market;
use super::measured::Client;

/// Each client, alone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Floor {
    /// XRANGE of all entries and XPENDING of all pending ids, a thousand at once.
    pub(crate) redis: Client,
    /// All rows in one SELECT.
    pub(crate) rows: Client,
    /// The same rows by their identities, five hundred at once.
    pub(crate) by_identity: Client,
}

impl Floor {
    /// What a reader takes that does one after the other.
    pub(crate) fn wall(&self) -> Duration {
        self.redis.wall + self.by_identity.wall
    }

    pub(crate) fn cpu(&self) -> Duration {
        self.redis.cpu + self.by_identity.cpu
    }

    pub(crate) fn told(&self) -> String {
        format!(
            "  floor          XRANGE and XPENDING {}\n  \
             floor          SELECT of all rows {}, by identities {}",
            self.redis.told(),
            self.rows.told(),
            self.by_identity.told()
        )
    }
}

pub(crate) fn measure(market: &Market) -> Result<Floor, Box<dyn Error>> {
    let mut cache = Command::new("redis-cli");
    cache.args(["-p", &market.redis.port().to_string()]);
    let input = market.folder.path().join("input");
    let floor = Floor {
        redis: Client::run(cache, &market.ranges(), &input)?,
        rows: Client::run(market.sql_client(), &market.select_all(), &input)?,
        by_identity: Client::run(market.sql_client(), &market.selects(), &input)?,
    };
    std::fs::remove_file(input)?;
    Ok(floor)
}
