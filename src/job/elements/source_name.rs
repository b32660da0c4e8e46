//! Names of tables and columns, written as MySQL knows them, without quotes.

use crate::job::fault::Fault;
use crate::job::reader::Text;
use crate::model::check::Named;

/// `name` or `schema.name`.
pub(in crate::job) fn table(text: &Text) -> Result<Named, Fault> {
    let parts: Vec<&str> = text.value.split('.').collect();
    if parts.len() > 2 || !parts.iter().all(|part| is_name(part)) {
        return Err(text
            .fault(format!("{} is no table name", text.shown()))
            .hint("write `name` or `schema.name`, without quotes; for anything else use `sql`"));
    }
    Ok(text.named())
}

pub(in crate::job) fn column(text: &Text) -> Result<Named, Fault> {
    if !is_name(&text.value) || text.value.contains('.') {
        return Err(text
            .fault(format!("{} is no column name", text.shown()))
            .hint("write the column's own name, without its table and without quotes"));
    }
    Ok(text.named())
}

/// What MySQL takes between backticks, less what nobody means to write there.
fn is_name(text: &str) -> bool {
    !text.trim().is_empty()
        && text.trim() == text
        && text.chars().count() <= 64
        && !text
            .chars()
            .any(|c| c.is_control() || matches!(c, '`' | '"' | '\'' | '(' | ')' | ';'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_mysql_knows_them() {
        let text = |value: &str| Text {
            value: value.to_owned(),
            span: 0..1,
            substituted: false,
        };
        for right in ["users", "shop.users", "주문"] {
            assert!(table(&text(right)).is_ok(), "{right}");
        }
        for wrong in ["", "a.b.c", "`users`", "users ", ".users", "(SELECT 1)"] {
            assert!(table(&text(wrong)).is_err(), "{wrong}");
        }
        assert!(column(&text("updated_at")).is_ok());
        assert!(column(&text("u.updated_at")).is_err());
        assert!(column(&text("COUNT(*)")).is_err());
    }
}
