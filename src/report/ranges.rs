//! `affected_ranges.csv`: one row for each unbroken run of confirmed findings of one rule.
//!
//! Findings come in sweep order, slice after slice. A place counts all ids a check has observed so
//! far, over all its slices, so that two findings are neighbours exactly if their places are. Only
//! the open range of each (check, rule) is held.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::ReportError;
use super::cell::guard;
use super::csv_file::CsvFile;
use super::range_row::{Affected, OpenRange};
use crate::model::finding::{Finding, Verdict};
use crate::model::observation::Position;
use crate::model::time::Micros;

/// Appends rows to `affected_ranges.csv.partial`.
pub struct RangesWriter {
    file: CsvFile,
    run_id: String,
    job: String,
    promoted_at: Option<Micros>,
    checks: BTreeMap<String, Sweep>,
}

pub(super) const FILE_NAME: &str = "affected_ranges.csv";

pub(super) const COLUMNS: [&str; 21] = [
    "run_id",
    "job",
    "check",
    "rule",
    "severity",
    "first_id",
    "last_id",
    "keys_affected",
    "keys_observed",
    "first_changed_at",
    "last_changed_at",
    "first_stream_id",
    "last_stream_id",
    "min_version_gap",
    "max_version_gap",
    "money_delta",
    "repaired",
    "unrepaired",
    "exposed_from",
    "exposed_until",
    "attribution",
];

/// How far one check's sweep is, and what is open in it.
#[derive(Default)]
struct Sweep {
    /// The slice whose findings are coming in.
    slice: u32,
    /// Ids observed in the slices before it.
    observed_before: u64,
    open: BTreeMap<String, OpenRange>,
}

impl RangesWriter {
    pub(super) fn create(
        folder: &Path,
        job: &str,
        run_id: Uuid,
        promoted_at: Option<Micros>,
    ) -> Result<Self, ReportError> {
        let file = CsvFile::create(folder, FILE_NAME, &COLUMNS)?;
        Ok(Self {
            file,
            run_id: run_id.to_string(),
            job: job.to_owned(),
            promoted_at,
            checks: BTreeMap::new(),
        })
    }

    /// Takes the next finding of its check, in order of position; one that is not `confirmed` is
    /// ignored. Several findings of one rule on one id are one key.
    pub fn write(&mut self, finding: &Finding) -> Result<(), ReportError> {
        if finding.verdict != Verdict::Confirmed {
            return Ok(());
        }
        let rule = finding.suspect.rule.0;
        self.write_affected(
            &finding.check,
            rule,
            finding.position,
            &Affected::of(finding),
        )
    }

    /// The same of a confirmed finding that another run wrote down.
    pub(super) fn write_affected(
        &mut self,
        check: &str,
        rule: &str,
        position: Position,
        affected: &Affected<'_>,
    ) -> Result<(), ReportError> {
        let promoted_at = self.promoted_at;
        let sweep = self.checks.entry(check.to_owned()).or_default();
        let place = sweep.place(position);
        if let Some(open) = sweep.open.get_mut(rule)
            && (place == open.last_place || place.checked_sub(1) == Some(open.last_place))
        {
            open.extend(affected, place, promoted_at);
            return Ok(());
        }
        let begun = OpenRange::begin(affected, place, promoted_at);
        match sweep.open.insert(rule.to_owned(), begun) {
            Some(closed) => self.write_row(check, rule, &closed),
            None => Ok(()),
        }
    }

    /// Says that `slice` of `check` is whole and how many ids it observed: its last id and the first
    /// one of the next slice are neighbours. Slices that are never said to be done end every range
    /// that touches them.
    pub fn slice_done(
        &mut self,
        check: &str,
        slice: u32,
        observed: u64,
    ) -> Result<(), ReportError> {
        let sweep = self.checks.entry(check.to_owned()).or_default();
        sweep.place(Position { slice, ordinal: 0 });
        sweep.slice = slice + 1;
        sweep.observed_before += observed;
        let end = sweep.observed_before;
        let (open, closed): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(&mut sweep.open)
            .into_iter()
            .partition(|(_, r)| r.last_place + 1 == end);
        sweep.open = open;
        closed
            .into_iter()
            .try_for_each(|(rule, range)| self.write_row(check, &rule, &range))?;
        self.file.flush()
    }

    /// Closes what is open and makes the file whole.
    pub fn finish(mut self) -> Result<PathBuf, ReportError> {
        for (check, sweep) in std::mem::take(&mut self.checks) {
            for (rule, range) in sweep.open {
                self.write_row(&check, &rule, &range)?;
            }
        }
        self.file.finish()
    }

