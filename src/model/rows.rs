//! Rows as the server printed them: text-protocol cells in one shared buffer.

/// A page of rows, `width` cells each. One allocation for all bytes, whatever the page holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    width: usize,
    bytes: Vec<u8>,
    /// End of every cell in `bytes`; the cell begins where the one before ended.
    ends: Vec<u32>,
    nulls: Vec<bool>,
}

impl Rows {
    /// An empty page of rows with `width` cells.
    pub fn with_width(width: usize) -> Self {
        Self {
            width,
            ..Self::default()
        }
    }

    /// Appends one cell; every `width` cells make a row.
    pub fn push_cell(&mut self, cell: Option<&[u8]>) {
        if let Some(bytes) = cell {
            self.bytes.extend_from_slice(bytes);
        }
        // A page is bounded to a few thousand rows and max_allowed_packet to 1 GiB, so u32 holds.
        self.ends
            .push(u32::try_from(self.bytes.len()).expect("a page stays below 4 GiB"));
        self.nulls.push(cell.is_none());
    }

    pub fn len(&self) -> usize {
        self.ends.len().checked_div(self.width).unwrap_or(0)
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of all cells.
    pub fn weight(&self) -> usize {
        self.bytes.len()
    }

    pub fn width(&self) -> usize {
        self.width
    }

    pub fn row(&self, index: usize) -> RowRef<'_> {
        RowRef {
            rows: self,
            first: index * self.width,
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = RowRef<'_>> {
        (0..self.len()).map(|i| self.row(i))
    }
}

/// One row of a page.
#[derive(Debug, Clone, Copy)]
pub struct RowRef<'a> {
    rows: &'a Rows,
    first: usize,
}

impl<'a> RowRef<'a> {
    /// The cell's text; `None` is SQL NULL.
    pub fn cell(&self, column: usize) -> Option<&'a [u8]> {
        let at = self.first + column;
        if self.rows.nulls[at] {
            return None;
        }
        let start = if at == 0 {
            0
        } else {
            self.rows.ends[at - 1] as usize
        };
        Some(&self.rows.bytes[start..self.rows.ends[at] as usize])
    }

    pub fn to_owned_row(&self) -> Row {
        let cells = self.first..self.first + self.rows.width;
        // The bytes of a row lie side by side.
        let start = match self.first {
            0 => 0,
            first => self.rows.ends[first - 1],
        };
        let ends = &self.rows.ends[cells.clone()];
        let end = ends.last().copied().unwrap_or(start);
        Row(Rows {
            width: self.rows.width,
            bytes: self.rows.bytes[start as usize..end as usize].to_vec(),
            ends: ends.iter().map(|end| end - start).collect(),
            nulls: self.rows.nulls[cells].to_vec(),
        })
    }
}

/// One row that outlives its page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row(Rows);

impl Row {
    pub fn as_ref(&self) -> RowRef<'_> {
        self.0.row(0)
    }

    /// Bytes of all cells.
    pub fn weight(&self) -> usize {
        self.0.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_outlives_its_page_has_the_same_cells() {
        let page = [[Some("a"), None, Some("")], [None, Some("bcd"), Some("e")]];
        let mut rows = Rows::with_width(3);
        for cell in page.iter().flatten() {
            rows.push_cell(cell.map(str::as_bytes));
        }
        for (row, expected) in rows.iter().zip(page) {
            let owned = row.to_owned_row();
            let mut alone = Rows::with_width(3);
            for (cell, expected) in expected.into_iter().enumerate() {
                assert_eq!(owned.as_ref().cell(cell), expected.map(str::as_bytes));
                alone.push_cell(expected.map(str::as_bytes));
            }
            assert_eq!(owned, Row(alone));
        }
    }
}
