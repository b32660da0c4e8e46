//! Windows whose ids come from a SELECT of the job file.

use std::collections::HashSet;

use super::error::MysqlError;
use super::pages::{append, key_of, refuse_duplicates};
use super::pool::Mysql;
use super::range::{KeyRange, Page, SweepKey};
use super::witness::IDS_PER_STATEMENT;
use super::{instant, literal, placeholder, statement};
use crate::model::check::Window;
use crate::model::column::{Column, ColumnType};
use crate::model::mapping::Mapping;
use crate::model::rows::{RowRef, Rows};
use crate::model::time::Micros;

/// The window's SELECT with its `:since` replaced, and what it gives, column by column of the sweep key.
pub(super) struct ChangedIds {
    derived: String,
    /// Its columns in the collation of the sweep key's.
    expressions: Vec<String>,
    is_not_null: String,
}

impl Mysql {
    /// The `changed_ids` SELECT of `mapping` bound to `since` and checked against the sweep key.
    pub(super) async fn changed_ids(
        &self,
        mapping: &Mapping,
        since: Micros,
    ) -> Result<ChangedIds, MysqlError> {
        let Some(Window::ChangedIds { sql, form }) = &mapping.check.window else {
            return Err(MysqlError::Statement(
                "the check has no `changed_ids`".into(),
            ));
        };
        let bound = instant::lower_bound(since, *form, None);
        let bound = placeholder::replace(&sql.text, "since", &bound).ok_or_else(|| {
            MysqlError::Statement(
                "`changed_ids` has no `:since`, so it would select every id".into(),
            )
        })?;
        let columns = match self.plans().changed_ids(&bound) {
            Some(columns) => columns,
            None => {
                let columns = self.select_schema(&bound).await?;
                self.plans().keep_changed_ids(&bound, columns.clone());
                columns
            }
        };
        let keys = statement::key_columns(mapping);
        check_columns(&keys, &columns)?;
        let named = |c: &Column| format!("c.{}", literal::identifier(&c.name));
        Ok(ChangedIds {
            derived: statement::derived(&bound, "c"),
            expressions: keys
                .iter()
                .zip(&columns)
                .map(|(key, column)| literal::in_collation_of(key, &named(column)))
                .collect(),
            is_not_null: statement::all_of(
                columns
                    .iter()
                    .map(|c| format!("{} IS NOT NULL", named(c)))
                    .collect(),
            ),
        })
    }

