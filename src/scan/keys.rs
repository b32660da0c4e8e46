//! From rows to keys, and from keys back to the ids that could explain them.

use crate::model::check::Layout;
use crate::model::column::{Column, ColumnType};
use crate::model::mapping::Mapping;
use crate::model::observation::{Position, Subject};
use crate::model::rows::RowRef;
use crate::store::mysql::SweepKey;

/// One key or member to be looked at, and how its row is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub subject: Subject,
    pub position: Position,
    /// The row's own key, where a row led here.
    pub sweep_key: Option<SweepKey>,
    /// Ids (in `Subject::id` order) that could explain a key that no row led to; several where the
    /// template can be split in several ways.
    pub candidates: Vec<Vec<Vec<u8>>>,
}

/// Cells of the row's id in reports: the key's placeholders, then the member's, each column once.
fn id_cells(mapping: &Mapping) -> Vec<usize> {
    let mut cells = Vec::new();
    for &cell in mapping.key_cells.iter().chain(&mapping.member_cells) {
        if !cells.contains(&cell) {
            cells.push(cell);
        }
    }
    cells
}

/// The key (and member) of `row`; `None` where a placeholder's column is NULL, so that no key can exist.
pub fn subject_of(mapping: &Mapping, row: RowRef<'_>) -> Option<Subject> {
    let key = mapping.render_key(row)?;
    let member = match mapping.check.layout {
        Layout::KeyPerRow => None,
        Layout::RowPerMember(_) => Some(mapping.render_member(row)?),
    };
    let id = id_cells(mapping)
        .into_iter()
        .map(|c| row.cell(c).unwrap_or_default().to_vec())
        .collect();
    Some(Subject { key, member, id })
}

/// A target that `row` leads to.
pub fn target_of(mapping: &Mapping, row: RowRef<'_>, position: Position) -> Option<Target> {
    let subject = subject_of(mapping, row)?;
    let sweep_key = mapping
        .sweep_key
        .iter()
        .map(|&c| row.cell(c).unwrap_or_default().to_vec())
        .collect();
    Some(Target {
        subject,
        position,
        sweep_key: Some(sweep_key),
        candidates: Vec::new(),
    })
}

