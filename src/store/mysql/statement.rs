//! The parts every statement of a mapping is made of. Text only, no I/O.

use super::error::MysqlError;
use super::instant;
use super::literal;
use super::range::{KeyRange, Selection, SweepKey};
use crate::model::check::{Deletes, Source, TimeForm, Tombstone, Window};
use crate::model::column::{Column, ColumnType};
use crate::model::mapping::Mapping;
use crate::model::time::Micros;

/// No LIMIT a server could reach: keeps a derived table from being merged into the query around it, where
/// its WHERE would become an ON that is not pushed further down.
pub(super) const NO_LIMIT: &str = "LIMIT 18446744073709551615";

/// The cells of a row, in the order `Mapping` promises.
pub(super) fn cells(mapping: &Mapping) -> Vec<String> {
    let mut cells: Vec<String> = mapping
        .columns
        .iter()
        .map(|c| literal::identifier(&c.name))
        .collect();
    if let (
        Some(_),
        Source::Table {
            explains: Some(explains),
            ..
        },
    ) = (mapping.explains_cell, &mapping.check.source)
    {
        cells.push(condition(&explains.text));
    }
    if let (Some(_), Deletes::Tombstone(Tombstone::Condition(gone))) =
        (mapping.tombstone_cell, &mapping.check.deletes)
    {
        cells.push(condition(&gone.text));
    }
    cells
}

/// What stands after FROM. A table keeps its own name, so that a `where` may use it.
pub(super) fn source(mapping: &Mapping) -> String {
    match (&mapping.check.source, &mapping.table) {
        (Source::Sql { text, .. }, _) => derived(text, "t"),
        (Source::Table { .. }, Some((schema, table))) => {
            format!(
                "{}.{}",
                literal::identifier(schema),
                literal::identifier(table)
            )
        }
        (Source::Table { table, .. }, None) => table
            .text
            .split('.')
            .map(literal::identifier)
            .collect::<Vec<_>>()
            .join("."),
    }
}

/// A person's SELECT as a derived table; the line breaks end a comment it may end with.
pub(super) fn derived(select: &str, alias: &str) -> String {
    format!("(\n{select}\n) AS {alias}")
}

pub(super) fn is_sql(mapping: &Mapping) -> bool {
    matches!(mapping.check.source, Source::Sql { .. })
}

/// Columns of the sweep key, in its order.
pub(super) fn key_columns(mapping: &Mapping) -> Vec<&Column> {
    mapping
        .sweep_key
        .iter()
        .map(|&cell| &mapping.columns[cell])
        .collect()
}

/// The sweep key's columns as they are ordered by.
pub(super) fn key_expressions(mapping: &Mapping) -> Vec<String> {
    key_columns(mapping)
        .iter()
        .map(|c| literal::ordered(c, &literal::identifier(&c.name)))
        .collect()
}

/// Refuses sweep keys that cannot be written down exactly, before any statement is made of them.
pub(super) fn check_key(mapping: &Mapping) -> Result<(), MysqlError> {
    let columns = key_columns(mapping);
    if columns.is_empty() {
        return Err(MysqlError::Statement(
            "there is no unique key without NULLs to page by; add one, or use `sql` with `id`"
                .into(),
        ));
    }
    match columns.iter().find(|c| !literal::can_be_id(c.kind)) {
        Some(column) => Err(MysqlError::Statement(format!(
            "column `{}` cannot be part of an id: its type has no exact text or no order",
            column.name
        ))),
        None => Ok(()),
    }
}

/// `after < key <= upto` over the mapping's own columns; `TRUE` for all. Rows of a `sql` source without an
/// id have no key in Redis and are left out.
pub(super) fn in_range(mapping: &Mapping, range: &KeyRange) -> Result<String, MysqlError> {
    let mut conditions = Vec::new();
    if is_sql(mapping) {
        for column in key_columns(mapping) {
            conditions.push(format!("{} IS NOT NULL", literal::identifier(&column.name)));
        }
    }
    conditions.extend(bounds(
        &key_columns(mapping),
        &key_expressions(mapping),
        range,
    )?);
    Ok(all_of(conditions))
}

/// The conditions `after < (expressions) <= upto`, as comparisons an index on the expressions serves.
pub(super) fn bounds(
    columns: &[&Column],
    expressions: &[String],
    range: &KeyRange,
) -> Result<Vec<String>, MysqlError> {
    let mut conditions = Vec::new();
    let sides = [
        (&range.after, ">", ">=", ">"),
        (&range.upto, "<", "<=", "<="),
    ];
    for (key, strict, loose, last) in sides {
        let Some(key) = key else { continue };
        let literals = ordered_literals(columns, key)?;
        if literals.len() > 1 {
            // The expanded form alone gives no range over the index on every server version.
            conditions.push(format!("{} {loose} {}", expressions[0], literals[0]));
        }
        conditions.push(lexicographic(expressions, &literals, strict, last));
    }
    Ok(conditions)
}

/// `(a > A OR (a = A AND (b > B OR …)))`.
fn lexicographic(expressions: &[String], literals: &[String], strict: &str, last: &str) -> String {
    match (expressions, literals) {
        ([expression], [value]) => format!("{expression} {last} {value}"),
        ([expression, expressions @ ..], [value, values @ ..]) => format!(
            "({expression} {strict} {value} OR ({expression} = {value} AND {}))",
            lexicographic(expressions, values, strict, last)
        ),
        _ => "TRUE".to_owned(),
    }
}

