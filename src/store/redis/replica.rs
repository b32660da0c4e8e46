//! What matters of a replica that is to be read in place of its master.

use ::redis::Value;

use super::error::RedisError;
use super::reader::Redis;
use super::reply;

/// How a replica may come to hold something else than its master.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplicaHabits {
    /// Clients may write to it: `replica-read-only no`.
    pub takes_writes: bool,
    /// It has a memory limit and a policy that frees memory by removing keys.
    pub has_eviction: bool,
    /// `replica-ignore-maxmemory`: it leaves eviction to its master. `None`: this user may not ask.
    pub leaves_eviction: Option<bool>,
}

impl Redis {
    /// Asks a replica by INFO and CONFIG GET.
    pub async fn replica_habits(&self) -> Result<ReplicaHabits, RedisError> {
        let link = &self.nodes.links()[0];
        let mut pipeline = ::redis::pipe();
        for section in ["replication", "memory"] {
            pipeline.cmd("INFO").arg(section);
        }
        let setting = "replica-ignore-maxmemory";
        pipeline.cmd("CONFIG").arg("GET").arg(setting);
        let mut answers = reply::many(link, &pipeline).await?;
        let config = answers.pop().unwrap_or_default();
        let mut text = String::new();
        for answer in answers {
            let section = reply::text(reply::accepted(&link.address, answer)?)
                .ok_or_else(|| RedisError::unexpected(&link.address, "INFO"))?;
            text.push_str(&section);
            text.push('\n');
        }
        let says = |line: &str| text.lines().any(|l| l.trim_end() == line);
        Ok(ReplicaHabits {
            takes_writes: says("slave_read_only:0"),
            has_eviction: !says("maxmemory:0") && !says("maxmemory_policy:noeviction"),
            leaves_eviction: value_of(config, setting).map(|value| value == "yes"),
        })
    }
}

/// The value in an answer to CONFIG GET; `None` where the answer is an error or names no such setting.
fn value_of(answer: Value, setting: &str) -> Option<String> {
    let words: Vec<String> = reply::optional_array(answer)?
        .into_iter()
        .filter_map(reply::text)
        .collect();
    let pair = words.chunks(2).find(|pair| pair[0] == setting)?;
    pair.get(1).cloned()
}
