//! A check and a live schema make a [`Mapping`], or faults that point into the job file.

use std::ops::Range;
use std::sync::Arc;

use crate::job::Fault;
use crate::model::check::{
    CacheCheck, Deletes, Layout, Named, Source, TimeColumn, TimeForm, Tombstone, Window,
};
use crate::model::column::{Column, ColumnType, TableSchema};
use crate::model::mapping::Mapping;
use crate::rules::check_form;

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
    let mut binder = Binder {
        columns: Vec::new(),
        schema,
        faults: Vec::new(),
    };
    let key_cells = binder.placeholders(check.key.placeholders(), &check.key_span);
    let member_cells = match &check.layout {
        Layout::KeyPerRow => Vec::new(),
        Layout::RowPerMember(member) => binder.placeholders(member.placeholders(), &check.key_span),
    };
    let sweep_key = binder.sweep_key(check, &key_cells, &member_cells);
    let field_cells = check
        .fields
        .iter()
        .map(|f| binder.named(&f.column))
        .collect::<Vec<_>>();
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
    for (field, &cell) in check.fields.iter().zip(&field_cells) {
        if let Some(column) = binder.columns.get(cell)
            && let Err(why) = check_form(field, column)
        {
            binder.faults.push(fault(&field.column.span, why, None));
        }
    }
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

struct Binder<'s> {
    columns: Vec<Column>,
    schema: &'s SourceSchema,
    faults: Vec<Fault>,
}

impl Binder<'_> {
    /// The cell of a column, selected once however often it is named. Where it does not exist, a fault
    /// is kept and a cell that is never used is given.
    fn cell(&mut self, name: &str, span: &Range<usize>) -> usize {
        let found = match self.schema {
            SourceSchema::Table(table) => table.column(name),
            SourceSchema::Select(columns) => {
                columns.iter().find(|c| c.name.eq_ignore_ascii_case(name))
            }
        };
        let Some(column) = found else {
            let hint = self.hint(name);
            self.faults.push(fault(
                span,
                format!("{} has no column `{name}`", self.source_name()),
                hint,
            ));
            return usize::MAX;
        };
        if let Some(at) = self.columns.iter().position(|c| c.name == column.name) {
            return at;
        }
        self.columns.push(column.clone());
        self.columns.len() - 1
    }

    fn named(&mut self, name: &Named) -> usize {
        self.cell(&name.text, &name.span)
    }

    fn source_name(&self) -> String {
        match self.schema {
            SourceSchema::Table(t) => format!("table `{}`.`{}`", t.schema, t.table),
            SourceSchema::Select(_) => "the SELECT".to_owned(),
        }
    }

    fn hint(&self, name: &str) -> Option<String> {
        let columns = match self.schema {
            SourceSchema::Table(t) => &t.columns,
            SourceSchema::Select(c) => c,
        };
        let mut near = columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>();
        near.sort_by_key(|c| distance(c, name));
        near.first()
            .filter(|c| distance(c, name) <= 3)
            .map(|c| format!("did you mean `{c}`?"))
            .or_else(|| Some(format!("its columns are {}", near.join(", "))))
    }

    /// Cells of placeholders; each must be of a type whose text in MySQL is the text in the key.
    fn placeholders<'n>(
        &mut self,
        names: impl Iterator<Item = &'n str>,
        span: &Range<usize>,
    ) -> Vec<usize> {
        names
            .map(|name| {
                let cell = self.cell(name, span);
                if let Some(column) = self.columns.get(cell)
                    && let Some(why) = unfit_for_a_key(column)
                {
                    self.faults.push(fault(
                        span,
                        format!("`{{{name}}}` cannot fill a key: {why}"),
                        Some("use a whole-number, text, enum, date or binary column".to_owned()),
                    ));
                }
                cell
            })
            .collect()
    }

    /// The unique key whose columns the templates name: the primary key if it can be, in its own order.
    fn sweep_key(&mut self, check: &CacheCheck, key: &[usize], member: &[usize]) -> Vec<usize> {
        let named = |columns: &[Column], name: &str| {
            columns
                .iter()
                .position(|c| c.name.eq_ignore_ascii_case(name))
                .filter(|at| key.contains(at) || member.contains(at))
        };
        let (keys, advice) = match (self.schema, &check.source) {
            (SourceSchema::Table(table), _) => {
                let mut keys = vec![table.primary_key.clone()];
                keys.extend(table.unique_keys.iter().cloned());
                (
                    keys,
                    "name the columns of its primary key (or of a unique key without NULLs)",
                )
            }
            (SourceSchema::Select(_), Source::Sql { id, .. }) => (
                vec![id.iter().map(|n| n.text.clone()).collect()],
                "name the columns of `id`",
            ),
            (SourceSchema::Select(_), Source::Table { .. }) => (Vec::new(), "use a table"),
        };
        let found = keys.iter().filter(|k| !k.is_empty()).find_map(|k| {
            k.iter()
                .map(|name| named(&self.columns, name))
                .collect::<Option<Vec<_>>>()
        });
        if let Some(cells) = found {
            return cells;
        }
        if self.faults.is_empty() {
            self.faults.push(fault(
                &check.key_span,
                format!(
                    "`{}` does not tell one row of {} from another",
                    check.key.text(),
                    self.source_name()
                ),
                Some(format!("{advice} in the key or member template")),
            ));
        }
        Vec::new()
    }

    fn version(&mut self, column: &Named) -> usize {
        let cell = self.named(column);
        if let Some(c) = self.columns.get(cell)
            && !matches!(
                c.kind,
                ColumnType::Integer { .. } | ColumnType::Decimal { .. }
            )
        {
            self.faults.push(fault(
                &column.span,
                format!("version column `{}` is not a number", column.text),
                Some("a version must be a whole number that only grows".to_owned()),
            ));
        }
        cell
    }

    /// NULL says that a row lives, so a column that is never NULL would make every row a tombstone.
    fn deleted_at(&mut self, time: &TimeColumn) -> usize {
        let cell = self.time(time);
        if let Some(column) = self.columns.get(cell)
            && !column.nullable
        {
            self.faults.push(fault(
                &time.column.span,
                format!(
                    "column `{}` is never NULL, so every row would count as deleted",
                    column.name
                ),
                Some(
                    "say deleted = \"deleted_at <> 0\" (a condition) instead of deleted_at"
                        .to_owned(),
                ),
            ));
        }
        cell
    }

    fn time(&mut self, time: &TimeColumn) -> usize {
        let cell = self.named(&time.column);
        let Some(column) = self.columns.get(cell) else {
            return cell;
        };
        let fits = match time.form {
            TimeForm::Native => {
                matches!(column.kind, ColumnType::DateTime | ColumnType::Timestamp)
            }
            TimeForm::Zoned(_) => column.kind == ColumnType::DateTime,
            TimeForm::EpochSeconds | TimeForm::EpochMillis | TimeForm::EpochMicros => {
                matches!(
                    column.kind,
                    ColumnType::Integer { .. } | ColumnType::Decimal { .. }
                )
            }
        };
        if !fits {
            let hint = match column.kind {
                ColumnType::Integer { .. } => "say { column = …, as = \"epoch-ms\" } for a number",
                ColumnType::Timestamp => "a TIMESTAMP is an instant already: leave time_zone out",
                _ => "use a DATETIME, a TIMESTAMP or a number of seconds, ms or us",
            };
            self.faults.push(fault(
                &time.column.span,
                format!(
                    "column `{}` cannot be read as this kind of time",
                    time.column.text
                ),
                Some(hint.to_owned()),
            ));
        }
        cell
    }
}

