//! Reads that a verdict may rest on: the rows, who answered, and when, in one statement.

use std::collections::HashSet;

use super::error::MysqlError;
use super::pages::{duplicate, key_of};
use super::pool::Mysql;
use super::range::{SweepKey, Witnessed};
use super::server::{WITNESS_WIDTH, witness_cells, witness_of};
use super::statement;
use crate::model::column::Column;
use crate::model::mapping::Mapping;
use crate::model::rows::{RowRef, Rows};

/// Ids in one statement: longer lists gain nothing and may exceed what the range optimiser considers.
pub(super) const IDS_PER_STATEMENT: usize = 500;

impl Mysql {
    /// Rows by sweep key, in any order; absent ones are absent. One autocommit statement that brings the
    /// server's identity and clock along, also when there is no row; more than 500 keys take several.
    pub async fn rows_by_key(
        &self,
        mapping: &Mapping,
        keys: &[SweepKey],
    ) -> Result<Witnessed, MysqlError> {
        statement::check_key(mapping)?;
        self.witnessed(mapping, &statement::key_columns(mapping), keys)
            .await
    }

    /// Rows by the distinct placeholder columns (`Subject::id` order), which contain the sweep key: what
    /// explains a key found by SCAN. Text ids are matched as the column's collation says; ids no row can
    /// have (letters for a number) are absent.
    pub async fn rows_by_id(
        &self,
        mapping: &Mapping,
        ids: &[Vec<Vec<u8>>],
    ) -> Result<Witnessed, MysqlError> {
        self.witnessed(mapping, &id_columns(mapping), ids).await
    }

    async fn witnessed(
        &self,
        mapping: &Mapping,
        columns: &[&Column],
        ids: &[SweepKey],
    ) -> Result<Witnessed, MysqlError> {
        let is_mariadb = self.is_mariadb();
        let mut whole: Option<Witnessed> = None;
        let mut seen = HashSet::new();
        let parts: Vec<&[SweepKey]> = if ids.is_empty() {
            vec![ids]
        } else {
            ids.chunks(IDS_PER_STATEMENT).collect()
        };
        for part in parts {
            let sql = select(mapping, columns, part, is_mariadb);
            let found = self.fetch(&sql, WITNESS_WIDTH + mapping.width()).await?;
            let answer = take_apart(mapping, &found)?;
            let whole = whole.get_or_insert_with(|| Witnessed {
                rows: Rows::with_width(mapping.width()),
                source: answer.source.clone(),
                source_time: answer.source_time,
            });
            if answer.source != whole.source {
                return Ok(Witnessed {
                    source: answer.source,
                    ..whole.clone()
                });
            }
            let mut seen_here = HashSet::new();
            for row in answer.rows.iter() {
                let key = key_of(mapping, row);
                if statement::is_sql(mapping) && !seen_here.insert(key.clone()) {
                    return Err(duplicate(&key));
                }
                // Two spellings of one id may lie in two parts: the row counts once.
                if seen.insert(key) {
                    push(&mut whole.rows, row, 0);
                }
            }
        }
        Ok(whole.expect("at least one part is read"))
    }
}

/// The columns of the placeholders in template order (key's first, then the member's), each once.
fn id_columns(mapping: &Mapping) -> Vec<&Column> {
    let mut cells: Vec<usize> = Vec::new();
    for &cell in mapping.key_cells.iter().chain(&mapping.member_cells) {
        if !cells.contains(&cell) {
            cells.push(cell);
        }
    }
    cells
        .into_iter()
        .map(|cell| &mapping.columns[cell])
        .collect()
}

/// A one-row table of who answers LEFT JOIN the rows.
pub(super) fn select(
    mapping: &Mapping,
    columns: &[&Column],
    ids: &[SweepKey],
    is_mariadb: bool,
) -> String {
    select_where(mapping, &statement::one_of(columns, ids), is_mariadb)
}

/// The same of the rows that `wanted`, a condition, selects.
pub(super) fn select_where(mapping: &Mapping, wanted: &str, is_mariadb: bool) -> String {
    let cells = statement::cells(mapping);
    let source = statement::source(mapping);
    let witness = witness_cells(is_mariadb);
    if statement::is_sql(mapping) {
        let names: Vec<String> = (0..mapping.width())
            .map(|n| format!("auditor_r.auditor_c{n}"))
            .collect();
        // Under names of their own, because a derived table's names must differ.
        let named: Vec<String> = cells
            .iter()
            .enumerate()
            .map(|(n, cell)| format!("{cell} AS auditor_c{n}"))
            .collect();
        let limit = statement::NO_LIMIT;
        return format!(
            "SELECT auditor_w.*, {} FROM (SELECT {witness}) AS auditor_w LEFT JOIN \
             (SELECT {} FROM {source} WHERE {wanted} {limit}) AS auditor_r ON TRUE",
            names.join(", "),
            named.join(", ")
        );
    }
    format!(
        "SELECT auditor_w.*, {} FROM (SELECT {witness}) AS auditor_w LEFT JOIN {source} ON {wanted}",
        cells.join(", ")
    )
}

/// The witness of the first row, and the rows without it. A row whose key is NULL is the LEFT JOIN's way
/// to say that there is none.
pub(super) fn take_apart(mapping: &Mapping, found: &Rows) -> Result<Witnessed, MysqlError> {
    let Some(first) = found.iter().next() else {
        return Err(MysqlError::Unreachable(
            "an answer came without the server's identity".into(),
        ));
    };
    let (source, source_time) = witness_of(first, 0)?;
    let mut rows = Rows::with_width(mapping.width());
    let is_row = |row: &RowRef<'_>| {
        mapping
            .sweep_key
            .iter()
            .all(|&cell| row.cell(WITNESS_WIDTH + cell).is_some())
    };
    for row in found.iter().filter(is_row) {
        push(&mut rows, row, WITNESS_WIDTH);
    }
    Ok(Witnessed {
        rows,
        source,
        source_time,
    })
}

fn push(rows: &mut Rows, row: RowRef<'_>, first: usize) {
    (0..rows.width()).for_each(|cell| rows.push_cell(row.cell(first + cell)));
}
