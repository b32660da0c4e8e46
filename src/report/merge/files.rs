//! The merged files: findings and ranges one split after the other, one row for each exposure.

use std::fs::{DirBuilder, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::exposures::{Attributed, Exposure, Exposures, Seen};
use super::record::{FILE_NAME, MergeRecord, MergedRun, path_in};
use super::replay::Replay;
use super::rows::{Rows, malformed};
use super::sequence::{Found, Known};
use super::splits::{Split, splits_of};
use super::sums::{Counts, SplitRecord, record_of};
use super::totals::{Amount, Totals};
use crate::model::time::Micros;
use crate::report::ReportError;
use crate::report::cell::{guard, unguard};
use crate::report::csv_file::{CsvFile, not_writable, sync_folder};
use crate::report::folder::job_folder;
use crate::report::run_read::EarlierRun;
use crate::report::{RangesWriter, compensation, findings, ranges};

/// Writes `<output>/<job>/report-<uuid>/` from `runs` of one job, in their order, and says what they come
/// to. `should_stop` is asked at every row. Panics without a run.
pub fn merge(
    output_root: &Path,
    runs: Vec<EarlierRun>,
    should_stop: &dyn Fn() -> bool,
) -> Result<MergeRecord, ReportError> {
    let job = runs[0].job.clone();
    let config_hash = runs[0].config_hash.clone();
    let report_id = Uuid::now_v7();
    let folder = new_folder(output_root, &job, report_id)?;
    let splits = splits_of(runs)?;
    let known: Result<Vec<Known<'_>>, ReportError> = splits.iter().map(Known::of).collect();
    let merger = Merger {
        folder: &folder,
        job: &job,
        report_id,
        splits: known?,
        should_stop,
    };
    let (findings, sums) = merger.write_findings()?;
    let runs: Vec<EarlierRun> = splits.iter().flat_map(Split::runs).cloned().collect();
    let (exposures, rows_of_run) = merger.exposures(runs.len())?;
    let places_repeated = exposures.places_repeated();
    let exposures = exposures.into_vec();
    let new_of_run = new_exposures(&exposures, runs.len());
    let (counted, apart) = merger.write_exposures(exposures)?;
    let counts = rows_of_run.into_iter().zip(new_of_run);
    let runs = runs
        .into_iter()
        .zip(counts)
        .map(|(run, (rows, new_exposures))| MergedRun {
            run,
            rows,
            new_exposures,
        })
        .collect();
    let record = MergeRecord {
        report_id,
        folder,
        job,
        config_hash,
        made_at: Micros::now(),
        runs,
        splits: sums,
        findings,
        places_repeated,
        counted,
        apart,
    };
    write_record(&record)?;
    Ok(record)
}

struct Merger<'a> {
    folder: &'a Path,
    job: &'a str,
    report_id: Uuid,
    splits: Vec<Known<'a>>,
    should_stop: &'a dyn Fn() -> bool,
}

/// A row of a run's `compensation.csv`.
struct CompensationRow<'a> {
    /// The place of its run among those of the report.
    run: usize,
    folder: &'a Path,
    line: u64,
    row: csv::StringRecord,
}

impl CompensationRow<'_> {
    fn fault(&self, what: &dyn std::fmt::Display) -> ReportError {
        malformed(&self.folder.join(compensation::FILE_NAME), self.line, what)
    }
}

/// Where the columns stand that decide something.
mod column {
    pub(super) const SUBJECT: usize = 1;
    pub(super) const CHECK: usize = 2;
    pub(super) const KEY: usize = 4;
    pub(super) const FIELD: usize = 5;
    pub(super) const SERVED: usize = 6;
    pub(super) const TRUE: usize = 7;
    pub(super) const DELTA: usize = 8;
    pub(super) const CURRENCY: usize = 9;
    pub(super) const FROM: usize = 10;
    pub(super) const UNTIL: usize = 11;
    pub(super) const ATTRIBUTION: usize = 12;
    pub(super) const EVIDENCE: usize = 13;
    pub(super) const ID: usize = 14;
}

