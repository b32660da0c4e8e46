//! A stream check and the live schema of its table make a [`StreamMapping`], or faults that point into
//! the job file.

use std::sync::Arc;

use super::bind::{SourceSchema, leads_an_index, unindexed_window};
use super::binder::{Binder, fault, unfit_for_a_key};
use crate::job::Fault;
use crate::model::check::{Form, Source, Window};
use crate::model::column::{Column, ColumnType, TableSchema};
use crate::model::mapping::Mapping;
use crate::model::stream::{Identity, StreamCheck, StreamMapping};

/// A bound check, and what deserves a word to the operator though it is no fault.
#[derive(Debug, Clone)]
pub struct BoundStream {
    pub mapping: Arc<StreamMapping>,
    pub notes: Vec<String>,
}

/// Binds `check` to its table. Faults: a missing column, a form that its column refutes, an identity column
/// that cannot hold the identity, money that is no number, a table without a key to page by, an insert
/// without a unique key that would stop a second one.
pub fn bind_stream(
    check: &Arc<StreamCheck>,
    schema: &TableSchema,
) -> Result<BoundStream, Vec<Fault>> {
    let source = SourceSchema::Table(schema.clone());
    let mut binder = Binder::new(&source);
    let identity = identity_cell(&mut binder, check);
    let sweep_key = sweep_cells(&mut binder, check, schema);
    let field_cells = binder.fields(&check.rows.fields);
    refuse_money_that_is_no_number(&mut binder, check, &field_cells);
    let changed_at_cell = match &check.rows.window {
        Some(Window::ChangedAt(time)) => Some(binder.time(time)),
        Some(Window::ChangedIds { .. }) | None => None,
    };
    let subject_cell = check.rows.subject.as_ref().map(|c| binder.named(c));
    let identity_is_unique = is_unique(schema, &[&check.identity_column.text]);
    if check.inserts() && !identity_is_unique {
        refuse_insert(&mut binder, check, identity);
    }
    if !binder.faults.is_empty() {
        return Err(binder.faults);
    }
    let rows = Mapping {
        check: Arc::clone(&check.rows),
        table: Some((schema.schema.clone(), schema.table.clone())),
        columns: binder.columns,
        sweep_key,
        key_cells: vec![identity],
        member_cells: Vec::new(),
        field_cells,
        version_cell: None,
        changed_at_cell,
        deleted_at_cell: None,
        subject_cell,
        explains_cell: None,
        tombstone_cell: None,
        rows_estimated: schema.rows_estimated,
    };
    let notes = notes(check, &rows, schema);
    let tuple: Vec<&str> = check
        .unique
        .iter()
        .map(|&at| check.rows.fields[at].column.text.as_str())
        .collect();
    Ok(BoundStream {
        mapping: Arc::new(StreamMapping {
            check: Arc::clone(check),
            rows: Arc::new(rows),
            identity_is_unique,
            tuple_is_unique: is_unique(schema, &tuple),
        }),
        notes,
    })
}

/// The identity's cell: the first of the columns.
fn identity_cell(binder: &mut Binder<'_>, check: &StreamCheck) -> usize {
    let cell = binder.named(&check.identity_column);
    let Some(column) = binder.columns.get(cell) else {
        return cell;
    };
    let name = &column.name;
    let refusal = match (&check.identity, column.kind) {
        (Identity::EntryId, ColumnType::Text | ColumnType::Binary) => None,
        (Identity::EntryId, _) => Some((
            format!("column `{name}` cannot hold an entry id such as 1526919030474-55"),
            "use a CHAR, VARCHAR, BINARY or VARBINARY column of at least 41 characters",
        )),
        (Identity::Field(_), _) => unfit_for_a_key(column).map(|why| {
            (
                format!("column `{name}` cannot hold an identity: {why}"),
                "use a whole-number, text, enum, date or binary column",
            )
        }),
    };
    if let Some((message, hint)) = refusal {
        let span = &check.identity_column.span;
        binder
            .faults
            .push(fault(span, message, Some(hint.to_owned())));
    }
    cell
}

/// The cells of the primary key, or else of a unique key without NULLs, whose values can be written down
/// and ordered exactly. The identity column need not be one of them.
fn sweep_cells(binder: &mut Binder<'_>, check: &StreamCheck, schema: &TableSchema) -> Vec<usize> {
    let Source::Table { table, .. } = &check.rows.source else {
        return Vec::new();
    };
    let can_be_ordered = |name: &String| schema.column(name).is_some_and(is_ordered);
    let key = keys(schema).find(|key| key.iter().all(can_be_ordered));
    let Some(key) = key else {
        binder.faults.push(fault(
            &table.span,
            format!(
                "table `{}`.`{}` has no key by which its rows can be read page by page",
                schema.schema, schema.table
            ),
            Some(
                "give it a PRIMARY KEY, or a UNIQUE key without NULLs, of whole numbers, text or times"
                    .to_owned(),
            ),
        ));
        return Vec::new();
    };
    key.iter()
        .map(|name| binder.cell(name, &table.span))
        .collect()
}

