//! What a node says of itself.

use std::collections::HashMap;

use ::redis::Value;

use super::connect::Link;
use super::error::RedisError;
use super::reply;
use crate::model::identity::NodeIdentity;
use crate::model::node::{NodeFacts, ReplicaFacts, Upstream};
use crate::model::slots::SlotSet;
use crate::model::time::Micros;

/// Asks for everything in one round trip. Sections are asked for one by one, because several at once
/// are understood only from Redis 7.0 on.
pub(super) async fn facts(link: &Link) -> Result<NodeFacts, RedisError> {
    let mut pipeline = ::redis::pipe();
    for section in ["server", "replication", "persistence", "memory", "cluster"] {
        pipeline.cmd("INFO").arg(section);
    }
    pipeline.cmd("TIME");
    let mut values = reply::many(link, &pipeline).await?;
    let time = values.pop().unwrap_or_default();
    let time = instant(&link.address, reply::accepted(&link.address, time)?)?;
    let mut text = String::new();
    for value in values {
        let section = reply::text(reply::accepted(&link.address, value)?)
            .ok_or_else(|| RedisError::unexpected(&link.address, "INFO"))?;
        text.push_str(&section);
        text.push('\n');
    }
    parse(&link.address, &text, time)
        .ok_or_else(|| RedisError::unexpected(&link.address, "INFO server and replication"))
}

/// The server's clock.
pub(super) async fn time(link: &Link) -> Result<Micros, RedisError> {
    let value = reply::one(link, &::redis::cmd("TIME")).await?;
    instant(&link.address, value)
}

/// An answer to TIME.
pub(super) fn instant(address: &str, value: Value) -> Result<Micros, RedisError> {
    let unexpected = || RedisError::unexpected(address, "TIME");
    let parts = reply::optional_array(value).ok_or_else(unexpected)?;
    let [seconds, micros] = parts.as_slice() else {
        return Err(unexpected());
    };
    match (reply::integer(seconds), reply::integer(micros)) {
        (Some(seconds), Some(micros)) => Ok(Micros(seconds * 1_000_000 + micros)),
        _ => Err(unexpected()),
    }
}

/// `None` where a field is missing without which nothing can be pinned. Everything else is taken as
/// it comes: servers add sections and fields with every release.
fn parse(address: &str, text: &str, time: Micros) -> Option<NodeFacts> {
    let fields: HashMap<&str, &str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.trim_end().split_once(':'))
        .collect();
    let owned = |name: &str| fields.get(name).map(|value| (*value).to_owned());
    let number = |name: &str| fields.get(name).and_then(|value| value.parse::<i64>().ok());
    let server = owned("server_name").unwrap_or_else(|| "redis".to_owned());
    // Valkey keeps `redis_version` at the version it is compatible with.
    let version = owned(&format!("{server}_version")).or_else(|| owned("redis_version"))?;
    let replicas = text.lines().filter_map(|line| replica(line.trim_end()));
    Some(NodeFacts {
        address: address.to_owned(),
        identity: NodeIdentity {
            run_id: owned("run_id")?,
            replication_id: owned("master_replid")?,
            is_master: *fields.get("role")? == "master",
        },
        server,
        version,
        is_cluster: number("cluster_enabled") == Some(1),
        slots: SlotSet::all(),
        offset: number("master_repl_offset")?,
        replication_id2: owned("master_replid2").unwrap_or_default(),
        second_offset: number("second_repl_offset").unwrap_or(-1),
        uptime_seconds: number("uptime_in_seconds")
            .and_then(|seconds| u64::try_from(seconds).ok())
            .unwrap_or_default(),
        replicas_online: replicas.collect(),
        upstream: upstream(&fields),
        is_loading: number("loading") == Some(1),
        is_append_only: number("aof_enabled") == Some(1),
        eviction_policy: owned("maxmemory_policy"),
        time,
    })
}

