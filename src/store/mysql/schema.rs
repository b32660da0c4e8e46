//! What the live schema says of a table or a SELECT.

use super::error::MysqlError;
use super::literal;
use super::pool::Mysql;
use super::statement;
use crate::model::column::{Column, ColumnType, TableSchema};
use crate::model::rows::RowRef;

/// The largest scale a DECIMAL has. The protocol's own is not shown by the driver, so a SELECT's decimals
/// are said to have it; cells are exact all the same.
const DECIMAL_SCALE_MAX: u32 = 30;

impl Mysql {
    /// `table` is `name` or `schema.name`; `None`: there is no such table (or it is hidden by grants).
    pub async fn table_schema(&self, table: &str) -> Result<Option<TableSchema>, MysqlError> {
        let Some((schema, table, rows_estimated)) = self.find_table(table).await? else {
            return Ok(None);
        };
        let is_this = format!(
            "TABLE_SCHEMA = {} AND TABLE_NAME = {}",
            literal::text(&schema),
            literal::text(&table)
        );
        let json = self.json_columns(&schema, &table).await?;
        let rows = self
            .fetch(
                &format!(
                    "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE, NUMERIC_SCALE, \
                     COLLATION_NAME, TABLE_SCHEMA, TABLE_NAME FROM information_schema.COLUMNS \
                     WHERE {is_this} ORDER BY ORDINAL_POSITION"
                ),
                8,
            )
            .await?;
        let columns: Vec<Column> = rows
            .iter()
            .filter(|row| cell(*row, 6) == schema && cell(*row, 7) == table)
            .map(|row| column(row, &json))
            .collect();
        let parts = self
            .fetch(
                &format!(
                    "SELECT INDEX_NAME, COLUMN_NAME, NON_UNIQUE, SUB_PART IS NOT NULL, NULLABLE, \
                     SEQ_IN_INDEX, TABLE_SCHEMA, TABLE_NAME FROM information_schema.STATISTICS \
                     WHERE {is_this} ORDER BY INDEX_NAME, SEQ_IN_INDEX"
                ),
                8,
            )
            .await?;
        let parts = parts
            .iter()
            .filter(|row| cell(*row, 6) == schema && cell(*row, 7) == table)
            .map(index_part)
            .collect();
        let (primary_key, unique_keys, leading_index_columns) = keys(parts);
        Ok(Some(TableSchema {
            schema,
            table,
            columns,
            primary_key,
            unique_keys,
            leading_index_columns,
            rows_estimated,
        }))
    }

    /// The columns a SELECT gives, by preparing it without running it. Nullability is not known and
    /// given as `true`, the scale of a decimal as the largest there is.
    pub async fn select_schema(&self, select: &str) -> Result<Vec<Column>, MysqlError> {
        let source = statement::derived(select, "t");
        let described = self.prepare(&format!("SELECT * FROM {source}")).await?;
        let collations = self.collations(&source, &described).await?;
        let columns = described.into_iter().zip(collations);
        Ok(columns
            .map(|((name, driver_type), collation)| {
                let kind = kind_by_driver(&driver_type, collation.as_deref());
                let is_text = matches!(
                    kind,
                    ColumnType::Text | ColumnType::Enum | ColumnType::SetOf
                );
                Column {
                    name,
                    kind,
                    nullable: true,
                    collation: collation.filter(|_| is_text),
                    zerofill: false,
                    padded_to: None,
                }
            })
            .collect())
    }

