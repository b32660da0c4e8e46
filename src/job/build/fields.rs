//! Mapped fields: which there must be for each kind of value, and what fits together in one.

use std::collections::HashSet;
use std::ops::Range;

use super::cache::{has_directed_field, has_direction, is_document, kept};
use crate::job::elements::locator;
use crate::job::elements::word::{FORM, spelled};
use crate::job::fault::Fault;
use crate::job::raw::{RawCache, RawField};
use crate::job::reader::Setting;
use crate::model::check::{Compare, FieldSpec, Form, Locator, ValueKind};

pub(super) fn fields(
    raw: &RawCache,
    value: ValueKind,
    is_row_per_member: bool,
    faults: &mut Vec<Fault>,
) -> Option<Vec<FieldSpec>> {
    let before = faults.len();
    refuse_misplaced(raw, value, faults);
    let is_document = is_document(value, is_row_per_member);
    let raws: Vec<&RawField> = match value {
        ValueKind::Set => Vec::new(),
        ValueKind::Zset => raw.score.given().into_iter().collect(),
        _ => raw.fields.given().into_iter().flatten().collect(),
    };
    require_count(raw, value, is_document, raws.len(), faults);
    let specs: Vec<Option<FieldSpec>> = raws
        .iter()
        .map(|field| {
            let place = place(field, value, is_document, faults);
            check_forms(field, value, faults);
            check_numbers(field, faults);
            check_states(field, value, faults);
            spec(field, place?, leader(field, &raws, faults))
        })
        .collect();
    require_leaders(raw, &raws, faults);
    let is_complete =
        !matches!(raw.fields, Setting::Faulty) && !matches!(raw.score, Setting::Faulty);
    if faults.len() > before || !is_complete {
        return None;
    }
    specs.into_iter().collect()
}

/// A column of a stream's table: `cache` is the entry's field.
pub(super) fn column(raw: &RawField, cache: Locator, faults: &mut Vec<Fault>) -> Option<FieldSpec> {
    check_forms(raw, ValueKind::Hash, faults);
    spec(raw, cache, None)
}

fn spec(raw: &RawField, cache: Locator, follows: Option<usize>) -> Option<FieldSpec> {
    Some(FieldSpec {
        cache,
        column: raw.column.value()?,
        form: raw.form.value(),
        time_zone: raw.time_zone.value(),
        compare: raw.compare.or(Compare::Equal),
        states: raw.states.given().map_or_else(Vec::new, |states| {
            states.iter().map(|state| state.value.clone()).collect()
        }),
        tolerance: raw.tolerance.value(),
        scale: raw
            .scale
            .value()
            .and_then(|scale| u32::try_from(scale).ok()),
        min: raw.min.value(),
        max: raw.max.value(),
        null: raw.null.given().map(|text| text.value.clone().into_bytes()),
        follows,
        balance: raw.balance.or(false),
        redact: raw.redact.or(false),
    })
}

/// `fields` and `score` each have the kinds of value they belong to.
fn refuse_misplaced(raw: &RawCache, value: ValueKind, faults: &mut Vec<Fault>) {
    if let Some(score) = raw.score.given()
        && value != ValueKind::Zset
    {
        faults.push(Fault::new(score.span.clone(), "only a zset has a score").hint("use `fields`"));
    }
    let first = raw.fields.given().and_then(|fields| fields.first());
    match (value, first) {
        (ValueKind::Zset, Some(field)) => faults.push(
            Fault::new(field.span.clone(), "a zset has no fields")
                .hint("its one column is the score: score = { column = \"…\" }"),
        ),
        (ValueKind::Set, Some(field)) => faults.push(
            Fault::new(field.span.clone(), "a set has no fields")
                .hint("a member is there or not; use `member` for its name"),
        ),
        _ => {}
    }
}

