//! The job file's top level, the two stores, the limits.

use super::cache::CACHE;
use super::kind::{Key, Kind, Table};
use super::stream::STREAM;

/// Anything an `i64` holds that is not negative.
const COUNT: Kind = Kind::Integer {
    least: 0,
    most: i64::MAX,
};
const AT_LEAST_ONE: Kind = Kind::Integer {
    least: 1,
    most: u32::MAX as i64,
};

pub(in crate::job) static FILE: Table = Table {
    title: "the job file",
    keys: &[
        Key::new("name", Kind::Text, "the job's name, which is also the folder of its reports: a-z, 0-9, _ and -").required(),
        Key::new("time_zone", Kind::Text, "the IANA zone of bare times on the command line, such as \"Asia/Seoul\"; required for them off a terminal"),
        Key::new("state_dir", Kind::Text, "the folder of what outlives a run (heartbeat samples, handled failovers, \"audited until\"), from the job file's folder on").or("\"state\""),
        Key::new("full_repair", Kind::Boolean, "whether `run` sweeps and repairs everything after a server came back empty or from an old snapshot").or("false"),
        Key::new("mysql", Kind::Table(&MYSQL), "the source of truth").required(),
        Key::new("redis", Kind::Table(&REDIS), "the cache").required(),
        Key::new("checkpoint", Kind::Table(&CHECKPOINT), "where heartbeat, evidence and state copy lie in Redis"),
        Key::new("limits", Kind::Table(&LIMITS), "the waits, the load and the blast radius"),
        Key::new("cache", Kind::Tables(&CACHE), "a check: which keys stand for which rows"),
        Key::new("stream", Kind::Tables(&STREAM), "a check: a stream, the group that reads it, and the table its entries end in"),
        Key::later("matrix", "one job for many tenants or sharded schemas"),
    ],
};

pub(in crate::job) static MYSQL: Table = Table {
    title: "[mysql]",
    keys: &[
        Key::new("url", Kind::Text, "mysql://user:password@host:port/database of the primary; special characters percent-encoded").required(),
        Key::new("tls_ca", Kind::Text, "a PEM file with the authority that signed the server's certificate"),
        Key::new("tls_cert", Kind::Text, "a PEM file with the client's certificate; needs tls_key"),
        Key::new("tls_key", Kind::Text, "a PEM file with the client's key; needs tls_cert"),
        Key::new("replica_url", Kind::Text, "the same of one replica, at which sweeps read rows once it has every transaction the primary had when the run began (by GTID); verdicts and repairs stay with the primary. It uses the TLS files above"),
    ],
};

pub(in crate::job) static REDIS: Table = Table {
    title: "[redis]",
    keys: &[
        Key::new("url", Kind::Text, "redis://host:port, rediss:// for TLS, redis+unix:///path, redis-sentinel://s1:26379,s2:26379/master or rediss-sentinel://, redis-cluster://h1:6379,h2:6379 or rediss-cluster://").required(),
        Key::new("user", Kind::Text, "the ACL user"),
        Key::new("password", Kind::Text, "the password of that user, or of the default one"),
        Key::new("db", Kind::Integer { least: 0, most: i32::MAX as i64 }, "the database number").or("0"),
        Key::new("sentinel_user", Kind::Text, "the ACL user at the Sentinels"),
        Key::new("sentinel_password", Kind::Text, "the password at the Sentinels"),
        Key::new("tls_ca", Kind::Text, "a PEM file with the authority that signed the servers' certificates; replaces the system's"),
        Key::new("tls_cert", Kind::Text, "a PEM file with the client's certificate; needs tls_key"),
        Key::new("tls_key", Kind::Text, "a PEM file with the client's key; needs tls_cert"),
        Key::new("read_url", Kind::Text, "redis://, rediss:// or redis+unix:// of a replica, or several with commas between: sweeps read keys at the first that is fit (link up, the master's history, everything the master had when the run began), else at the master; verdicts and repairs stay with the master. Without user and password of its own it takes those below"),
    ],
};

pub(in crate::job) static CHECKPOINT: Table = Table {
    title: "[checkpoint]",
    keys: &[
        Key::new(
            "prefix",
            Kind::Text,
            "the beginning of the keys of heartbeat, evidence and state copy, which no other key may have; without it \"auditor:\" and the job's name",
        ),
        Key::new(
            "evidence_max",
            AT_LEAST_ONE,
            "how many old heartbeats the evidence stream keeps",
        )
        .or("1000"),
    ],
};

pub(in crate::job) static LIMITS: Table = Table {
    title: "[limits]",
    keys: &[
        Key::new("settle", Kind::Duration, "the time between the two looks at a row at rest").or("\"2s\""),
        Key::new("cache_delay", Kind::Duration, "the longest an application takes from commit to cache write").or("\"5s\""),
        Key::new("commit_margin", Kind::Duration, "how long before its commit a row may have been stamped: the longest transaction plus the application's clock skew").or("\"60s\""),
        Key::new("max_keys_per_second", Kind::Rate, "the budget of keys read, shared by all workers").or("50000"),
        Key::new("max_invalidations_per_second", Kind::Rate, "how many keys may be deleted a second, since each makes the application read MySQL").or("500"),
        Key::new("max_threads_running", AT_LEAST_ONE, "the MySQL load above which the run pauses").or("25"),
        Key::new("min_replicas", Kind::Integer { least: 0, most: 1_000 }, "the online replicas a repair needs; without it those online at the run's start, at most 1"),
        Key::new("max_repairs", COUNT, "how many repairs a run may make before it stops repairing").or("100000"),
        Key::new("control_sample", AT_LEAST_ONE, "how many pairs are drawn from outside the window, per check, to see whether the mapping is right at all").or("1000"),
        Key::new("max_control_mismatch", Kind::Share, "the share of that sample above which the mapping counts as wrong and nothing is repaired").or("0.05"),
        Key::new("time_budget", Kind::Duration, "how long a run may take; past it, it ends in a partial report"),
        Key::new("keep_runs", AT_LEAST_ONE, "how many finished runs without findings are kept").or("100"),
    ],
};
