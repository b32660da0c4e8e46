//! The floor: the same rows and the same keys, fetched by the servers' own clients and thrown away.

use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::shop::{Shop, Workload};

/// Wall time of each client, alone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Floor {
    pub(crate) mysql: Duration,
    pub(crate) redis: Duration,
}

impl Floor {
    pub(crate) fn slower(&self) -> Duration {
        self.mysql.max(self.redis)
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
        mysql: time(sql, &selects, &input)?,
        redis: time(cache, &shop.gets(workload), &input)?,
    })
}

fn time(mut client: Command, text: &str, input: &Path) -> Result<Duration, Box<dyn Error>> {
    std::fs::write(input, text)?;
    let began = Instant::now();
    let status = client
        .stdin(File::open(input)?)
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .status()
        .map_err(|fault| format!("{}: {fault}", client.get_program().display()))?;
    if !status.success() {
        return Err(format!("{} ended with {status}", client.get_program().display()).into());
    }
    Ok(began.elapsed())
}
