//! Top level, stores and limits.

use std::time::Duration;

use chrono_tz::Tz;
use toml::Spanned;
use toml::de::DeTable;

use super::cache::RawCache;
use super::stream::RawStream;
use crate::job::elements::{duration, mysql_url, name, prefix, rate, read_url, redis_url, zone};
use crate::job::keys;
use crate::job::reader::{At, Reader, Section, Setting, Text};
use crate::job::spec::Rate;
use crate::model::check::Named;
use crate::model::secret::Secret;

pub(in crate::job) struct RawFile {
    pub(in crate::job) name: Setting<At<Named>>,
    pub(in crate::job) time_zone: Setting<At<Tz>>,
    pub(in crate::job) state_dir: Setting<Text>,
    pub(in crate::job) full_repair: Setting<At<bool>>,
    pub(in crate::job) checkpoint: Setting<RawCheckpoint>,
    pub(in crate::job) mysql: Setting<RawMysql>,
    pub(in crate::job) redis: Setting<RawRedis>,
    pub(in crate::job) limits: Setting<RawLimits>,
    pub(in crate::job) caches: Setting<Vec<RawCache>>,
    pub(in crate::job) streams: Setting<Vec<RawStream>>,
}

pub(in crate::job) struct RawTlsFiles {
    pub(in crate::job) ca: Setting<Text>,
    pub(in crate::job) cert: Setting<Text>,
    pub(in crate::job) key: Setting<Text>,
}

pub(in crate::job) struct RawMysql {
    pub(in crate::job) url: Setting<At<Secret>>,
    pub(in crate::job) replica_url: Setting<At<Option<Secret>>>,
    pub(in crate::job) tls: RawTlsFiles,
}

pub(in crate::job) struct RawRedis {
    pub(in crate::job) url: Setting<At<redis_url::RedisUrl>>,
    pub(in crate::job) read_url: Setting<At<Vec<redis_url::RedisUrl>>>,
    pub(in crate::job) user: Setting<Text>,
    pub(in crate::job) password: Setting<Text>,
    pub(in crate::job) db: Setting<At<i64>>,
    pub(in crate::job) sentinel_user: Setting<Text>,
    pub(in crate::job) sentinel_password: Setting<Text>,
    pub(in crate::job) tls: RawTlsFiles,
}

pub(in crate::job) struct RawCheckpoint {
    pub(in crate::job) prefix: Setting<At<String>>,
    pub(in crate::job) evidence_max: Setting<At<i64>>,
}

pub(in crate::job) struct RawLimits {
    pub(in crate::job) settle: Setting<At<Duration>>,
    pub(in crate::job) cache_delay: Setting<At<Duration>>,
    pub(in crate::job) commit_margin: Setting<At<Duration>>,
    pub(in crate::job) max_keys_per_second: Setting<At<Rate>>,
    pub(in crate::job) max_invalidations_per_second: Setting<At<Rate>>,
    pub(in crate::job) max_threads_running: Setting<At<i64>>,
    pub(in crate::job) min_replicas: Setting<At<i64>>,
    pub(in crate::job) max_repairs: Setting<At<i64>>,
    pub(in crate::job) control_sample: Setting<At<i64>>,
    pub(in crate::job) max_control_mismatch: Setting<At<f64>>,
    pub(in crate::job) time_budget: Setting<At<Duration>>,
    pub(in crate::job) keep_runs: Setting<At<i64>>,
}

impl RawFile {
    /// Reads the whole tree; every fault of a single setting is in `reader` afterwards.
    pub(in crate::job) fn read(reader: &mut Reader<'_>, root: &Spanned<DeTable<'_>>) -> Self {
        let file = Section::read(reader, &keys::FILE, root.get_ref(), root.span());
        let mysql = file.section(reader, "mysql");
        let redis = file.section(reader, "redis");
        let limits = file.section(reader, "limits");
        let checkpoint = file.section(reader, "checkpoint");
        Self {
            name: file.parsed(reader, "name", name::parse),
            time_zone: file.parsed(reader, "time_zone", zone::parse),
            state_dir: file.text(reader, "state_dir"),
            full_repair: file.boolean("full_repair"),
            checkpoint: map(checkpoint, |section| RawCheckpoint {
                prefix: section.parsed(reader, "prefix", prefix::parse),
                evidence_max: section.integer("evidence_max"),
            }),
            mysql: map(mysql, |section| RawMysql {
                url: section.parsed(reader, "url", mysql_url::parse),
                replica_url: section.parsed(reader, "replica_url", mysql_url::parse_replica),
                tls: RawTlsFiles::read(reader, section),
            }),
            redis: map(redis, |section| RawRedis::read(reader, section)),
            limits: map(limits, |section| RawLimits::read(reader, section)),
            caches: match file.sections(reader, "cache") {
                Setting::Given(sections) => Setting::Given(
                    sections
                        .iter()
                        .map(|section| RawCache::read(reader, section))
                        .collect(),
                ),
                Setting::Faulty => Setting::Faulty,
                Setting::Absent => Setting::Absent,
            },
            streams: match file.sections(reader, "stream") {
                Setting::Given(sections) => Setting::Given(
                    sections
                        .iter()
                        .map(|section| RawStream::read(reader, section))
                        .collect(),
                ),
                Setting::Faulty => Setting::Faulty,
                Setting::Absent => Setting::Absent,
            },
        }
    }
}

impl RawTlsFiles {
    fn read(reader: &mut Reader<'_>, section: &Section<'_>) -> Self {
        Self {
            ca: section.text(reader, "tls_ca"),
            cert: section.text(reader, "tls_cert"),
            key: section.text(reader, "tls_key"),
        }
    }
}

impl RawRedis {
    fn read(reader: &mut Reader<'_>, section: &Section<'_>) -> Self {
        Self {
            url: section.parsed(reader, "url", redis_url::parse),
            read_url: section.parsed(reader, "read_url", read_url::parse),
            user: section.text(reader, "user"),
            password: section.text(reader, "password"),
            db: section.integer("db"),
            sentinel_user: section.text(reader, "sentinel_user"),
            sentinel_password: section.text(reader, "sentinel_password"),
            tls: RawTlsFiles::read(reader, section),
        }
    }
}

impl RawLimits {
    fn read(reader: &mut Reader<'_>, section: &Section<'_>) -> Self {
        Self {
            settle: section.parsed(reader, "settle", duration::parse_positive),
            cache_delay: section.parsed(reader, "cache_delay", duration::parse),
            commit_margin: section.parsed(reader, "commit_margin", duration::parse),
            max_keys_per_second: section.parsed_literal(reader, "max_keys_per_second", rate::parse),
            max_invalidations_per_second: section.parsed_literal(
                reader,
                "max_invalidations_per_second",
                rate::parse,
            ),
            max_threads_running: section.integer("max_threads_running"),
            min_replicas: section.integer("min_replicas"),
            max_repairs: section.integer("max_repairs"),
            control_sample: section.integer("control_sample"),
            max_control_mismatch: section.number("max_control_mismatch"),
            time_budget: section.parsed(reader, "time_budget", duration::parse_positive),
            keep_runs: section.integer("keep_runs"),
        }
    }
}

fn map<'t, T>(setting: Setting<Section<'t>>, read: impl FnOnce(&Section<'t>) -> T) -> Setting<T> {
    match setting {
        Setting::Given(section) => Setting::Given(read(&section)),
        Setting::Faulty => Setting::Faulty,
        Setting::Absent => Setting::Absent,
    }
}
