//! The list of settings in `jobs/README.md`, made from the same catalogue the reader uses.

use std::fmt::Write;

use super::keys::{FILE, Kind, Table};

/// One Markdown table for each table of a job file.
pub fn settings_markdown() -> String {
    let mut out = String::new();
    write_table(&mut out, "top level", &FILE).expect("a String takes everything");
    out
}

fn write_table(out: &mut String, title: &str, table: &Table) -> std::fmt::Result {
    writeln!(
        out,
        "### {title}\n\n| setting | value | default | |\n|---|---|---|---|"
    )?;
    for key in table.keys {
        let default = match key.default {
            Some(default) => format!("`{default}`"),
            None if key.is_required => "required".to_owned(),
            None => String::new(),
        };
        let kind = match key.kind {
            Kind::Later => "not supported yet".to_owned(),
            kind => kind.expected(),
        };
        writeln!(out, "| `{}` | {kind} | {default} | {} |", key.name, key.doc)?;
    }
    for key in table.keys {
        let Some(inner) = key.kind.table() else {
            continue;
        };
        let title = match (key.kind, std::ptr::eq(table, &FILE)) {
            (Kind::Tables(_), true) => format!("`[[{}]]`", key.name),
            (_, true) => format!("`[{}]`", key.name),
            (Kind::Tables(_), false) => format!("each of `{}`", key.name),
            (Kind::TextOrTableByName(_), _) => format!("each of `{}` as a table", key.name),
            _ => format!("`{}` as a table", key.name),
        };
        out.push('\n');
        write_table(out, &title, inner)?;
    }
    Ok(())
}
