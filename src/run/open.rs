//! Before anything is judged: both stores reached, every check bound to the live schema.

use std::sync::Arc;
use std::time::Duration;

use super::RunError;
use super::ground::Stores;
use super::patience::Patience;
use super::reading::Reading;
use crate::job::{Endpoint, Fault, Job};
use crate::model::check::{CacheCheck, Named, Source};
use crate::model::identity::Pinned;
use crate::model::mapping::Mapping;
use crate::model::node::NodeFacts;
use crate::model::stream::{StreamCheck, StreamMapping};
use crate::model::time::Micros;
use crate::plan::{SourceSchema, bind, bind_stream};
use crate::store::mysql::{Mysql, MysqlError, ServerFacts};
use crate::store::redis::{Redis, RedisError};

/// A page of 1000 keys answers in milliseconds; a server that takes this long is down or blocked.
pub(super) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
/// Sweeps, looks and the load question, side by side.
const SOURCE_CONNECTIONS: usize = 8;
/// A server that is restarted is back by then; one that is not may be a wrong address.
const RESTART_PATIENCE: Duration = Duration::from_secs(15);
/// Sentinel takes a master for dead after half a minute, if nobody told it otherwise, and then elects another.
const FAILOVER_PATIENCE: Duration = Duration::from_secs(60);

/// Both stores, and what they said of themselves.
pub(super) struct Opened {
    pub stores: Stores,
    pub source: ServerFacts,
    /// This host's clock when each had said so.
    pub source_seen_at: Micros,
    pub nodes_seen_at: Micros,
    /// One outside of a Cluster, else its masters.
    pub nodes: Vec<NodeFacts>,
    /// How far this host's clock and MySQL's are apart: times on the command line are by the one, rows are
    /// stamped by the other.
    pub skew: Duration,
    /// The same of Redis (the furthest of its nodes), whose clock gives entries their ids.
    pub cache_skew: Duration,
}

/// Connects to both stores. Unreachable ones are tried again, with growing pauses; a refusal is final.
pub(super) async fn open_stores(job: &Job, patience: &Patience) -> Result<Opened, RunError> {
    let connect = || Mysql::connect(&job.mysql, SOURCE_CONNECTIONS);
    let source = patience
        .retry(RESTART_PATIENCE, connect, is_unreachable_source)
        .await
        .map_err(|e| RunError::NothingJudged(e.to_string()))?;
    source.show_waiting_to(patience.progress());
    let facts = source
        .facts()
        .await
        .map_err(|e| RunError::NothingJudged(e.to_string()))?;
    let source_seen_at = Micros::now();
    let skew = Duration::from_micros(source_seen_at.0.abs_diff(facts.now.0));
    if facts.identity.read_only {
        return Err(RunError::NothingJudged(
            "the MySQL in [mysql].url is read-only, so it is a replica (or fenced off): verdicts need the \
             primary; name it there"
                .to_owned(),
        ));
    }
    let (cache, nodes) = open_cache(job, patience).await?;
    let nodes_seen_at = Micros::now();
    let apart = nodes
        .iter()
        .map(|node| nodes_seen_at.0.abs_diff(node.time.0));
    let cache_skew = Duration::from_micros(apart.max().unwrap_or_default());
    let stores = Stores {
        reading: Reading::at_the_masters(&source),
        source,
        source_identity: facts.identity.clone(),
        cache,
        pinned: Pinned::of(&nodes),
        serving_since: serving_since(&nodes),
    };
    Ok(Opened {
        stores,
        source: facts,
        source_seen_at,
        nodes_seen_at,
        cache_skew,
        nodes,
        skew,
    })
}

/// Connects to Redis alone: at the start, and again after the topology changed.
pub(super) async fn open_cache(
    job: &Job,
    patience: &Patience,
) -> Result<(Redis, Vec<NodeFacts>), RunError> {
    let open = || async {
        let cache = Redis::connect(&job.redis, RESPONSE_TIMEOUT).await?;
        cache.show_waiting_to(&patience.progress());
        let nodes = cache.facts_of_all().await?;
        Ok((cache, nodes))
    };
    let bound = match job.redis.endpoint {
        Endpoint::Sentinel { .. } | Endpoint::Cluster { .. } => FAILOVER_PATIENCE,
        Endpoint::Tcp { .. } | Endpoint::Unix(_) => RESTART_PATIENCE,
    };
    let (cache, nodes) = patience
        .retry(bound, open, is_unreachable_cache)
        .await
        .map_err(|e: RedisError| RunError::NothingJudged(e.to_string()))?;
    let is_cluster = matches!(job.redis.endpoint, Endpoint::Cluster { .. });
    if let Some(node) = nodes.iter().find(|node| node.is_cluster && !is_cluster) {
        return Err(RunError::BadRequest(format!(
            "{0} is a node of a Redis Cluster, and holds only a part of the keys; write redis-cluster://{0} as [redis].url",
            node.address
        )));
    }
    if let Some(node) = nodes.iter().find(|node| !node.identity.is_master) {
        let advice = match job.redis.endpoint {
            Endpoint::Cluster { .. } => "the Cluster has not finished its failover; run again",
            Endpoint::Sentinel { .. } => "Sentinel has not finished its failover; run again",
            _ => "name the master in [redis].url, or reach it through Sentinel",
        };
        return Err(RunError::NothingJudged(format!(
            "{} is a replica, and verdicts and repairs need the master: {advice}",
            node.address
        )));
    }
    Ok((cache, nodes))
}

