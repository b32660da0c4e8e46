//! What all runs of a split found, in the order in which one process would have come to it.

use std::collections::HashSet;
use std::iter::Peekable;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::rows::{Rows, malformed};
use super::splits::{Split, Strand};
use crate::model::slice::SliceOrder;
use crate::report::cell::unguard;
use crate::report::progress_read::{CheckProgress, Progress};
use crate::report::run_read::EarlierRun;
use crate::report::{ReportError, compensation, findings, places};

/// Where the columns of `findings.csv` stand that decide something.
pub(super) mod column {
    pub(in crate::report::merge) const CHECK: usize = 1;
    pub(in crate::report::merge) const RULE: usize = 2;
    pub(in crate::report::merge) const SEVERITY: usize = 3;
    pub(in crate::report::merge) const VERDICT: usize = 4;
    pub(in crate::report::merge) const KEY: usize = 5;
    pub(in crate::report::merge) const ID: usize = 6;
    pub(in crate::report::merge) const FIELD: usize = 8;
    pub(in crate::report::merge) const CACHE_VERSION: usize = 11;
    pub(in crate::report::merge) const SOURCE_VERSION: usize = 12;
    pub(in crate::report::merge) const CHANGED_AT: usize = 13;
    pub(in crate::report::merge) const OUTCOME: usize = 15;
    pub(in crate::report::merge) const SETTLED_AT: usize = 18;
    pub(in crate::report::merge) const ATTRIBUTION: usize = 19;
}

const EVIDENCE: usize = 13;

/// One row of a run's `findings.csv`, and what belongs to it.
#[derive(Debug)]
pub(super) struct Found {
    /// The place of its run among those of the split.
    pub run: usize,
    pub row: csv::StringRecord,
    /// `None`: it is about the nodes, and of no sweep.
    pub slice: Option<SliceOrder>,
    pub ordinal: u64,
    pub stream_id: String,
    pub money_delta: String,
    /// Rows of `compensation.csv` with their lines.
    pub compensations: Vec<(u64, csv::StringRecord)>,
}

/// What is known of a split before its findings are read.
pub(super) struct Known<'a> {
    pub split: &'a Split,
    /// The names of the checks, in the order of the job as far as it is known.
    pub checks: Vec<String>,
    /// Of each run: how far it came, and what the runs after it say again. `None`: nothing goes on from it.
    earlier: Vec<Option<Earlier>>,
}

/// A run that another one goes on from.
struct Earlier {
    progress: Progress,
    /// How far the last run after it came.
    last: Progress,
    /// Digests of what the runs after it found.
    found_again: HashSet<[u8; 16]>,
}

impl<'a> Known<'a> {
    pub(super) fn of(split: &'a Split) -> Result<Self, ReportError> {
        let mut checks: Vec<String> = Vec::new();
        let mut earlier = Vec::new();
        for run in split.runs() {
            let of_run = run.checks.iter().map(|check| &check.name);
            let new: Vec<String> = of_run.filter(|n| !checks.contains(n)).cloned().collect();
            checks.extend(new);
        }
        // Nothing needs to be known of a run that is copied as it stands.
        let strands = split.strands.iter().filter(|_| !split.is_plain());
        for strand in strands {
            let mut found_again = HashSet::new();
            let mut of_strand = Vec::new();
            let chain = match strand.runs.len() {
                1 => Vec::new(),
                _ => chain_of(strand)?,
            };
            for (at, run) in strand.runs.iter().enumerate().rev() {
                let going_on = match chain.last() {
                    Some(last) if at + 1 < chain.len() => Some(Earlier {
                        progress: chain[at].clone(),
                        last: last.clone(),
                        found_again: found_again.clone(),
                    }),
                    _ => None,
                };
                of_strand.insert(0, going_on);
                for row in open(run, findings::FILE_NAME, &findings::COLUMNS)? {
                    let row = row?;
                    let check = &row[column::CHECK];
                    if !checks.iter().any(|known| known == check) {
                        checks.push(check.to_owned());
                    }
                    if strand.runs.len() > 1 {
                        found_again.insert(name_of(&row));
                    }
                }
            }
            earlier.extend(of_strand);
        }
        Ok(Self {
            split,
            checks,
            earlier,
        })
    }