impl Merger<'_> {
    /// Findings and ranges of every split, and how many findings there are; sums of those that are more than a run.
    fn write_findings(&self) -> Result<(u64, Vec<SplitRecord>), ReportError> {
        let mut file = CsvFile::create(self.folder, findings::FILE_NAME, &findings::COLUMNS)?;
        let mut ranges = RangesWriter::create(self.folder, self.job, self.report_id, None)?;
        let mut count = 0;
        let mut sums = Vec::new();
        for known in &self.splits {
            if let Some(run) = plain(known) {
                for row in Rows::open(&run.folder, findings::FILE_NAME, &findings::COLUMNS)? {
                    self.go_on()?;
                    file.write(&row?.iter().collect::<Vec<&str>>())?;
                    count += 1;
                }
                for row in Rows::open(&run.folder, ranges::FILE_NAME, &ranges::COLUMNS)? {
                    self.go_on()?;
                    ranges.copy_row(&row?.iter().collect::<Vec<&str>>())?;
                }
                continue;
            }
            let mut counts = Counts::default();
            for check in &known.checks {
                let mut replay = Replay::new(known, check)?;
                for found in known.findings(check)? {
                    self.go_on()?;
                    let found = found?;
                    file.write(&found.row.iter().collect::<Vec<&str>>())?;
                    replay.write(&found, &mut ranges)?;
                    counts.count(&found);
                    count += 1;
                }
                ranges.close(check)?;
            }
            sums.push(record_of(known, &counts));
        }
        file.finish()?;
        ranges.finish()?;
        Ok((count, sums))
    }

    /// All exposures, and how many rows each of `runs` runs has.
    fn exposures(&self, runs: usize) -> Result<(Exposures, Vec<u64>), ReportError> {
        let mut exposures = Exposures::default();
        let mut rows_of_run = vec![0; runs];
        for of in self.compensations() {
            self.go_on()?;
            let of = of?;
            let row = &of.row;
            let time = |column: usize| match unguard(&row[column]) {
                "" => Ok(None),
                text => Micros::from_rfc3339(text)
                    .map(Some)
                    .ok_or_else(|| of.fault(&format!("`{text}` is no RFC 3339 time"))),
            };
            let seen = Seen {
                run: of.run,
                place: [
                    column::SUBJECT,
                    column::CHECK,
                    column::KEY,
                    column::ID,
                    column::FIELD,
                ]
                .map(|column| &row[column]),
                values: [&row[column::SERVED], &row[column::TRUE]],
                from: time(column::FROM)?,
                until: time(column::UNTIL)?,
                attribution: &row[column::ATTRIBUTION],
                evidence: unguard(&row[column::EVIDENCE]),
            };
            exposures.see(&seen).ok_or_else(|| {
                let what = format!("`{}` is no attribution", seen.attribution);
                of.fault(&what)
            })?;
            rows_of_run[of.run] += 1;
        }
        Ok((exposures, rows_of_run))
    }

    /// One row for each exposure: the first one's, with what the others add. Sums what the window is
    /// answerable for, and the rest apart.
    fn write_exposures(&self, exposures: Vec<Exposure>) -> Result<(Totals, Totals), ReportError> {
        let mut file =
            CsvFile::create(self.folder, compensation::FILE_NAME, &compensation::COLUMNS)?;
        let (mut counted, mut apart) = (Totals::default(), Totals::default());
        let mut exposures = exposures.into_iter().peekable();
        for (number, of) in (0..).zip(self.compensations()) {
            self.go_on()?;
            let row = of?.row;
            let exposure = exposures.next_if(|exposure| exposure.first == number);
            let Some(exposure) = exposure else { continue };
            let time = |t: Option<Micros>| t.map(Micros::to_rfc3339).unwrap_or_default();
            let mut cells: Vec<String> = row.iter().map(str::to_owned).collect();
            cells[column::FROM] = guard(time(exposure.from));
            cells[column::UNTIL] = guard(time(exposure.until));
            cells[column::ATTRIBUTION] = exposure.attributed.name().to_owned();
            if let Some(more) = &exposure.more_evidence {
                cells[column::EVIDENCE].push_str("; ");
                cells[column::EVIDENCE].push_str(more);
            }
            file.write(&cells)?;
            let totals = match exposure.attributed {
                Attributed::Window => &mut counted,
                Attributed::Outside | Attributed::Unknown => &mut apart,
            };
            totals.add(Amount {
                subject: &row[column::SUBJECT],
                check: &row[column::CHECK],
                currency: &row[column::CURRENCY],
                delta: &row[column::DELTA],
                is_open: exposure.until.is_none(),
            });
        }
        file.finish()?;
        Ok((counted, apart))
    }

    /// The rows of all runs, in the order of the findings they belong to.
    fn compensations(&self) -> impl Iterator<Item = Result<CompensationRow<'_>, ReportError>> {
        let firsts = self.splits.iter().scan(0, |first, known| {
            let of = *first;
            *first += known.split.runs().count();
            Some((of, known))
        });
        firsts.flat_map(|(first, known)| compensations_of(known, first))
    }

    fn go_on(&self) -> Result<(), ReportError> {
        if (self.should_stop)() {
            return Err(ReportError::Stopped(self.folder.to_owned()));
        }
        Ok(())
    }
}

