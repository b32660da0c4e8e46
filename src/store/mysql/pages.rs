//! Pages of rows in sweep-key order.
//!
//! Four ways lead to a page: keyset paging over a table's key; for few changed rows, their ids by the
//! index on `changed_at` first; for a `sql` source with one integer id, closed id ranges, because those
//! are pushed down into the derived table; and for `changed_ids`, the ids that SELECT names.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::closed_ranges::is_single_integer;
use super::error::MysqlError;
use super::pool::Mysql;
use super::range::{KeyRange, Page, Selection, SweepKey};
use super::{literal, statement};
use crate::model::check::Window;
use crate::model::column::Column;
use crate::model::mapping::Mapping;
use crate::model::rows::{RowRef, Rows};
use crate::model::time::Micros;

/// A window of fewer changed rows than this is always read by their ids.
const FEW_ROWS_MIN: u64 = 10_000;
/// Counting the changed rows stops here: milliseconds by an index.
const FEW_ROWS_MAX: u64 = 500_000;

/// What was learned about windows once and holds for the whole run.
#[derive(Default)]
pub(super) struct WindowPlans {
    is_sparse: Mutex<HashMap<(String, Micros), bool>>,
    changed_ids: Mutex<HashMap<String, Vec<Column>>>,
}

impl Mysql {
    /// Smallest and largest sweep key, for cutting slices; `None` for an empty source or a `sql` source
    /// whose id is not a single integer.
    pub async fn key_bounds(
        &self,
        mapping: &Mapping,
    ) -> Result<Option<(SweepKey, SweepKey)>, MysqlError> {
        statement::check_key(mapping)?;
        let columns = statement::key_columns(mapping);
        let source = statement::source(mapping);
        if statement::is_sql(mapping) {
            if !is_single_integer(mapping) {
                return Ok(None);
            }
            let id = literal::identifier(&columns[0].name);
            let rows = self
                .fetch(&format!("SELECT MIN({id}), MAX({id}) FROM {source}"), 2)
                .await?;
            return Ok(rows
                .iter()
                .next()
                .and_then(|row| Some((vec![row.cell(0)?.to_vec()], vec![row.cell(1)?.to_vec()]))));
        }
        // Both ends as rows, because MIN and MAX do not print ZEROFILL and cannot be had of two columns.
        let names: Vec<String> = columns
            .iter()
            .map(|c| literal::identifier(&c.name))
            .collect();
        let expressions = statement::key_expressions(mapping);
        let mut ends = Vec::new();
        for direction in ["ASC", "DESC"] {
            let order: Vec<String> = expressions
                .iter()
                .map(|e| format!("{e} {direction}"))
                .collect();
            let sql = format!(
                "SELECT {} FROM {source} ORDER BY {} LIMIT 1",
                names.join(", "),
                order.join(", ")
            );
            let rows = self.fetch(&sql, names.len()).await?;
            let Some(row) = rows.iter().next() else {
                return Ok(None);
            };
            ends.push(
                (0..names.len())
                    .map(|c| row.cell(c).unwrap_or_default().to_vec())
                    .collect(),
            );
        }
        let last = ends.pop().unwrap_or_default();
        Ok(ends.pop().map(|first| (first, last)))
    }

    /// At most `limit` rows of `range`, in sweep-key order, and what is left of the range. With
    /// `Selection::ChangedSince` and a `changed_ids` window the ids come from that SELECT, each once.
    ///
    /// An open `upto` of a `sql` source with one integer id is closed at the largest id there is when
    /// its first page is read.
    pub async fn page(
        &self,
        mapping: &Mapping,
        range: &KeyRange,
        selection: Selection,
        limit: usize,
    ) -> Result<Page, MysqlError> {
        statement::check_key(mapping)?;
        let limit = limit.max(1);
        let window = mapping.check.window.as_ref();
        match selection {
            Selection::ChangedSince(since) if matches!(window, Some(Window::ChangedIds { .. })) => {
                self.page_of_changed_ids(mapping, range, since, limit).await
            }
            Selection::ChangedSince(since)
                if !statement::is_sql(mapping) && self.is_sparse(mapping, since, limit).await? =>
            {
                self.page_of_few(mapping, range, since, limit).await
            }
            _ if statement::is_sql(mapping) && is_single_integer(mapping) => {
                self.page_by_closed_ranges(mapping, range, selection, limit)
                    .await
            }
            _ => self.page_by_key(mapping, range, selection, limit).await,
        }
    }