    /// COLLATION() of every column, by a join with no row of the SELECT: LIMIT 0 keeps it from being run
    /// (without it MySQL runs what does not depend on a row).
    async fn collations(
        &self,
        source: &str,
        described: &[(String, String)],
    ) -> Result<Vec<Option<String>>, MysqlError> {
        let is_string = |driver_type: &str| {
            ["CHAR", "TEXT", "BINARY", "BLOB", "ENUM", "SET"]
                .iter()
                .any(|t| driver_type.contains(t))
        };
        if !described
            .iter()
            .any(|(_, driver_type)| is_string(driver_type))
        {
            return Ok(vec![None; described.len()]);
        }
        let cells: Vec<String> = described
            .iter()
            .map(|(name, driver_type)| match is_string(driver_type) {
                true => format!("COLLATION(t.{})", literal::identifier(name)),
                false => "NULL".to_owned(),
            })
            .collect();
        let sql = format!(
            "SELECT {} FROM (SELECT 1 AS auditor_one) AS o \
             LEFT JOIN (SELECT * FROM {source} LIMIT 0) AS t ON FALSE",
            cells.join(", ")
        );
        let rows = self.fetch(&sql, described.len()).await?;
        Ok(match rows.iter().next() {
            Some(row) => (0..described.len())
                .map(|c| row.cell(c).map(|b| String::from_utf8_lossy(b).into_owned()))
                .collect(),
            None => vec![None; described.len()],
        })
    }

    /// Schema and name as the server spells them, and its estimate of the rows.
    async fn find_table(&self, table: &str) -> Result<Option<(String, String, u64)>, MysqlError> {
        let (schema, name) = match table.split_once('.') {
            Some((schema, name)) => (literal::text(schema), name),
            None => ("DATABASE()".to_owned(), table),
        };
        let rows = self
            .fetch(
                &format!(
                    "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_ROWS, @@lower_case_table_names \
                     FROM information_schema.TABLES WHERE TABLE_SCHEMA = {schema} AND TABLE_NAME = {}",
                    literal::text(name)
                ),
                4,
            )
            .await?;
        // information_schema compares without case, table names only where the server says so.
        let found = rows
            .iter()
            .find(|row| cell(*row, 1) == name)
            .or_else(|| rows.iter().find(|row| row.cell(3) != Some(b"0")));
        Ok(found.map(|row| {
            (
                cell(row, 0),
                cell(row, 1),
                cell(row, 2).parse().unwrap_or(0),
            )
        }))
    }

    /// MariaDB's JSON is LONGTEXT with a `json_valid` check.
    async fn json_columns(&self, schema: &str, table: &str) -> Result<Vec<String>, MysqlError> {
        if !self.is_mariadb() {
            return Ok(Vec::new());
        }
        let rows = self
            .fetch(
                &format!(
                    "SELECT CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS \
                     WHERE CONSTRAINT_SCHEMA = {} AND TABLE_NAME = {}",
                    literal::text(schema),
                    literal::text(table)
                ),
                1,
            )
            .await?;
        Ok(rows
            .iter()
            .filter_map(|row| json_column(&cell(row, 0)))
            .collect())
    }
}

struct IndexPart {
    index: String,
    /// `None`: an expression.
    column: Option<String>,
    is_unique: bool,
    is_prefix: bool,
    is_nullable: bool,
    is_first: bool,
}

fn index_part(row: RowRef<'_>) -> IndexPart {
    IndexPart {
        index: cell(row, 0),
        column: row.cell(1).map(|_| cell(row, 1)),
        is_unique: row.cell(2) == Some(b"0"),
        is_prefix: row.cell(3) == Some(b"1"),
        is_nullable: row.cell(4) == Some(b"YES"),
        is_first: row.cell(5) == Some(b"1"),
    }
}

/// Primary key, other unique keys by which every row has exactly one place, first columns.
fn keys(parts: Vec<IndexPart>) -> (Vec<String>, Vec<Vec<String>>, Vec<String>) {
    let mut primary = Vec::new();
    let mut unique = Vec::new();
    let mut leading: Vec<String> = Vec::new();
    for index in parts.chunk_by(|a, b| a.index == b.index) {
        let first = index
            .iter()
            .find(|p| p.is_first)
            .and_then(|p| p.column.clone());
        leading.extend(first.filter(|column| !leading.contains(column)));
        let is_key = index
            .iter()
            .all(|p| p.is_unique && !p.is_prefix && !p.is_nullable);
        let columns: Option<Vec<String>> = index.iter().map(|p| p.column.clone()).collect();
        match columns {
            Some(columns) if is_key && index[0].index == "PRIMARY" => primary = columns,
            Some(columns) if is_key => unique.push(columns),
            _ => {}
        }
    }
    (primary, unique, leading)
}