type Compensations<'a> = Box<dyn Iterator<Item = Result<CompensationRow<'a>, ReportError>> + 'a>;

/// Of one split, whose first run is run `first` of the report.
fn compensations_of<'a>(known: &'a Known<'a>, first: usize) -> Compensations<'a> {
    if let Some(run) = plain(known) {
        let columns = &compensation::COLUMNS;
        return match Rows::open(&run.folder, compensation::FILE_NAME, columns) {
            Ok(mut rows) => Box::new(std::iter::from_fn(move || {
                let row = rows.next()?;
                Some(row.map(|row| CompensationRow {
                    run: first,
                    folder: &run.folder,
                    line: rows.line(),
                    row,
                }))
            })),
            Err(fault) => Box::new(std::iter::once(Err(fault))),
        };
    }
    let folders: Vec<&Path> = known.split.runs().map(|r| r.folder.as_path()).collect();
    let of_found = move |found: Found| {
        let (run, folder) = (first + found.run, folders[found.run]);
        let rows = found.compensations.into_iter();
        rows.map(move |(line, row)| {
            Ok(CompensationRow {
                run,
                folder,
                line,
                row,
            })
        })
    };
    let of_check = move |check: &'a String| -> Compensations<'a> {
        let of_found = of_found.clone();
        match known.findings(check) {
            Ok(sequence) => Box::new(sequence.flat_map(move |found| -> Compensations<'a> {
                match found {
                    Ok(found) => Box::new(of_found(found)),
                    Err(fault) => Box::new(std::iter::once(Err(fault))),
                }
            })),
            Err(fault) => Box::new(std::iter::once(Err(fault))),
        }
    };
    Box::new(known.checks.iter().flat_map(of_check))
}

/// The run of a split that is no more than it.
fn plain<'a>(known: &Known<'a>) -> Option<&'a EarlierRun> {
    known.split.runs().next().filter(|_| known.split.is_plain())
}

/// How many exposures each of `runs` runs was the first to see.
fn new_exposures(exposures: &[Exposure], runs: usize) -> Vec<u64> {
    let mut new_of_run = vec![0; runs];
    exposures.iter().for_each(|e| new_of_run[e.run] += 1);
    new_of_run
}

fn new_folder(output_root: &Path, job: &str, report_id: Uuid) -> Result<PathBuf, ReportError> {
    let of_job = job_folder(output_root, job)?;
    std::fs::create_dir_all(&of_job).map_err(not_writable(&of_job))?;
    let folder = of_job.join(format!("report-{report_id}"));
    DirBuilder::new()
        .create(&folder)
        .map_err(not_writable(&folder))?;
    sync_folder(&of_job)?;
    Ok(folder)
}

/// The mark of a finished report: written last, and renamed into place.
fn write_record(record: &MergeRecord) -> Result<(), ReportError> {
    let partial = record.folder.join(format!("{FILE_NAME}.partial"));
    let fault = not_writable(&partial);
    let text = format!("{:#}\n", record.to_json());
    File::create_new(&partial)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| std::fs::rename(&partial, path_in(&record.folder)))
        .map_err(fault)?;
    sync_folder(&record.folder)
}

