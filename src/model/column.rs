//! What the live schema says of a table or a SELECT.

/// A column's declared type, as far as comparison cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// TINYINT … BIGINT.
    Integer {
        unsigned: bool,
    },
    Decimal {
        scale: u32,
    },
    /// FLOAT (single precision, printed with fewer digits than it holds) or DOUBLE.
    Float {
        is_single: bool,
    },
    /// CHAR, VARCHAR, TEXT in any length.
    Text,
    Enum,
    SetOf,
    /// BINARY, VARBINARY, BLOB in any length; cells are raw bytes.
    Binary,
    /// BIT; cells are raw big-endian bytes.
    Bit,
    Json,
    /// Naive date and time, microseconds at most.
    DateTime,
    /// An instant; the session is UTC, so cells are UTC.
    Timestamp,
    Date,
    Time,
    Year,
    /// Geometry, vectors and whatever comes later: only compared as text where asked.
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub kind: ColumnType,
    pub nullable: bool,
    /// `None` for non-text columns; ends in `_ci` when ids that differ in case are one row.
    pub collation: Option<String>,
    /// ZEROFILL integers print with leading zeros.
    pub zerofill: bool,
    /// BINARY(n): shorter values are stored with NUL bytes up to n. `None` for any other type.
    pub padded_to: Option<usize>,
}

impl Column {
    pub fn is_case_insensitive(&self) -> bool {
        self.collation.as_deref().is_some_and(|c| {
            let c = c.to_ascii_lowercase();
            c.ends_with("_ci") || c.ends_with("_ai_ci") || c.contains("_ci_")
        })
    }
}

/// A table as `information_schema` describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSchema {
    /// Quoted by nobody: `schema.table` as two parts.
    pub schema: String,
    pub table: String,
    pub columns: Vec<Column>,
    /// Column names of the primary key in its own order; empty without one.
    pub primary_key: Vec<String>,
    /// Column names of every other unique key without nullable columns.
    pub unique_keys: Vec<Vec<String>>,
    /// First column of every index, for "is `changed_at` indexed".
    pub leading_index_columns: Vec<String>,
    /// The optimiser's estimate; only for cutting slices.
    pub rows_estimated: u64,
}

impl TableSchema {
    /// Column by name; MySQL compares column names without case.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns
            .iter()
            .find(|c| c.name.eq_ignore_ascii_case(name))
    }
}
