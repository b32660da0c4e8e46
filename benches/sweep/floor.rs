//! The floor: the same rows and the same keys, fetched by the servers' own clients and thrown away.

use std::error::Error;
use std::process::Command;
use std::time::Duration;

use super::measured::Client;
use super::shop::{Shop, Workload};

/// Each client, alone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Floor {
    pub(crate) mysql: Client,
    pub(crate) redis: Client,
}

impl Floor {
    pub(crate) fn slower(&self) -> Duration {
        self.mysql.wall.max(self.redis.wall)
    }

    pub(crate) fn told(&self) -> String {
        format!(
            "  floor          wall {} SQL client, {} redis-cli",
            self.mysql.told(),
            self.redis.told()
        )
    }
}

pub(crate) fn measure(shop: &Shop, workload: Workload) -> Result<Floor, Box<dyn Error>> {
    let (program, words, selects) = shop.sql_client(workload);
    let mut sql = Command::new(program);
    sql.args(words);
    let mut cache = Command::new("redis-cli");
    cache.args(["-p", &shop.redis.port().to_string()]);
    let input = shop.folder.path().join("input");
    Ok(Floor {
        mysql: Client::run(sql, &selects, &input)?,
        redis: Client::run(cache, &shop.gets(workload), &input)?,
    })
}
