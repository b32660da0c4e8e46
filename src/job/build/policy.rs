//! Who is written first, what may be repaired, and how it is kept from doing harm.

use super::cache::is_directed;
use crate::job::fault::Fault;
use crate::job::raw::{RawCache, RawField};
use crate::job::reader::{At, Setting};
use crate::model::check::{
    Expiry, Form, Guard, Order, RepairMode, RepairOrphans, ValueKind, Writes,
};

/// What can be said whatever lies in the cache.
pub(super) fn check(raw: &RawCache, faults: &mut Vec<Fault>) {
    check_order(raw, faults);
    check_invalidation(raw, faults);
    check_guard(raw, faults);
    check_expiry(raw, faults);
    if let Some(ahead_ok) = raw.ahead_ok.given().filter(|at| at.value)
        && !is_directed(raw)
    {
        faults.push(
            Fault::new(
                ahead_ok.span.clone(),
                "nothing here tells ahead from behind",
            )
            .hint("`ahead_ok` needs a version, or a field with `compare` or `states`"),
        );
    }
    let fields = raw.fields.given().map_or(&[][..], Vec::as_slice);
    let has_balance = fields
        .iter()
        .chain(raw.score.given())
        .any(|field| field.balance.or(false));
    if let Some(currency) = raw.currency.given()
        && !has_balance
        && !matches!(raw.fields, Setting::Faulty)
    {
        faults.push(
            currency
                .fault("a currency, but no balance")
                .hint("mark the field that is money: balance = true"),
        );
    }
}

/// What depends on the kind of value.
pub(super) fn check_value(
    raw: &RawCache,
    value: ValueKind,
    is_row_per_member: bool,
    faults: &mut Vec<Fault>,
) {
    if let Some(absent) = raw.absent.given().and_then(|texts| texts.first())
        && matches!(value, ValueKind::Zset | ValueKind::Set)
    {
        faults.push(
            absent
                .fault("a member of a zset or set is there or not")
                .hint("take `absent` out: it is for values that mean \"no such row\""),
        );
    }
    if let Some(writes) = raw.writes.given().filter(|at| at.value == Writes::Delta) {
        check_delta(raw, writes, value, is_row_per_member, faults);
    }
}

fn repair(raw: &RawCache) -> RepairMode {
    raw.repair.or(RepairMode::Report)
}

fn order(raw: &RawCache) -> Option<Order> {
    raw.order.value()
}

fn check_order(raw: &RawCache, faults: &mut Vec<Fault>) {
    let Some(mode) = raw
        .repair
        .given()
        .filter(|at| at.value != RepairMode::Report)
    else {
        return;
    };
    if is_directed(raw) {
        return;
    }
    let (message, hint) = match (&raw.order, order(raw)) {
        (Setting::Absent, _) => (
            "nothing says which side is right, so nothing can be repaired",
            "add order = \"source-first\" if the application writes MySQL first; or a version",
        ),
        (_, Some(Order::CacheFirst)) => (
            "the cache is written first and nothing tells old from new, so nothing can be repaired",
            "add a version, or `compare` or `states` to a field; or repair = \"report\"",
        ),
        _ => return,
    };
    faults.push(Fault::new(mode.span.clone(), message).hint(hint));
}

fn check_invalidation(raw: &RawCache, faults: &mut Vec<Fault>) {
    let is_cache_first = order(raw) == Some(Order::CacheFirst);
    if let Some(mode) = raw
        .repair
        .given()
        .filter(|at| at.value == RepairMode::Invalidate)
    {
        if is_cache_first {
            faults.push(
                Fault::new(
                    mode.span.clone(),
                    "the cache is written first: its copy may be the only one",
                )
                .hint("use repair = \"overwrite\" or \"report\""),
            );
        }
        if !raw.lazy.or(false) && !matches!(raw.lazy, Setting::Faulty) {
            faults.push(
                Fault::new(mode.span.clone(), "nobody would refill an invalidated key")
                    .hint("add lazy = true if the application reads MySQL on a miss; else use \"overwrite\""),
            );
        }
    }
    if let Some(mode) = raw
        .repair_orphans
        .given()
        .filter(|at| at.value == RepairOrphans::Invalidate)
        && is_cache_first
    {
        faults.push(
            Fault::new(
                mode.span.clone(),
                "the cache is written first: a key without a row may be one whose row is still to come",
            )
            .hint("use repair_orphans = \"report\""),
        );
    }
}