    async fn page_by_key(
        &self,
        mapping: &Mapping,
        range: &KeyRange,
        selection: Selection,
        limit: usize,
    ) -> Result<Page, MysqlError> {
        let sql = format!(
            "SELECT {} FROM {} WHERE {} AND {} ORDER BY {} LIMIT {limit}",
            statement::cells(mapping).join(", "),
            statement::source(mapping),
            statement::in_range(mapping, range)?,
            self.selected(mapping, selection).await?,
            statement::key_expressions(mapping).join(", "),
        );
        let rows = self.fetch(&sql, mapping.width()).await?;
        refuse_duplicates(mapping, &rows)?;
        let page = page_of(mapping, rows, range, limit);
        if let (true, Some(next)) = (statement::is_sql(mapping), &page.next) {
            self.refuse_duplicate_of(mapping, next.after.as_ref())
                .await?;
        }
        Ok(page)
    }

    /// By the indexes on `changed_at` and `deleted_at`: a UNION inside a derived table, because with the
    /// LIMIT beside it the optimiser would rather walk the whole primary key in order.
    async fn page_of_few(
        &self,
        mapping: &Mapping,
        range: &KeyRange,
        since: Micros,
        limit: usize,
    ) -> Result<Page, MysqlError> {
        let columns = statement::key_columns(mapping);
        let names: Vec<String> = columns
            .iter()
            .map(|c| literal::identifier(&c.name))
            .collect();
        let picked: Vec<String> = names
            .iter()
            .enumerate()
            .map(|(n, name)| format!("{name} AS auditor_k{n}"))
            .collect();
        let order: Vec<String> = columns
            .iter()
            .enumerate()
            .map(|(n, c)| literal::ordered(c, &format!("auditor_k{n}")))
            .collect();
        let (picked, order) = (picked.join(", "), order.join(", "));
        let source = statement::source(mapping);
        let range_condition = statement::in_range(mapping, range)?;
        let mut conditions = statement::changed_since(mapping, since)?;
        if conditions.len() == 1 {
            conditions.push("FALSE".to_owned());
        }
        let branches: Vec<String> = conditions
            .iter()
            .map(|changed| {
                format!("SELECT {picked} FROM {source} WHERE {changed} AND {range_condition}")
            })
            .collect();
        let matches: Vec<String> = names
            .iter()
            .enumerate()
            .map(|(n, name)| format!("{name} = auditor_k{n}"))
            .collect();
        let sql = format!(
            "SELECT {} FROM (SELECT * FROM ({}) AS auditor_u ORDER BY {order} LIMIT {limit}) \
             AS auditor_k STRAIGHT_JOIN {source} ON {} ORDER BY {order}",
            statement::cells(mapping).join(", "),
            branches.join(" UNION "),
            matches.join(" AND "),
        );
        let rows = self.fetch(&sql, mapping.width()).await?;
        Ok(page_of(mapping, rows, range, limit))
    }

    /// Whether so few rows changed that reading their ids for every page is cheaper than one walk over
    /// the whole table. With W changed of N rows and pages of n, that is W²/2n index entries against N.
    async fn is_sparse(
        &self,
        mapping: &Mapping,
        since: Micros,
        limit: usize,
    ) -> Result<bool, MysqlError> {
        let key = (mapping.check.name.text.clone(), since);
        if let Some(&known) = lock(&self.plans().is_sparse).get(&key) {
            return Ok(known);
        }
        let entries = 2.0 * limit as f64 * mapping.rows_estimated as f64;
        let few = (entries.sqrt() as u64).clamp(FEW_ROWS_MIN, FEW_ROWS_MAX);
        let source = statement::source(mapping);
        let branches: Vec<String> = statement::changed_since(mapping, since)?
            .iter()
            .map(|changed| {
                format!("(SELECT 1 AS auditor_one FROM {source} WHERE {changed} LIMIT {few})")
            })
            .collect();
        let sql = format!(
            "SELECT COUNT(*) FROM ({}) AS auditor_c",
            branches.join(" UNION ALL ")
        );
        let counted = self.fetch(&sql, 1).await?;
        let count = counted
            .iter()
            .next()
            .and_then(|row| std::str::from_utf8(row.cell(0)?).ok()?.parse::<u64>().ok());
        let is_sparse = count.is_some_and(|count| count < few);
        lock(&self.plans().is_sparse).insert(key, is_sparse);
        Ok(is_sparse)
    }