fn ordered_literals(columns: &[&Column], key: &SweepKey) -> Result<Vec<String>, MysqlError> {
    if columns.len() != key.len() {
        return Err(MysqlError::Statement(format!(
            "an id of {} values was given where {} were expected",
            key.len(),
            columns.len()
        )));
    }
    columns
        .iter()
        .zip(key)
        .map(|(column, cell)| {
            literal::ordered_id(column, cell).ok_or_else(|| {
                MysqlError::Statement(format!(
                    "{:?} is no value of column `{}`",
                    String::from_utf8_lossy(cell),
                    column.name
                ))
            })
        })
        .collect()
}

/// Rows whose `columns` are one of `ids`; `FALSE` when none can be. Ids no row could have are left out.
pub(super) fn one_of(columns: &[&Column], ids: &[SweepKey]) -> String {
    let literals = ids.iter().filter_map(|id| id_literals(columns, id));
    if let [column] = columns {
        let values: Vec<String> = literals.filter_map(|l| l.into_iter().next()).collect();
        return one_of_literals(column, &values);
    }
    // MariaDB makes no index ranges of `(a, b) IN ((1, 2), …)`, both servers do of this.
    let rows: Vec<String> = literals
        .map(|values| {
            let equal: Vec<String> = columns
                .iter()
                .zip(values)
                .map(|(c, v)| format!("{} = {v}", literal::identifier(&c.name)))
                .collect();
            format!("({})", equal.join(" AND "))
        })
        .collect();
    if rows.is_empty() {
        "FALSE".to_owned()
    } else {
        format!("({})", rows.join(" OR "))
    }
}

/// Rows whose `column` equals one of `literals`.
pub(super) fn one_of_literals(column: &Column, literals: &[String]) -> String {
    if literals.is_empty() {
        return "FALSE".to_owned();
    }
    format!(
        "{} IN ({})",
        literal::identifier(&column.name),
        literals.join(", ")
    )
}

/// One literal a column; `None` where no row could have this id.
pub(super) fn id_literals(columns: &[&Column], id: &SweepKey) -> Option<Vec<String>> {
    if columns.len() != id.len() {
        return None;
    }
    columns
        .iter()
        .zip(id)
        .map(|(column, cell)| literal::id(column, cell))
        .collect()
}

/// The conditions of a `changed_at` window, each served by an index of its own: one is enough to be
/// selected. An error for checks without `changed_at`.
pub(super) fn changed_since(mapping: &Mapping, since: Micros) -> Result<Vec<String>, MysqlError> {
    let Some(Window::ChangedAt(changed_at)) = &mapping.check.window else {
        return Err(MysqlError::Statement(format!(
            "check `{}` has no `changed_at`, so no window of time can be cut from it",
            mapping.check.name.text
        )));
    };
    let at_least = |name: &str, form: TimeForm| {
        let kind = kind_of(mapping, name);
        format!(
            "{} >= {}",
            literal::identifier(name),
            instant::lower_bound(since, form, kind)
        )
    };
    let mut conditions = vec![at_least(&changed_at.column.text, changed_at.form)];
    // A row that was never stamped may have been inserted a moment ago.
    let name = &changed_at.column.text;
    if mapping
        .columns
        .iter()
        .any(|c| c.name.eq_ignore_ascii_case(name) && c.nullable)
    {
        conditions.push(format!("{} IS NULL", literal::identifier(name)));
    }
    if let Deletes::Tombstone(Tombstone::DeletedAt(deleted_at)) = &mapping.check.deletes {
        conditions.push(at_least(&deleted_at.column.text, deleted_at.form));
    }
    Ok(conditions)
}

/// `selection` as one condition, for windows that are not by `changed_ids`.
pub(super) fn selected(mapping: &Mapping, selection: Selection) -> Result<String, MysqlError> {
    Ok(match selection {
        Selection::All => "TRUE".to_owned(),
        Selection::ChangedSince(since) => {
            format!("({})", changed_since(mapping, since)?.join(" OR "))
        }
        // IS NOT TRUE, because a row that was never deleted has no `deleted_at` to compare.
        Selection::UnchangedSince(since) => {
            format!(
                "({}) IS NOT TRUE",
                changed_since(mapping, since)?.join(" OR ")
            )
        }
    })
}

/// `a AND b AND …`, `TRUE` for none.
pub(super) fn all_of(conditions: Vec<String>) -> String {
    if conditions.is_empty() {
        "TRUE".to_owned()
    } else {
        conditions.join(" AND ")
    }
}

/// As `1` or `0` whatever type the condition has: the bit of a BIT column, a decimal or a word would not
/// print as either. NULL counts as false, as in WHERE.
fn condition(text: &str) -> String {
    format!("((\n{text}\n) IS TRUE)")
}

fn kind_of(mapping: &Mapping, name: &str) -> Option<ColumnType> {
    mapping
        .columns
        .iter()
        .find(|c| c.name.eq_ignore_ascii_case(name))
        .map(|c| c.kind)
}
