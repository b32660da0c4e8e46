//! Names and ids as SQL text. Ids come from the server or from keys found in Redis, so nothing of them
//! reaches a statement unchecked: digits are validated, everything else is hex.

use crate::model::column::{Column, ColumnType};

/// `name` in backticks.
pub(super) fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// Any text as a literal that no SQL mode reads differently.
pub(super) fn text(value: &str) -> String {
    format!("_utf8mb4 X'{}'", hex::encode(value))
}

/// The same of bytes; `None` where they are no UTF-8.
pub(super) fn text_bytes(value: &[u8]) -> Option<String> {
    utf8_hex(value)
}

/// Whether ids of this type can be written down and compared exactly. FLOAT prints less than it
/// holds; JSON, BIT and geometry have no order to page by.
pub(super) fn can_be_id(kind: ColumnType) -> bool {
    !matches!(
        kind,
        ColumnType::Float { .. } | ColumnType::Json | ColumnType::Bit | ColumnType::Other
    )
}

/// `cell` as a literal of `column`'s type, such that the column's own collation and index are used;
/// `None` where no row of this column could have printed these bytes (a letter in a number, text that
/// is not UTF-8).
pub(super) fn id(column: &Column, cell: &[u8]) -> Option<String> {
    match column.kind {
        ColumnType::Integer { .. } => is_number(cell, false).then(|| printed(cell)),
        ColumnType::Decimal { .. } => is_number(cell, true).then(|| printed(cell)),
        ColumnType::Binary => Some(format!("X'{}'", hex::encode(cell))),
        ColumnType::DateTime
        | ColumnType::Timestamp
        | ColumnType::Date
        | ColumnType::Time
        | ColumnType::Year => is_time(cell).then(|| format!("'{}'", printed(cell))),
        ColumnType::Text | ColumnType::Enum | ColumnType::SetOf => text_id(column, cell),
        ColumnType::Float { .. } | ColumnType::Json | ColumnType::Bit | ColumnType::Other => None,
    }
}

/// How a column is written where its rows are ordered by it. ENUM and SET are ordered by number and
/// compared by name, so for them both are done by name.
pub(super) fn ordered(column: &Column, expression: &str) -> String {
    match column.kind {
        ColumnType::Enum | ColumnType::SetOf => {
            format!("CAST({expression} AS CHAR CHARACTER SET utf8mb4) COLLATE utf8mb4_bin")
        }
        _ => expression.to_owned(),
    }
}

/// The literal to compare [`ordered`] with.
pub(super) fn ordered_id(column: &Column, cell: &[u8]) -> Option<String> {
    match column.kind {
        ColumnType::Enum | ColumnType::SetOf => {
            utf8_hex(cell).map(|hex| format!("{hex} COLLATE utf8mb4_bin"))
        }
        _ => id(column, cell),
    }
}

/// `expression`, of whatever collation, in the collation of the text column `column`.
pub(super) fn in_collation_of(column: &Column, expression: &str) -> String {
    match (column.kind, collation(column)) {
        (ColumnType::Enum | ColumnType::SetOf, _) => ordered(column, expression),
        (ColumnType::Text, Some((charset, collation))) => {
            format!("CONVERT({expression} USING {charset}) COLLATE {collation}")
        }
        _ => expression.to_owned(),
    }
}

/// The smallest value that is a literal of this type: for preparing statements.
pub(super) fn sample(kind: ColumnType) -> &'static [u8] {
    match kind {
        ColumnType::Integer { .. } | ColumnType::Decimal { .. } => b"0",
        ColumnType::DateTime | ColumnType::Timestamp => b"2000-01-01 00:00:00",
        ColumnType::Date => b"2000-01-01",
        ColumnType::Time => b"00:00:00",
        ColumnType::Year => b"2000",
        _ => b"",
    }
}

fn text_id(column: &Column, cell: &[u8]) -> Option<String> {
    let hex = utf8_hex(cell)?;
    Some(match collation(column) {
        // Comparing in the column's own collation, said explicitly, keeps its index in use and its
        // idea of equality; a sign the charset lacks becomes `?` instead of an error.
        Some(("utf8mb4", collation)) => format!("{hex} COLLATE {collation}"),
        Some((charset, collation)) => {
            format!("CONVERT({hex} USING {charset}) COLLATE {collation}")
        }
        None => hex,
    })
}

