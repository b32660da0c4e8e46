//! One stream.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::cache::kept;
use super::{fields, source, stream_policy};
use crate::job::elements::sql::Purpose;
use crate::job::elements::sql_file::Statement;
use crate::job::elements::word::UnpersistedWord;
use crate::job::elements::{locator, template};
use crate::job::fault::Fault;
use crate::job::raw::{RawColumn, RawStream};
use crate::job::reader::{At, Setting, Text};
use crate::job::spec::Limits;
use crate::model::check::{
    CacheCheck, Deletes, Expiry, FieldSpec, Guard, Layout, Locator, Named, Order, RepairMode,
    RepairOrphans, Source, ValueKind, Window, Writes,
};
use crate::model::stream::{
    OnPersisted, OnRewound, OnSkipped, OnTrimmed, OnUnpersisted, StreamCheck,
};
use crate::model::template::Template;

const ORPHAN_AFTER: Duration = Duration::from_secs(60);
const MAX_DELIVERIES: u64 = 10;

/// The check, or `None` when a fault says why not. Every part is looked at, whatever is wrong with
/// the others.
pub(super) fn stream(
    raw: &RawStream,
    limits: &Limits,
    faults: &mut Vec<Fault>,
) -> Option<StreamCheck> {
    stream_policy::check(raw, faults);
    let matches = matches(raw, faults);
    let columns = columns(raw, faults);
    let proof_sql = evidence(&raw.proof_sql, faults);
    let rejected_sql = evidence(&raw.rejected_sql, faults);
    let unique = unique(raw, faults);
    let money = money(raw, faults);
    let identity_template = raw
        .identity_column
        .given()
        .and_then(|column| identity_template(&column.value, faults));
    let name = raw.name.value()?;
    let key = raw.key.given()?;
    let identity_column = raw.identity_column.value()?;
    let (fields, constants) = columns?.into_iter().unzip();
    let rows = rows(
        raw,
        limits,
        identity_template?,
        name.clone(),
        &identity_column.span,
        fields,
    )?;
    Some(StreamCheck {
        name,
        key: key.value.clone(),
        key_span: key.span.clone(),
        group: raw.group.value()?,
        matches: matches?,
        identity: raw.identity.value()?,
        identity_column,
        rows: Arc::new(rows),
        constants,
        proof_sql: proof_sql?,
        rejected_sql: rejected_sql?,
        may_leave_no_row: raw.may_leave_no_row.or(false),
        unique: unique?,
        orphan_after: raw.orphan_after.or(ORPHAN_AFTER),
        max_deliveries: Some(
            raw.max_deliveries
                .value()
                .and_then(|most| u64::try_from(most).ok())
                .unwrap_or(MAX_DELIVERIES),
        ),
        on_persisted: raw.on_persisted.or(OnPersisted::Report),
        on_unpersisted: match raw.on_unpersisted.or(UnpersistedWord::Report) {
            UnpersistedWord::Insert => OnUnpersisted::Insert,
            UnpersistedWord::Requeue => OnUnpersisted::Requeue,
            UnpersistedWord::Claim => OnUnpersisted::Claim(raw.claim_to.value()?),
            UnpersistedWord::Report => OnUnpersisted::Report,
        },
        on_skipped: raw.on_skipped.or(OnSkipped::Report),
        on_rewound: raw.on_rewound.or(OnRewound::Report),
        on_trimmed: raw.on_trimmed.or(OnTrimmed::Report),
        keeps_entries: raw.keeps_entries.or(false),
        raise_last_id: raw.raise_last_id.or(false),
        dead_letter: raw.dead_letter.value(),
        money: money?,
    })
}

/// The index of a column among `columns`, which MySQL tells apart without case.
pub(super) fn index_of(columns: &[RawColumn], name: &str) -> Option<usize> {
    columns.iter().position(|column| {
        column
            .field
            .column
            .given()
            .is_some_and(|at| at.value.text.eq_ignore_ascii_case(name))
    })
}

