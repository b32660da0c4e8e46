//! A row that an entry asks for.

/// Cells to be inserted, by their place in `Mapping::columns`; `None` is SQL NULL. As MySQL prints them: a time
/// is text in UTC (in the column's own zone where the check says so), a binary value is raw bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRow {
    pub cells: Vec<(usize, Option<Vec<u8>>)>,
}