/// The primary key first; keys without NULLs only.
fn keys(schema: &TableSchema) -> impl Iterator<Item = &Vec<String>> {
    std::iter::once(&schema.primary_key)
        .chain(&schema.unique_keys)
        .filter(|key| !key.is_empty())
}

fn is_ordered(column: &Column) -> bool {
    !matches!(
        column.kind,
        ColumnType::Float { .. } | ColumnType::Json | ColumnType::Bit | ColumnType::Other
    )
}

/// Whether no two rows can agree on all of `columns`: some key lies within them.
fn is_unique(schema: &TableSchema, columns: &[&str]) -> bool {
    let is_among = |name: &String| columns.iter().any(|c| c.eq_ignore_ascii_case(name));
    keys(schema).any(|key| key.iter().all(is_among))
}

fn refuse_money_that_is_no_number(binder: &mut Binder<'_>, check: &StreamCheck, cells: &[usize]) {
    let Some(at) = check.money else { return };
    let field = &check.rows.fields[at];
    let Some(column) = binder.columns.get(cells[at]) else {
        return;
    };
    let is_number = match field.form {
        Some(form) => matches!(form, Form::Integer | Form::Decimal),
        None => matches!(
            column.kind,
            ColumnType::Integer { .. } | ColumnType::Decimal { .. } | ColumnType::Float { .. }
        ),
    };
    if !is_number {
        binder.faults.push(fault(
            &field.column.span,
            format!("`money` is a number, and column `{}` is none", column.name),
            Some(
                "say as = \"decimal\" if its text is a number; else name another column".to_owned(),
            ),
        ));
    }
}

fn refuse_insert(binder: &mut Binder<'_>, check: &StreamCheck, identity: usize) {
    let Some(column) = binder.columns.get(identity) else {
        return;
    };
    let name = &column.name;
    let null = if column.nullable {
        " (and make it NOT NULL)"
    } else {
        ""
    };
    let message = format!(
        "an insert needs a UNIQUE key on `{name}` alone, because the application does not take our locks"
    );
    let hint = format!("add one{null}; or use \"requeue\" or \"report\" instead of \"insert\"");
    let span = &check.identity_column.span;
    binder.faults.push(fault(span, message, Some(hint)));
}

