//! Names in a job file, found among the columns of the live schema.

use std::ops::Range;

use super::bind::SourceSchema;
use crate::job::Fault;
use crate::model::check::{CacheCheck, FieldSpec, Named, Source, TimeColumn, TimeForm};
use crate::model::column::{Column, ColumnType};
use crate::rules::check_form;

/// Finds the columns a check names, and keeps what is wrong with them.
pub(super) struct Binder<'s> {
    /// Every column named so far, each once.
    pub(super) columns: Vec<Column>,
    schema: &'s SourceSchema,
    pub(super) faults: Vec<Fault>,
}

impl<'s> Binder<'s> {
    pub(super) fn new(schema: &'s SourceSchema) -> Self {
        Self {
            columns: Vec::new(),
            schema,
            faults: Vec::new(),
        }
    }

    /// The cells of mapped fields, each of a form that its column does not refute.
    pub(super) fn fields(&mut self, fields: &[FieldSpec]) -> Vec<usize> {
        fields
            .iter()
            .map(|field| {
                let cell = self.named(&field.column);
                if let Some(column) = self.columns.get(cell)
                    && let Err(why) = check_form(field, column)
                {
                    self.faults.push(fault(&field.column.span, why, None));
                }
                cell
            })
            .collect()
    }

    /// The cell of a column, selected once however often it is named. Where it does not exist, a fault
    /// is kept and a cell that is never used is given.
    pub(super) fn cell(&mut self, name: &str, span: &Range<usize>) -> usize {
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

    pub(super) fn named(&mut self, name: &Named) -> usize {
        self.cell(&name.text, &name.span)
    }

    pub(super) fn source_name(&self) -> String {
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
    pub(super) fn placeholders<'n>(
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
    pub(super) fn sweep_key(
        &mut self,
        check: &CacheCheck,
        key: &[usize],
        member: &[usize],
    ) -> Vec<usize> {
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

    pub(super) fn version(&mut self, column: &Named) -> usize {
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
    pub(super) fn deleted_at(&mut self, time: &TimeColumn) -> usize {
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

    pub(super) fn time(&mut self, time: &TimeColumn) -> usize {
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

pub(super) fn fault(
    span: &Range<usize>,
    message: impl Into<String>,
    hint: Option<String>,
) -> Fault {
    Fault {
        message: message.into(),
        span: span.clone(),
        hint,
    }
}

/// Why a column's text cannot be part of a key; `None` if it can.
pub(super) fn unfit_for_a_key(column: &Column) -> Option<&'static str> {
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