/// The table's side, said as a mapping of hashes that nobody ever repairs.
fn rows(
    raw: &RawStream,
    limits: &Limits,
    key: Template,
    name: Named,
    key_span: &Range<usize>,
    fields: Vec<FieldSpec>,
) -> Option<CacheCheck> {
    let window = match &raw.changed_at {
        Setting::Given(at) => Some(Window::ChangedAt(at.value.clone())),
        Setting::Absent => None,
        Setting::Faulty => return None,
    };
    Some(CacheCheck {
        name,
        key,
        key_span: key_span.clone(),
        value: ValueKind::Hash,
        layout: Layout::KeyPerRow,
        source: Source::Table {
            table: raw.table.value()?,
            explains: None,
        },
        window,
        deletes: Deletes::Never,
        version: None,
        fields,
        ignore: Vec::new(),
        lazy: false,
        expiry: Expiry::Any,
        ttl: None,
        absent: Vec::new(),
        expect_present: false,
        order: Some(Order::SourceFirst),
        writes: Writes::Set,
        ahead_ok: false,
        subject: raw.subject.value(),
        currency: raw.currency.given().map(|text| text.value.clone()),
        repair: RepairMode::Report,
        repair_orphans: RepairOrphans::Report,
        guard: Guard::Auto,
        settle: raw.settle.or(limits.settle),
        cache_delay: raw.cache_delay.or(limits.cache_delay),
    })
}

fn identity_template(column: &Named, faults: &mut Vec<Fault>) -> Option<Template> {
    let text = Text {
        value: format!("{{{}}}", column.text),
        span: column.span.clone(),
        substituted: false,
    };
    let parsed = template::parse(&text).map_err(|_| {
        text.fault(format!(
            "the identity column `{}` has a name that no template can hold",
            column.text
        ))
        .hint("only letters, digits, `_` and `$` can; rename it, or read the table through a view")
    });
    kept(parsed, faults)
}

fn matches(raw: &RawStream, faults: &mut Vec<Fault>) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let Some(matches) = raw.matches.given() else {
        return raw.matches.is_absent().then(Vec::new);
    };
    matches
        .iter()
        .map(|(field, value)| {
            if field.value.is_empty() {
                faults.push(
                    field
                        .fault("the field has no name")
                        .hint("write match = { type = \"BID_SAVE\" }"),
                );
                return None;
            }
            Some((
                field.value.clone().into_bytes(),
                value.value.clone().into_bytes(),
            ))
        })
        .collect()
}

/// Each column with the constant that stands for its field, if one does.
fn columns(raw: &RawStream, faults: &mut Vec<Fault>) -> Option<Vec<(FieldSpec, Option<Vec<u8>>)>> {
    let Some(columns) = raw.columns.given() else {
        return raw.columns.is_absent().then(Vec::new);
    };
    let before = faults.len();
    let specs: Vec<_> = columns
        .iter()
        .enumerate()
        .map(|(at, raw_column)| {
            refuse_second_mention(columns, at, faults);
            column(raw_column, faults)
        })
        .collect();
    if faults.len() > before {
        return None;
    }
    specs.into_iter().collect()
}

fn column(raw: &RawColumn, faults: &mut Vec<Fault>) -> Option<(FieldSpec, Option<Vec<u8>>)> {
    let name = raw.field.column.given()?;
    let (place, constant) = match (&raw.field.cache, &raw.constant) {
        (Setting::Given(field), Setting::Absent) => {
            (kept(locator::parse(field, ValueKind::Hash), faults)?, None)
        }
        // Whatever the entry holds, the constant stands for it: the place is only a name for reports.
        (Setting::Absent, Setting::Given(constant)) => (
            Locator::HashField(name.value.text.clone().into_bytes()),
            Some(constant.value.clone().into_bytes()),
        ),
        (Setting::Given(_), Setting::Given(constant)) => {
            faults.push(
                constant
                    .fault(format!(
                        "column `{}` has both `field` and `constant`",
                        name.value.text
                    ))
                    .hint("keep one of them"),
            );
            return None;
        }
        (Setting::Absent, Setting::Absent) => {
            faults.push(
                Fault::new(
                    raw.field.span.clone(),
                    format!(
                        "column `{}` has neither `field` nor `constant`",
                        name.value.text
                    ),
                )
                .hint("say which field of the entry it is: { field = \"amount\" }"),
            );
            return None;
        }
        _ => return None,
    };
    Some((fields::column(&raw.field, place, faults)?, constant))
}

