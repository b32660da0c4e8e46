//! One `[[cache]]` and the tables inside it.

use super::kind::{Key, Kind, Table};
use crate::job::elements::word;

/// A column by name, or with how it spells an instant.
pub(super) const INSTANT: Kind = Kind::TextOrTable(&TIME_COLUMN);

pub(in crate::job) static CACHE: Table = Table {
    title: "a [[cache]]",
    keys: &[
        Key::new(
            "name",
            Kind::Text,
            "the check's name in reports and for --only: a-z, 0-9, _ and -",
        )
        .required(),
        Key::new(
            "key",
            Kind::Text,
            "the Redis key with source columns as placeholders: \"user:{id}:profile\"",
        )
        .required(),
        Key::new(
            "value",
            Kind::Words {
                now: &word::VALUE_NAMES,
                later: &["opaque"],
            },
            "what lies under the key",
        )
        .required(),
        Key::new(
            "member",
            Kind::Text,
            "the member of a zset or set that stands for a row: \"{id}\"",
        ),
        Key::new(
            "field",
            Kind::Text,
            "the field of a hash of rows that stands for a row: \"{id}\"",
        ),
        Key::new(
            "score",
            Kind::Table(&SCORE),
            "the column behind a zset's score",
        ),
        Key::new(
            "table",
            Kind::Text,
            "the source table, as name or schema.name",
        ),
        Key::new(
            "where",
            Kind::Text,
            "an SQL condition: which rows explain a key; never which rows are looked at",
        ),
        Key::new(
            "sql",
            Kind::Text,
            "instead of a table: a SELECT, or a file with one that ends in .sql",
        ),
        Key::new("id", Kind::TextOrTexts, "the id columns of that SELECT"),
        Key::new(
            "lock_sql",
            Kind::Text,
            "a SELECT of the parent rows every writer locks, with their ids as :ids: \"SELECT id FROM auction WHERE id IN (:ids)\"; or a .sql file",
        ),
        Key::new(
            "changed_at",
            INSTANT,
            "the column that says when a row changed: a name, or { column, as, time_zone }",
        ),
        Key::new(
            "changed_ids",
            Kind::TextOrTable(&CHANGED_IDS),
            "instead: a SELECT of the ids changed since :since, a .sql file, or { sql, as, time_zone }",
        ),
        Key::new(
            "deletes",
            Kind::Words {
                now: &word::DELETES_NAMES,
                later: &["binlog"],
            },
            "how a vanished row shows itself",
        )
        .required(),
        Key::new(
            "deleted_at",
            INSTANT,
            "the column that is not NULL once a row is gone",
        ),
        Key::new(
            "deleted",
            Kind::Text,
            "instead: an SQL condition that is true once a row is gone",
        ),
        Key::new(
            "version",
            Kind::Table(&VERSION),
            "a number that only ever grows, kept on both sides",
        ),
        Key::new(
            "fields",
            Kind::Tables(&FIELD),
            "which part of the cached value stands for which column",
        ),
        Key::new(
            "ignore",
            Kind::Texts,
            "members of a JSON value or fields of a hash that are nobody's truth",
        ),
        Key::new(
            "lazy",
            Kind::Boolean,
            "whether the application refills the key on a miss",
        )
        .or("false"),
        Key::new(
            "expiry",
            words(&word::EXPIRY_NAMES),
            "whether the keys expire",
        )
        .or("\"any\""),
        Key::new(
            "ttl",
            Kind::Duration,
            "what a recreated key gets, and a key that lost its expiry",
        ),
        Key::new(
            "absent",
            Kind::Texts,
            "values by which the application remembers \"no such row\"",
        ),
        Key::new(
            "expect",
            words(&word::EXPECT_NAMES),
            "whether a missing key or member is a finding",
        )
        .or("\"optional\""),
        Key::new(
            "order",
            words(&word::ORDER_NAMES),
            "who is written first; without it, and without a direction, nothing is repaired",
        ),
        Key::new(
            "writes",
            words(&word::WRITES_NAMES),
            "how the application writes: whole values, or INCRBY and DECRBY",
        )
        .or("\"set\""),
        Key::new(
            "ahead_ok",
            Kind::Boolean,
            "whether the cache may legally be newer than the source",
        )
        .or("false"),
        Key::new(
            "subject",
            Kind::Text,
            "the column that says whom to compensate",
        ),
        Key::new(
            "currency",
            Kind::Text,
            "the currency of the check's balance, for the compensation report",
        ),
        Key::new(
            "repair",
            words(&word::REPAIR_NAMES),
            "what to do about a confirmed finding",
        )
        .or("\"report\""),
        Key::new(
            "repair_orphans",
            words(&word::REPAIR_ORPHANS_NAMES),
            "what to do about a key that no row explains",
        )
        .or("\"report\""),
        Key::new(
            "guard",
            words(&word::GUARD_NAMES),
            "what keeps a repair from clobbering a newer value",
        )
        .or("\"auto\""),
        Key::new(
            "settle",
            Kind::Duration,
            "this check's own time between the two looks",
        ),
        Key::new(
            "cache_delay",
            Kind::Duration,
            "this check's own time from commit to cache write",
        ),
        Key::later("codec", "compressed or packed values"),
        Key::later("prefix_bytes", "bytes in front of every value"),
    ],
};