fn require_count(
    raw: &RawCache,
    value: ValueKind,
    is_document: bool,
    count: usize,
    faults: &mut Vec<Fault>,
) {
    let fault = |message: &str, hint: &str| Fault::new(raw.span.clone(), message).hint(hint);
    if value == ValueKind::Zset {
        if raw.score.is_absent() {
            faults.push(fault(
                "a zset needs `score`",
                "say which column the score is: score = { column = \"ends_at\", as = \"epoch-ms\" }",
            ));
        }
    } else if value != ValueKind::Set && !matches!(raw.fields, Setting::Faulty) {
        if is_document && count == 0 && raw.version.is_absent() {
            faults.push(fault(
                "nothing in this value is compared",
                "map at least one field: fields = [{ cache = \"/name\", column = \"name\" }]",
            ));
        } else if !is_document && count != 1 {
            faults.push(fault(
                "this value stands for one column, so it needs exactly one field",
                "write fields = [{ column = \"balance\" }]",
            ));
        }
    }
}

fn place(
    raw: &RawField,
    value: ValueKind,
    is_document: bool,
    faults: &mut Vec<Fault>,
) -> Option<Locator> {
    match (&raw.cache, is_document) {
        (Setting::Faulty, _) => None,
        (Setting::Given(text), true) => kept(locator::parse(text, value), faults),
        (Setting::Given(text), false) => {
            faults.push(
                text.fault("this value has no parts to name")
                    .hint("take `cache` out: the whole value stands for the column"),
            );
            None
        }
        (Setting::Absent, false) if value == ValueKind::Zset => Some(Locator::Score),
        (Setting::Absent, false) => Some(Locator::Whole),
        (Setting::Absent, true) => {
            let (message, hint) = if value == ValueKind::Json {
                (
                    "this field has no `cache`",
                    "say where it lies in the document: cache = \"/name\"",
                )
            } else {
                (
                    "this field has no `cache`",
                    "say which field of the hash it is: cache = \"name\"",
                )
            };
            faults.push(Fault::new(raw.span.clone(), message).hint(hint));
            None
        }
    }
}

/// Settings that only some forms have. Without `as` the column's type decides, later.
fn check_forms(raw: &RawField, value: ValueKind, faults: &mut Vec<Fault>) {
    let Some(form) = raw.form.given() else { return };
    let shown = spelled(&FORM, form.value);
    let mut refuse = |span: &Range<usize>, message: String, hint: &str| {
        faults.push(Fault::new(span.clone(), message).hint(hint));
    };
    let fits_value = match value {
        ValueKind::Integer => is_integral(form.value) || form.value == Form::Bool,
        ValueKind::Decimal => is_number(form.value),
        ValueKind::Zset => is_number(form.value) || is_integral(form.value),
        _ => true,
    };
    if !fits_value {
        let message = format!("`as = \"{shown}\"` does not fit this kind of value");
        refuse(&form.span, message, "take `as` out, or change `value`");
    }
    if let Some(compare) = raw.compare.given()
        && compare.value != Compare::Equal
        && !is_number(form.value)
        && !is_time(form.value)
    {
        let message = format!("`{shown}` has no order to compare by");
        refuse(
            &compare.span,
            message,
            "at-least and at-most need a number or a time",
        );
    }
    for (span, name) in [
        (raw.tolerance.given().map(|at| &at.span), "tolerance"),
        (raw.scale.given().map(|at| &at.span), "scale"),
        (raw.min.given().map(|at| &at.span), "min"),
        (raw.max.given().map(|at| &at.span), "max"),
    ] {
        if let Some(span) = span
            && !is_number(form.value)
            && !is_integral(form.value)
        {
            refuse(
                span,
                format!("`{name}` needs a number, not `{shown}`"),
                "take it out, or change `as`",
            );
        }
    }
    if let Some(balance) = raw.balance.given().filter(|at| at.value)
        && !is_number(form.value)
    {
        refuse(
            &balance.span,
            format!("a balance is a number, not `{shown}`"),
            "use as = \"decimal\"",
        );
    }
    if let Some(zone) = raw.time_zone.given()
        && !is_time(form.value)
    {
        refuse(
            &zone.span,
            format!("`{shown}` has no time zone"),
            "take `time_zone` out",
        );
    }
}

