//! One `[[cache]]`.

use std::ops::Range;
use std::time::Duration;

use super::field::RawField;
use super::statement::statement;
use super::time_column::{time_column, time_form};
use crate::job::elements::sql_file::Statement;
use crate::job::elements::word::{self, DeletesWord};
use crate::job::elements::{duration, name, source_name, sql, template};
use crate::job::fault::Fault;
use crate::job::reader::{At, Reader, Section, Setting, Text, TextOrSection};
use crate::model::check::{
    Expiry, Guard, Named, Order, RepairMode, RepairOrphans, TimeColumn, TimeForm, ValueKind, Writes,
};
use crate::model::template::Template;

pub(in crate::job) struct RawCache {
    pub(in crate::job) span: Range<usize>,
    pub(in crate::job) name: Setting<At<Named>>,
    pub(in crate::job) key: Setting<At<Template>>,
    pub(in crate::job) value: Setting<At<ValueKind>>,
    pub(in crate::job) member: Setting<At<Template>>,
    pub(in crate::job) field: Setting<At<Template>>,
    pub(in crate::job) score: Setting<RawField>,
    pub(in crate::job) table: Setting<At<Named>>,
    /// `where`.
    pub(in crate::job) explains: Setting<At<Named>>,
    pub(in crate::job) sql: Setting<At<Statement>>,
    pub(in crate::job) id: Setting<Vec<Text>>,
    pub(in crate::job) lock_sql: Setting<At<Statement>>,
    pub(in crate::job) changed_at: Setting<At<TimeColumn>>,
    pub(in crate::job) changed_ids: Setting<At<RawChangedIds>>,
    pub(in crate::job) deletes: Setting<At<DeletesWord>>,
    pub(in crate::job) deleted_at: Setting<At<TimeColumn>>,
    pub(in crate::job) deleted: Setting<At<Named>>,
    pub(in crate::job) version: Setting<RawVersion>,
    pub(in crate::job) fields: Setting<Vec<RawField>>,
    pub(in crate::job) ignore: Setting<Vec<Text>>,
    pub(in crate::job) lazy: Setting<At<bool>>,
    pub(in crate::job) expiry: Setting<At<Expiry>>,
    pub(in crate::job) ttl: Setting<At<Duration>>,
    pub(in crate::job) absent: Setting<Vec<Text>>,
    pub(in crate::job) expect_present: Setting<At<bool>>,
    pub(in crate::job) order: Setting<At<Order>>,
    pub(in crate::job) writes: Setting<At<Writes>>,
    pub(in crate::job) ahead_ok: Setting<At<bool>>,
    pub(in crate::job) subject: Setting<At<Named>>,
    pub(in crate::job) currency: Setting<Text>,
    pub(in crate::job) repair: Setting<At<RepairMode>>,
    pub(in crate::job) repair_orphans: Setting<At<RepairOrphans>>,
    pub(in crate::job) guard: Setting<At<Guard>>,
    pub(in crate::job) settle: Setting<At<Duration>>,
    pub(in crate::job) cache_delay: Setting<At<Duration>>,
}

pub(in crate::job) struct RawVersion {
    pub(in crate::job) span: Range<usize>,
    pub(in crate::job) cache: Setting<Text>,
    pub(in crate::job) column: Setting<At<Named>>,
}

pub(in crate::job) struct RawChangedIds {
    pub(in crate::job) statement: Setting<At<Statement>>,
    pub(in crate::job) form: Option<TimeForm>,
}

impl RawCache {
    pub(in crate::job) fn read(reader: &mut Reader<'_>, section: &Section<'_>) -> Self {
        let version = section.section(reader, "version");
        let score = section.section(reader, "score");
        Self {
            span: section.span.clone(),
            name: section.parsed(reader, "name", name::parse),
            key: section.parsed(reader, "key", template::parse),
            value: section.word(reader, "value", &word::VALUE),
            member: section.parsed(reader, "member", template::parse),
            field: section.parsed(reader, "field", template::parse),
            score: match score {
                Setting::Given(score) => Setting::Given(RawField::read_score(reader, &score)),
                Setting::Faulty => Setting::Faulty,
                Setting::Absent => Setting::Absent,
            },
            table: section.parsed(reader, "table", source_name::table),
            explains: section.parsed(reader, "where", condition),
            sql: statement(reader, section, "sql"),
            id: section.texts(reader, "id"),
            lock_sql: statement(reader, section, "lock_sql"),
            changed_at: time_column(reader, section, "changed_at"),
            changed_ids: changed_ids(reader, section),
            deletes: section.word(reader, "deletes", &word::DELETES),
            deleted_at: time_column(reader, section, "deleted_at"),
            deleted: section.parsed(reader, "deleted", condition),
            version: match version {
                Setting::Given(version) => Setting::Given(RawVersion::read(reader, &version)),
                Setting::Faulty => Setting::Faulty,
                Setting::Absent => Setting::Absent,
            },
            fields: match section.sections(reader, "fields") {
                Setting::Given(fields) => Setting::Given(
                    fields
                        .iter()
                        .map(|field| RawField::read(reader, field))
                        .collect(),
                ),
                Setting::Faulty => Setting::Faulty,
                Setting::Absent => Setting::Absent,
            },
            ignore: section.texts(reader, "ignore"),
            lazy: section.boolean("lazy"),
            expiry: section.word(reader, "expiry", &word::EXPIRY),
            ttl: section.parsed(reader, "ttl", duration::parse_positive),
            absent: section.texts(reader, "absent"),
            expect_present: section.word(reader, "expect", &word::EXPECT),
            order: section.word(reader, "order", &word::ORDER),
            writes: section.word(reader, "writes", &word::WRITES),
            ahead_ok: section.boolean("ahead_ok"),
            subject: section.parsed(reader, "subject", source_name::column),
            currency: section.text(reader, "currency"),
            repair: section.word(reader, "repair", &word::REPAIR),
            repair_orphans: section.word(reader, "repair_orphans", &word::REPAIR_ORPHANS),
            guard: section.word(reader, "guard", &word::GUARD),
            settle: section.parsed(reader, "settle", duration::parse_positive),
            cache_delay: section.parsed(reader, "cache_delay", duration::parse),
        }
    }
}

impl RawVersion {
    fn read(reader: &mut Reader<'_>, section: &Section<'_>) -> Self {
        Self {
            span: section.span.clone(),
            cache: section.text(reader, "cache"),
            column: section.parsed(reader, "column", source_name::column),
        }
    }
}

fn condition(text: &Text) -> Result<Named, Fault> {
    match sql::condition(&text.value) {
        Ok(condition) => Ok(Named {
            text: condition,
            span: text.span.clone(),
        }),
        Err(problem) => Err(text.fault(problem.message).hint(problem.hint)),
    }
}

/// `"SELECT …"`, `"sql/changed.sql"` or `{ sql, as, time_zone }`.
fn changed_ids(reader: &mut Reader<'_>, section: &Section<'_>) -> Setting<At<RawChangedIds>> {
    let At { value, span } = match section.text_or_section(reader, "changed_ids") {
        Setting::Given(at) => at,
        Setting::Faulty => return Setting::Faulty,
        Setting::Absent => return Setting::Absent,
    };
    let value = match value {
        TextOrSection::Text(_) => RawChangedIds {
            statement: statement(reader, section, "changed_ids"),
            form: Some(TimeForm::Native),
        },
        TextOrSection::Section(section) => RawChangedIds {
            statement: statement(reader, &section, "sql"),
            form: time_form(reader, &section),
        },
    };
    Setting::Given(At { value, span })
}