#[cfg(test)]
pub(super) mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::model::check::{Layout, ValueKind};
    use crate::model::finding::{Attribution, Finding};
    use crate::report::compensation::tests::compensated;
    use crate::report::findings::tests::check;
    use crate::report::folder::RunFolder;
    use crate::report::run_json::tests::record;

    /// A finished run with these findings, each of a subject of its own.
    pub(in crate::report::merge) fn run_of(
        root: &Path,
        job: &str,
        run_id: &str,
        config_hash: &str,
        findings: &[Finding],
    ) -> PathBuf {
        let run_id = Uuid::parse_str(run_id).unwrap();
        let folder = RunFolder::open(root, job, run_id).unwrap();
        let check = check(ValueKind::String, Layout::KeyPerRow, Vec::new());
        let (mut rows, mut ranges) = (folder.findings().unwrap(), folder.ranges(None).unwrap());
        let mut compensation = folder.compensation().unwrap();
        for (number, finding) in (0u64..).zip(findings) {
            rows.write(finding, Some(&check)).unwrap();
            ranges.write(finding).unwrap();
            let mut subject = [0; 16];
            subject[..8].copy_from_slice(&number.to_be_bytes());
            compensation
                .write(subject, std::slice::from_ref(finding), number)
                .unwrap();
        }
        rows.finish().unwrap();
        ranges.finish().unwrap();
        compensation.finish().unwrap();
        let mut record = record(run_id);
        record.job = job.to_owned();
        record.config_hash = config_hash.to_owned();
        folder.finish(&record).unwrap();
        folder.path().to_owned()
    }

    const SCAN: &str = "01900000-0000-7000-8000-000000000001";
    const REPAIR: &str = "01900000-0000-7000-8000-000000000002";

    fn until(mut finding: Finding, micros: i64) -> Finding {
        finding.compensations[0].exposed_until = Some(Micros(micros));
        finding
    }

    /// A scan that found four, and a repair that found three more and repaired two.
    fn scan_and_repair(root: &Path) -> MergeRecord {
        let mut outside = compensated("user:3", "5", "7");
        outside.attribution = Attribution::Outside;
        outside.compensated = Some(b"3".to_vec());
        let mut plain = compensated("user:4", "1", "2");
        plain.compensations[0].delta = None;
        plain.compensations[0].currency = None;
        let lost = compensated("user:1", "1.10", "9223372036854775808.10");
        let negative = compensated("user:2", "0.5", "-0.00000000000000000001");
        let scan = [lost.clone(), negative.clone(), outside, plain];
        let repair = [
            until(lost, 8_000_000),
            until(negative, 9_000_000),
            // Right in between.
            until(compensated("user:9", "1", "1.5"), 1_000_000),
            // Of these two the last one counts.
            compensated("user:9", "1", "1.625"),
            compensated("user:9", "1", "1.75"),
        ];
        let scan = run_of(root, "auction", SCAN, "c0ffee", &scan);
        let repair = run_of(root, "auction", REPAIR, "c0ffee", &repair);
        let runs = [scan, repair].map(|f| EarlierRun::read(&f).unwrap());
        merge(root, runs.to_vec(), &|| false).unwrap()
    }

    fn redacted(text: &str, record: &MergeRecord, root: &Path) -> String {
        text.replace(&record.report_id.to_string(), "REPORT")
            .replace(&record.made_at.to_rfc3339(), "NOW")
            .replace(root.to_str().unwrap(), "ROOT")
            .replace(env!("CARGO_PKG_VERSION"), "VERSION")
            .replace("\r\n", "\n")
    }

    #[test]
    fn what_several_runs_saw_is_one_exposure() {
        let root = tempfile::tempdir().unwrap();
        let record = scan_and_repair(root.path());
        let read = |name: &str| {
            let text = std::fs::read_to_string(record.folder.join(name)).unwrap();
            redacted(&text, &record, root.path())
        };
        let mut told = Vec::new();
        super::super::write_merge_text(&mut told, &record).unwrap();
        let told = redacted(&String::from_utf8(told).unwrap(), &record, root.path());
        insta::with_settings!({snapshot_path => "../../../tests/fixtures/report", prepend_module_to_snapshot => false, omit_expression => true}, {
            insta::assert_snapshot!("merged_compensation.csv", read("compensation.csv"));
            insta::assert_snapshot!("report.json", read("report.json"));
            insta::assert_snapshot!("report.txt", told);
        });
        assert_eq!(read("findings.csv").lines().count(), 1 + 9);
        assert_eq!((record.findings, record.places_repeated), (9, 1));
        let ranges = |run: &str| {
            let path = root.path().join("auction").join(run);
            let text = std::fs::read_to_string(path.join("affected_ranges.csv")).unwrap();
            text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
        };
        let merged: Vec<String> = read("affected_ranges.csv")
            .lines()
            .skip(1)
            .map(str::to_owned)
            .collect();
        assert_eq!(merged, [ranges(SCAN), ranges(REPAIR)].concat());
        let names = std::fs::read_dir(&record.folder).unwrap().count();
        assert_eq!(names, 4, "nothing partial is left");
    }

    #[test]
    fn the_merged_file_adds_up_to_the_totals() {
        let root = tempfile::tempdir().unwrap();
        let record = scan_and_repair(root.path());
        let mut sum = crate::report::money::Money::default();
        for row in Rows::open(
            &record.folder,
            compensation::FILE_NAME,
            &compensation::COLUMNS,
        )
        .unwrap()
        {
            let row = row.unwrap();
            if &row[column::ATTRIBUTION] == "window" && &row[column::CURRENCY] == "KRW" {
                sum.add(&row[column::DELTA]);
            }
        }
        assert_eq!(sum, record.counted.currencies["KRW"].delta());
        assert_eq!(sum.cell(), "9223372036854775807.74999999999999999999");
    }

    #[test]
    fn a_report_never_touches_an_earlier_one_and_stops_when_told() {
        let root = tempfile::tempdir().unwrap();
        let first = scan_and_repair(root.path());
        let runs: Vec<EarlierRun> = first.runs.iter().map(|r| r.run.clone()).collect();
        let second = merge(root.path(), runs.clone(), &|| false).unwrap();
        assert_ne!(first.folder, second.folder);
        let fault = merge(root.path(), runs, &|| true).unwrap_err();
        let ReportError::Stopped(folder) = fault else {
            panic!("{fault}")
        };
        assert!(!folder.join(FILE_NAME).exists());
    }

    #[test]
    fn a_damaged_row_is_named() {
        let root = tempfile::tempdir().unwrap();
        let folder = run_of(
            root.path(),
            "auction",
            SCAN,
            "c0ffee",
            &[compensated("user:1", "1", "2")],
        );
        let path = folder.join("compensation.csv");
        let text = std::fs::read_to_string(&path).unwrap();
        for (from, to, told) in [
            (",window,", ",mine,", "line 2: `mine` is no attribution"),
            (
                "1970-01-01T00:00:01.000000Z",
                "once",
                "line 2: `once` is no RFC 3339 time",
            ),
        ] {
            assert!(text.contains(from));
            std::fs::write(&path, text.replace(from, to)).unwrap();
            let runs = vec![EarlierRun::read(&folder).unwrap()];
            let fault = merge(root.path(), runs, &|| false).unwrap_err().to_string();
            assert!(fault.contains(told), "{fault}");
        }
    }

    #[test]
    fn columns_are_where_this_room_believes_them() {
        let names = [
            (column::SUBJECT, "subject"),
            (column::CHECK, "check"),
            (column::KEY, "key"),
            (column::FIELD, "field"),
            (column::SERVED, "served_value"),
            (column::TRUE, "true_value"),
            (column::DELTA, "delta"),
            (column::CURRENCY, "currency"),
            (column::FROM, "exposed_from"),
            (column::UNTIL, "exposed_until"),
            (column::ATTRIBUTION, "attribution"),
            (column::EVIDENCE, "evidence"),
            (column::ID, "id"),
        ];
        for (at, name) in names {
            assert_eq!(compensation::COLUMNS[at], name);
        }
    }
}
