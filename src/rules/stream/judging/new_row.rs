//! The row that an entry asks for.

use super::judge::{Spelling, StreamJudge};
use crate::model::column::{Column, ColumnType};
use crate::model::stream::{Entry, NewRow, StreamId};
use crate::model::value::Number;

impl StreamJudge {
    /// The identity and every one of `columns`, as cells that MySQL takes and that compare equal to what the entry
    /// says. The error says which field cannot be inserted and why, never its value.
    pub fn new_row(&self, id: StreamId, entry: &Entry) -> Result<NewRow, String> {
        let rows = &self.mapping().rows;
        let identity = self
            .identity_of(id, Some(entry))
            .ok_or("the entry has no identity")?;
        let cell = self.mapping().identity_cell();
        let identity = identity_text(&identity, &rows.columns[cell])
            .map_err(|reason| format!("the identity: {reason}"))?;
        let mut cells = vec![(cell, Some(identity))];
        for (index, field) in self.fields.iter().enumerate() {
            let column = &rows.columns[field.cell];
            let place = || match &field.spelling {
                Spelling::Constant(_) => format!("the constant of column `{}`", column.name),
                Spelling::Field(name) => {
                    format!("the entry's field `{}`", String::from_utf8_lossy(name))
                }
            };
            let text = field
                .comparer
                .decode(self.token(index, entry))
                .map_err(|reason| format!("{}: {reason}", place()))?;
            if text.is_none() && !column.nullable {
                let name = &column.name;
                return Err(format!("{}: column `{name}` takes no NULL", place()));
            }
            match cells.iter().find(|(cell, _)| *cell == field.cell) {
                None => cells.push((field.cell, text)),
                Some((_, earlier)) if *earlier == text => {}
                Some(_) => {
                    let name = &column.name;
                    return Err(format!("{}: column `{name}` would get two values", place()));
                }
            }
        }
        Ok(NewRow { cells })
    }
}

/// The identity as the column prints it.
fn identity_text(identity: &[u8], column: &Column) -> Result<Vec<u8>, &'static str> {
    match column.kind {
        ColumnType::Integer { .. } | ColumnType::Decimal { .. } => Number::parse(identity)
            .and_then(|number| number.to_integer_text())
            .map(String::into_bytes)
            .ok_or("it is not a whole number, as its column holds them"),
        ColumnType::Text if std::str::from_utf8(identity).is_err() => Err("it is not UTF-8"),
        ColumnType::Text | ColumnType::Enum | ColumnType::Binary => Ok(identity.to_vec()),
        _ => Err("its column holds neither text nor numbers"),
    }
}