    /// `selection` as one condition.
    pub(super) async fn selected(
        &self,
        mapping: &Mapping,
        selection: Selection,
    ) -> Result<String, MysqlError> {
        match (&mapping.check.window, selection) {
            (Some(Window::ChangedIds { .. }), Selection::UnchangedSince(since)) => {
                self.not_among_changed_ids(mapping, since).await
            }
            _ => statement::selected(mapping, selection),
        }
    }

    /// Refuses an id that two rows share across the end of a page, where the next page would skip the
    /// second. The server compares, so ids that differ in case only are found too.
    async fn refuse_duplicate_of(
        &self,
        mapping: &Mapping,
        key: Option<&SweepKey>,
    ) -> Result<(), MysqlError> {
        let Some(key) = key else { return Ok(()) };
        let same = statement::one_of(&statement::key_columns(mapping), std::slice::from_ref(key));
        let source = statement::source(mapping);
        let sql = format!("SELECT 1 FROM {source} WHERE {same} LIMIT 2");
        match self.fetch(&sql, 1).await?.len() > 1 {
            true => Err(duplicate(key)),
            false => Ok(()),
        }
    }
}

impl WindowPlans {
    pub(super) fn changed_ids(&self, sql: &str) -> Option<Vec<Column>> {
        lock(&self.changed_ids).get(sql).cloned()
    }

    pub(super) fn keep_changed_ids(&self, sql: &str, columns: Vec<Column>) {
        lock(&self.changed_ids).insert(sql.to_owned(), columns);
    }
}

/// Sweep key of a fetched row.
pub(super) fn key_of(mapping: &Mapping, row: RowRef<'_>) -> SweepKey {
    mapping
        .sweep_key
        .iter()
        .map(|&c| row.cell(c).unwrap_or_default().to_vec())
        .collect()
}

/// Appends `more` to `rows` of the same width.
pub(super) fn append<'r>(rows: &mut Rows, more: impl Iterator<Item = RowRef<'r>>) {
    let width = rows.width();
    more.for_each(|row| (0..width).for_each(|c| rows.push_cell(row.cell(c))));
}

/// A `sql` source that gives one id twice has no single truth for its key. Rows are in key order.
pub(super) fn refuse_duplicates(mapping: &Mapping, rows: &Rows) -> Result<(), MysqlError> {
    if !statement::is_sql(mapping) {
        return Ok(());
    }
    for n in 1..rows.len() {
        let key = key_of(mapping, rows.row(n));
        if key == key_of(mapping, rows.row(n - 1)) {
            return Err(duplicate(&key));
        }
    }
    Ok(())
}

pub(super) fn duplicate(key: &SweepKey) -> MysqlError {
    let id: Vec<_> = key
        .iter()
        .map(|cell| String::from_utf8_lossy(cell))
        .collect();
    MysqlError::Statement(format!(
        "the SELECT gives id {} more than once; group it by its id columns",
        id.join(", ")
    ))
}

/// A page of at most `limit` rows that were read with LIMIT: fewer mean that the range is done.
fn page_of(mapping: &Mapping, rows: Rows, range: &KeyRange, limit: usize) -> Page {
    let next = (rows.len() >= limit).then(|| KeyRange {
        after: Some(key_of(mapping, rows.row(rows.len() - 1))),
        upto: range.upto.clone(),
    });
    Page {
        rows,
        next,
        ids_without_row: Vec::new(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