/// `master host:port`, or the masters of a Cluster.
pub(super) fn named(nodes: &[NodeFacts]) -> String {
    let addresses: Vec<&str> = nodes.iter().map(|node| node.address.as_str()).collect();
    let word = if nodes.len() == 1 {
        "master"
    } else {
        "masters"
    };
    format!("{word} {}", addresses.join(", "))
}

/// Since when clients can have reached every node as a master, by this host's clock: since it started, or, where it
/// ever was a replica (no server says when it was promoted), since now.
pub(super) fn serving_since(nodes: &[NodeFacts]) -> Micros {
    let now = Micros::now();
    let each = nodes.iter().map(|node| match node.second_offset {
        0.. => now,
        _ => now.minus(Duration::from_secs(node.uptime_seconds)),
    });
    each.max().unwrap_or(now)
}

fn is_unreachable_source(fault: &MysqlError) -> bool {
    matches!(fault, MysqlError::Unreachable(_))
}

fn is_unreachable_cache(fault: &RedisError) -> bool {
    matches!(
        fault,
        RedisError::Unreachable(_) | RedisError::TopologyChanged(_)
    )
}

/// Every check with its columns found.
pub(super) struct Bound {
    pub caches: Vec<Arc<Mapping>>,
    pub streams: Vec<Arc<StreamMapping>>,
}

/// Binds the checks to the live schema. All faults of all checks are told at once, at their lines.
pub(super) async fn bind_all(
    job: &Job,
    caches: &[Arc<CacheCheck>],
    streams: &[Arc<StreamCheck>],
    source: &Mysql,
) -> Result<Bound, RunError> {
    let mut faults: Vec<Fault> = Vec::new();
    let mut bound = Bound {
        caches: Vec::new(),
        streams: Vec::new(),
    };
    for check in caches {
        match bind_cache(check, source).await {
            Ok(mapping) => bound.caches.push(mapping),
            Err(Unbound::Faults(found)) => faults.extend(found),
            Err(Unbound::Store(fault)) => return Err(RunError::NothingJudged(fault.to_string())),
        }
    }
    for check in streams {
        match bind_one_stream(check, source).await {
            Ok(mapping) => bound.streams.push(mapping),
            Err(Unbound::Faults(found)) => faults.extend(found),
            Err(Unbound::Store(fault)) => return Err(RunError::NothingJudged(fault.to_string())),
        }
    }
    if faults.is_empty() {
        Ok(bound)
    } else {
        Err(RunError::Job(Box::new(job.faults(faults))))
    }
}

async fn bind_cache(check: &Arc<CacheCheck>, source: &Mysql) -> Result<Arc<Mapping>, Unbound> {
    let schema = schema_of(check, source).await?;
    let bound = bind(check, &schema).map_err(Unbound::Faults)?;
    bound.notes.iter().for_each(|note| tracing::info!("{note}"));
    let hint = "look at `where`, `deleted`, `changed_ids` and `lock_sql` of this check";
    accepted(source.probe(&bound.mapping).await, &check.name, hint)?;
    Ok(bound.mapping)
}

async fn bind_one_stream(
    check: &Arc<StreamCheck>,
    source: &Mysql,
) -> Result<Arc<StreamMapping>, Unbound> {
    let SourceSchema::Table(schema) = schema_of(&check.rows, source).await? else {
        unreachable!("the rows of a stream are those of a table");
    };
    let bound = bind_stream(check, &schema).map_err(Unbound::Faults)?;
    bound.notes.iter().for_each(|note| tracing::info!("{note}"));
    let hint = "look at `proof_sql` and `rejected_sql` of this check";
    accepted(source.probe_stream(&bound.mapping).await, &check.name, hint)?;
    Ok(bound.mapping)
}

/// What MySQL says of the statements of a check.
fn accepted(
    probed: Result<(), MysqlError>,
    name: &Named,
    hint: &'static str,
) -> Result<(), Unbound> {
    match probed {
        Err(MysqlError::Statement(why)) => Err(Unbound::Faults(vec![Fault {
            message: format!("MySQL rejects a statement of check `{}`: {why}", name.text),
            span: name.span.clone(),
            hint: Some(hint.into()),
        }])),
        other => other.map_err(Unbound::Store),
    }
}

enum Unbound {
    Faults(Vec<Fault>),
    Store(MysqlError),
}

async fn schema_of(check: &CacheCheck, source: &Mysql) -> Result<SourceSchema, Unbound> {
    match &check.source {
        Source::Table { table, .. } => match source.table_schema(&table.text).await {
            Ok(Some(schema)) => Ok(SourceSchema::Table(schema)),
            Ok(None) => Err(Unbound::Faults(vec![Fault {
                message: format!(
                    "there is no table `{}`, or this user may not see it",
                    table.text
                ),
                span: table.span.clone(),
                hint: Some(
                    "check the name and the database in [mysql].url, and GRANT SELECT".into(),
                ),
            }])),
            Err(fault) => Err(Unbound::Store(fault)),
        },
        Source::Sql { text, span, .. } => match source.select_schema(text).await {
            Ok(columns) => Ok(SourceSchema::Select(columns)),
            Err(MysqlError::Statement(why)) => Err(Unbound::Faults(vec![Fault {
                message: format!("MySQL rejects the SELECT: {why}"),
                span: span.clone(),
                hint: None,
            }])),
            Err(fault) => Err(Unbound::Store(fault)),
        },
    }
}