fn notes(check: &StreamCheck, rows: &Mapping, schema: &TableSchema) -> Vec<String> {
    let name = &check.name.text;
    let mut notes = Vec::new();
    let identity = &rows.columns[rows.key_cells[0]];
    if !leads_an_index(schema, &identity.name) {
        notes.push(format!(
            "check {name}: `{}` has no index, so every proof reads the whole table",
            identity.name
        ));
    }
    if identity.is_case_insensitive() {
        notes.push(format!(
            "check {name}: `{}` is compared without case ({}), so identities that differ in case only are one \
             to MySQL",
            identity.name,
            identity.collation.as_deref().unwrap_or_default()
        ));
    }
    notes.extend(unindexed_window(rows, schema));
    notes
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    const TEXT: ColumnType = ColumnType::Text;
    const NUMBER: ColumnType = ColumnType::Integer { unsigned: true };

    /// A check of a job file with these lines beside the least a stream takes.
    fn check(lines: &str) -> Arc<StreamCheck> {
        let base = [
            "identity = \"bidId\"",
            "columns = { amount = \"amount\" }",
            "changed_at = \"created_at\"",
        ];
        let is_given = |line: &&str| {
            let name = line.split(" =").next().unwrap();
            !lines.lines().any(|l| l.split(" =").next() == Some(name))
        };
        let base: Vec<&str> = base.into_iter().filter(is_given).collect();
        let text = format!(
            "name = \"j\"\nmysql.url = \"mysql://h/d\"\nredis.url = \"redis://h\"\n[[stream]]\nname = \"bids\"\n\
             key = \"s\"\ngroup = \"g\"\ntable = \"bid\"\nidentity_column = \"bid_id\"\n{}\n{lines}\n",
            base.join("\n")
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j.toml");
        std::fs::write(&path, text).unwrap();
        let job = crate::job::load(&path, &|_| None).unwrap_or_else(|e| panic!("{e}"));
        Arc::clone(&job.streams[0])
    }

    fn column(name: &str, kind: ColumnType) -> Column {
        Column {
            name: name.to_owned(),
            kind,
            nullable: false,
            collation: (kind == TEXT).then(|| "utf8mb4_bin".to_owned()),
            zerofill: false,
        }
    }

    fn key(columns: &[&str]) -> Vec<String> {
        columns.iter().map(|c| (*c).to_owned()).collect()
    }

    /// `bid(seq, bid_id, amount, created_at)`, paged by `seq`, with an index on everything asked for.
    fn bid() -> TableSchema {
        TableSchema {
            schema: "d".to_owned(),
            table: "bid".to_owned(),
            columns: vec![
                column("seq", NUMBER),
                column("bid_id", TEXT),
                column("amount", NUMBER),
                column("created_at", ColumnType::DateTime),
            ],
            primary_key: key(&["seq"]),
            unique_keys: vec![key(&["bid_id"])],
            leading_index_columns: key(&["seq", "bid_id", "created_at"]),
            rows_estimated: 7,
        }
    }

    fn names(mapping: &Mapping, cells: &[usize]) -> Vec<String> {
        cells
            .iter()
            .map(|&cell| mapping.columns[cell].name.clone())
            .collect()
    }

    #[track_caller]
    fn refused(lines: &str, schema: &TableSchema, message: &str, hint: &str) {
        let faults = bind_stream(&check(lines), schema).unwrap_err();
        let [fault] = faults.as_slice() else {
            panic!("{faults:#?}")
        };
        assert_eq!(fault.message, message);
        assert_eq!(fault.hint.as_deref().unwrap_or_default(), hint);
        assert!(!fault.span.is_empty());
    }

    #[test]
    fn rows_are_paged_by_the_primary_key_whatever_the_identity() {
        let schema = bid();
        let bound =
            bind_stream(&check("subject = \"Seq\"\nunique = [\"amount\"]"), &schema).unwrap();
        let (mapping, rows) = (&bound.mapping, &bound.mapping.rows);
        assert_eq!(names(rows, &rows.sweep_key), ["seq"]);
        assert_eq!(names(rows, &rows.key_cells), ["bid_id"]);
        assert_eq!(names(rows, &rows.field_cells), ["amount"]);
        assert_eq!(
            names(rows, &[rows.changed_at_cell.unwrap()]),
            ["created_at"]
        );
        assert_eq!(rows.subject_cell, Some(rows.sweep_key[0]));
        assert_eq!(mapping.identity_cell(), rows.key_cells[0]);
        assert_eq!(rows.columns.len(), 4);
        assert_eq!(rows.table, Some(("d".to_owned(), "bid".to_owned())));
        assert!(mapping.identity_is_unique && !mapping.tuple_is_unique);
        assert!(bound.notes.is_empty(), "{:?}", bound.notes);
    }

    #[test]
    fn a_unique_key_stands_in_for_the_primary_one() {
        let mut schema = bid();
        schema.primary_key = Vec::new();
        let bound = bind_stream(&check(""), &schema).unwrap();
        assert_eq!(
            names(&bound.mapping.rows, &bound.mapping.rows.sweep_key),
            ["bid_id"]
        );
        // A key that cannot be ordered exactly is passed over.
        schema.primary_key = key(&["amount"]);
        schema.columns[2].kind = ColumnType::Float { is_single: false };
        let bound = bind_stream(&check(""), &schema).unwrap();
        assert_eq!(
            names(&bound.mapping.rows, &bound.mapping.rows.sweep_key),
            ["bid_id"]
        );
        schema.unique_keys = Vec::new();
        refused(
            "",
            &schema,
            "table `d`.`bid` has no key by which its rows can be read page by page",
            "give it a PRIMARY KEY, or a UNIQUE key without NULLs, of whole numbers, text or times",
        );
    }

    #[test]
    fn a_key_within_the_columns_makes_them_unique() {
        let mut schema = bid();
        let two =
            "columns = { amount = \"amount\", seq = \"seq\" }\nunique = [\"amount\", \"SEQ\"]";
        assert!(
            bind_stream(&check(two), &schema)
                .unwrap()
                .mapping
                .tuple_is_unique
        );
        schema.primary_key = key(&["seq", "bid_id"]);
        assert!(
            !bind_stream(&check(two), &schema)
                .unwrap()
                .mapping
                .tuple_is_unique
        );
        schema.unique_keys = vec![key(&["amount", "seq"]), key(&["bid_id", "amount"])];
        let mapping = bind_stream(&check(two), &schema).unwrap().mapping;
        assert!(mapping.tuple_is_unique && !mapping.identity_is_unique);
        // Without a declared tuple there is none that could be unique.
        assert!(
            !bind_stream(&check(""), &schema)
                .unwrap()
                .mapping
                .tuple_is_unique
        );
    }

    #[test]
    fn what_the_schema_refutes() {
        let schema = bid();
        refused(
            "columns = { amout = \"amount\" }",
            &schema,
            "table `d`.`bid` has no column `amout`",
            "did you mean `amount`?",
        );
        refused(
            "columns = { amount = { field = \"a\", as = \"datetime\" } }",
            &schema,
            "column `amount` is an integer and cannot be spelled as datetime",
            "",
        );
        refused(
            "changed_at = \"amount\"",
            &schema,
            "column `amount` cannot be read as this kind of time",
            "say { column = …, as = \"epoch-ms\" } for a number",
        );
        refused(
            "columns = { created_at = \"at\" }\nmoney = \"created_at\"",
            &schema,
            "`money` is a number, and column `created_at` is none",
            "say as = \"decimal\" if its text is a number; else name another column",
        );
        refused(
            "subject = \"bidder\"",
            &schema,
            "table `d`.`bid` has no column `bidder`",
            "did you mean `bid_id`?",
        );
        let mut text_money = bid();
        text_money.columns[2].kind = TEXT;
        let spelled =
            "columns = { amount = { field = \"a\", as = \"decimal\" } }\nmoney = \"amount\"";
        bind_stream(&check(spelled), &text_money).unwrap();
        let all = "columns = { x1 = \"x\", x2 = \"x\" }\nchanged_at = \"x3\"\nsubject = \"x4\"";
        assert_eq!(bind_stream(&check(all), &schema).unwrap_err().len(), 4);
    }

    #[test]
    fn an_identity_column_holds_identities() {
        let mut schema = bid();
        for kind in [TEXT, NUMBER, ColumnType::Binary, ColumnType::Enum] {
            schema.columns[1].kind = kind;
            bind_stream(&check(""), &schema).unwrap();
            let by_entry = bind_stream(&check("identity = \"$id\""), &schema);
            if matches!(kind, ColumnType::Text | ColumnType::Binary) {
                by_entry.unwrap();
            } else {
                refused(
                    "identity = \"$id\"",
                    &schema,
                    "column `bid_id` cannot hold an entry id such as 1526919030474-55",
                    "use a CHAR, VARCHAR, BINARY or VARBINARY column of at least 41 characters",
                );
            }
        }
        schema.columns[1].kind = ColumnType::DateTime;
        refused(
            "",
            &schema,
            "column `bid_id` cannot hold an identity: a time has many spellings",
            "use a whole-number, text, enum, date or binary column",
        );
    }

    #[test]
    fn an_insert_needs_a_unique_key_on_the_identity_alone() {
        let lines = "on_unpersisted = \"insert\"\ninsert_is_enough = true\non_persisted = \"ack\"";
        let mut schema = bid();
        bind_stream(&check(lines), &schema).unwrap();
        let message = "an insert needs a UNIQUE key on `bid_id` alone, because the application does not take our locks";
        for keys in [vec![], vec![key(&["bid_id", "amount"])]] {
            schema.unique_keys = keys;
            refused(
                lines,
                &schema,
                message,
                "add one; or use \"requeue\" or \"report\" instead of \"insert\"",
            );
        }
        schema.columns[1].nullable = true;
        refused(
            "on_skipped = \"insert\"\ninsert_is_enough = true",
            &schema,
            message,
            "add one (and make it NOT NULL); or use \"requeue\" or \"report\" instead of \"insert\"",
        );
        bind_stream(&check("on_unpersisted = \"requeue\""), &schema).unwrap();
        schema.primary_key = key(&["bid_id"]);
        bind_stream(&check(lines), &schema).unwrap();
    }

    #[test]
    fn notes_say_what_is_slow_or_strange() {
        let mut schema = bid();
        schema.leading_index_columns = key(&["SEQ"]);
        schema.columns[1].collation = Some("utf8mb4_general_ci".to_owned());
        let notes = bind_stream(&check(""), &schema).unwrap().notes;
        assert_eq!(
            notes,
            [
                "check bids: `bid_id` has no index, so every proof reads the whole table",
                "check bids: `bid_id` is compared without case (utf8mb4_general_ci), so identities that differ in \
                 case only are one to MySQL",
                "check bids: `created_at` has no index, so a window reads the whole table",
            ]
        );
    }
}
