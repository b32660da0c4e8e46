//! A settled target becomes rows of `findings.csv`.

use sha2::{Digest, Sha256};

use super::check::CheckRun;
use super::compensations::compensations_of;
use super::mend::Mended;
use super::settle::Settled;
use crate::model::check::FieldSpec;
use crate::model::finding::{Finding, Suspect, Verdict};
use crate::model::observation::Look;
use crate::model::rows::RowRef;
use crate::model::time::Micros;
use crate::model::value::Number;
use crate::model::value::number::difference;
use crate::plan::attribute;
use crate::rules::changed_at;

/// One finding for each suspect of a target.
pub(super) fn findings_of(
    check: &CheckRun,
    settled: &Settled<CheckRun>,
    mended: &Mended,
) -> Vec<Finding> {
    let mut findings: Vec<Finding> = settled
        .suspects
        .iter()
        .map(|suspect| finding_of(check, settled, suspect, mended))
        .collect();
    // However many rules speak of it, a wrong value was served once.
    if let (Some(first), Some(look)) = (findings.first_mut(), &settled.look) {
        first.compensations = compensations_of(check, look, &settled.suspects, first);
    }
    findings
}

fn finding_of(
    check: &CheckRun,
    settled: &Settled<CheckRun>,
    suspect: &Suspect,
    mended: &Mended,
) -> Finding {
    let mapping = &check.mapping;
    let look = settled.look.as_ref();
    let row = look.and_then(|l| l.row.as_ref()).map(|r| r.as_ref());
    let changed_at = row.and_then(|row| changed_at(mapping, row));
    let field = suspect.field.map(|at| (at, &mapping.check.fields[at]));
    let values = look.map_or_else(Values::default, |look| values(check, look, row, field));
    let told = mended.told(&settled.reason);
    let reason = joined(suspect, &told.reason);
    let observed_at = look.map_or_else(Micros::now, |l| l.at);
    Finding {
        check: check.name().to_owned(),
        subject: settled.target.subject.clone(),
        position: settled.target.position,
        stream_id: None,
        suspect: suspect.clone(),
        verdict: settled.verdict,
        attribution: attribute(changed_at, check.ground.window, &check.ground.timing),
        cache_value: values.cache,
        source_value: values.source,
        cache_version: look.and_then(|l| check.judge.shown_version(&l.after.cached)),
        source_version: mapping
            .version_cell
            .and_then(|cell| row?.cell(cell))
            .map(<[u8]>::to_vec),
        compensated: mapping
            .subject_cell
            .and_then(|cell| row?.cell(cell))
            .map(<[u8]>::to_vec),
        changed_at,
        money_delta: values.money_delta,
        remedy: told.remedy,
        outcome: told.outcome,
        reason,
        observed_at,
        settled_at: match settled.verdict {
            Verdict::Transient => Some(observed_at),
            _ => told.repaired_at,
        },
        compensations: Vec::new(),
    }
}

/// What the rule adds, and what became of it.
pub(super) fn joined(suspect: &Suspect, reason: &str) -> String {
    [suspect.detail.as_deref().unwrap_or_default(), reason]
        .iter()
        .filter(|part| !part.is_empty())
        .copied()
        .collect::<Vec<&str>>()
        .join("; ")
}

#[derive(Default)]
struct Values {
    cache: Option<Vec<u8>>,
    source: Option<Vec<u8>>,
    money_delta: Option<String>,
}

/// Both sides of a field; for a finding about a whole scalar, of that scalar. A whole document is never
/// shown, because it may hold members that the job does not map.
fn values(
    check: &CheckRun,
    look: &Look,
    row: Option<RowRef<'_>>,
    field: Option<(usize, &FieldSpec)>,
) -> Values {
    let fields = &check.mapping.check.fields;
    let only = || (fields.len() == 1).then(|| (0, &fields[0]));
    let Some((at, spec)) = field.or_else(only) else {
        return Values::default();
    };
    let cache = check.judge.shown_field(at, &look.after.cached);
    let source = row
        .and_then(|r| r.cell(check.mapping.field_cells[at]))
        .map(<[u8]>::to_vec);
    let money_delta = match (&cache, &source) {
        (Some(cache), Some(source)) if spec.balance && !spec.redact => Number::parse(source)
            .zip(Number::parse(cache))
            .and_then(|(s, c)| difference(&s, &c)),
        _ => None,
    };
    let shown = |value: Option<Vec<u8>>| value.map(|v| if spec.redact { digest(&v) } else { v });
    Values {
        cache: shown(cache),
        source: shown(source),
        money_delta,
    }
}

/// What stands for a redacted value: equal values have equal digests.
pub(super) fn digest(value: &[u8]) -> Vec<u8> {
    format!("sha256:{}", hex::encode(Sha256::digest(value))).into_bytes()
}