/// TOML refuses one key twice, but MySQL takes `Amount` and `amount` for one column.
fn refuse_second_mention(columns: &[RawColumn], at: usize, faults: &mut Vec<Fault>) {
    let Some(name) = columns[at].field.column.given() else {
        return;
    };
    if index_of(columns, &name.value.text) != Some(at) {
        faults.push(
            Fault::new(
                name.span.clone(),
                format!("column `{}` is named twice", name.value.text),
            )
            .hint("name each once; MySQL knows columns without case"),
        );
    }
}

fn evidence(setting: &Setting<At<Statement>>, faults: &mut Vec<Fault>) -> Option<Option<Named>> {
    match setting {
        Setting::Given(at) => source::named(&at.value, Purpose::Evidence, faults).map(Some),
        Setting::Absent => Some(None),
        Setting::Faulty => None,
    }
}

fn unique(raw: &RawStream, faults: &mut Vec<Fault>) -> Option<Vec<usize>> {
    let Some(names) = raw.unique.given() else {
        return raw.unique.is_absent().then(Vec::new);
    };
    let before = faults.len();
    let columns = raw.columns.given().map_or(&[][..], Vec::as_slice);
    let mut found = Vec::new();
    for name in names {
        let is_identity = raw
            .identity_column
            .given()
            .is_some_and(|at| at.value.text.eq_ignore_ascii_case(&name.value));
        match index_of(columns, &name.value) {
            _ if is_identity => faults.push(
                name.fault(format!("{} is the identity itself", name.shown()))
                    .hint("take it out: a tuple that holds the identity never occurs under two of them"),
            ),
            Some(at) if found.contains(&at) => faults.push(
                name.fault(format!("{} is named twice in `unique`", name.shown()))
                    .hint("name each once"),
            ),
            Some(at) => found.push(at),
            None => faults.extend(not_among(name, raw)),
        }
    }
    let is_constant = |at: &usize| !columns[*at].constant.is_absent();
    if let Some(first) = names.first()
        && found.len() == names.len()
        && found.iter().all(is_constant)
    {
        faults.push(
            first
                .fault("`unique` holds constants only, so that every entry would be a duplicate")
                .hint("name columns that differ from one effect to the next"),
        );
    }
    (faults.len() == before).then_some(found)
}

fn money(raw: &RawStream, faults: &mut Vec<Fault>) -> Option<Option<usize>> {
    let Some(name) = raw.money.given() else {
        return raw.money.is_absent().then_some(None);
    };
    let columns = raw.columns.given().map_or(&[][..], Vec::as_slice);
    let Some(at) = index_of(columns, &name.value) else {
        faults.extend(not_among(name, raw));
        return None;
    };
    let form = columns[at].field.form.given();
    if let Some(form) = form.filter(|form| !fields::is_number(form.value)) {
        faults.push(
            Fault::new(
                form.span.clone(),
                "`money` is a number, and this column is not spelled as one",
            )
            .hint("use as = \"decimal\" or \"integer\""),
        );
        return None;
    }
    Some(Some(at))
}

/// Nobody complains of a column where `columns` itself is faulty.
fn not_among(name: &Text, raw: &RawStream) -> Option<Fault> {
    (!matches!(raw.columns, Setting::Faulty)).then(|| {
        name.fault(format!("{} is not among `columns`", name.shown()))
            .hint("add it there, with the field of the entry that holds it")
    })
}
