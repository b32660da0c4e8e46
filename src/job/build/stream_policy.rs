//! What a stream's settings may not say beside each other.

use std::ops::Range;

use super::stream::index_of;
use crate::job::elements::word::{FORM, UnpersistedWord, spelled};
use crate::job::fault::Fault;
use crate::job::raw::RawStream;
use crate::job::reader::{At, Setting};
use crate::model::check::Form;
use crate::model::stream::{Identity, OnPersisted, OnSkipped};

const DECIDED_BY_APPLICATION: &str = "whether an entry is rejected is for the application to decide: use \"requeue\" or \"report\", or \
     \"claim\" for on_unpersisted";

pub(super) fn check(raw: &RawStream, faults: &mut Vec<Fault>) {
    check_keys(raw, faults);
    check_identity(raw, faults);
    check_columns(raw, faults);
    check_insert(raw, faults);
    check_missing_rows(raw, faults);
    check_claim(raw, faults);
    check_subject(raw, faults);
    if let (Some(currency), Setting::Absent) = (raw.currency.given(), &raw.money) {
        faults.push(
            currency
                .fault("a currency, but no money")
                .hint("say which of `columns` is money: money = \"amount\""),
        );
    }
}

/// The first of the settings that ask for an insert.
fn insert_span(raw: &RawStream) -> Option<&Range<usize>> {
    let pending = raw
        .on_unpersisted
        .given()
        .filter(|at| at.value == UnpersistedWord::Insert)
        .map(|at| &at.span);
    let skipped = raw
        .on_skipped
        .given()
        .filter(|at| at.value == OnSkipped::Insert)
        .map(|at| &at.span);
    pending.or(skipped)
}

fn check_keys(raw: &RawStream, faults: &mut Vec<Fault>) {
    let Some(key) = raw.key.given() else { return };
    let text = String::from_utf8_lossy(&key.value);
    let columns = raw.columns.given().map_or(&[][..], Vec::as_slice);
    let named = columns
        .iter()
        .map(|column| &column.field.column)
        .chain([&raw.identity_column, &raw.subject])
        .filter_map(Setting::given);
    // Braces are a hash tag in a Redis Cluster, so only a column's name in them is surely a mistake.
    for column in named {
        if text.contains(&format!("{{{}}}", column.value.text)) {
            faults.push(
                Fault::new(key.span.clone(), "a stream's key has no placeholders")
                    .hint("write the key as it is: each stream is a [[stream]] of its own"),
            );
            break;
        }
    }
    if let Some(dead_letter) = raw.dead_letter.given()
        && dead_letter.value == key.value
    {
        faults.push(
            Fault::new(
                dead_letter.span.clone(),
                "the dead letters would lie in the stream itself",
            )
            .hint(
                "name another key; in a Redis Cluster one of the same slot: \"{bid-stream}:dead\"",
            ),
        );
    }
}

fn check_identity(raw: &RawStream, faults: &mut Vec<Fault>) {
    let Some(identity) = raw.identity.given() else {
        return;
    };
    if let Some(raise) = raw.raise_last_id.given().filter(|at| at.value)
        && identity.value != Identity::EntryId
    {
        faults.push(
            Fault::new(
                raise.span.clone(),
                "no row carries an entry id, so nothing says how far to raise the last one",
            )
            .hint("it needs identity = \"$id\"; else take it out"),
        );
    }
    let columns = raw.columns.given().map_or(&[][..], Vec::as_slice);
    let Some(own) = raw
        .identity_column
        .given()
        .and_then(|column| index_of(columns, &column.value.text))
        .map(|at| &columns[at])
    else {
        return;
    };
    let is_same = match (&identity.value, own.field.cache.given()) {
        (Identity::Field(field), Some(cache)) => *field == cache.value.as_bytes(),
        _ => false,
    };
    if !is_same && !matches!(own.field.cache, Setting::Faulty) {
        faults.push(
            Fault::new(
                own.field.span.clone(),
                "the identity column is filled by `identity`, and not by this",
            )
            .hint("take it out of `columns`"),
        );
    } else if let Some(form) = own
        .field
        .form
        .given()
        .filter(|form| !matches!(form.value, Form::Text | Form::Integer))
    {
        faults.push(
            Fault::new(
                form.span.clone(),
                format!(
                    "an identity is looked up as the entry spells it, not as `{}`",
                    spelled(&FORM, form.value)
                ),
            )
            .hint("take `as` out"),
        );
    }
}