fn check_numbers(raw: &RawField, faults: &mut Vec<Fault>) {
    if let (Some(min), Some(max)) = (raw.min.given(), raw.max.given())
        && min.value > max.value
    {
        faults.push(
            Fault::new(
                max.span.clone(),
                format!("`max` {} is below `min` {}", max.value, min.value),
            )
            .hint("swap them"),
        );
    }
}

fn check_states(raw: &RawField, value: ValueKind, faults: &mut Vec<Fault>) {
    let Some(states) = raw.states.given() else {
        return;
    };
    let span = states
        .first()
        .map_or(raw.span.clone(), |state| state.span.clone());
    let mut refuse = |message: &str, hint: &str| {
        faults.push(Fault::new(span.clone(), message).hint(hint));
    };
    let distinct: HashSet<_> = states.iter().map(|state| &state.value).collect();
    if states.len() < 2 {
        refuse(
            "an order needs at least two states",
            "list them from first to last",
        );
    }
    if distinct.len() < states.len() {
        refuse(
            "a state is listed twice",
            "list each state once: one that comes back has no order",
        );
    }
    if raw
        .compare
        .given()
        .is_some_and(|at| at.value != Compare::Equal)
    {
        refuse(
            "`states` and `compare` each give an order",
            "keep one of them",
        );
    }
    if raw.form.given().is_some_and(|at| at.value != Form::Text)
        || matches!(value, ValueKind::Integer | ValueKind::Decimal)
    {
        refuse("states are words", "for numbers use compare = \"at-least\"");
    }
    let is_measured = raw.tolerance.given().is_some()
        || raw.scale.given().is_some()
        || raw.min.given().is_some()
        || raw.max.given().is_some()
        || raw.balance.or(false);
    if is_measured {
        refuse(
            "a state is no number: tolerance, scale, min, max and balance do not apply",
            "take them out",
        );
    }
}

/// Index of the field that `raw` follows.
fn leader(raw: &RawField, raws: &[&RawField], faults: &mut Vec<Fault>) -> Option<usize> {
    let follows = raw.follows.given()?;
    let found = raws.iter().position(|other| {
        other
            .cache
            .given()
            .is_some_and(|cache| cache.value == follows.value)
    });
    let fault = match found {
        None => follows
            .fault(format!("no field has {} as its `cache`", follows.shown()))
            .hint("name the `cache` of the field that leads"),
        Some(at) if std::ptr::eq(raws[at], raw) => follows
            .fault("a field cannot follow itself")
            .hint("name the field that leads"),
        Some(at) if !raws[at].follows.is_absent() => follows
            .fault("the leader follows another field")
            .hint("name that field: there are no chains"),
        Some(at) if !has_direction(raws[at]) => follows
            .fault("the leader does not tell old from new")
            .hint("a leader needs compare = \"at-least\" or \"at-most\", or states"),
        Some(_) if has_direction(raw) => follows
            .fault("a field with an order of its own follows nobody")
            .hint("take `follows` out, or its `compare` and `states`"),
        Some(at) => return Some(at),
    };
    faults.push(fault);
    None
}

/// Beside a directed field, one without a direction could not be told old from new, unless it follows
/// or a version speaks for the whole value.
fn require_leaders(raw: &RawCache, raws: &[&RawField], faults: &mut Vec<Fault>) {
    if !has_directed_field(raw) || !raw.version.is_absent() {
        return;
    }
    for field in raws {
        if !has_direction(field) && field.follows.is_absent() {
            faults.push(
                Fault::new(field.span.clone(), "beside a field with an order, this one does not tell old from new")
                    .hint("say which field it belongs to: follows = \"…\"; or map it in a check of its own"),
            );
        }
    }
}

pub(super) fn is_number(form: Form) -> bool {
    matches!(form, Form::Integer | Form::Decimal)
}

fn is_integral(form: Form) -> bool {
    matches!(
        form,
        Form::Integer | Form::EpochSeconds | Form::EpochMillis | Form::EpochMicros
    )
}

fn is_time(form: Form) -> bool {
    matches!(
        form,
        Form::DateTime | Form::Date | Form::EpochSeconds | Form::EpochMillis | Form::EpochMicros
    )
}