fn column(row: RowRef<'_>, json: &[String]) -> Column {
    let name = cell(row, 0);
    let declared = cell(row, 2).to_ascii_lowercase();
    let scale = cell(row, 4).parse().unwrap_or(0);
    let is_json = json.iter().any(|j| j.eq_ignore_ascii_case(&name));
    let data_type = cell(row, 1).to_ascii_lowercase();
    Column {
        kind: if is_json {
            ColumnType::Json
        } else {
            kind(&data_type, &declared, scale)
        },
        nullable: row.cell(3) == Some(b"YES"),
        collation: row.cell(5).map(|_| cell(row, 5)),
        zerofill: declared.contains("zerofill"),
        padded_to: padded_to(&declared),
        name,
    }
}

/// The length of `binary(n)`.
fn padded_to(declared: &str) -> Option<usize> {
    let length = declared.strip_prefix("binary(")?;
    length.split(')').next()?.parse().ok()
}

fn kind(data_type: &str, declared: &str, scale: u32) -> ColumnType {
    match data_type {
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" => ColumnType::Integer {
            unsigned: declared.contains("unsigned") || declared.contains("zerofill"),
        },
        "decimal" => ColumnType::Decimal { scale },
        "float" => ColumnType::Float { is_single: true },
        "double" => ColumnType::Float { is_single: false },
        // MariaDB's UUID and INET types print, compare and order as text they parse themselves.
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "uuid" | "inet4"
        | "inet6" => ColumnType::Text,
        "enum" => ColumnType::Enum,
        "set" => ColumnType::SetOf,
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => {
            ColumnType::Binary
        }
        "bit" => ColumnType::Bit,
        "json" => ColumnType::Json,
        "datetime" => ColumnType::DateTime,
        "timestamp" => ColumnType::Timestamp,
        "date" => ColumnType::Date,
        "time" => ColumnType::Time,
        "year" => ColumnType::Year,
        _ => ColumnType::Other,
    }
}

/// By the driver's type name; what is text and what is bytes is told by the collation, because MariaDB
/// flags text in a `_bin` collation as binary.
fn kind_by_driver(name: &str, collation: Option<&str>) -> ColumnType {
    match name {
        "BOOLEAN" | "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "BIGINT" => {
            ColumnType::Integer { unsigned: false }
        }
        "DECIMAL" => ColumnType::Decimal {
            scale: DECIMAL_SCALE_MAX,
        },
        "FLOAT" => ColumnType::Float { is_single: true },
        "DOUBLE" => ColumnType::Float { is_single: false },
        "ENUM" => ColumnType::Enum,
        "SET" => ColumnType::SetOf,
        "BIT" => ColumnType::Bit,
        "JSON" => ColumnType::Json,
        "DATETIME" => ColumnType::DateTime,
        "TIMESTAMP" => ColumnType::Timestamp,
        "DATE" => ColumnType::Date,
        "TIME" => ColumnType::Time,
        "YEAR" => ColumnType::Year,
        "GEOMETRY" | "NULL" => ColumnType::Other,
        integer if integer.ends_with(" UNSIGNED") => ColumnType::Integer { unsigned: true },
        _ if collation == Some("binary") => ColumnType::Binary,
        _ => ColumnType::Text,
    }
}

/// The column of ``json_valid(`c`)``.
fn json_column(clause: &str) -> Option<String> {
    let inner = clause
        .trim()
        .strip_prefix("json_valid(`")?
        .strip_suffix("`)")?;
    Some(inner.replace("``", "`"))
}

fn cell(row: RowRef<'_>, index: usize) -> String {
    String::from_utf8_lossy(row.cell(index).unwrap_or_default()).into_owned()
}
