//! The job as a whole.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::{cache, stores};
use crate::job::fault::Fault;
use crate::job::mask::masked;
use crate::job::raw::{RawFile, RawLimits};
use crate::job::reader::{Reader, Setting};
use crate::job::spec::{Job, Limits};

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
    let redis = raw
        .redis
        .given()
        .and_then(|redis| stores::redis(redis, faults));
    if matches!(&raw.caches, Setting::Absent) || raw.caches.given().is_some_and(Vec::is_empty) {
        faults.push(Fault::new(0..0, "the job file has no [[cache]]").hint(
            "say which keys stand for which rows: jobs/minimal.toml shows the least it takes",
        ));
    }
    let raw_caches = raw.caches.given().map_or(&[][..], Vec::as_slice);
    refuse_duplicate_names(raw_caches, faults);
    let caches: Vec<_> = raw_caches
        .iter()
        .map(|raw| cache::cache(raw, &limits, faults).map(Arc::new))
        .collect();
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
    Some(Job {
        name: raw.name.value()?.text,
        path,
        text: masked(text).into(),
        config_hash,
        time_zone: raw.time_zone.value(),
        state_dir,
        full_repair: raw.full_repair.or(false),
        mysql: mysql?,
        redis: redis?,
        limits,
        caches: caches.into_iter().collect::<Option<_>>()?,
        streams: Vec::new(),
    })
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

fn refuse_duplicate_names(caches: &[crate::job::raw::RawCache], faults: &mut Vec<Fault>) {
    let mut seen = HashSet::new();
    for name in caches.iter().filter_map(|cache| cache.name.given()) {
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
