//! Where rows come from, how they lie in the cache, and how a window finds them.

use super::cache::kept;
use crate::job::elements::source_name;
use crate::job::elements::sql::{self, Purpose};
use crate::job::elements::sql_file::Statement;
use crate::job::elements::word::DeletesWord;
use crate::job::fault::Fault;
use crate::job::raw::RawCache;
use crate::job::reader::{At, Setting};
use crate::model::check::{Deletes, Layout, Named, Source, Tombstone, ValueKind, Window};
use crate::model::template::Template;

pub(super) fn source(raw: &RawCache, faults: &mut Vec<Fault>) -> Option<Source> {
    match (&raw.table, &raw.sql) {
        (Setting::Absent, Setting::Absent) => {
            faults.push(
                Fault::new(raw.span.clone(), "this check has neither `table` nor `sql`")
                    .hint("say where the truth is: table = \"users\""),
            );
            None
        }
        (Setting::Absent, _) => sql_source(raw, faults),
        (_, Setting::Absent) => table_source(raw, faults),
        (_, sql) => {
            let span = sql.given().map_or(raw.span.clone(), |at| at.span.clone());
            faults.push(
                Fault::new(span, "this check has both `table` and `sql`").hint("keep one of them"),
            );
            None
        }
    }
}

pub(super) fn window(raw: &RawCache, faults: &mut Vec<Fault>) -> Option<Option<Window>> {
    let changed_ids = match &raw.changed_ids {
        Setting::Given(ids) => {
            let named = ids
                .value
                .statement
                .given()
                .and_then(|at| named(&at.value, Purpose::ChangedIds, faults));
            Some(named.zip(ids.value.form))
        }
        Setting::Absent | Setting::Faulty => None,
    };
    match (&raw.changed_at, &raw.changed_ids) {
        (Setting::Absent, Setting::Absent) => Some(None),
        (Setting::Given(at), Setting::Absent) => Some(Some(Window::ChangedAt(at.value.clone()))),
        (Setting::Absent, Setting::Given(_)) => {
            let (sql, form) = changed_ids.flatten()?;
            Some(Some(Window::ChangedIds { sql, form }))
        }
        (Setting::Faulty, _) | (_, Setting::Faulty) => None,
        (Setting::Given(_), Setting::Given(ids)) => {
            faults.push(
                Fault::new(
                    ids.span.clone(),
                    "this check has both `changed_at` and `changed_ids`",
                )
                .hint("keep the one that finds every changed id"),
            );
            None
        }
    }
}

pub(super) fn deletes(raw: &RawCache, faults: &mut Vec<Fault>) -> Option<Deletes> {
    let word = raw.deletes.given()?;
    let tombstones = [
        raw.deleted_at.given().map(|at| at.span.clone()),
        raw.deleted.given().map(|at| at.span.clone()),
    ];
    if word.value != DeletesWord::Tombstone {
        for span in tombstones.into_iter().flatten() {
            faults.push(
                Fault::new(span, "a tombstone is named, but `deletes` does not say so")
                    .hint("write deletes = \"tombstone\""),
            );
        }
    }
    match (word.value, &raw.deleted_at, &raw.deleted) {
        (DeletesWord::Never, ..) => Some(Deletes::Never),
        (DeletesWord::Scan, ..) => Some(Deletes::Scan),
        (DeletesWord::Tombstone, Setting::Given(at), Setting::Absent) => {
            Some(Deletes::Tombstone(Tombstone::DeletedAt(at.value.clone())))
        }
        (DeletesWord::Tombstone, Setting::Absent, Setting::Given(condition)) => Some(
            Deletes::Tombstone(Tombstone::Condition(condition.value.clone())),
        ),
        (DeletesWord::Tombstone, Setting::Absent, Setting::Absent) => {
            faults.push(
                Fault::new(word.span.clone(), "nothing says how a tombstone looks")
                    .hint("add deleted_at = \"deleted_at\" or deleted = \"is_deleted = 1\""),
            );
            None
        }
        (DeletesWord::Tombstone, Setting::Given(_), Setting::Given(condition)) => {
            faults.push(
                Fault::new(
                    condition.span.clone(),
                    "this check has both `deleted_at` and `deleted`",
                )
                .hint("keep one of them"),
            );
            None
        }
        (DeletesWord::Tombstone, ..) => None,
    }
}

/// Whether one key holds many rows.
pub(super) fn is_row_per_member(raw: &RawCache, value: ValueKind) -> bool {
    match value {
        ValueKind::Zset | ValueKind::Set => true,
        ValueKind::Hash => !raw.field.is_absent(),
        _ => false,
    }
}

