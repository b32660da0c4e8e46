//! Which of some identities a value is, as the database decides it: bytes first, and only where bytes
//! leave a doubt (letter case, accents, trailing spaces) the server itself.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use super::error::MysqlError;
use super::literal;
use super::pool::Mysql;
use super::server::{WITNESS_WIDTH, witness_cells, witness_of};
use crate::model::column::{Column, ColumnType};
use crate::model::identity::SourceIdentity;

/// The longest value a VARCHAR, TEXT, VARBINARY or BLOB holds. What is longer is nobody's identity, and
/// would only make a statement larger than the server takes.
const IDENTITY_BYTES_MAX: usize = 65_535;

/// Comparisons asked of the server in one statement.
const PAIRS_MAX: usize = 250_000;

/// For each identity the places of the values that equal it, ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Equal {
    pub(super) values: Vec<Vec<usize>>,
    /// Who was asked, if the server had to be.
    pub(super) asked: Option<SourceIdentity>,
}

/// Whether identities of this column can be told apart exactly.
pub(super) fn can_be_identity(kind: ColumnType) -> bool {
    matches!(
        kind,
        ColumnType::Integer { .. }
            | ColumnType::Decimal { .. }
            | ColumnType::Binary
            | ColumnType::Text
            | ColumnType::Enum
            | ColumnType::SetOf
    )
}

/// `identity` as a literal of the column's type; `None` where no row can have it: letters for a number, a
/// number the column cannot hold, text that is not UTF-8, more bytes than any such column takes.
pub(super) fn identity_literal(column: &Column, identity: &[u8]) -> Option<String> {
    if identity.len() > IDENTITY_BYTES_MAX {
        return None;
    }
    match column.kind {
        ColumnType::Integer { unsigned } => {
            literal::id(column, identity).filter(|_| fits(identity, unsigned))
        }
        kind if can_be_identity(kind) => literal::id(column, identity),
        _ => None,
    }
}

impl Mysql {
    /// Which of `values`, as the server printed them, equal which of `identities`, by the type and the
    /// collation of `column`.
    pub(super) async fn equal(
        &self,
        column: &Column,
        identities: &[&[u8]],
        values: &[&[u8]],
    ) -> Result<Equal, MysqlError> {
        let mut equal = Equal {
            values: equal_spellings(column, identities, values),
            asked: None,
        };
        let (left, right) = doubtful(column, identities, values);
        let part = (PAIRS_MAX / right.len().max(1)).max(1);
        for left in left.chunks(part) {
            if right.is_empty() {
                break;
            }
            self.ask(column, (identities, left), (values, &right), &mut equal)
                .await?;
        }
        for found in &mut equal.values {
            found.sort_unstable();
            found.dedup();
        }
        Ok(equal)
    }

    /// Lets the server compare the values at the places of `left` with those of `right`.
    async fn ask(
        &self,
        column: &Column,
        left: (&[&[u8]], &[usize]),
        right: (&[&[u8]], &[usize]),
        equal: &mut Equal,
    ) -> Result<(), MysqlError> {
        let (Some(left), Some(right)) = (table(column, left), table(column, right)) else {
            return Ok(());
        };
        let sql = format!(
            "SELECT auditor_w.*, auditor_e.l, auditor_e.r FROM (SELECT {}) AS auditor_w LEFT JOIN \
             (SELECT auditor_a.n AS l, auditor_b.n AS r FROM ({left}) AS auditor_a \
             JOIN ({right}) AS auditor_b ON auditor_a.v = auditor_b.v) AS auditor_e ON TRUE",
            witness_cells(self.is_mariadb())
        );
        let rows = self.fetch(&sql, WITNESS_WIDTH + 2).await?;
        for row in rows.iter() {
            let (source, _) = witness_of(row, 0)?;
            equal.asked.get_or_insert(source);
            let place = |cell: usize| {
                let text = std::str::from_utf8(row.cell(WITNESS_WIDTH + cell)?).ok()?;
                text.parse::<usize>().ok()
            };
            if let (Some(identity), Some(value)) = (place(0), place(1)) {
                equal.values[identity].push(value);
            }
        }
        Ok(())
    }
}

/// What one spelling alone decides: the same number, the same bytes.
fn equal_spellings(column: &Column, identities: &[&[u8]], values: &[&[u8]]) -> Vec<Vec<usize>> {
    let mut places: HashMap<Cow<'_, [u8]>, Vec<usize>> = HashMap::with_capacity(values.len());
    for (place, value) in values.iter().enumerate() {
        let spelling = plain_spelling(column.kind, value);
        places.entry(spelling).or_default().push(place);
    }
    identities
        .iter()
        .map(|identity| {
            // What no row can have equals no value, though another spelling of it might.
            if !can_be_had(column, identity) {
                return Vec::new();
            }
            let spelling = plain_spelling(column.kind, identity);
            places.get(&spelling).cloned().unwrap_or_default()
        })
        .collect()
}

