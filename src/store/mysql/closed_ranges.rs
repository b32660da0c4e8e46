//! Pages of a `sql` source with one integer id: both servers push `id > a AND id <= b` down into a
//! derived table, but not an ORDER BY with LIMIT, which would run the whole SELECT for every page.

use super::error::MysqlError;
use super::pages::{append, key_of, refuse_duplicates};
use super::pool::Mysql;
use super::range::{KeyRange, Page, Selection, SweepKey};
use super::statement;
use crate::model::column::ColumnType;
use crate::model::mapping::Mapping;
use crate::model::rows::Rows;

impl Mysql {
    /// `id > low AND id <= high` in steps that double while they come back with little.
    pub(super) async fn page_by_closed_ranges(
        &self,
        mapping: &Mapping,
        range: &KeyRange,
        selection: Selection,
        limit: usize,
    ) -> Result<Page, MysqlError> {
        let mut rows = Rows::with_width(mapping.width());
        let Some((mut low, last)) = self.integer_range(mapping, range).await? else {
            return Ok(Page {
                rows,
                next: None,
                ids_without_row: Vec::new(),
            });
        };
        let selected = self.selected(mapping, selection).await?;
        let mut width = limit as i128;
        while low < last && rows.len() < limit {
            let high = last.min(low.saturating_add(width));
            let step = KeyRange {
                after: Some(integer_key(low)),
                upto: Some(integer_key(high)),
            };
            let wanted = limit - rows.len();
            let sql = format!(
                "SELECT {} FROM {} WHERE {} AND {selected} ORDER BY {} LIMIT {}",
                statement::cells(mapping).join(", "),
                statement::source(mapping),
                statement::in_range(mapping, &step)?,
                statement::key_expressions(mapping).join(", "),
                wanted + 1,
            );
            // One row more than wanted, so that an id that comes twice cannot hide behind the cut.
            let found = self.fetch(&sql, mapping.width()).await?;
            refuse_duplicates(mapping, &found)?;
            append(&mut rows, found.iter().take(wanted));
            low = match found.len() > wanted {
                true => integer(&key_of(mapping, found.row(wanted - 1)))?,
                false => high,
            };
            width = width.saturating_mul(2);
        }
        let next = (low < last).then(|| KeyRange {
            after: Some(integer_key(low)),
            upto: Some(integer_key(last)),
        });
        Ok(Page {
            rows,
            next,
            ids_without_row: Vec::new(),
        })
    }

    /// `range` as `low < id <= high`; `None` where the source has no id in it.
    async fn integer_range(
        &self,
        mapping: &Mapping,
        range: &KeyRange,
    ) -> Result<Option<(i128, i128)>, MysqlError> {
        let after = range.after.as_ref().map(integer).transpose()?;
        let upto = range.upto.as_ref().map(integer).transpose()?;
        if let (Some(after), Some(upto)) = (after, upto) {
            return Ok(Some((after, upto)));
        }
        let Some((first, last)) = self.key_bounds(mapping).await? else {
            return Ok(None);
        };
        let low = after.unwrap_or(integer(&first)? - 1);
        let high = upto.unwrap_or(integer(&last)?);
        Ok(Some((low, high)))
    }
}

/// Whether the sweep key is one integer column.
pub(super) fn is_single_integer(mapping: &Mapping) -> bool {
    let columns = statement::key_columns(mapping);
    matches!(columns[..], [column] if matches!(column.kind, ColumnType::Integer { .. }))
}

fn integer(key: &SweepKey) -> Result<i128, MysqlError> {
    key.first()
        .and_then(|cell| std::str::from_utf8(cell).ok()?.parse().ok())
        .ok_or_else(|| {
            MysqlError::Statement("an id of a column declared as integer is not a number".into())
        })
}

fn integer_key(value: i128) -> SweepKey {
    vec![value.to_string().into_bytes()]
}