    /// A page of changed ids, then their rows.
    pub(super) async fn page_of_changed_ids(
        &self,
        mapping: &Mapping,
        range: &KeyRange,
        since: Micros,
        limit: usize,
    ) -> Result<Page, MysqlError> {
        let changed = self.changed_ids(mapping, since).await?;
        let columns = statement::key_columns(mapping);
        let sql = changed.page(&columns, range, limit)?;
        let found = self.fetch(&sql, columns.len()).await?;
        let whole = |row: RowRef<'_>| -> SweepKey {
            (0..columns.len())
                .map(|c| row.cell(c).unwrap_or_default().to_vec())
                .collect()
        };
        let ids: Vec<SweepKey> = found.iter().map(whole).collect();
        let mut rows = Rows::with_width(mapping.width());
        for part in ids.chunks(IDS_PER_STATEMENT) {
            let sql = format!(
                "SELECT {} FROM {} WHERE {} ORDER BY {}",
                statement::cells(mapping).join(", "),
                statement::source(mapping),
                statement::one_of(&columns, part),
                statement::key_expressions(mapping).join(", "),
            );
            append(&mut rows, self.fetch(&sql, mapping.width()).await?.iter());
        }
        refuse_duplicates(mapping, &rows)?;
        let next = match ids.last() {
            Some(last) if ids.len() >= limit => Some(KeyRange {
                after: Some(last.clone()),
                upto: range.upto.clone(),
            }),
            _ => None,
        };
        let ids_without_row = self.without_row(mapping, ids, &rows).await?;
        Ok(Page {
            rows,
            next,
            ids_without_row,
        })
    }

    /// `key NOT IN (changed ids)`.
    pub(super) async fn not_among_changed_ids(
        &self,
        mapping: &Mapping,
        since: Micros,
    ) -> Result<String, MysqlError> {
        let changed = self.changed_ids(mapping, since).await?;
        let names: Vec<String> = statement::key_columns(mapping)
            .iter()
            .map(|c| literal::in_collation_of(c, &literal::identifier(&c.name)))
            .collect();
        Ok(format!(
            "({}) NOT IN (SELECT {} FROM {} WHERE {})",
            names.join(", "),
            changed.expressions.join(", "),
            changed.derived,
            changed.is_not_null
        ))
    }

    /// Those of `ids` that none of `rows` has. Where an id is spelled otherwise than its row's (`A` and
    /// `a` in a case-insensitive column), the server says whether there is a row.
    async fn without_row(
        &self,
        mapping: &Mapping,
        ids: Vec<SweepKey>,
        rows: &Rows,
    ) -> Result<Vec<SweepKey>, MysqlError> {
        let keys: HashSet<SweepKey> = rows.iter().map(|row| key_of(mapping, row)).collect();
        let all = ids.len();
        let unmatched: Vec<SweepKey> = ids.into_iter().filter(|id| !keys.contains(id)).collect();
        if all - unmatched.len() == keys.len() {
            return Ok(unmatched);
        }
        let columns = statement::key_columns(mapping);
        let source = statement::source(mapping);
        let mut missing = Vec::new();
        for part in unmatched.chunks(IDS_PER_STATEMENT) {
            let asked: Vec<String> = part
                .iter()
                .enumerate()
                .map(|(n, id)| {
                    let same = statement::one_of(&columns, std::slice::from_ref(id));
                    format!("SELECT {n} WHERE EXISTS (SELECT 1 FROM {source} WHERE {same})")
                })
                .collect();
            let there: HashSet<usize> = self
                .fetch(&asked.join(" UNION ALL "), 1)
                .await?
                .iter()
                .filter_map(|row| std::str::from_utf8(row.cell(0)?).ok()?.parse().ok())
                .collect();
            let absent = part.iter().enumerate().filter(|(n, _)| !there.contains(n));
            missing.extend(absent.map(|(_, id)| id.clone()));
        }
        Ok(missing)
    }
}

impl ChangedIds {
    /// The SELECT of one page of ids.
    pub(super) fn page(
        &self,
        columns: &[&Column],
        range: &KeyRange,
        limit: usize,
    ) -> Result<String, MysqlError> {
        let mut conditions = vec![self.is_not_null.clone()];
        conditions.extend(statement::bounds(columns, &self.expressions, range)?);
        let picked: Vec<String> = self
            .expressions
            .iter()
            .enumerate()
            .map(|(n, expression)| format!("{expression} AS auditor_k{n}"))
            .collect();
        let order: Vec<String> = (0..columns.len())
            .map(|n| format!("auditor_k{n}"))
            .collect();
        Ok(format!(
            "SELECT DISTINCT {} FROM {} WHERE {} ORDER BY {} LIMIT {limit}",
            picked.join(", "),
            self.derived,
            statement::all_of(conditions),
            order.join(", "),
        ))
    }
}

/// Ids of another kind than the sweep key's would be ordered otherwise, and pages would lose some.
fn check_columns(keys: &[&Column], columns: &[Column]) -> Result<(), MysqlError> {
    if keys.len() != columns.len() {
        return Err(MysqlError::Statement(format!(
            "`changed_ids` gives {} columns, but an id has {}: {}",
            columns.len(),
            keys.len(),
            keys.iter()
                .map(|k| k.name.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        )));
    }
    let family = |kind: ColumnType| match kind {
        ColumnType::Integer { .. } => 0,
        // `7.00` is no id of an integer column, though it is the same number.
        ColumnType::Decimal { .. } => 8,
        ColumnType::Text | ColumnType::Enum | ColumnType::SetOf => 1,
        ColumnType::Binary => 2,
        ColumnType::DateTime | ColumnType::Timestamp => 3,
        ColumnType::Date => 4,
        ColumnType::Time => 5,
        ColumnType::Year => 6,
        ColumnType::Float { .. } | ColumnType::Bit | ColumnType::Json | ColumnType::Other => 7,
    };
    match keys
        .iter()
        .zip(columns)
        .find(|(key, column)| family(key.kind) != family(column.kind))
    {
        Some((key, column)) => Err(MysqlError::Statement(format!(
            "`changed_ids` gives `{}` of another type than the id `{}`; CAST it",
            column.name, key.name
        ))),
        None => Ok(()),
    }
}