/// Whom a replica follows; `None` for a master.
fn upstream(fields: &HashMap<&str, &str>) -> Option<Upstream> {
    let number = |name: &str| fields.get(name).and_then(|value| value.parse::<i64>().ok());
    let port = u16::try_from(number("master_port")?).ok()?;
    Some(Upstream {
        address: super::connect::shown(fields.get("master_host")?, port),
        is_up: fields.get("master_link_status") == Some(&"up"),
        applied_offset: number("slave_repl_offset").unwrap_or(-1),
        priority: number("slave_priority").unwrap_or(100),
    })
}

/// `slave0:ip=…,port=…,state=online,offset=…,lag=…`, in any order and with further parts (Valkey
/// adds `type=`). `None` for any other line and for a replica that is not online.
fn replica(line: &str) -> Option<ReplicaFacts> {
    let (name, value) = line.split_once(':')?;
    let index = name
        .strip_prefix("slave")
        .or_else(|| name.strip_prefix("replica"))?;
    if index.is_empty() || !index.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let parts: HashMap<&str, &str> = value
        .split(',')
        .filter_map(|part| part.split_once('='))
        .collect();
    if *parts.get("state")? != "online" {
        return None;
    }
    Some(ReplicaFacts {
        address: super::connect::shown(parts.get("ip")?, parts.get("port")?.parse().ok()?),
        offset: parts.get("offset")?.parse().ok()?,
        // A replica that never said anything counts as infinitely late, not as fresh.
        lag_seconds: parts
            .get("lag")
            .and_then(|lag| lag.parse().ok())
            .unwrap_or(u64::MAX),
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    const REDIS: &str = "# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\nuptime_in_seconds:12\r\n\
        # Replication\r\nrole:master\r\nconnected_slaves:3\r\n\
        slave0:ip=127.0.0.1,port=7001,state=online,offset=90,lag=1\r\n\
        slave1:ip=::1,port=7002,state=wait_bgsave,offset=0,lag=0\r\n\
        slave2:ip=::1,port=7003,state=online,offset=80,lag=-1\r\n\
        master_replid:d5d3\r\nmaster_replid2:0000\r\nmaster_repl_offset:100\r\nsecond_repl_offset:-1\r\n\
        # Memory\r\nmaxmemory_policy:allkeys-lru\r\n# Cluster\r\ncluster_enabled:0\r\n";

    #[test]
    fn redis_is_read() {
        let facts = parse("h:1", REDIS, Micros(5)).unwrap();
        assert_eq!(
            (facts.server.as_str(), facts.version.as_str()),
            ("redis", "7.0.15")
        );
        assert_eq!(facts.identity.replication_id, "d5d3");
        assert!(facts.identity.is_master && !facts.is_cluster);
        assert_eq!((facts.offset, facts.second_offset), (100, -1));
        assert_eq!(facts.eviction_policy.as_deref(), Some("allkeys-lru"));
        let lags: Vec<u64> = facts
            .replicas_online
            .iter()
            .map(|r| r.lag_seconds)
            .collect();
        assert_eq!(
            lags,
            [1, u64::MAX],
            "the one that is not online is left out"
        );
        assert_eq!(facts.replicas_online[1].address, "[::1]:7003");
    }

    #[test]
    fn valkey_says_its_own_version_and_more_about_replicas() {
        let text = REDIS
            .replace(
                "redis_version:7.0.15",
                "redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2",
            )
            .replace("lag=1", "lag=1,type=replica");
        let facts = parse("h:1", &text, Micros(5)).unwrap();
        assert_eq!(
            (facts.server.as_str(), facts.version.as_str()),
            ("valkey", "9.1.2")
        );
        assert_eq!(facts.replicas_online[0].lag_seconds, 1);
    }

    #[test]
    fn without_a_history_there_is_nothing_to_pin() {
        assert!(parse("h:1", &REDIS.replace("master_replid:", "x:"), Micros(5)).is_none());
    }
}
