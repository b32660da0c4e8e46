//! A stream check bound to a live schema.

use std::sync::Arc;

use super::check::StreamCheck;
use crate::model::mapping::Mapping;

/// A check with its columns found.
#[derive(Debug, Clone)]
pub struct StreamMapping {
    pub check: Arc<StreamCheck>,
    /// The table's side. `key_cells` is the identity's cell; `sweep_key` the primary key (the identity need
    /// not be unique); `field_cells` are those of the check's columns.
    pub rows: Arc<Mapping>,
    /// A unique key of just the identity column exists and the column holds no NULL: no second row can be.
    pub identity_is_unique: bool,
    /// A unique key over columns of `unique` exists, so that the tuple cannot occur twice.
    pub tuple_is_unique: bool,
}

impl StreamMapping {
    pub fn name(&self) -> &str {
        &self.check.name.text
    }

    /// The identity's cell in a fetched row.
    pub fn identity_cell(&self) -> usize {
        self.rows.key_cells[0]
    }
}