/// Whether a row can have this identity: whether there is an [`identity_literal`] of it.
fn can_be_had(column: &Column, identity: &[u8]) -> bool {
    match column.kind {
        ColumnType::Text | ColumnType::Enum | ColumnType::SetOf => {
            identity.len() <= IDENTITY_BYTES_MAX && std::str::from_utf8(identity).is_ok()
        }
        _ => identity_literal(column, identity).is_some(),
    }
}

/// Places of identities and values of which bytes alone do not say whether they are equal.
fn doubtful(column: &Column, identities: &[&[u8]], values: &[&[u8]]) -> (Vec<usize>, Vec<usize>) {
    if !matches!(
        column.kind,
        ColumnType::Text | ColumnType::Enum | ColumnType::SetOf
    ) {
        return (Vec::new(), Vec::new());
    }
    let has_plain_ascii = column.collation.as_deref().is_some_and(has_plain_ascii);
    let rough = |bytes: &[u8]| has_plain_ascii.then(|| rough_spelling(bytes)).flatten();
    let mut by_rough: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
    let mut anything: Vec<usize> = Vec::new();
    for (place, value) in values.iter().enumerate() {
        match rough(value) {
            Some(spelling) => by_rough.entry(spelling).or_default().push(place),
            None => anything.push(place),
        }
    }
    let mut left = Vec::new();
    let mut right: HashSet<usize> = HashSet::new();
    for (place, identity) in identities.iter().enumerate() {
        let before = left.len();
        let mut doubt = |value: &usize| {
            if values[*value] != *identity {
                right.insert(*value);
                if left.len() == before {
                    left.push(place);
                }
            }
        };
        match rough(identity) {
            Some(spelling) => {
                by_rough
                    .get(&spelling)
                    .into_iter()
                    .flatten()
                    .for_each(&mut doubt);
                anything.iter().for_each(&mut doubt);
            }
            None => (0..values.len()).for_each(|value| doubt(&value)),
        }
    }
    let mut right: Vec<usize> = right.into_iter().collect();
    right.sort_unstable();
    (left, right)
}

/// Places and values as a derived table in the column's own collation; `None` where none of them can be a
/// value of the column.
fn table(column: &Column, (all, places): (&[&[u8]], &[usize])) -> Option<String> {
    // The same text once: a server that joins in nested loops is asked for no more than it must.
    let mut texts: BTreeMap<usize, String> = BTreeMap::new();
    for &place in places {
        if let Some(value) = identity_literal(column, all[place]) {
            // What the column's charset cannot spell became `?`, and would equal a value with a real one.
            let is_whole = literal::text_bytes(all[place]).map_or_else(String::new, |original| {
                format!(
                    " FROM DUAL WHERE CONVERT({value} USING utf8mb4) COLLATE utf8mb4_bin = {original}"
                )
            });
            texts.insert(
                place,
                format!("SELECT {place} AS n, {value} AS v{is_whole}"),
            );
        }
    }
    let parts: Vec<String> = texts.into_values().collect();
    (!parts.is_empty()).then(|| parts.join(" UNION ALL "))
}

/// Numbers without their leading and trailing zeros; everything else as it is.
fn plain_spelling(kind: ColumnType, text: &[u8]) -> Cow<'_, [u8]> {
    let is_number = matches!(
        kind,
        ColumnType::Integer { .. } | ColumnType::Decimal { .. }
    );
    let (sign, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (&b"-"[..], digits),
        None => (&b""[..], text),
    };
    let is_plain = |b: &u8| b.is_ascii_digit() || *b == b'.';
    if !is_number || digits.is_empty() || !digits.iter().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let (whole, fraction) = match digits.iter().position(|&b| b == b'.') {
        Some(at) => (&digits[..at], &digits[at + 1..]),
        None => (digits, &b""[..]),
    };
    let zeros = whole.iter().take_while(|&&b| b == b'0').count();
    let kept = fraction
        .iter()
        .rposition(|&b| b != b'0')
        .map_or(0, |at| at + 1);
    let (whole, fraction) = (&whole[zeros..], &fraction[..kept]);
    if whole.is_empty() && fraction.is_empty() {
        return Cow::Borrowed(b"0");
    }
    Cow::Owned([sign, whole, b".", fraction].concat())
}

fn fits(number: &[u8], unsigned: bool) -> bool {
    let text = std::str::from_utf8(number).unwrap_or_default();
    let Ok(value) = text.parse::<i128>() else {
        return false;
    };
    if unsigned {
        (0..=i128::from(u64::MAX)).contains(&value)
    } else {
        (i128::from(i64::MIN)..=i128::from(i64::MAX)).contains(&value)
    }
}

