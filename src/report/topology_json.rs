//! The nodes in `run.json`: who was there, what they and the Sentinels said, what the rules object to.

use std::collections::BTreeMap;

use serde::Serialize;

use super::run_json::{RedisRecord, as_time, as_time_or_null};
use crate::model::time::Micros;

/// All known nodes at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct InventoryRecord {
    /// `standalone`, `sentinel` or `cluster`.
    pub kind: String,
    #[serde(serialize_with = "as_time")]
    pub seen_at: Micros,
    /// One more with every failover, where Sentinels or a Cluster count them.
    pub epoch: Option<u64>,
    pub nodes: Vec<NodeRecord>,
    pub sentinels: Vec<SentinelRecord>,
}

/// One node, by its own words and those of others. Instants are by the auditor's clock.
#[derive(Debug, Clone, Serialize)]
pub struct NodeRecord {
    pub address: String,
    /// `None`: it did not answer.
    pub redis: Option<RedisRecord>,
    /// Why it did not answer.
    pub unreachable: Option<String>,
    /// Of a Cluster: the slots it answers for.
    pub slots: Option<String>,
    /// Of a replica.
    pub follows: Option<FollowsRecord>,
    /// Its witnesses hold it for down since then.
    #[serde(serialize_with = "as_time_or_null")]
    pub down_since: Option<Micros>,
    /// Since when a Sentinel knows it in its present role.
    #[serde(serialize_with = "as_time_or_null")]
    pub role_since: Option<Micros>,
    /// `None`: the user may not ask.
    pub settings: Option<BTreeMap<String, String>>,
}

/// Whom a replica follows.
#[derive(Debug, Clone, Serialize)]
pub struct FollowsRecord {
    pub address: String,
    pub is_link_up: bool,
    pub applied_offset: i64,
    pub priority: i64,
}

/// One Sentinel of the job.
#[derive(Debug, Clone, Serialize)]
pub struct SentinelRecord {
    pub address: String,
    pub unreachable: Option<String>,
    /// Whom it names as the master.
    pub master: Option<String>,
    pub config_epoch: Option<u64>,
    /// Sentinels it knows of, itself included.
    pub sentinels_known: Option<u64>,
    pub replicas: Vec<String>,
}

/// What a rule objects to about a node.
#[derive(Debug, Clone, Serialize)]
pub struct TopologyFindingRecord {
    pub rule: String,
    pub severity: String,
    /// Of the node.
    pub address: String,
    /// Name, value and advised value, where it is about a setting.
    pub setting: Option<String>,
    pub value: Option<String>,
    pub advised: Option<String>,
    pub reason: String,
    /// When it was seen last.
    #[serde(serialize_with = "as_time")]
    pub observed_at: Micros,
    /// When it was seen no more.
    #[serde(serialize_with = "as_time_or_null")]
    pub settled_at: Option<Micros>,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A master that answered, seen by a Sentinel that did too.
    pub(in crate::report) fn inventory(redis: &RedisRecord) -> InventoryRecord {
        InventoryRecord {
            kind: "sentinel".into(),
            seen_at: Micros(1_000_000),
            epoch: Some(3),
            nodes: vec![NodeRecord {
                address: "127.0.0.1:6379".into(),
                redis: Some(redis.clone()),
                unreachable: None,
                slots: None,
                follows: Some(FollowsRecord {
                    address: "127.0.0.1:6380".into(),
                    is_link_up: true,
                    applied_offset: 4_600,
                    priority: 100,
                }),
                down_since: None,
                role_since: Some(Micros(0)),
                settings: None,
            }],
            sentinels: vec![SentinelRecord {
                address: "127.0.0.1:26379".into(),
                unreachable: None,
                master: Some("127.0.0.1:6379".into()),
                config_epoch: Some(3),
                sentinels_known: Some(3),
                replicas: vec!["127.0.0.1:6380".into()],
            }],
        }
    }

    pub(in crate::report) fn finding() -> TopologyFindingRecord {
        TopologyFindingRecord {
            rule: "unsafe-config".into(),
            severity: "low".into(),
            address: "127.0.0.1:6379".into(),
            setting: Some("min-replicas-to-write".into()),
            value: Some("0".into()),
            advised: Some("1".into()),
            reason: "min-replicas-to-write is 0".into(),
            observed_at: Micros(1_000_000),
            settled_at: None,
        }
    }
}