    /// Of run `run`: how far it came with `check`, as far as that counts; `None`: to wherever it came.
    pub(super) fn counted(&self, run: usize, check: &str) -> Option<CheckProgress> {
        let earlier = self.earlier[run].as_ref()?;
        Some(earlier.progress.check(check))
    }

    /// What was found of `check`.
    pub(super) fn findings(&self, check: &str) -> Result<Sequence<'_>, ReportError> {
        let runs = self.split.runs().enumerate();
        let sources: Result<Vec<Source<'_>>, ReportError> = runs
            .map(|(run, of)| Source::open(self, run, of, check))
            .collect();
        Ok(Sequence {
            sources: sources?,
            told: HashSet::new(),
        })
    }
}

/// Findings of one check, the first of all runs next.
pub(super) struct Sequence<'a> {
    sources: Vec<Source<'a>>,
    /// What is about the nodes is said by every shard, and told once.
    told: HashSet<[u8; 16]>,
}

impl Iterator for Sequence<'_> {
    type Item = Result<Found, ReportError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(fault) = self.sources.iter_mut().find_map(Source::fault) {
                return Some(Err(fault));
            }
            let place = |source: &Source<'_>| {
                let head = source.head.as_ref()?.as_ref().ok()?;
                Some((head.slice.clone(), head.ordinal))
            };
            let heads = self.sources.iter().enumerate();
            let heads = heads.filter_map(|(at, source)| Some((place(source)?, at)));
            let (_, first) = heads.min()?;
            let found = match self.sources[first].take()? {
                Ok(found) => found,
                Err(fault) => return Some(Err(fault)),
            };
            if found.slice.is_some() || self.told.insert(name_of(&found.row)) {
                return Some(Ok(found));
            }
        }
    }
}

/// The findings of one run.
struct Source<'a> {
    known: &'a Known<'a>,
    run: usize,
    check: String,
    folder: &'a Path,
    /// Lines of `findings.csv` read so far, the header's too.
    line: u64,
    findings: Rows,
    places: Rows,
    compensations: Peekable<Lines>,
    head: Option<Result<Found, ReportError>>,
}

/// Rows with their lines.
struct Lines(Rows);

impl Iterator for Lines {
    type Item = Result<(u64, csv::StringRecord), ReportError>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.0.next()?;
        Some(row.map(|row| (self.0.line(), row)))
    }
}

impl<'a> Source<'a> {
    fn open(
        known: &'a Known<'a>,
        run: usize,
        of: &'a EarlierRun,
        check: &str,
    ) -> Result<Self, ReportError> {
        let compensations = open(of, compensation::FILE_NAME, &compensation::COLUMNS)?;
        let mut source = Self {
            known,
            run,
            check: check.to_owned(),
            folder: &of.folder,
            line: 1,
            findings: open(of, findings::FILE_NAME, &findings::COLUMNS)?,
            places: open(of, places::FILE_NAME, &places::COLUMNS)?,
            compensations: Lines(compensations).peekable(),
            head: None,
        };
        source.head = source.read();
        Ok(source)
    }

    fn fault(&mut self) -> Option<ReportError> {
        self.head.take_if(|head| head.is_err())?.err()
    }

    fn take(&mut self) -> Option<Result<Found, ReportError>> {
        let next = self.read();
        std::mem::replace(&mut self.head, next)
    }

    /// The next row that counts.
    fn read(&mut self) -> Option<Result<Found, ReportError>> {
        loop {
            // A run that was killed may have written one file further than the other.
            let row = self.findings.next()?;
            let place = self.places.next()?;
            self.line += 1;
            let found = row.and_then(|row| self.found(row, place?));
            match found {
                Ok(found) if !self.counts(&found) => {}
                found => return Some(found),
            }
        }
    }

    fn found(
        &mut self,
        row: csv::StringRecord,
        place: csv::StringRecord,
    ) -> Result<Found, ReportError> {
        let fault = |what: &str| malformed(&self.folder.join(places::FILE_NAME), self.line, &what);
        let slice = match &place[0] {
            "" => None,
            text => Some(SliceOrder::from_hex(text).ok_or_else(|| fault("it is no slice"))?),
        };
        let ordinal = place[1].parse().map_err(|_| fault("it is no ordinal"))?;
        let mut compensations = Vec::new();
        let (folder, line) = (self.folder, self.line);
        let is_up_to = |next: &Result<(u64, csv::StringRecord), ReportError>| match next {
            Ok((at, row)) => evidence_line(folder, *at, row).is_ok_and(|of| of <= line),
            Err(_) => true,
        };
        while let Some(next) = self.compensations.next_if(is_up_to) {
            let (at, row) = next?;
            if evidence_line(folder, at, &row)? == line {
                compensations.push((at, row));
            }
        }
        Ok(Found {
            run: self.run,
            row,
            slice,
            ordinal,
            stream_id: place[2].to_owned(),
            money_delta: place[3].to_owned(),
            compensations,
        })
    }

