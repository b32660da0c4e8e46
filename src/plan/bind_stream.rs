//! A stream check and the live schema of its table make a [`StreamMapping`], or faults that point into
//! the job file.

use std::sync::Arc;

use super::bind::{SourceSchema, leads_an_index, unindexed_window};
use super::binder::{Binder, fault, unfit_for_a_key};
use crate::job::Fault;
use crate::model::check::{Form, Source, Window};
use crate::model::column::{Column, ColumnType, TableSchema};
use crate::model::mapping::Mapping;
use crate::model::stream::{Identity, StreamCheck, StreamMapping};

/// A bound check, and what deserves a word to the operator though it is no fault.
#[derive(Debug, Clone)]
pub struct BoundStream {
    pub mapping: Arc<StreamMapping>,
    pub notes: Vec<String>,
}

/// Binds `check` to its table. Faults: a missing column, a form that its column refutes, an identity column
/// that cannot hold the identity, money that is no number, a table without a key to page by, an insert
/// without a unique key that would stop a second one.
pub fn bind_stream(
    check: &Arc<StreamCheck>,
    schema: &TableSchema,
) -> Result<BoundStream, Vec<Fault>> {
    let source = SourceSchema::Table(schema.clone());
    let mut binder = Binder::new(&source);
    let identity = identity_cell(&mut binder, check);
    let sweep_key = sweep_cells(&mut binder, check, schema);
    let field_cells = binder.fields(&check.rows.fields);
    refuse_money_that_is_no_number(&mut binder, check, &field_cells);
    let changed_at_cell = match &check.rows.window {
        Some(Window::ChangedAt(time)) => Some(binder.time(time)),
        Some(Window::ChangedIds { .. }) | None => None,
    };
    let subject_cell = check.rows.subject.as_ref().map(|c| binder.named(c));
    let identity_is_unique = is_unique(schema, &[&check.identity_column.text]);
    if check.inserts() && !identity_is_unique {
        refuse_insert(&mut binder, check, identity);
    }
    if !binder.faults.is_empty() {
        return Err(binder.faults);
    }
    let rows = Mapping {
        check: Arc::clone(&check.rows),
        table: Some((schema.schema.clone(), schema.table.clone())),
        columns: binder.columns,
        sweep_key,
        key_cells: vec![identity],
        member_cells: Vec::new(),
        field_cells,
        version_cell: None,
        changed_at_cell,
        deleted_at_cell: None,
        subject_cell,
        explains_cell: None,
        tombstone_cell: None,
        rows_estimated: schema.rows_estimated,
    };
    let notes = notes(check, &rows, schema);
    let tuple: Vec<&str> = check
        .unique
        .iter()
        .map(|&at| check.rows.fields[at].column.text.as_str())
        .collect();
    Ok(BoundStream {
        mapping: Arc::new(StreamMapping {
            check: Arc::clone(check),
            rows: Arc::new(rows),
            identity_is_unique,
            tuple_is_unique: is_unique(schema, &tuple),
        }),
        notes,
    })
}

/// The identity's cell: the first of the columns.
fn identity_cell(binder: &mut Binder<'_>, check: &StreamCheck) -> usize {
    let cell = binder.named(&check.identity_column);
    let Some(column) = binder.columns.get(cell) else {
        return cell;
    };
    let name = &column.name;
    let refusal = match (&check.identity, column.kind) {
        (Identity::EntryId, ColumnType::Text | ColumnType::Binary) => None,
        (Identity::EntryId, _) => Some((
            format!("column `{name}` cannot hold an entry id such as 1526919030474-55"),
            "use a CHAR, VARCHAR, BINARY or VARBINARY column of at least 41 characters",
        )),
        (Identity::Field(_), _) => unfit_for_a_key(column).map(|why| {
            (
                format!("column `{name}` cannot hold an identity: {why}"),
                "use a whole-number, text, enum, date or binary column",
            )
        }),
    };
    if let Some((message, hint)) = refusal {
        let span = &check.identity_column.span;
        binder
            .faults
            .push(fault(span, message, Some(hint.to_owned())));
    }
    cell
}

