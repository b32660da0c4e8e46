//! One `[[stream]]`.

use std::time::Duration;

use super::field::RawField;
use super::statement::statement;
use super::time_column::time_column;
use crate::job::elements::sql_file::Statement;
use crate::job::elements::word::{self, UnpersistedWord};
use crate::job::elements::{duration, identity, name, plain, source_name, zone};
use crate::job::reader::{At, NamedItem, Reader, Section, Setting, Text, TextOrSection};
use crate::model::check::{Named, TimeColumn};
use crate::model::stream::{Identity, OnPersisted, OnRewound, OnSkipped, OnTrimmed};

pub(in crate::job) struct RawStream {
    pub(in crate::job) name: Setting<At<Named>>,
    pub(in crate::job) key: Setting<At<Vec<u8>>>,
    pub(in crate::job) group: Setting<At<Vec<u8>>>,
    /// `match`: each field with its value, in file order.
    pub(in crate::job) matches: Setting<Vec<(Text, Text)>>,
    pub(in crate::job) identity: Setting<At<Identity>>,
    pub(in crate::job) table: Setting<At<Named>>,
    pub(in crate::job) identity_column: Setting<At<Named>>,
    pub(in crate::job) columns: Setting<Vec<RawColumn>>,
    pub(in crate::job) proof_sql: Setting<At<Statement>>,
    pub(in crate::job) rejected_sql: Setting<At<Statement>>,
    pub(in crate::job) may_leave_no_row: Setting<At<bool>>,
    pub(in crate::job) unique: Setting<Vec<Text>>,
    pub(in crate::job) changed_at: Setting<At<TimeColumn>>,
    pub(in crate::job) orphan_after: Setting<At<Duration>>,
    pub(in crate::job) max_deliveries: Setting<At<i64>>,
    pub(in crate::job) on_persisted: Setting<At<OnPersisted>>,
    pub(in crate::job) on_unpersisted: Setting<At<UnpersistedWord>>,
    pub(in crate::job) insert_is_enough: Setting<At<bool>>,
    pub(in crate::job) claim_to: Setting<At<Vec<u8>>>,
    pub(in crate::job) on_skipped: Setting<At<OnSkipped>>,
    pub(in crate::job) on_rewound: Setting<At<OnRewound>>,
    pub(in crate::job) on_trimmed: Setting<At<OnTrimmed>>,
    pub(in crate::job) keeps_entries: Setting<At<bool>>,
    pub(in crate::job) raise_last_id: Setting<At<bool>>,
    pub(in crate::job) dead_letter: Setting<At<Vec<u8>>>,
    pub(in crate::job) subject: Setting<At<Named>>,
    pub(in crate::job) money: Setting<Text>,
    pub(in crate::job) currency: Setting<Text>,
    pub(in crate::job) settle: Setting<At<Duration>>,
    pub(in crate::job) cache_delay: Setting<At<Duration>>,
}

/// One of `columns`.
pub(in crate::job) struct RawColumn {
    /// With the entry's field as its place, and the column's name where that stood.
    pub(in crate::job) field: RawField,
    pub(in crate::job) constant: Setting<Text>,
}

impl RawStream {
    pub(in crate::job) fn read(reader: &mut Reader<'_>, section: &Section<'_>) -> Self {
        Self {
            name: section.parsed(reader, "name", name::parse),
            key: section.parsed(reader, "key", plain::parse),
            group: section.parsed(reader, "group", plain::parse),
            matches: matches(section.by_name(reader, "match")),
            identity: section.parsed(reader, "identity", identity::parse),
            table: section.parsed(reader, "table", source_name::table),
            identity_column: section.parsed(reader, "identity_column", source_name::column),
            columns: columns(reader, section),
            proof_sql: statement(reader, section, "proof_sql"),
            rejected_sql: statement(reader, section, "rejected_sql"),
            may_leave_no_row: section.boolean("may_leave_no_row"),
            unique: section.texts(reader, "unique"),
            changed_at: time_column(reader, section, "changed_at"),
            orphan_after: section.parsed(reader, "orphan_after", duration::parse_positive),
            max_deliveries: section.integer("max_deliveries"),
            on_persisted: section.word(reader, "on_persisted", &word::ON_PERSISTED),
            on_unpersisted: section.word(reader, "on_unpersisted", &word::ON_UNPERSISTED),
            insert_is_enough: section.boolean("insert_is_enough"),
            claim_to: section.parsed(reader, "claim_to", plain::parse),
            on_skipped: section.word(reader, "on_skipped", &word::ON_SKIPPED),
            on_rewound: section.word(reader, "on_rewound", &word::ON_REWOUND),
            on_trimmed: section.word(reader, "on_trimmed", &word::ON_TRIMMED),
            keeps_entries: section.boolean("keeps_entries"),
            raise_last_id: section.boolean("raise_last_id"),
            dead_letter: section.parsed(reader, "dead_letter", plain::parse),
            subject: section.parsed(reader, "subject", source_name::column),
            money: section.text(reader, "money"),
            currency: section.text(reader, "currency"),
            settle: section.parsed(reader, "settle", duration::parse_positive),
            cache_delay: section.parsed(reader, "cache_delay", duration::parse),
        }
    }
}

impl RawColumn {
    fn read(reader: &mut Reader<'_>, item: NamedItem<'_>) -> Self {
        let column = source_name::column(&item.name).map(|value| At {
            value,
            span: item.name.span.clone(),
        });
        let column = Setting::from_result(column, reader);
        let mut field = RawField::none(item.value.span, column);
        match item.value.value {
            TextOrSection::Text(text) => {
                field.cache = Setting::Given(text);
                Self {
                    field,
                    constant: Setting::Absent,
                }
            }
            TextOrSection::Section(section) => Self {
                field: RawField {
                    cache: section.text(reader, "field"),
                    form: section.word(reader, "as", &word::FORM),
                    time_zone: section.parsed(reader, "time_zone", zone::parse),
                    null: section.text(reader, "null"),
                    redact: section.boolean("redact"),
                    ..field
                },
                constant: section.text(reader, "constant"),
            },
        }
    }
}

fn columns(reader: &mut Reader<'_>, section: &Section<'_>) -> Setting<Vec<RawColumn>> {
    match section.by_name(reader, "columns") {
        Setting::Given(items) => Setting::Given(
            items
                .into_iter()
                .map(|item| RawColumn::read(reader, item))
                .collect(),
        ),
        Setting::Faulty => Setting::Faulty,
        Setting::Absent => Setting::Absent,
    }
}

/// The catalogue lets only strings through.
fn matches(items: Setting<Vec<NamedItem<'_>>>) -> Setting<Vec<(Text, Text)>> {
    match items {
        Setting::Given(items) => Setting::Given(
            items
                .into_iter()
                .filter_map(|item| match item.value.value {
                    TextOrSection::Text(text) => Some((item.name, text)),
                    TextOrSection::Section(_) => None,
                })
                .collect(),
        ),
        Setting::Faulty => Setting::Faulty,
        Setting::Absent => Setting::Absent,
    }
}
