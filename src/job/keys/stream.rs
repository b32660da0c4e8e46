//! One `[[stream]]` and the tables inside it.

use super::cache::{INSTANT, words};
use super::kind::{Key, Kind, Table};
use crate::job::elements::word;

pub(in crate::job) static STREAM: Table = Table {
    title: "a [[stream]]",
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
            "the stream's key as it is: one stream, no placeholders",
        )
        .required(),
        Key::new("group", Kind::Text, "the consumer group that reads it").required(),
        Key::new(
            "match",
            Kind::TextByName,
            "fields an entry must have, each with its value, to be this check's; others are left alone and counted",
        ),
        Key::new(
            "identity",
            Kind::Text,
            "what names an entry's effect: an entry field, or \"$id\" for the entry id itself",
        )
        .required(),
        Key::new(
            "table",
            Kind::Text,
            "the table the entries end in, as name or schema.name",
        )
        .required(),
        Key::new(
            "identity_column",
            Kind::Text,
            "the column that holds the identity",
        )
        .required(),
        Key::new(
            "columns",
            Kind::TextOrTableByName(&COLUMN),
            "what an entry says of its row: column = \"field\", or column = { field, as, … }; compared, and written by insert",
        ),
        Key::new(
            "proof_sql",
            Kind::Text,
            "a SELECT of those of the identities IN (:ids) whose whole effect is there, when one row is not all of it; or a .sql file",
        ),
        Key::new(
            "rejected_sql",
            Kind::Text,
            "a SELECT of those of the identities IN (:ids) that were legally rejected; or a .sql file; nothing is inserted beside it",
        ),
        Key::new(
            "may_leave_no_row",
            Kind::Boolean,
            "whether a rejected entry leaves nothing behind, so that a missing row proves nothing",
        )
        .or("false"),
        Key::new(
            "unique",
            Kind::Texts,
            "columns that together name one effect: the same tuple under two identities is a duplicate too",
        ),
        Key::new(
            "changed_at",
            INSTANT,
            "the column that says when a row came: a name, or { column, as, time_zone }",
        ),
        Key::new(
            "orphan_after",
            Kind::Duration,
            "how long a consumer must have been silent to be taken for dead: longer than its longest BLOCK, and than the longest work on what one read gives it",
        )
        .or("\"60s\""),
        Key::new(
            "max_deliveries",
            Kind::Integer {
                least: 1,
                most: i64::MAX,
            },
            "how often an unproven entry may be delivered before it counts as poison",
        )
        .or("10"),
        Key::new(
            "on_persisted",
            words(&word::ON_PERSISTED_NAMES),
            "what to do about a pending entry whose effect is there",
        )
        .or("\"report\""),
        Key::new(
            "on_unpersisted",
            words(&word::ON_UNPERSISTED_NAMES),
            "what to do about a pending entry whose effect is not there and whose consumer is gone; insert needs on_persisted = \"ack\"",
        )
        .or("\"report\""),
        Key::new(
            "insert_is_enough",
            Kind::Boolean,
            "whether the one row is all that a consumer does for an entry; without it nothing is inserted",
        )
        .or("false"),
        Key::new(
            "claim_to",
            Kind::Text,
            "the consumer that on_unpersisted = \"claim\" hands entries to",
        ),
        Key::new(
            "on_skipped",
            words(&word::ON_SKIPPED_NAMES),
            "what to do about an entry that was delivered, is not pending, and has no effect",
        )
        .or("\"report\""),
        Key::new(
            "on_rewound",
            words(&word::ON_REWOUND_NAMES),
            "what to do about a group whose cursor lies before entries that are proven",
        )
        .or("\"report\""),
        Key::new(
            "on_trimmed",
            words(&word::ON_TRIMMED_NAMES),
            "what to do about a pending id whose entry is gone",
        )
        .or("\"report\""),
        Key::new(
            "keeps_entries",
            Kind::Boolean,
            "whether the application never trims or deletes entries; only then is lost-entry judged",
        )
        .or("false"),
        Key::new(
            "raise_last_id",
            Kind::Boolean,
            "whether a repair lifts the stream's last id past every id that a row carries; needs identity = \"$id\"",
        )
        .or("false"),
        Key::new(
            "dead_letter",
            Kind::Text,
            "the key of the stream that poisonous entries are moved to; keep letters at least as long as the entries they came from",
        ),
        Key::new(
            "subject",
            Kind::Text,
            "the column that says whom to compensate; with `money` it is one of `columns`",
        ),
        Key::new(
            "money",
            Kind::Text,
            "which of `columns` is what an entry is worth, for the compensation report",
        ),
        Key::new("currency", Kind::Text, "the currency of `money`"),
        Key::new(
            "settle",
            Kind::Duration,
            "this check's own time between the two looks",
        ),
        Key::new(
            "cache_delay",
            Kind::Duration,
            "this check's own time from delivery to effect, or from effect to acknowledgement, whichever is longer",
        ),
    ],
};

pub(in crate::job) static COLUMN: Table = Table {
    title: "a column",
    keys: &[
        Key::new("field", Kind::Text, "the entry's field"),
        Key::new(
            "constant",
            Kind::Text,
            "instead: what the column holds for every entry of this check",
        ),
        Key::new(
            "as",
            words(&word::FORM_NAMES),
            "how the entry spells the value; without it, by the column's type",
        ),
        Key::new(
            "time_zone",
            Kind::Text,
            "the zone of naive times on both sides",
        )
        .or("\"UTC\""),
        Key::new(
            "null",
            Kind::Text,
            "how the entry spells SQL NULL; without it, a field that is not there",
        ),
        Key::new(
            "redact",
            Kind::Boolean,
            "whether reports hold a digest instead of the value",
        )
        .or("false"),
    ],
};
