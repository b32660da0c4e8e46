//! One check.

use super::{fields, overlaps, policy, source};
use crate::job::elements::locator;
use crate::job::fault::Fault;
use crate::job::raw::{RawCache, RawField};
use crate::job::reader::Setting;
use crate::job::spec::Limits;
use crate::model::check::{
    CacheCheck, Compare, Expiry, Guard, Locator, RepairMode, RepairOrphans, ValueKind, VersionSpec,
    Writes,
};

/// The check, or `None` when a fault says why not. Every part is looked at, whatever is wrong with
/// the others.
pub(super) fn cache(
    raw: &RawCache,
    limits: &Limits,
    faults: &mut Vec<Fault>,
) -> Option<CacheCheck> {
    let source = source::source(raw, faults);
    let window = source::window(raw, faults);
    let deletes = source::deletes(raw, faults);
    policy::check(raw, faults);
    // What lies in the cache can only be judged once it is known what that is.
    let value = raw.value.value()?;
    let layout = source::layout(raw, value, faults);
    let is_row_per_member = source::is_row_per_member(raw, value);
    policy::check_value(raw, value, is_row_per_member, faults);
    let version = version(raw, value, is_row_per_member, faults);
    let ignore = ignore(raw, value, is_row_per_member, faults);
    let fields = fields::fields(raw, value, is_row_per_member, faults);
    overlaps::refuse(raw, value, faults);
    let key = raw.key.given()?;
    Some(CacheCheck {
        name: raw.name.value()?,
        key: key.value.clone(),
        key_span: key.span.clone(),
        value,
        layout: layout?,
        source: source?,
        window: window?,
        deletes: deletes?,
        version: version?,
        fields: fields?,
        ignore: ignore?,
        lazy: raw.lazy.or(false),
        expiry: raw.expiry.or(Expiry::Any),
        ttl: raw.ttl.value(),
        absent: raw.absent.given().map_or_else(Vec::new, |texts| {
            texts
                .iter()
                .map(|text| text.value.clone().into_bytes())
                .collect()
        }),
        expect_present: raw.expect_present.or(false),
        order: raw.order.value(),
        writes: raw.writes.or(Writes::Set),
        ahead_ok: raw.ahead_ok.or(false),
        subject: raw.subject.value(),
        currency: raw.currency.given().map(|text| text.value.clone()),
        repair: raw.repair.or(RepairMode::Report),
        repair_orphans: raw.repair_orphans.or(RepairOrphans::Report),
        guard: raw.guard.or(Guard::Auto),
        settle: raw.settle.or(limits.settle),
        cache_delay: raw.cache_delay.or(limits.cache_delay),
    })
}

/// Whether something in the cached value never goes back. A faulty setting counts as given, so that
/// one mistake is not reported as two.
pub(super) fn is_directed(raw: &RawCache) -> bool {
    !raw.version.is_absent() || has_directed_field(raw)
}

pub(super) fn has_directed_field(raw: &RawCache) -> bool {
    matches!(raw.fields, Setting::Faulty)
        || matches!(raw.score, Setting::Faulty)
        || raw
            .fields
            .given()
            .into_iter()
            .flatten()
            .chain(raw.score.given())
            .any(has_direction)
}

/// Whether the field alone tells old from new.
pub(super) fn has_direction(raw: &RawField) -> bool {
    let is_ordered = match &raw.compare {
        Setting::Given(compare) => compare.value != Compare::Equal,
        Setting::Faulty => true,
        Setting::Absent => false,
    };
    is_ordered || !raw.states.is_absent()
}

/// Whether there is one document per row, whose members can be named.
pub(super) fn is_document(value: ValueKind, is_row_per_member: bool) -> bool {
    matches!(value, ValueKind::Json | ValueKind::Hash) && !is_row_per_member
}

fn version(
    raw: &RawCache,
    value: ValueKind,
    is_row_per_member: bool,
    faults: &mut Vec<Fault>,
) -> Option<Option<VersionSpec>> {
    let Some(version) = raw.version.given() else {
        return raw.version.is_absent().then_some(None);
    };
    if !is_document(value, is_row_per_member) {
        faults.push(
            Fault::new(
                version.span.clone(),
                "only a json or a hash value of one row holds a version",
            )
            .hint("take `version` out; a number that never falls is `compare = \"at-least\"`"),
        );
        return None;
    }
    let cache = version
        .cache
        .given()
        .and_then(|text| kept(locator::parse(text, value), faults));
    Some(Some(VersionSpec {
        cache: cache?,
        column: version.column.value()?,
    }))
}

fn ignore(
    raw: &RawCache,
    value: ValueKind,
    is_row_per_member: bool,
    faults: &mut Vec<Fault>,
) -> Option<Vec<Locator>> {
    let Some(texts) = raw.ignore.given() else {
        return raw.ignore.is_absent().then(Vec::new);
    };
    if let Some(first) = texts.first()
        && !is_document(value, is_row_per_member)
    {
        faults.push(
            first
                .fault("only a json or a hash value of one row has members to ignore")
                .hint("take `ignore` out"),
        );
        return None;
    }
    texts
        .iter()
        .map(|text| kept(locator::parse(text, value), faults))
        .collect()
}

/// The value, or its fault put aside.
pub(super) fn kept<T>(result: Result<T, Fault>, faults: &mut Vec<Fault>) -> Option<T> {
    result.map_err(|fault| faults.push(fault)).ok()
}
