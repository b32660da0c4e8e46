//! A check bound to a live schema: which cell of a fetched row is what.

use std::sync::Arc;

use super::check::CacheCheck;
use super::column::Column;
use super::rows::RowRef;

/// A check with its columns found. Every statement of this check selects `columns` in this order,
/// then the computed cells `explains` and `tombstone` where the check has them.
#[derive(Debug, Clone)]
pub struct Mapping {
    pub check: Arc<CacheCheck>,
    /// `schema.table` for a table source.
    pub table: Option<(String, String)>,
    /// The selected columns of the source, each once.
    pub columns: Vec<Column>,
    /// Cells of the unique key by which pages are cut, in that key's own order.
    pub sweep_key: Vec<usize>,
    /// Cells that fill the placeholders of `check.key`, in template order.
    pub key_cells: Vec<usize>,
    /// Cells that fill the placeholders of the member template; empty for one key per row.
    pub member_cells: Vec<usize>,
    /// Cell of each field of `check.fields`.
    pub field_cells: Vec<usize>,
    pub version_cell: Option<usize>,
    pub changed_at_cell: Option<usize>,
    pub deleted_at_cell: Option<usize>,
    pub subject_cell: Option<usize>,
    /// Computed cell `1`/`0`/NULL: does the row explain a key (`where`)? After `columns`.
    pub explains_cell: Option<usize>,
    /// Computed cell `1`/`0`/NULL of a tombstone condition. After `columns`.
    pub tombstone_cell: Option<usize>,
    /// The optimiser's estimate, for cutting slices and for the progress bar.
    pub rows_estimated: u64,
}

/// What a row means for its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowMeaning {
    /// There is no such row.
    None,
    /// The row says it was deleted.
    Tombstone,
    /// The row exists but `where` leaves it out: it explains no key.
    Excluded,
    Live,
}

impl Mapping {
    /// Cells of a fetched row.
    pub fn width(&self) -> usize {
        self.columns.len()
            + usize::from(self.explains_cell.is_some())
            + usize::from(self.tombstone_cell.is_some())
    }

    /// What `row` means; a NULL condition counts as false, as in SQL's WHERE.
    pub fn meaning(&self, row: Option<RowRef<'_>>) -> RowMeaning {
        let Some(row) = row else {
            return RowMeaning::None;
        };
        let holds = |cell: Option<usize>| cell.map(|c| row.cell(c).is_some_and(|v| v != b"0"));
        if holds(self.tombstone_cell) == Some(true)
            || self.deleted_at_cell.is_some_and(|c| row.cell(c).is_some())
        {
            RowMeaning::Tombstone
        } else if holds(self.explains_cell) == Some(false) {
            RowMeaning::Excluded
        } else {
            RowMeaning::Live
        }
    }

    /// The Redis key of `row`; `None` where a placeholder's column is NULL.
    pub fn render_key(&self, row: RowRef<'_>) -> Option<Vec<u8>> {
        self.check
            .key
            .render(self.key_cells.iter().map(|&c| row.cell(c)))
    }

    /// The member (or hash field) of `row`; `None` for one key per row or where a column is NULL.
    pub fn render_member(&self, row: RowRef<'_>) -> Option<Vec<u8>> {
        match &self.check.layout {
            super::check::Layout::KeyPerRow => None,
            super::check::Layout::RowPerMember(template) => {
                template.render(self.member_cells.iter().map(|&c| row.cell(c)))
            }
        }
    }
}