/// Collations of which it is known that two texts of ASCII can be equal only if their letters and digits are,
/// whatever case they have. Language tailorings are not among them: in Hungarian `ccs` equals `cscs`.
fn has_plain_ascii(collation: &str) -> bool {
    let collation = collation.to_ascii_lowercase();
    let untailored = [
        "_general_ci",
        "_general_nopad_ci",
        "_unicode_ci",
        "_unicode_nopad_ci",
        "_unicode_520_ci",
        "_unicode_520_nopad_ci",
        "_0900_ai_ci",
        "_0900_as_ci",
        "_0900_as_cs",
        "_0900_bin",
        "_uca1400_ai_ci",
        "_uca1400_ai_cs",
        "_uca1400_as_ci",
        "_uca1400_as_cs",
    ];
    let is_utf8 = ["utf8_", "utf8mb3_", "utf8mb4_"]
        .iter()
        .any(|charset| collation.starts_with(charset));
    let is_untailored = is_utf8
        && untailored.iter().any(|kind| {
            collation
                .strip_suffix(kind)
                .is_some_and(|charset| matches!(charset, "utf8" | "utf8mb3" | "utf8mb4"))
        });
    is_untailored
        || collation.ends_with("_bin")
        || matches!(collation.as_str(), "latin1_swedish_ci" | "ascii_general_ci")
}

/// Letters in lower case and digits, nothing else: texts that differ in it are not equal in a collation of
/// [`has_plain_ascii`]. `None` for text beyond ASCII.
fn rough_spelling(text: &[u8]) -> Option<Vec<u8>> {
    text.is_ascii().then(|| {
        text.iter()
            .filter(|b| b.is_ascii_alphanumeric())
            .map(u8::to_ascii_lowercase)
            .collect()
    })
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
        }
    }

    const INTEGER: ColumnType = ColumnType::Integer { unsigned: false };

    #[test]
    fn numbers_are_one_however_they_are_spelled() {
        let integer = column(INTEGER, None);
        let found = equal_spellings(
            &integer,
            &[b"007", b"-0", b"8", b"7.0"],
            &[b"7", b"0", b"0008"],
        );
        assert_eq!(found, [vec![0], vec![1], vec![2], vec![]]);
        let decimal = column(ColumnType::Decimal { scale: 2 }, None);
        let found = equal_spellings(&decimal, &[b"1.5", b"-1.50", b"10"], &[b"1.50", b"10.00"]);
        assert_eq!(found, [vec![0], vec![], vec![1]]);
        let text = column(ColumnType::Text, Some("utf8mb4_general_ci"));
        assert!(equal_spellings(&text, &[b"007"], &[b"7"])[0].is_empty());
    }

    #[test]
    fn a_number_the_column_cannot_hold_is_no_identity() {
        let signed = column(INTEGER, None);
        let unsigned = column(ColumnType::Integer { unsigned: true }, None);
        for (column, text, is_one) in [
            (&signed, "9223372036854775807", true),
            (&signed, "9223372036854775808", false),
            (&unsigned, "18446744073709551615", true),
            (&unsigned, "18446744073709551616", false),
            (&unsigned, "-1", false),
            (&signed, "1abc", false),
            (&signed, "", false),
        ] {
            let literal = identity_literal(column, text.as_bytes());
            assert_eq!(literal.is_some(), is_one, "{text}");
        }
        let long = vec![b'a'; IDENTITY_BYTES_MAX + 1];
        let text = column_text();
        assert_eq!(identity_literal(&text, &long), None);
        assert!(identity_literal(&text, &long[1..]).is_some());
    }

    fn column_text() -> Column {
        column(ColumnType::Text, Some("utf8mb4_general_ci"))
    }

    #[test]
    fn the_server_is_asked_only_where_bytes_leave_a_doubt() {
        let text = column_text();
        let uuid: &[u8] = b"0193a-ff";
        assert_eq!(doubtful(&text, &[uuid, b"x"], &[uuid]), (vec![], vec![]));
        assert_eq!(
            doubtful(&text, &[b"ABC", b"x"], &[b"abc"]),
            (vec![0], vec![0])
        );
        assert_eq!(doubtful(&text, &[b"abc "], &[b"abc"]), (vec![0], vec![0]));
        assert_eq!(
            doubtful(&text, &["é".as_bytes(), b"e"], &[b"e", b"f"]),
            (vec![0], vec![0, 1]),
            "beyond ASCII nothing is known"
        );
        let hungarian = column(ColumnType::Text, Some("utf8mb4_hungarian_ci"));
        assert_eq!(
            doubtful(&hungarian, &[b"ccs"], &[b"cscs"]),
            (vec![0], vec![0])
        );
        let binary = column(ColumnType::Binary, None);
        assert_eq!(doubtful(&binary, &[b"ABC"], &[b"abc"]), (vec![], vec![]));
    }

    #[test]
    fn tailored_collations_are_not_taken_for_plain_ones() {
        for (collation, is_plain) in [
            ("utf8mb4_general_ci", true),
            ("utf8mb3_unicode_ci", true),
            ("utf8mb4_0900_ai_ci", true),
            ("utf8mb4_hu_0900_ai_ci", false),
            ("utf8mb4_uca1400_ai_ci", true),
            ("utf8mb4_uca1400_hungarian_ai_ci", false),
            ("utf8mb4_hungarian_ci", false),
            ("latin2_czech_cs", false),
            ("utf8mb4_bin", true),
        ] {
            assert_eq!(has_plain_ascii(collation), is_plain, "{collation}");
        }
    }
}
