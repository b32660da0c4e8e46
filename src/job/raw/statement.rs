//! A setting that is a statement.

use crate::job::elements::sql_file::{self, Statement};
use crate::job::reader::{At, Reader, Section, Setting};

/// A statement, from its file if it names one.
pub(super) fn statement(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    name: &str,
) -> Setting<At<Statement>> {
    let folder = reader.surroundings.folder;
    let found = section.parsed(reader, name, |text| sql_file::read(text, folder));
    if let Some(At {
        value:
            Statement {
                sql,
                path: Some(_),
                setting,
            },
        ..
    }) = found.given()
    {
        reader.sql_files.push((setting.value.clone(), sql.clone()));
    }
    found
}
