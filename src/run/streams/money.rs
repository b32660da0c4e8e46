//! What an entry is worth, on both sides.

use super::check::StreamRun;
use crate::model::finding::{Compensation, RuleId};
use crate::model::rows::RowRef;
use crate::model::stream::Entry;
use crate::model::time::Micros;
use crate::run::findings::digest;

/// The rules whose cases cost somebody money. Where only an acknowledgement, a group or a trimmed entry is the
/// matter, the effect is what it should be.
const COSTLY: [&str; 4] = [
    "acked-unpersisted",
    "orphan-pending",
    "poison-pending",
    "payload-conflict",
];

/// One field on both sides, as it may be shown.
#[derive(Debug, Default)]
pub(super) struct Sides {
    pub cache: Option<Vec<u8>>,
    pub source: Option<Vec<u8>>,
    /// source − cache, exact; a row that is missing counts as 0.
    pub delta: Option<String>,
}

/// The field at `index` of an entry and of its row.
pub(super) fn sides(
    run: &StreamRun,
    index: usize,
    entry: Option<&Entry>,
    row: Option<RowRef<'_>>,
) -> Sides {
    let check = run.check();
    let spec = &check.rows.fields[index];
    let cache = entry.and_then(|entry| run.judge.shown_field(index, entry));
    let source = row.and_then(|row| run.judge.shown_cell(index, row));
    let is_money = check.money == Some(index) && !spec.redact;
    let shown = |value: Option<Vec<u8>>| value.map(|v| if spec.redact { digest(&v) } else { v });
    Sides {
        cache: shown(cache),
        source: shown(source),
        delta: is_money
            .then(|| run.judge.money_delta(entry, row))
            .flatten(),
    }
}

/// What it means for the customer, where it means something.
pub(super) fn compensations(
    run: &StreamRun,
    rule: RuleId,
    sides: &Sides,
    exposed: (Option<Micros>, Option<Micros>),
) -> Vec<Compensation> {
    let check = run.check();
    let Some(money) = check.money.filter(|_| COSTLY.contains(&rule.0)) else {
        return Vec::new();
    };
    // Compared as numbers where they are: 10.5 is what 10.50 is.
    if sides.cache == sides.source || sides.delta.as_deref() == Some("0") {
        return Vec::new();
    }
    vec![Compensation {
        field: check.rows.fields[money].cache.to_string(),
        served: sides.cache.clone(),
        true_value: sides.source.clone(),
        delta: sides.delta.clone(),
        currency: check.rows.currency.clone(),
        exposed_from: exposed.0,
        exposed_until: exposed.1,
    }]
}