    fn write_row(&mut self, check: &str, rule: &str, range: &OpenRange) -> Result<(), ReportError> {
        let mut cells = vec![
            range.run_id.as_ref().unwrap_or(&self.run_id).clone(),
            self.job.clone(),
            check.to_owned(),
            rule.to_owned(),
        ];
        cells.extend(range.cells());
        let cells: Vec<String> = cells.into_iter().map(guard).collect();
        self.file.write(&cells)
    }
}

impl Sweep {
    /// Where `position` stands among all ids the check observed. Going on to a slice without the
    /// one before it being done leaves a hole that no range crosses.
    fn place(&mut self, position: Position) -> u64 {
        if position.slice != self.slice {
            let furthest = self.open.values().map(|r| r.last_place + 1).max();
            self.observed_before = self.observed_before.max(furthest.unwrap_or(0)) + 1;
            self.slice = position.slice;
        }
        self.observed_before + position.ordinal
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::super::findings::tests::finding;
    use super::*;
    use crate::model::finding::{Attribution, OutcomeKind, RuleId, Severity};
    use crate::model::stream::StreamId;

    enum Step {
        Finding(Box<Finding>),
        Done(u32, u64),
    }

    fn at(slice: u32, ordinal: u64) -> Finding {
        let id = format!("{slice}{ordinal}").into_bytes();
        finding(Position { slice, ordinal }, b"k", &[&id])
    }

    fn step(slice: u32, ordinal: u64) -> Step {
        Step::Finding(Box::new(at(slice, ordinal)))
    }

    /// Rows as (column → cell).
    fn rows(steps: &[Step]) -> Vec<BTreeMap<String, String>> {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = RangesWriter::create(folder.path(), "auction", Uuid::nil(), None).unwrap();
        for step in steps {
            match step {
                Step::Finding(finding) => writer.write(finding).unwrap(),
                Step::Done(slice, observed) => {
                    writer.slice_done("profile", *slice, *observed).unwrap()
                }
            }
        }
        let path = writer.finish().unwrap();
        csv::Reader::from_path(path)
            .unwrap()
            .deserialize()
            .map(Result::unwrap)
            .collect()
    }

    fn ids(steps: &[Step]) -> Vec<(String, String)> {
        rows(steps)
            .into_iter()
            .map(|r| (r["first_id"].clone(), r["last_id"].clone()))
            .collect()
    }

    fn pair(first: &str, last: &str) -> (String, String) {
        (first.to_owned(), last.to_owned())
    }

    #[test]
    fn a_gap_in_ordinals_ends_a_range() {
        assert_eq!(
            ids(&[step(0, 1), step(0, 2), step(0, 4)]),
            [pair("01", "02"), pair("04", "04")]
        );
    }

    #[test]
    fn neighbouring_slices_are_one_range_once_their_length_is_known() {
        let joined = [step(0, 8), step(0, 9), Step::Done(0, 10), step(1, 0)];
        assert_eq!(ids(&joined), [pair("08", "10")]);
        let apart = [step(0, 8), Step::Done(0, 10), step(1, 0)];
        assert_eq!(ids(&apart), [pair("08", "08"), pair("10", "10")]);
        let empty_between = [step(0, 0), Step::Done(0, 1), Step::Done(1, 0), step(2, 0)];
        assert_eq!(ids(&empty_between), [pair("00", "20")]);
        let clean_between = [step(0, 0), Step::Done(0, 1), Step::Done(1, 1), step(2, 0)];
        assert_eq!(ids(&clean_between), [pair("00", "00"), pair("20", "20")]);
    }

    #[test]
    fn a_slice_that_was_never_done_ends_a_range() {
        assert_eq!(
            ids(&[step(0, 9), step(1, 0)]),
            [pair("09", "09"), pair("10", "10")]
        );
        assert_eq!(
            ids(&[step(0, 9), Step::Done(0, 10), Step::Done(2, 5), step(3, 0)]),
            [pair("09", "09"), pair("30", "30")]
        );
    }

    #[test]
    fn rules_and_checks_have_ranges_of_their_own() {
        let mut other = at(0, 1);
        other.suspect.rule = RuleId("version-regression");
        let mut elsewhere = at(0, 2);
        elsewhere.check = "balance".into();
        let steps = [
            step(0, 0),
            step(0, 1),
            Step::Finding(Box::new(other)),
            step(0, 2),
        ];
        assert_eq!(ids(&steps), [pair("00", "02"), pair("01", "01")]);
        assert_eq!(
            ids(&[step(0, 1), Step::Finding(Box::new(elsewhere))]),
            [pair("02", "02"), pair("01", "01")]
        );
    }

    #[test]
    fn only_confirmed_findings_are_in_a_range() {
        let mut healed = at(0, 1);
        healed.verdict = Verdict::Transient;
        assert_eq!(
            ids(&[step(0, 0), Step::Finding(Box::new(healed)), step(0, 2)]),
            [pair("00", "00"), pair("02", "02")]
        );
    }

    #[test]
    fn sums_are_exact_and_keys_are_counted_once() {
        let mut first = at(0, 0);
        first.money_delta = Some("0.10".into());
        first.cache_version = Some(b"9007199254740992".to_vec());
        first.source_version = Some(b"9007199254740993".to_vec());
        first.outcome = Some(OutcomeKind::Applied);
        first.settled_at = Some(Micros(5_000_000));
        let mut second_field = first.clone();
        second_field.suspect.field = Some(1);
        second_field.money_delta = Some("0.20".into());
        second_field.suspect.severity = Severity::Critical;
        let mut last = at(0, 1);
        last.money_delta = Some("-1000000000000000000000000000000.001".into());
        last.changed_at = Some(Micros(500_000));
        last.cache_version = Some(b"18446744073709551615".to_vec());
        last.source_version = Some(b"18446744073709551616000".to_vec());
        last.attribution = Attribution::Unknown;
        last.outcome = Some(OutcomeKind::LostRace);
        let steps: Vec<Step> = [first, second_field, last]
            .into_iter()
            .map(|f| Step::Finding(Box::new(f)))
            .collect();
        let row = rows(&steps).remove(0);
        insta::with_settings!({snapshot_path => "../../tests/fixtures/report", prepend_module_to_snapshot => false, omit_expression => true}, {
            insta::assert_debug_snapshot!("affected_ranges_row", row);
        });
    }

    #[test]
    fn entries_of_a_stream_are_at_both_ends() {
        let entry = |ordinal, millis| {
            let mut finding = at(0, ordinal);
            let id = StreamId::new(millis, u64::MAX);
            finding.stream_id = Some(id);
            finding.subject.id = vec![id.to_string().into_bytes()];
            Step::Finding(Box::new(finding))
        };
        let range = rows(&[entry(0, 7), entry(1, 8), entry(2, 19)]).remove(0);
        for column in ["first_id", "first_stream_id"] {
            assert_eq!(range[column], "7-18446744073709551615", "{column}");
        }
        for column in ["last_id", "last_stream_id"] {
            assert_eq!(range[column], "19-18446744073709551615", "{column}");
        }
    }

    #[test]
    fn a_key_is_repaired_only_if_all_of_it_is() {
        let mut good = at(0, 0);
        good.outcome = Some(OutcomeKind::Applied);
        good.settled_at = Some(Micros(3_000_000));
        let mut bad = good.clone();
        bad.suspect.field = Some(1);
        bad.outcome = Some(OutcomeKind::Refused);
        let mut next = at(0, 1);
        next.outcome = Some(OutcomeKind::AlreadyRight);
        next.settled_at = Some(Micros(4_000_000));
        let all_right = rows(&[
            Step::Finding(Box::new(good.clone())),
            Step::Finding(Box::new(next.clone())),
        ]);
        assert_eq!(
            (
                all_right[0]["repaired"].as_str(),
                all_right[0]["unrepaired"].as_str()
            ),
            ("2", "0")
        );
        assert_eq!(all_right[0]["exposed_until"], "1970-01-01T00:00:04.000000Z");
        bad.settled_at = None;
        let steps: Vec<Step> = [good, bad, next]
            .into_iter()
            .map(|f| Step::Finding(Box::new(f)))
            .collect();
        let one_left = rows(&steps).remove(0);
        assert_eq!(
            (
                one_left["repaired"].as_str(),
                one_left["unrepaired"].as_str()
            ),
            ("1", "1")
        );
        assert_eq!(one_left["exposed_until"], "");
    }

    #[test]
    fn a_delta_that_would_fill_the_memory_is_left_out() {
        let mut huge = at(0, 0);
        huge.money_delta = Some("1e2000000000".into());
        let mut small = at(0, 1);
        small.money_delta = Some("1".into());
        let steps = [
            Step::Finding(Box::new(huge)),
            Step::Finding(Box::new(small)),
        ];
        assert_eq!(rows(&steps)[0]["money_delta"], "");
    }
}