/// Charset and collation by the collation's name, which begins with the charset's.
fn collation(column: &Column) -> Option<(&str, &str)> {
    let collation = column.collation.as_deref()?;
    let is_plain = collation
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let charset = collation.split('_').next()?;
    (is_plain && charset != "binary").then_some((charset, collation))
}

fn utf8_hex(cell: &[u8]) -> Option<String> {
    std::str::from_utf8(cell).ok().map(text)
}

/// `-?[0-9]+`, with a fraction where `has_fraction`; at most the 65 digits a DECIMAL has.
fn is_number(cell: &[u8], has_fraction: bool) -> bool {
    let digits = cell.strip_prefix(b"-").unwrap_or(cell);
    let (whole, fraction) = match digits.iter().position(|&b| b == b'.') {
        Some(at) if has_fraction => (&digits[..at], &digits[at + 1..]),
        _ => (digits, &b"0"[..]),
    };
    let is_digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    digits.len() <= 66 && is_digits(whole) && is_digits(fraction)
}

fn is_time(cell: &[u8]) -> bool {
    let allowed = |b: &u8| b.is_ascii_digit() || matches!(b, b'-' | b':' | b'.' | b' ');
    !cell.is_empty() && cell.len() <= 32 && cell.iter().all(allowed)
}

/// Checked bytes are ASCII.
fn printed(cell: &[u8]) -> String {
    String::from_utf8_lossy(cell).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(kind: ColumnType, collation: Option<&str>) -> Column {
        Column {
            name: "id".into(),
            kind,
            nullable: false,
            collation: collation.map(str::to_owned),
            zerofill: false,
            padded_to: None,
        }
    }

    #[test]
    fn only_digits_become_numbers() {
        let integer = column(ColumnType::Integer { unsigned: false }, None);
        assert_eq!(
            id(&integer, b"-9223372036854775808").as_deref(),
            Some("-9223372036854775808")
        );
        for wrong in [
            &b""[..],
            b"-",
            b"1 OR 1=1",
            b"1.0",
            b"0x10",
            b"1e3",
            b"\xff",
            b"--1",
        ] {
            assert_eq!(id(&integer, wrong), None, "{wrong:?}");
        }
        let decimal = column(ColumnType::Decimal { scale: 2 }, None);
        assert_eq!(id(&decimal, b"-1.50").as_deref(), Some("-1.50"));
        assert_eq!(id(&decimal, b"1.").as_deref(), None);
        assert_eq!(id(&decimal, b"1.2.3").as_deref(), None);
    }

    #[test]
    fn text_is_hex_in_the_columns_own_collation() {
        let utf8 = column(ColumnType::Text, Some("utf8mb4_general_ci"));
        let literal = id(&utf8, b"a'b").unwrap_or_default();
        assert_eq!(literal, "_utf8mb4 X'612762' COLLATE utf8mb4_general_ci");
        let latin = column(ColumnType::Text, Some("latin1_swedish_ci"));
        let literal = id(&latin, b"a").unwrap_or_default();
        assert_eq!(
            literal,
            "CONVERT(_utf8mb4 X'61' USING latin1) COLLATE latin1_swedish_ci"
        );
        assert_eq!(id(&utf8, b"\xff"), None, "no text column prints this");
        assert_eq!(
            id(&column(ColumnType::Binary, None), b"\xff\x00").as_deref(),
            Some("X'ff00'")
        );
    }

    #[test]
    fn times_are_quoted_and_checked() {
        let at = column(ColumnType::DateTime, None);
        assert_eq!(
            id(&at, b"2026-11-21 14:03:00.000001").as_deref(),
            Some("'2026-11-21 14:03:00.000001'")
        );
        assert_eq!(id(&at, b"2026' OR '1"), None);
    }

    #[test]
    fn names_are_quoted() {
        assert_eq!(identifier("a`b"), "`a``b`");
    }
}