pub(in crate::job) static FIELD: Table = Table {
    title: "a field",
    keys: &[
        Key::new(
            "cache",
            Kind::Text,
            "where the value lies in the cache: a JSON pointer such as \"/name\", or a hash field",
        ),
        Key::new("column", Kind::Text, "the source column").required(),
        Key::new(
            "as",
            words(&word::FORM_NAMES),
            "how the cache spells the value; without it, by the column's type",
        ),
        Key::new(
            "time_zone",
            Kind::Text,
            "the zone of naive times on both sides",
        )
        .or("\"UTC\""),
        Key::new(
            "compare",
            words(&word::COMPARE_NAMES),
            "at-least: never falls; at-most: never rises",
        )
        .or("\"equal\""),
        Key::new(
            "states",
            Kind::Texts,
            "the declared order of states, first to last: going back is a finding",
        ),
        Key::new(
            "tolerance",
            Kind::Decimal,
            "the difference that does not count",
        ),
        Key::new(
            "scale",
            Kind::Integer { least: 0, most: 30 },
            "the digits after the point the cache keeps",
        ),
        Key::new("min", Kind::Decimal, "the smallest legal value"),
        Key::new("max", Kind::Decimal, "the largest legal value"),
        Key::new(
            "null",
            Kind::Text,
            "how the cache spells SQL NULL; without it JSON null, or nothing there",
        ),
        Key::new(
            "follows",
            Kind::Text,
            "the `cache` of the field together with which this one is judged and written",
        ),
        Key::new(
            "balance",
            Kind::Boolean,
            "whether this is money: never negative, and owed when it was wrong",
        )
        .or("false"),
        Key::new(
            "redact",
            Kind::Boolean,
            "whether reports hold a digest instead of the value",
        )
        .or("false"),
    ],
};

pub(in crate::job) static SCORE: Table = Table {
    title: "score",
    keys: &[
        Key::new("column", Kind::Text, "the source column").required(),
        Key::new(
            "as",
            words(&word::FORM_NAMES),
            "how the score spells the value; without it, by the column's type",
        ),
        Key::new(
            "time_zone",
            Kind::Text,
            "the zone of a naive DATETIME column",
        )
        .or("\"UTC\""),
        Key::new(
            "compare",
            words(&word::COMPARE_NAMES),
            "at-least: never falls; at-most: never rises",
        )
        .or("\"equal\""),
        Key::new(
            "tolerance",
            Kind::Decimal,
            "the difference that does not count",
        ),
        Key::new(
            "scale",
            Kind::Integer { least: 0, most: 30 },
            "the digits after the point the cache keeps",
        ),
        Key::new("min", Kind::Decimal, "the smallest legal value"),
        Key::new("max", Kind::Decimal, "the largest legal value"),
        Key::new(
            "balance",
            Kind::Boolean,
            "whether this is money: never negative, and owed when it was wrong",
        )
        .or("false"),
        Key::new(
            "redact",
            Kind::Boolean,
            "whether reports hold a digest instead of the value",
        )
        .or("false"),
    ],
};

pub(in crate::job) static VERSION: Table = Table {
    title: "version",
    keys: &[
        Key::new(
            "cache",
            Kind::Text,
            "where the version lies in the cache: a JSON pointer or a hash field",
        )
        .required(),
        Key::new(
            "column",
            Kind::Text,
            "the source column; strictly increasing",
        )
        .required(),
    ],
};

pub(in crate::job) static TIME_COLUMN: Table = Table {
    title: "a time column",
    keys: &[
        Key::new("column", Kind::Text, "the source column").required(),
        Key::new(
            "as",
            words(&word::EPOCH_NAMES),
            "how a number spells the instant; without it, a DATETIME or TIMESTAMP",
        ),
        Key::new(
            "time_zone",
            Kind::Text,
            "the zone in which the application fills a DATETIME",
        )
        .or("\"UTC\""),
    ],
};

pub(in crate::job) static CHANGED_IDS: Table = Table {
    title: "changed_ids",
    keys: &[
        Key::new(
            "sql",
            Kind::Text,
            "a SELECT of the ids changed since :since, or a .sql file",
        )
        .required(),
        Key::new(
            "as",
            words(&word::EPOCH_NAMES),
            "how :since is spelled; without it, a DATETIME(6)",
        ),
        Key::new("time_zone", Kind::Text, "the zone of that DATETIME").or("\"UTC\""),
    ],
};

pub(super) const fn words(now: &'static [&'static str]) -> Kind {
    Kind::Words { now, later: &[] }
}