/// The cells of the primary key, or else of a unique key without NULLs, whose values can be written down
/// and ordered exactly. The identity column need not be one of them.
fn sweep_cells(binder: &mut Binder<'_>, check: &StreamCheck, schema: &TableSchema) -> Vec<usize> {
    let Source::Table { table, .. } = &check.rows.source else {
        return Vec::new();
    };
    let can_be_ordered = |name: &String| schema.column(name).is_some_and(is_ordered);
    let key = keys(schema).find(|key| key.iter().all(can_be_ordered));
    let Some(key) = key else {
        binder.faults.push(fault(
            &table.span,
            format!(
                "table `{}`.`{}` has no key by which its rows can be read page by page",
                schema.schema, schema.table
            ),
            Some(
                "give it a PRIMARY KEY, or a UNIQUE key without NULLs, of whole numbers, text or times"
                    .to_owned(),
            ),
        ));
        return Vec::new();
    };
    key.iter()
        .map(|name| binder.cell(name, &table.span))
        .collect()
}

/// The primary key first; keys without NULLs only.
fn keys(schema: &TableSchema) -> impl Iterator<Item = &Vec<String>> {
    std::iter::once(&schema.primary_key)
        .chain(&schema.unique_keys)
        .filter(|key| !key.is_empty())
}

fn is_ordered(column: &Column) -> bool {
    !matches!(
        column.kind,
        ColumnType::Float { .. } | ColumnType::Json | ColumnType::Bit | ColumnType::Other
    )
}

/// Whether no two rows can agree on all of `columns`: some key lies within them.
fn is_unique(schema: &TableSchema, columns: &[&str]) -> bool {
    let is_among = |name: &String| columns.iter().any(|c| c.eq_ignore_ascii_case(name));
    keys(schema).any(|key| key.iter().all(is_among))
}

fn refuse_money_that_is_no_number(binder: &mut Binder<'_>, check: &StreamCheck, cells: &[usize]) {
    let Some(at) = check.money else { return };
    let field = &check.rows.fields[at];
    let Some(column) = binder.columns.get(cells[at]) else {
        return;
    };
    let is_number = match field.form {
        Some(form) => matches!(form, Form::Integer | Form::Decimal),
        None => matches!(
            column.kind,
            ColumnType::Integer { .. } | ColumnType::Decimal { .. } | ColumnType::Float { .. }
        ),
    };
    if !is_number {
        binder.faults.push(fault(
            &field.column.span,
            format!("`money` is a number, and column `{}` is none", column.name),
            Some(
                "say as = \"decimal\" if its text is a number; else name another column".to_owned(),
            ),
        ));
    }
}

fn refuse_insert(binder: &mut Binder<'_>, check: &StreamCheck, identity: usize) {
    let Some(column) = binder.columns.get(identity) else {
        return;
    };
    let name = &column.name;
    let null = if column.nullable {
        " (and make it NOT NULL)"
    } else {
        ""
    };
    let message = format!(
        "an insert needs a UNIQUE key on `{name}` alone, because the application does not take our locks"
    );
    let hint = format!("add one{null}; or use \"requeue\" or \"report\" instead of \"insert\"");
    let span = &check.identity_column.span;
    binder.faults.push(fault(span, message, Some(hint)));
}

fn notes(check: &StreamCheck, rows: &Mapping, schema: &TableSchema) -> Vec<String> {
    let name = &check.name.text;
    let mut notes = Vec::new();
    let identity = &rows.columns[rows.key_cells[0]];
    if !leads_an_index(schema, &identity.name) {
        notes.push(format!(
            "check {name}: `{}` has no index, so every proof reads the whole table",
            identity.name
        ));
    }
    if identity.is_case_insensitive() {
        notes.push(format!(
            "check {name}: `{}` is compared without case ({}), so identities that differ in case only are one \
             to MySQL",
            identity.name,
            identity.collation.as_deref().unwrap_or_default()
        ));
    }
    notes.extend(unindexed_window(rows, schema));
    notes
}
