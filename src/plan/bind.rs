//! A check and a live schema make a [`Mapping`], or faults that point into the job file.

use std::sync::Arc;

use super::binder::Binder;
use crate::job::Fault;
use crate::model::check::{CacheCheck, Deletes, Layout, Source, Tombstone, Window};
use crate::model::column::{Column, TableSchema};
use crate::model::mapping::Mapping;

/// What the live database says of a check's source.
#[derive(Debug, Clone)]
pub enum SourceSchema {
    Table(TableSchema),
    /// The columns a custom SELECT gives.
    Select(Vec<Column>),
}

/// A bound check, and what deserves a word to the operator though it is no fault.
#[derive(Debug, Clone)]
pub struct Bound {
    pub mapping: Arc<Mapping>,
    pub notes: Vec<String>,
}

/// Binds `check` to its source. Faults: a missing column, a column of a type that cannot fill a
/// placeholder or hold a time, a template that does not name one row, a field form that the column
/// refutes.
pub fn bind(check: &Arc<CacheCheck>, schema: &SourceSchema) -> Result<Bound, Vec<Fault>> {
    let mut binder = Binder::new(schema);
    let key_cells = binder.placeholders(check.key.placeholders(), &check.key_span);
    let member_cells = match &check.layout {
        Layout::KeyPerRow => Vec::new(),
        Layout::RowPerMember(member) => binder.placeholders(member.placeholders(), &check.key_span),
    };
    let sweep_key = binder.sweep_key(check, &key_cells, &member_cells);
    let field_cells = binder.fields(&check.fields);
    let version_cell = check.version.as_ref().map(|v| binder.version(&v.column));
    let changed_at_cell = match &check.window {
        Some(Window::ChangedAt(time)) => Some(binder.time(time)),
        Some(Window::ChangedIds { .. }) | None => None,
    };
    let deleted_at_cell = match &check.deletes {
        Deletes::Tombstone(Tombstone::DeletedAt(time)) => Some(binder.deleted_at(time)),
        _ => None,
    };
    let subject_cell = check.subject.as_ref().map(|c| binder.named(c));
    if !binder.faults.is_empty() {
        return Err(binder.faults);
    }
    let columns = binder.columns;
    let explains_cell = matches!(
        &check.source,
        Source::Table {
            explains: Some(_),
            ..
        }
    )
    .then_some(columns.len());
    let tombstone_cell = matches!(&check.deletes, Deletes::Tombstone(Tombstone::Condition(_)))
        .then_some(columns.len() + usize::from(explains_cell.is_some()));
    let (table, rows_estimated) = match schema {
        SourceSchema::Table(t) => (Some((t.schema.clone(), t.table.clone())), t.rows_estimated),
        SourceSchema::Select(_) => (None, 0),
    };
    let mapping = Mapping {
        check: Arc::clone(check),
        table,
        columns,
        sweep_key,
        key_cells,
        member_cells,
        field_cells,
        version_cell,
        changed_at_cell,
        deleted_at_cell,
        subject_cell,
        explains_cell,
        tombstone_cell,
        rows_estimated,
    };
    let notes = notes(&mapping, schema);
    Ok(Bound {
        mapping: Arc::new(mapping),
        notes,
    })
}

fn notes(mapping: &Mapping, schema: &SourceSchema) -> Vec<String> {
    let check = &mapping.check;
    let mut notes = Vec::new();
    for &cell in mapping.key_cells.iter().chain(&mapping.member_cells) {
        let column = &mapping.columns[cell];
        if column.is_case_insensitive() {
            notes.push(format!(
                "check {}: `{}` is compared without case ({}); a key spelled differently from its row is \
                 not taken for this check's",
                check.name.text,
                column.name,
                column.collation.as_deref().unwrap_or_default()
            ));
        }
    }
    if let SourceSchema::Table(table) = schema {
        notes.extend(unindexed_window(mapping, table));
    }
    notes
}

/// A word where a window cannot use an index.
pub(super) fn unindexed_window(mapping: &Mapping, table: &TableSchema) -> Option<String> {
    let column = &mapping.columns[mapping.changed_at_cell?].name;
    (!leads_an_index(table, column)).then(|| {
        format!(
            "check {}: `{column}` has no index, so a window reads the whole table",
            mapping.check.name.text
        )
    })
}

/// Whether some index begins with the column.
pub(super) fn leads_an_index(table: &TableSchema, column: &str) -> bool {
    table
        .leading_index_columns
        .iter()
        .any(|c| c.eq_ignore_ascii_case(column))
}