/// The rows that have to stand still while `target` is written: its own where a row led to it; else the row
/// that was found for it, and the places of all rows that could come to explain it. Empty: none can be named.
pub fn lockable_keys(mapping: &Mapping, target: &Target, row: Option<RowRef<'_>>) -> Vec<SweepKey> {
    if let Some(key) = &target.sweep_key {
        return vec![key.clone()];
    }
    let of_id = |id: &Vec<Vec<u8>>| sweep_key_of_id(mapping, id);
    let of_row = |row: RowRef<'_>| -> SweepKey {
        mapping
            .sweep_key
            .iter()
            .map(|&c| row.cell(c).unwrap_or_default().to_vec())
            .collect()
    };
    let mut keys: Vec<SweepKey> = row.map(of_row).into_iter().collect();
    for key in target.candidates.iter().filter_map(of_id) {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

/// The sweep key of the row with this id; `None` where the id does not say it.
pub(super) fn sweep_key_of_id(mapping: &Mapping, id: &[Vec<u8>]) -> Option<SweepKey> {
    let cells = id_cells(mapping);
    let cell_of = |cell: &usize| id.get(cells.iter().position(|c| c == cell)?).cloned();
    mapping.sweep_key.iter().map(cell_of).collect()
}

/// The ids that could explain `key` (and `member`). Empty: the key is not this check's, because no split
/// of it has values that its columns could print. `None`: it can be split in too many ways to try.
pub fn candidates(
    mapping: &Mapping,
    key: &[u8],
    member: Option<&[u8]>,
) -> Option<Vec<Vec<Vec<u8>>>> {
    let key_splits = mapping.check.key.split(key)?;
    let member_splits = match (&mapping.check.layout, member) {
        (Layout::RowPerMember(template), Some(member)) => template.split(member)?,
        _ => vec![Vec::new()],
    };
    let mut found = Vec::new();
    for key_values in &key_splits {
        for member_values in &member_splits {
            if let Some(id) = one_id(mapping, key_values, member_values) {
                found.push(id);
            }
        }
    }
    Some(found)
}

/// Whether [`candidates`] would name any id; `None` where it could not tell. The walk over all keys asks
/// only this, and the usual template answers it without an allocation.
pub(super) fn has_candidates(mapping: &Mapping, key: &[u8], member: Option<&[u8]>) -> Option<bool> {
    if member.is_none()
        && let Some(value) = mapping.check.key.split_single(key)
    {
        return Some(value.is_some_and(|v| could_print(&mapping.columns[mapping.key_cells[0]], v)));
    }
    candidates(mapping, key, member).map(|found| !found.is_empty())
}

/// Joins the values of both templates into one id; `None` if two places of one column differ or a value
/// is not one its column could print.
fn one_id(mapping: &Mapping, key: &[&[u8]], member: &[&[u8]]) -> Option<Vec<Vec<u8>>> {
    let cells = mapping.key_cells.iter().chain(&mapping.member_cells);
    let mut seen: Vec<(usize, &[u8])> = Vec::new();
    for (&cell, &value) in cells.zip(key.iter().chain(member)) {
        match seen.iter().find(|(c, _)| *c == cell) {
            Some((_, before)) if *before != value => return None,
            Some(_) => {}
            None if could_print(&mapping.columns[cell], value) => seen.push((cell, value)),
            None => return None,
        }
    }
    Some(seen.into_iter().map(|(_, v)| v.to_vec()).collect())
}

/// Whether MySQL could print `value` for this column: `007` is no integer, `x` neither.
fn could_print(column: &Column, value: &[u8]) -> bool {
    match column.kind {
        ColumnType::Integer { unsigned } => is_printed_integer(value, unsigned),
        ColumnType::Decimal { .. } => {
            let digits = value.strip_prefix(b"-").unwrap_or(value);
            let canonical = digits.first() != Some(&b'0') || digits == b"0";
            (1..=65).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit) && canonical
        }
        ColumnType::Date => std::str::from_utf8(value)
            .ok()
            .filter(|t| t.len() == 10)
            .is_some_and(|t| chrono::NaiveDate::parse_from_str(t, "%Y-%m-%d").is_ok()),
        ColumnType::Binary => true,
        _ => std::str::from_utf8(value).is_ok(),
    }
}

/// `0`, `7`, `-7` within the type's range, but not `007`, `+7` or `-0`.
fn is_printed_integer(value: &[u8], unsigned: bool) -> bool {
    let digits = value.strip_prefix(b"-").unwrap_or(value);
    let is_plain = value == b"0" || digits.first().is_some_and(|d| (b'1'..=b'9').contains(d));
    let Ok(text) = std::str::from_utf8(value) else {
        return false;
    };
    is_plain
        && if unsigned {
            text.parse::<u64>().is_ok()
        } else {
            text.parse::<i64>().is_ok()
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_is_printed_in_one_way_only() {
        let ends = [
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775808",
            "-9223372036854775809",
            "18446744073709551615",
            "18446744073709551616",
        ];
        let plain = [
            "0", "7", "10", "-7", "-0", "007", "+7", "", "-", "x", "7x", " 7", "1e3",
        ];
        for text in ends.into_iter().chain(plain) {
            let signed = text.parse::<i64>().is_ok_and(|n| n.to_string() == text);
            let unsigned = text.parse::<u64>().is_ok_and(|n| n.to_string() == text);
            assert_eq!(
                is_printed_integer(text.as_bytes(), false),
                signed,
                "{text:?}"
            );
            assert_eq!(
                is_printed_integer(text.as_bytes(), true),
                unsigned,
                "{text:?}"
            );
        }
    }
}