/// Where the row alone is the proof of more than its own identity, its columns must be compared.
fn check_columns(raw: &RawStream, faults: &mut Vec<Fault>) {
    let is_empty = match &raw.columns {
        Setting::Given(columns) => columns.is_empty(),
        Setting::Absent => true,
        Setting::Faulty => false,
    };
    if !is_empty {
        return;
    }
    let hint =
        "add columns = { amount = \"amount\" }: the table's columns, each with the entry's field";
    if let Some(At {
        value: Identity::EntryId,
        span,
    }) = raw.identity.given()
    {
        faults.push(
            Fault::new(
                span.clone(),
                "after a failover an entry id may come back with another payload, and without `columns` \
                 nobody would see it",
            )
            .hint(hint),
        );
    } else if let Some(span) = insert_span(raw) {
        faults.push(Fault::new(span.clone(), "nothing says what is inserted").hint(hint));
    }
}

fn check_insert(raw: &RawStream, faults: &mut Vec<Fault>) {
    let Some(span) = insert_span(raw) else { return };
    let is_enough = raw.insert_is_enough.or(false);
    if !is_enough && !matches!(raw.insert_is_enough, Setting::Faulty) {
        faults.push(
            Fault::new(
                span.clone(),
                "nothing says that one row is all that a consumer does for an entry",
            )
            .hint("add insert_is_enough = true if it is; else use \"requeue\" or \"report\""),
        );
    }
    if raw.may_leave_no_row.or(false) {
        faults.push(
            Fault::new(
                span.clone(),
                "a missing row proves nothing here, so an entry that was rejected would be inserted",
            )
            .hint(DECIDED_BY_APPLICATION),
        );
    }
    if !raw.rejected_sql.is_absent() {
        faults.push(
            Fault::new(
                span.clone(),
                "an entry without a row may yet be rejected, and an insert would make it accepted",
            )
            .hint(DECIDED_BY_APPLICATION),
        );
    }
    let is_pending = (raw.on_unpersisted.given()).is_some_and(|at| at.span == *span);
    let is_finished = match &raw.on_persisted {
        Setting::Given(at) => at.value == OnPersisted::Ack,
        Setting::Absent => false,
        Setting::Faulty => true,
    };
    if is_pending && !is_finished {
        faults.push(
            Fault::new(
                span.clone(),
                "a run that is cut off between an insert and its acknowledgement would leave the message for ever",
            )
            .hint("add on_persisted = \"ack\": the next run then finishes it"),
        );
    }
}

/// Of an entry that has no row yet only its own fields say whom it concerns.
fn check_subject(raw: &RawStream, faults: &mut Vec<Fault>) {
    let columns = match &raw.columns {
        Setting::Given(columns) => columns.as_slice(),
        Setting::Absent => &[],
        Setting::Faulty => return,
    };
    if let (Some(subject), false) = (raw.subject.given(), raw.money.is_absent())
        && index_of(columns, &subject.value.text).is_none()
    {
        faults.push(
            Fault::new(
                subject.span.clone(),
                "the subject is not among `columns`, so of an entry without a row nobody knows whom to compensate",
            )
            .hint("add it there, with the field of the entry that holds it"),
        );
    }
}

fn check_missing_rows(raw: &RawStream, faults: &mut Vec<Fault>) {
    let Some(at) = raw.may_leave_no_row.given().filter(|at| at.value) else {
        return;
    };
    if !raw.rejected_sql.is_absent() {
        faults.push(
            Fault::new(
                at.span.clone(),
                "this check has both `rejected_sql` and `may_leave_no_row`",
            )
            .hint(
                "keep rejected_sql if it names every rejected entry: then a missing row is a loss",
            ),
        );
    }
    if let Some(skipped) = raw
        .on_skipped
        .given()
        .filter(|at| at.value == OnSkipped::Requeue)
    {
        faults.push(
            Fault::new(
                skipped.span.clone(),
                "a missing row proves nothing here, so no entry is ever found skipped",
            )
            .hint("take it out, or name the rejected ones by rejected_sql instead of may_leave_no_row"),
        );
    }
}

fn check_claim(raw: &RawStream, faults: &mut Vec<Fault>) {
    let is_claim = match &raw.on_unpersisted {
        Setting::Given(at) => at.value == UnpersistedWord::Claim,
        Setting::Absent => false,
        Setting::Faulty => return,
    };
    match (raw.on_unpersisted.given(), &raw.claim_to) {
        (Some(at), Setting::Absent) if is_claim => faults.push(
            Fault::new(at.span.clone(), "nothing says who gets the entries")
                .hint("add claim_to = \"recovery-1\": a consumer that reads its own pending list"),
        ),
        (_, Setting::Given(consumer)) if !is_claim => faults.push(
            Fault::new(
                consumer.span.clone(),
                "a consumer is named, but `on_unpersisted` does not hand entries over",
            )
            .hint("write on_unpersisted = \"claim\", or take `claim_to` out"),
        ),
        _ => {}
    }
}