fn check_guard(raw: &RawCache, faults: &mut Vec<Fault>) {
    if let Some(guard) = raw.guard.given().filter(|at| at.value == Guard::Cas)
        && !is_directed(raw)
    {
        faults.push(
            Fault::new(
                guard.span.clone(),
                "the same bytes may have come back: without a direction `cas` cannot tell (ABA)",
            )
            .hint("use guard = \"auto\" or \"row-lock\""),
        );
        return;
    }
    let needs_lock = match raw.guard.or(Guard::Auto) {
        Guard::RowLock => true,
        Guard::Auto => !is_directed(raw),
        Guard::Cas => false,
    };
    if needs_lock
        && !raw.sql.is_absent()
        && raw.lock_sql.is_absent()
        && repair(raw) != RepairMode::Report
    {
        let span = [
            raw.guard.given().map(|at| &at.span),
            raw.repair.given().map(|at| &at.span),
        ]
        .into_iter()
        .flatten()
        .next()
        .unwrap_or(&raw.span);
        faults.push(
            Fault::new(span.clone(), "a repair would have to lock rows, and `sql` does not say which")
                .hint("add lock_sql = \"SELECT id FROM auction WHERE id IN (:ids)\": the rows every writer locks"),
        );
    }
}

fn check_expiry(raw: &RawCache, faults: &mut Vec<Fault>) {
    match (raw.expiry.given(), raw.ttl.given()) {
        (
            Some(At {
                value: Expiry::None,
                ..
            }),
            Some(ttl),
        ) => faults.push(
            Fault::new(
                ttl.span.clone(),
                "the keys do not expire, so they have no `ttl`",
            )
            .hint("take `ttl` out, or change `expiry`"),
        ),
        (
            Some(At {
                value: Expiry::Required,
                span,
            }),
            None,
        ) if raw.ttl.is_absent() && repair(raw) != RepairMode::Report => {
            faults.push(
                Fault::new(
                    span.clone(),
                    "a repaired key must expire, and nothing says when",
                )
                .hint("add ttl = \"1h\""),
            );
        }
        _ => {}
    }
}

fn check_delta(
    raw: &RawCache,
    writes: &At<Writes>,
    value: ValueKind,
    is_row_per_member: bool,
    faults: &mut Vec<Fault>,
) {
    let mut refuse = |message: &str, hint: &str| {
        faults.push(Fault::new(writes.span.clone(), message).hint(hint))
    };
    let fields = raw.fields.given().map_or(&[][..], Vec::as_slice);
    let is_integer = |field: &RawField| field.form.or(Form::Integer) == Form::Integer;
    let fits = match value {
        ValueKind::Integer => true,
        ValueKind::Hash => is_row_per_member || !fields.is_empty(),
        _ => false,
    };
    if !fits || !fields.iter().all(is_integer) {
        refuse(
            "only an integer, or the integer fields of a hash, is written by INCRBY",
            "use writes = \"set\"",
        );
    }
    if !raw.version.is_absent() {
        refuse(
            "a version cannot be written together with a delta",
            "use writes = \"set\"",
        );
    }
    if order(raw) != Some(Order::SourceFirst) && !matches!(raw.order, Setting::Faulty) {
        refuse(
            "the gap of a counter means something only if MySQL is written first",
            "add order = \"source-first\"",
        );
    }
    if repair(raw) == RepairMode::Invalidate {
        refuse(
            "an INCRBY under way would begin again at zero after an invalidation",
            "use repair = \"overwrite\": it adds the gap",
        );
    }
    if fields.iter().any(|field| !field.follows.is_absent()) {
        refuse(
            "a field that follows is written as a whole, not by a delta",
            "use writes = \"set\"",
        );
    }
}
