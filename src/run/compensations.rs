//! What a confirmed finding of a cache means for the customer: which values were served wrong.

use std::collections::BTreeSet;

use super::check::CheckRun;
use super::findings::digest;
use crate::model::finding::{Compensation, Finding, Suspect, Verdict};
use crate::model::mapping::RowMeaning;
use crate::model::observation::Look;
use crate::model::value::Number;
use crate::model::value::number::difference;
use crate::rules::{Case, Comparison};

/// One for each money field whose served and true value differ, whether or not a rule names it: an old
/// document serves its old balance. Then one without a delta for each other field that a rule does name.
/// Nothing where the finding is not confirmed, or nobody is to be compensated.
pub(super) fn compensations_of(
    check: &CheckRun,
    look: &Look,
    suspects: &[Suspect],
    finding: &Finding,
) -> Vec<Compensation> {
    if finding.verdict != Verdict::Confirmed || finding.compensated.is_none() {
        return Vec::new();
    }
    let row = look.row.as_ref().map(|r| r.as_ref());
    let case = check.judge.case(row, &look.after);
    let spec = &check.mapping.check;
    let only = (spec.fields.len() == 1).then_some(0);
    let named: BTreeSet<usize> = suspects
        .iter()
        .filter_map(|suspect| suspect.field.or(only))
        .collect();
    let money_first = (0..spec.fields.len())
        .filter(|&at| spec.fields[at].balance)
        .chain(named.into_iter().filter(|&at| !spec.fields[at].balance));
    money_first
        .filter(|&at| was_served_wrong(&case, at))
        .map(|at| {
            let field = &spec.fields[at];
            let served = check.judge.shown_field(at, &look.after.cached);
            let true_value = row
                .filter(|_| case.meaning == RowMeaning::Live)
                .and_then(|r| r.cell(check.mapping.field_cells[at]))
                .map(<[u8]>::to_vec);
            let delta = match (&served, &true_value) {
                (Some(served), Some(truth)) if field.balance && !field.redact => {
                    Number::parse(truth)
                        .zip(Number::parse(served))
                        .and_then(|(truth, served)| difference(&truth, &served))
                }
                _ => None,
            };
            let shown = |v: Option<Vec<u8>>| v.map(|v| if field.redact { digest(&v) } else { v });
            Compensation {
                field: field.cache.to_string(),
                served: shown(served),
                true_value: shown(true_value),
                delta,
                currency: spec.currency.clone().filter(|_| field.balance),
                exposed_from: finding.changed_at,
                exposed_until: finding.settled_at,
            }
        })
        .collect()
}

/// Whether a reader was given something else than the truth in this field. What is legally ahead is the truth
/// that MySQL does not know yet.
fn was_served_wrong(case: &Case<'_>, at: usize) -> bool {
    let ahead_ok = case.mapping.check.ahead_ok;
    match case.fields.get(at).map(|field| field.comparison) {
        Some(Comparison::Equal) => false,
        Some(Comparison::Ahead) => !ahead_ok,
        Some(_) => !ahead_ok || case.is_judged(at),
        // There is no row, or nothing that could be read: no field was compared.
        None => true,
    }
}