    /// Whether it is this check's, and not said better by a run that went on from this one.
    fn counts(&self, found: &Found) -> bool {
        if found.row[column::CHECK] != self.check {
            return false;
        }
        let Some(earlier) = &self.known.earlier[self.run] else {
            return true;
        };
        let Some(slice) = &found.slice else {
            return true;
        };
        let progress = earlier.progress.check(&self.check);
        if progress.has_passed(slice, found.ordinal) || &found.row[column::OUTCOME] == "applied" {
            return true;
        }
        let has_verdict = matches!(&found.row[column::VERDICT], "confirmed" | "hot");
        let is_looked_at = earlier.last.check(&self.check).done.is_some();
        let is_found_again = earlier.found_again.contains(&name_of(&found.row));
        !is_found_again && (has_verdict || !is_looked_at)
    }
}

/// The line of `findings.csv` that a row of `compensation.csv` is about.
fn evidence_line(folder: &Path, at: u64, row: &csv::StringRecord) -> Result<u64, ReportError> {
    let evidence = unguard(&row[EVIDENCE]);
    let line = evidence.rsplit(' ').next().and_then(|n| n.parse().ok());
    line.ok_or_else(|| {
        let path = folder.join(compensation::FILE_NAME);
        malformed(&path, at, &format!("`{evidence}` names no line"))
    })
}

pub(super) fn open(run: &EarlierRun, name: &str, columns: &[&str]) -> Result<Rows, ReportError> {
    match run.is_finished {
        true => Rows::open(&run.folder, name, columns),
        false => Rows::open_torn(&run.folder, name, columns),
    }
}

pub(super) fn progress_of(run: &EarlierRun) -> Result<Progress, ReportError> {
    Progress::read(&run.folder)?.ok_or_else(|| ReportError::NotWhole {
        folder: run.folder.clone(),
        what: "it holds no progress.jsonl: it was removed, or an older version made the run"
            .to_owned(),
    })
}

/// How far each run of `strand` came, as far as it counts still.
pub(super) fn chain_of(strand: &Strand) -> Result<Vec<Progress>, ReportError> {
    let chain: Result<Vec<Progress>, ReportError> = strand.runs.iter().map(progress_of).collect();
    let mut chain = chain?;
    Progress::void_what_began_again(&mut chain);
    Ok(chain)
}

/// Tells findings apart: check, rule, key, id and field.
fn name_of(row: &csv::StringRecord) -> [u8; 16] {
    let mut digest = Sha256::new();
    for at in [
        column::CHECK,
        column::RULE,
        column::KEY,
        column::ID,
        column::FIELD,
    ] {
        digest.update((row[at].len() as u64).to_be_bytes());
        digest.update(&row[at]);
    }
    let whole: [u8; 32] = digest.finalize().into();
    whole[..16].try_into().expect("sixteen of thirty-two bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_where_this_room_believes_them() {
        for (at, name) in [
            (column::CHECK, "check"),
            (column::RULE, "rule"),
            (column::SEVERITY, "severity"),
            (column::VERDICT, "verdict"),
            (column::KEY, "key"),
            (column::ID, "id"),
            (column::FIELD, "field"),
            (column::CACHE_VERSION, "cache_version"),
            (column::SOURCE_VERSION, "source_version"),
            (column::CHANGED_AT, "changed_at"),
            (column::OUTCOME, "outcome"),
            (column::SETTLED_AT, "settled_at"),
            (column::ATTRIBUTION, "attribution"),
        ] {
            assert_eq!(findings::COLUMNS[at], name);
        }
        assert_eq!(compensation::COLUMNS[EVIDENCE], "evidence");
        assert_eq!(
            places::COLUMNS,
            ["slice", "ordinal", "stream_id", "money_delta"]
        );
    }
}
