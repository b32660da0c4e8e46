//! One row of `affected_ranges.csv` while it is still growing.

use std::str::FromStr;

use bigdecimal::num_bigint::BigInt;

use super::cell::escape_id;
use super::money::Money;
use crate::model::finding::{Finding, Severity};
use crate::model::stream::StreamId;
use crate::model::time::Micros;

/// What a range takes of a finding.
#[derive(Debug, Clone)]
pub(super) struct Affected<'a> {
    /// `None`: the run that writes the file.
    pub run_id: Option<&'a str>,
    pub severity: Severity,
    pub id: &'a [Vec<u8>],
    pub stream_id: Option<StreamId>,
    pub changed_at: Option<Micros>,
    pub settled_at: Option<Micros>,
    pub cache_version: Option<&'a [u8]>,
    pub source_version: Option<&'a [u8]>,
    pub money_delta: Option<&'a str>,
    pub attribution: &'a str,
}

impl<'a> Affected<'a> {
    pub(super) fn of(finding: &'a Finding) -> Self {
        Self {
            run_id: None,
            severity: finding.suspect.severity,
            id: &finding.subject.id,
            stream_id: finding.stream_id,
            changed_at: finding.changed_at,
            settled_at: finding.settled_at,
            cache_version: finding.cache_version.as_deref(),
            source_version: finding.source_version.as_deref(),
            money_delta: finding.money_delta.as_deref(),
            attribution: finding.attribution.name(),
        }
    }
}

/// An unbroken run of confirmed findings of one rule of one check.
#[derive(Debug, Clone)]
pub(super) struct OpenRange {
    /// Of its first finding.
    pub(super) run_id: Option<String>,
    severity: Severity,
    first_id: Vec<Vec<u8>>,
    last_id: Vec<Vec<u8>>,
    first_stream_id: Option<StreamId>,
    last_stream_id: Option<StreamId>,
    /// Place of the first and the last key among all ids observed by the check.
    first_place: u64,
    pub(super) last_place: u64,
    /// Keys before the last one.
    keys_whole: u64,
    keys_repaired: u64,
    /// Whether every finding on the last key was put right.
    last_is_repaired: bool,
    changed: Option<(Micros, Micros)>,
    exposed_from: Option<Micros>,
    /// The latest moment a key was right again; `None` once one of them is not.
    settled: Option<Micros>,
    gaps: Option<(BigInt, BigInt)>,
    money: Money,
    attribution: String,
}

impl OpenRange {
    pub(super) fn begin(finding: &Affected<'_>, place: u64, promoted_at: Option<Micros>) -> Self {
        let mut range = Self {
            run_id: finding.run_id.map(str::to_owned),
            severity: finding.severity,
            first_id: finding.id.to_vec(),
            last_id: finding.id.to_vec(),
            first_stream_id: finding.stream_id,
            last_stream_id: finding.stream_id,
            first_place: place,
            last_place: place,
            keys_whole: 0,
            keys_repaired: 0,
            last_is_repaired: true,
            changed: None,
            exposed_from: None,
            settled: Some(Micros(i64::MIN)),
            gaps: None,
            money: Money::None,
            attribution: finding.attribution.to_owned(),
        };
        range.absorb(finding, promoted_at);
        range
    }

    /// Goes on with a finding on the same key, or on the next one.
    pub(super) fn extend(
        &mut self,
        finding: &Affected<'_>,
        place: u64,
        promoted_at: Option<Micros>,
    ) {
        if place != self.last_place {
            self.keys_repaired += u64::from(self.last_is_repaired);
            self.keys_whole += 1;
            self.last_is_repaired = true;
            self.last_place = place;
            self.last_id = finding.id.to_vec();
            self.last_stream_id = finding.stream_id;
        }
        self.absorb(finding, promoted_at);
    }

    /// Cells from `severity` to `attribution`.
    pub(super) fn cells(&self) -> [String; 17] {
        let keys = self.keys_whole + 1;
        let repaired = self.keys_repaired + u64::from(self.last_is_repaired);
        let time = |t: Option<Micros>| t.map(Micros::to_rfc3339).unwrap_or_default();
        let entry = |id: Option<StreamId>| id.map(|id| id.to_string()).unwrap_or_default();
        [
            self.severity.name().to_owned(),
            escape_id(&self.first_id),
            escape_id(&self.last_id),
            keys.to_string(),
            (self.last_place - self.first_place + 1).to_string(),
            time(self.changed.map(|c| c.0)),
            time(self.changed.map(|c| c.1)),
            entry(self.first_stream_id),
            entry(self.last_stream_id),
            self.gaps
                .as_ref()
                .map(|g| g.0.to_string())
                .unwrap_or_default(),
            self.gaps
                .as_ref()
                .map(|g| g.1.to_string())
                .unwrap_or_default(),
            self.money.cell(),
            repaired.to_string(),
            (keys - repaired).to_string(),
            time(self.exposed_from),
            time(self.settled),
            self.attribution.clone(),
        ]
    }

    fn absorb(&mut self, finding: &Affected<'_>, promoted_at: Option<Micros>) {
        self.severity = self.severity.max(finding.severity);
        self.last_is_repaired &= finding.settled_at.is_some();
        if let Some(at) = finding.changed_at {
            let (first, last) = self.changed.unwrap_or((at, at));
            self.changed = Some((first.min(at), last.max(at)));
            let wrong_from = promoted_at.map_or(at, |promoted| promoted.max(at));
            self.exposed_from = Some(self.exposed_from.map_or(wrong_from, |e| e.min(wrong_from)));
        }
        self.settled = match (self.settled, finding.settled_at) {
            (Some(so_far), Some(at)) => Some(so_far.max(at)),
            _ => None,
        };
        if let Some(gap) = version_gap(finding) {
            let (least, most) = self
                .gaps
                .take()
                .unwrap_or_else(|| (gap.clone(), gap.clone()));
            self.gaps = Some((least.min(gap.clone()), most.max(gap)));
        }
        if let Some(delta) = finding.money_delta {
            self.money.add(delta);
        }
        if self.attribution != finding.attribution {
            self.attribution = MIXED.to_owned();
        }
    }
}

/// Attribution of a range whose findings differ in it.
const MIXED: &str = "mixed";

/// source − cache, where both versions are whole numbers.
fn version_gap(finding: &Affected<'_>) -> Option<BigInt> {
    let whole = |bytes: Option<&[u8]>| {
        let text = std::str::from_utf8(bytes?).ok()?;
        // A version is a column's number; what has more digits is a document gone wrong.
        if text.len() > 80 {
            None
        } else {
            BigInt::from_str(text).ok()
        }
    };
    Some(whole(finding.source_version)? - whole(finding.cache_version)?)
}