pub(super) fn layout(raw: &RawCache, value: ValueKind, faults: &mut Vec<Fault>) -> Option<Layout> {
    let is_member = matches!(value, ValueKind::Zset | ValueKind::Set);
    if let Some(field) = raw.field.given()
        && value != ValueKind::Hash
    {
        faults.push(
            Fault::new(field.span.clone(), "`field` belongs to a hash of rows").hint(
                if is_member {
                    "use `member`"
                } else {
                    "take it out; columns are mapped by `fields`"
                },
            ),
        );
    }
    if let Some(member) = raw.member.given()
        && !is_member
    {
        faults.push(
            Fault::new(member.span.clone(), "`member` belongs to a zset or a set").hint(
                if value == ValueKind::Hash {
                    "in a hash of rows it is `field`"
                } else {
                    "take it out"
                },
            ),
        );
    }
    let template = if is_member { &raw.member } else { &raw.field };
    if is_member && template.is_absent() {
        faults.push(
            Fault::new(raw.span.clone(), "a zset or set needs `member`")
                .hint("say which member stands for a row: member = \"{id}\""),
        );
        return None;
    }
    if !is_row_per_member(raw, value) {
        let key = raw.key.given()?;
        require_placeholder(key, "one key would stand for every row", faults)?;
        return Some(Layout::KeyPerRow);
    }
    let template = template.given()?;
    require_placeholder(template, "one member would stand for every row", faults)?;
    Some(Layout::RowPerMember(template.value.clone()))
}

fn require_placeholder(at: &At<Template>, message: &str, faults: &mut Vec<Fault>) -> Option<()> {
    if at.value.placeholders().next().is_some() {
        return Some(());
    }
    faults.push(
        Fault::new(at.span.clone(), message.to_owned())
            .hint("write the id column in braces: {id}; many rows in one key are a zset, a set or a hash with `field`"),
    );
    None
}

fn table_source(raw: &RawCache, faults: &mut Vec<Fault>) -> Option<Source> {
    if let Some(id) = raw.id.given().and_then(|ids| ids.first()) {
        faults.push(
            id.fault("`id` belongs to `sql`")
                .hint("take it out: a table's ids come from its keys"),
        );
    }
    if let Some(lock) = raw.lock_sql.given() {
        faults.push(
            Fault::new(lock.span.clone(), "`lock_sql` belongs to `sql`")
                .hint("take it out: a table's rows are locked themselves"),
        );
    }
    if matches!(raw.explains, Setting::Faulty) {
        return None;
    }
    Some(Source::Table {
        table: raw.table.value()?,
        explains: raw.explains.value(),
    })
}

fn sql_source(raw: &RawCache, faults: &mut Vec<Fault>) -> Option<Source> {
    if let Some(explains) = raw.explains.given() {
        faults.push(
            Fault::new(explains.span.clone(), "`where` belongs to `table`")
                .hint("with `sql` the statement itself says which rows there are"),
        );
    }
    let lock_sql = match &raw.lock_sql {
        Setting::Given(at) => Some(named(&at.value, Purpose::Lock, faults)?),
        Setting::Absent => None,
        Setting::Faulty => return None,
    };
    let id = id_columns(raw, faults)?;
    let at = raw.sql.given()?;
    let sql = named(&at.value, Purpose::Rows { id: &id }, faults)?;
    Some(Source::Sql {
        text: sql.text,
        path: at.value.path.clone(),
        span: sql.span,
        id,
        lock_sql,
    })
}

/// The id columns, each of which a key or member must show: else two rows would share a key.
fn id_columns(raw: &RawCache, faults: &mut Vec<Fault>) -> Option<Vec<Named>> {
    let texts = match &raw.id {
        Setting::Given(texts) if !texts.is_empty() => texts,
        Setting::Faulty => return None,
        Setting::Given(_) | Setting::Absent => {
            let span = raw
                .sql
                .given()
                .map_or(raw.span.clone(), |at| at.span.clone());
            faults
                .push(Fault::new(span, "`sql` needs `id`").hint(
                    "name the SELECT's id columns: id = \"auction_id\", or an array of them",
                ));
            return None;
        }
    };
    let before = faults.len();
    let mut columns: Vec<Named> = Vec::new();
    for text in texts {
        let Some(column) = kept(source_name::column(text), faults) else {
            continue;
        };
        if columns
            .iter()
            .any(|other| other.text.eq_ignore_ascii_case(&column.text))
        {
            faults.push(
                text.fault("this id column is named twice")
                    .hint("name each once"),
            );
        }
        let shows = |template: &Setting<At<Template>>| {
            template.given().is_none_or(|at| {
                at.value
                    .placeholders()
                    .any(|p| p.eq_ignore_ascii_case(&column.text))
            })
        };
        let templates = [&raw.key, &raw.member, &raw.field];
        let is_shown = templates
            .iter()
            .filter(|template| !template.is_absent())
            .any(|template| shows(template));
        if !is_shown && !raw.key.is_absent() {
            faults.push(
                text.fault(format!("no key shows the id {}", text.shown()))
                    .hint("write it in braces in `key`, `member` or `field`: else two rows share a key"),
            );
        }
        columns.push(column);
    }
    (faults.len() == before).then_some(columns)
}

/// The statement checked and trimmed, at its setting's place.
pub(super) fn named(
    statement: &Statement,
    purpose: Purpose<'_>,
    faults: &mut Vec<Fault>,
) -> Option<Named> {
    let result =
        sql::statement(&statement.sql, purpose).map_err(|problem| statement.fault(&problem));
    let text = kept(result, faults)?;
    Some(Named {
        text,
        span: statement.setting.span.clone(),
    })
}
