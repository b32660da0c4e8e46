//! The job as a whole.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::{cache, stores, stream, streams};
use crate::job::fault::Fault;
use crate::job::mask::masked;
use crate::job::raw::{RawFile, RawLimits};
use crate::job::reader::{At, Reader, Setting};
use crate::job::spec::{CheckpointSpec, Endpoint, Job, Limits};
use crate::model::check::Named;

/// Where reports and state go unless the job says otherwise.
const STATE_DIR: &str = "state";

/// The job, or `None` when `reader` holds a fault that says why not.
pub(in crate::job) fn build(
    raw: &RawFile,
    reader: &mut Reader<'_>,
    path: PathBuf,
    text: &str,
    config_hash: String,
) -> Option<Job> {
    let faults = &mut reader.faults;
    let limits = raw.limits.given().map_or_else(Limits::default, limits);
    let mysql = raw
        .mysql
        .given()
        .and_then(|mysql| stores::mysql(mysql, faults));
    let mysql_replica = raw
        .mysql
        .given()
        .and_then(|mysql| stores::mysql_replica(mysql, faults));
    let redis = raw
        .redis
        .given()
        .and_then(|redis| stores::redis(redis, faults));
    let redis_replicas = match (raw.redis.given(), &redis) {
        (Some(raw), Some(redis)) => stores::redis_replicas(raw, redis, faults),
        _ => Vec::new(),
    };
    let raw_caches = raw.caches.given().map_or(&[][..], Vec::as_slice);
    let raw_streams = raw.streams.given().map_or(&[][..], Vec::as_slice);
    let is_faulty = matches!(raw.caches, Setting::Faulty) || matches!(raw.streams, Setting::Faulty);
    if raw_caches.is_empty() && raw_streams.is_empty() && !is_faulty {
        faults.push(
            Fault::new(0..0, "the job file has no [[cache]] and no [[stream]]").hint(
                "say which keys stand for which rows: jobs/minimal.toml shows the least it takes",
            ),
        );
    }
    let names = raw_caches.iter().map(|cache| &cache.name);
    refuse_duplicate_names(names.chain(raw_streams.iter().map(|s| &s.name)), faults);
    let caches: Vec<_> = raw_caches
        .iter()
        .map(|raw| cache::cache(raw, &limits, faults).map(Arc::new))
        .collect();
    let streams: Vec<_> = raw_streams
        .iter()
        .map(|raw| stream::stream(raw, &limits, faults).map(Arc::new))
        .collect();
    streams::refuse_shared_entries(raw_streams, faults);
    if redis
        .as_ref()
        .is_some_and(|redis| matches!(redis.endpoint, Endpoint::Cluster { .. }))
    {
        streams::refuse_far_dead_letters(raw_streams, faults);
    }
    let state_dir = match raw.state_dir.given() {
        Some(folder) if folder.value.is_empty() => {
            faults.push(
                folder
                    .fault("the folder has no name")
                    .hint("write \"state\""),
            );
            return None;
        }
        Some(folder) => PathBuf::from(&folder.value),
        None => PathBuf::from(STATE_DIR),
    };
    if !faults.is_empty() {
        return None;
    }
    let name = raw.name.value()?.text;
    Some(Job {
        checkpoint: checkpoint(raw, &name),
        name,
        path,
        text: masked(text).into(),
        config_hash,
        time_zone: raw.time_zone.value(),
        state_dir,
        full_repair: raw.full_repair.or(false),
        mysql: mysql?,
        mysql_replica,
        redis: redis?,
        redis_replicas,
        limits,
        caches: caches.into_iter().collect::<Option<_>>()?,
        streams: streams.into_iter().collect::<Option<_>>()?,
    })
}

fn checkpoint(raw: &RawFile, name: &str) -> CheckpointSpec {
    let default = CheckpointSpec::of_job(name);
    let Some(raw) = raw.checkpoint.given() else {
        return default;
    };
    CheckpointSpec {
        prefix: raw.prefix.or(default.prefix),
        evidence_max: unsigned(raw.evidence_max.value()).unwrap_or(default.evidence_max),
    }
}

fn limits(raw: &RawLimits) -> Limits {
    let default = Limits::default();
    Limits {
        settle: raw.settle.or(default.settle),
        cache_delay: raw.cache_delay.or(default.cache_delay),
        commit_margin: raw.commit_margin.or(default.commit_margin),
        max_keys_per_second: raw.max_keys_per_second.or(default.max_keys_per_second),
        max_invalidations_per_second: raw
            .max_invalidations_per_second
            .or(default.max_invalidations_per_second),
        max_threads_running: unsigned(raw.max_threads_running.value())
            .unwrap_or(default.max_threads_running),
        min_replicas: unsigned(raw.min_replicas.value()),
        max_repairs: unsigned(raw.max_repairs.value()).unwrap_or(default.max_repairs),
        control_sample: unsigned(raw.control_sample.value()).unwrap_or(default.control_sample),
        max_control_mismatch: raw.max_control_mismatch.or(default.max_control_mismatch),
        time_budget: raw.time_budget.value(),
        keep_runs: unsigned(raw.keep_runs.value()).unwrap_or(default.keep_runs),
    }
}

/// The catalogue's bounds have already refused what does not fit.
fn unsigned<T: TryFrom<i64>>(number: Option<i64>) -> Option<T> {
    number.and_then(|number| T::try_from(number).ok())
}

/// The check under which reports have what is about the nodes themselves.
const TOPOLOGY: &str = "topology";

fn refuse_duplicate_names<'n>(
    names: impl Iterator<Item = &'n Setting<At<Named>>>,
    faults: &mut Vec<Fault>,
) {
    let mut names: Vec<_> = names.filter_map(Setting::given).collect();
    names.sort_by_key(|name| name.span.start);
    let mut seen = HashSet::new();
    for name in names {
        if name.value.text == TOPOLOGY {
            faults.push(
                Fault::new(
                    name.span.clone(),
                    format!("no check can be named `{TOPOLOGY}`"),
                )
                .hint("findings about the nodes themselves stand under this name"),
            );
        }
        if !seen.insert(name.value.text.as_str()) {
            faults.push(
                Fault::new(
                    name.span.clone(),
                    format!("two checks are named `{}`", name.value.text),
                )
                .hint("give each its own name: it is in every finding and after --only"),
            );
        }
    }
}