fn fault(span: &Range<usize>, message: impl Into<String>, hint: Option<String>) -> Fault {
    Fault {
        message: message.into(),
        span: span.clone(),
        hint,
    }
}

/// Why a column's text cannot be part of a key; `None` if it can.
fn unfit_for_a_key(column: &Column) -> Option<&'static str> {
    match column.kind {
        ColumnType::Integer { .. } if column.zerofill => Some("ZEROFILL prints leading zeros"),
        ColumnType::Integer { .. }
        | ColumnType::Text
        | ColumnType::Enum
        | ColumnType::Binary
        | ColumnType::Date => None,
        ColumnType::Decimal { scale: 0 } => None,
        ColumnType::Decimal { .. } | ColumnType::Float { .. } => {
            Some("a number with a fraction has many spellings")
        }
        ColumnType::DateTime | ColumnType::Timestamp | ColumnType::Time | ColumnType::Year => {
            Some("a time has many spellings")
        }
        ColumnType::SetOf | ColumnType::Bit | ColumnType::Json | ColumnType::Other => {
            Some("its type has no single spelling")
        }
    }
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
    if let (SourceSchema::Table(table), Some(cell)) = (schema, mapping.changed_at_cell) {
        let column = &mapping.columns[cell].name;
        if !table
            .leading_index_columns
            .iter()
            .any(|c| c.eq_ignore_ascii_case(column))
        {
            notes.push(format!(
                "check {}: `{column}` has no index, so a window reads the whole table",
                check.name.text
            ));
        }
    }
    notes
}

/// Edits between two names, for "did you mean".
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let next = (diagonal + usize::from(!x.eq_ignore_ascii_case(y)))
                .min(row[j] + 1)
                .min(row[j + 1] + 1);
            diagonal = row[j + 1];
            row[j + 1] = next;
        }
    }
    row[b.len()]
}
