//! Where findings go as they are made: the CSV files and the totals, one subject counted once.

use std::collections::BTreeMap;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::RunError;
use super::batch::Begun;
use super::ledger::merged;
use super::resume::Resumed;
use super::show::Shown;
use super::standing::{Standing, standing};
use super::topology::TopologyFinding;
use crate::model::check::CacheCheck;
use crate::model::finding::{Finding, OutcomeKind, RuleId, Severity, Verdict};
use crate::model::identity::Pinned;
use crate::model::observation::Subject;
use crate::model::outcome::Coverage;
use crate::model::slice::SliceOrder;
use crate::model::stream::StreamId;
use crate::report::{
    CompensationWriter, DigestMap, FindingsWriter, FoundBefore, HeaderNode, Mark, PlacesWriter,
    ProgressWriter, RangesWriter, ReportError, RuleCount, RunFolder, RunHeader, SubjectDigest,
};

/// A mark costs some milliseconds of disk; what lies after the last one is swept again by whoever resumes the run.
const MARK_PERIOD: Duration = Duration::from_secs(1);

/// What was settled: whose verdict it is.
pub(super) struct Reported<'a> {
    /// A stream's `rows`.
    pub check: &'a CacheCheck,
    pub subject: &'a Subject,
    /// The entry, where a stream's entries are the subjects.
    pub entry: Option<StreamId>,
    /// Tells apart what is judged of one subject separately: its duplicates, say.
    pub aspect: &'static str,
    pub verdict: Verdict,
    /// Whether anything was wrong with it, or it was only asked for by name.
    pub was_suspect: bool,
}

/// What findings are counted by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind {
    pub check: String,
    pub rule: RuleId,
    pub severity: Severity,
    pub verdict: Verdict,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Total {
    pub count: u64,
    pub repaired: u64,
}

/// What runs before this one counted and found of a check.
struct Inherited {
    counts: Coverage,
    found: FoundBefore,
}

pub(super) struct Sink {
    findings: FindingsWriter,
    ranges: RangesWriter,
    compensation: CompensationWriter,
    places: PlacesWriter,
    progress: ProgressWriter,
    /// Where the slices of each check stand among those of all shards.
    slices: BTreeMap<String, BTreeMap<u32, Begun>>,
    /// What runs before this one counted of each check, and left unresolved; void once the check begins again.
    inherited: BTreeMap<String, Inherited>,
    /// When each check was marked last.
    marked: BTreeMap<String, Instant>,
    /// Digests of the subjects written so far, and how they stand: a sweep that starts again after a topology
    /// change must not report them twice, nor believe what it verified before. A few bits for each
    /// finding, nothing for each key.
    seen: DigestMap,
    /// Verdicts and outcomes by check name.
    verdicts: BTreeMap<String, Coverage>,
    totals: BTreeMap<Kind, Total>,
    /// Confirmed or hot, and not right again.
    unresolved: u64,
    /// Where one key was asked for: what stdout will say of it.
    shown: Option<Vec<Shown>>,
}

impl Sink {
    /// Opens the files of a run.
    pub(super) fn open(folder: &RunFolder, header: &RunHeader) -> Result<Self, ReportError> {
        Ok(Self {
            findings: folder.findings()?,
            ranges: folder.ranges(None)?,
            compensation: folder.compensation()?,
            places: folder.places()?,
            progress: folder.progress(header)?,
            slices: BTreeMap::new(),
            inherited: BTreeMap::new(),
            marked: BTreeMap::new(),
            seen: folder.subjects(),
            verdicts: BTreeMap::new(),
            totals: BTreeMap::new(),
            unresolved: 0,
            shown: None,
        })
    }

    /// Keeps what is written for stdout too (`--key`, `--id`: a handful of targets, so it is bounded).
    pub(super) fn showing(self) -> Self {
        Self {
            shown: Some(Vec::new()),
            ..self
        }
    }

    pub(super) fn shown(&self) -> &[Shown] {
        self.shown.as_deref().unwrap_or_default()
    }

    /// Keeps what `shown` makes, where one key was asked for.
    pub(super) fn show(&mut self, shown: impl FnOnce() -> Shown) {
        if let Some(all) = &mut self.shown {
            all.push(shown());
        }
    }

    /// Findings of these slices may come from now on.
    pub(super) fn slices_begun(&mut self, check: &str, begun: &[Begun]) {
        let slices = self.slices.entry(check.to_owned()).or_default();
        slices.extend(begun.iter().map(|begun| (begun.slice, begun.clone())));
    }

    pub(super) fn slices_done(
        &mut self,
        check: &str,
        slices: &[(u32, u64)],
    ) -> Result<(), RunError> {
        for &(slice, places) in slices {
            self.ranges
                .slice_done(check, slice, places)
                .map_err(report)?;
            let begun = self.slices.get(check).and_then(|of| of.get(&slice));
            if let Some(Begun {
                order, is_shared, ..
            }) = begun
            {
                self.progress
                    .slice_done(check, order, places, *is_shared)
                    .map_err(report)?;
            }
        }
        Ok(())
    }

    /// Everything before `mark` is dealt with. Noted once in a while, because it has to be on the disk first.
    pub(super) fn mark(&mut self, check: &str, mark: Mark) -> Result<(), RunError> {
        let last = self.marked.get(check);
        let is_due = last.is_none_or(|last| last.elapsed() >= MARK_PERIOD);
        if !is_due {
            return Ok(());
        }
        self.sync().map_err(report)?;
        let counts = self.counted(check, mark.counts);
        let rows = self.findings.rows();
        self.progress
            .mark(check, &Mark { counts, ..mark }, rows)
            .map_err(report)?;
        self.marked.insert(check.to_owned(), Instant::now());
        Ok(())
    }

    /// The check is dealt with; `swept` is what its sweep counted.
    pub(super) fn done(&mut self, check: &str, swept: Coverage) -> Result<(), RunError> {
        self.sync().map_err(report)?;
        let counts = self.counted(check, swept);
        let rows = self.findings.rows();
        self.progress.done(check, counts, rows).map_err(report)
    }

    /// The check begins again: what was marked of it is void.
    pub(super) fn again(&mut self, check: &str) -> Result<(), RunError> {
        self.inherited.remove(check);
        self.progress.again(check).map_err(report)
    }

    /// The stores are those of other nodes now.
    pub(super) fn pinned(&mut self, pinned: &Pinned) -> Result<(), RunError> {
        self.progress.nodes(header_nodes(pinned)).map_err(report)
    }

    fn sync(&mut self) -> Result<(), ReportError> {
        self.places.sync()?;
        self.findings.sync()?;
        self.compensation.sync()
    }

    /// Writes one subject's findings and counts it. One that this run has reported before is written again
    /// only if it stands otherwise now.
    pub(super) fn write(
        &mut self,
        reported: &Reported<'_>,
        findings: &[Finding],
    ) -> Result<(), RunError> {
        self.write_at(reported, findings, None)
    }

    /// The same for what stands at a place of its own; `None`: in the slice of its position.
    pub(super) fn write_at(
        &mut self,
        reported: &Reported<'_>,
        findings: &[Finding],
        order: Option<&SliceOrder>,
    ) -> Result<(), RunError> {
        let check = reported.check;
        let name = &check.name.text;
        let now = standing(reported.verdict, findings);
        let subject = digest(reported);
        let before = self.seen.insert(subject, [now as u64, 0]).map_err(report)?;
        let before = before.map(|[code, _]| Standing::of(code));
        self.unresolved += u64::from(now == Standing::Wrong);
        if let Some(before) = before {
            self.unresolved -= u64::from(before == Standing::Wrong);
            // A sweep that began again after a failover may find it lost once more, or put it right.
            if before == now {
                return Ok(());
            }
        }
        let counts = self.verdicts.entry(name.clone()).or_default();
        match reported.verdict {
            Verdict::Confirmed => counts.confirmed += 1,
            // It was asked for by name and not because it looked wrong.
            Verdict::Transient if self.shown.is_some() && !reported.was_suspect => {
                counts.matched += 1;
            }
            Verdict::Transient => counts.transient += 1,
            Verdict::Hot => counts.hot += 1,
            Verdict::Unknown => counts.unknown += 1,
        }
        match findings.first().and_then(|f| f.outcome) {
            Some(OutcomeKind::Applied) => counts.applied += 1,
            Some(OutcomeKind::LostRace) => counts.lost_race += 1,
            Some(OutcomeKind::Refused | OutcomeKind::Failed) => counts.refused += 1,
            Some(OutcomeKind::AlreadyRight) | None => {}
        }
        for finding in findings {
            let total = self.totals.entry(Kind {
                check: name.clone(),
                rule: finding.suspect.rule,
                severity: finding.suspect.severity,
                verdict: finding.verdict,
            });
            let total = total.or_default();
            total.count += 1;
            if finding.verdict == Verdict::Confirmed {
                total.repaired += u64::from(finding.settled_at.is_some());
                self.ranges.write(finding).map_err(report)?;
            }
            self.findings.write(finding, Some(check)).map_err(report)?;
            let slices = self.slices.get(name);
            let begun = slices.and_then(|of| of.get(&finding.position.slice));
            let order = order.or(begun.map(|begun| &begun.order));
            self.places.write(finding, order).map_err(report)?;
        }
        let first = self.findings.rows() - findings.len() as u64;
        self.compensation
            .write(subject, findings, first)
            .map_err(report)
    }

    /// Writes what the nodes themselves show; of no check, no range and no customer.
    pub(super) fn write_topology(&mut self, found: &[TopologyFinding]) -> Result<(), RunError> {
        for one in found {
            self.unresolved += u64::from(one.is_open());
            let finding = one.finding();
            self.findings.write(&finding, None).map_err(report)?;
            self.places.write(&finding, None).map_err(report)?;
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Result<(), RunError> {
        self.places.flush().map_err(report)?;
        self.findings.flush().map_err(report)?;
        self.compensation.flush().map_err(report)
    }

    /// Goes on with what `resumed` counted and found, and says so at once: whoever goes on from this run may do so before
    /// it has marked anything.
    pub(super) fn inherit(&mut self, resumed: &Resumed) -> Result<(), RunError> {
        let mut found = resumed.found();
        for check in &resumed.header().checks {
            let Some(progress) = resumed.of_check(&check.name) else {
                continue;
            };
            let said = match (progress.done, &progress.mark) {
                (Some(counts), _) => self.progress.done(&check.name, counts, 0),
                (None, Some(mark)) => self.progress.mark(&check.name, mark, 0),
                (None, None) => Ok(()),
            };
            said.map_err(report)?;
            let inherited = Inherited {
                counts: progress.counts(),
                found: found.remove(&check.name).unwrap_or_default(),
            };
            self.inherited.insert(check.name.clone(), inherited);
        }
        Ok(())
    }

    /// What was counted of a check, by this run and those before it: `swept` by this one's sweep.
    pub(super) fn counted(&self, check: &str, swept: Coverage) -> Coverage {
        let verdicts = self.verdicts.get(check).copied().unwrap_or_default();
        let mut counts = merged(swept, verdicts);
        if let Some(inherited) = self.inherited.get(check) {
            counts.add(&inherited.counts);
        }
        counts
    }

    /// What runs before this one found of a check.
    pub(super) fn found_before(&self, check: &str) -> &[RuleCount] {
        let inherited = self.inherited.get(check);
        inherited.map_or(&[], |inherited| inherited.found.counts.as_slice())
    }

    pub(super) fn totals(&self) -> &BTreeMap<Kind, Total> {
        &self.totals
    }

    /// Confirmed or hot, and not right again; what runs before this one left so too.
    pub(super) fn unresolved(&self) -> u64 {
        let inherited = self.inherited.values();
        self.unresolved + inherited.map(|i| i.found.unresolved).sum::<u64>()
    }

    /// Makes the files whole.
    pub(super) fn finish(self) -> Result<(), RunError> {
        self.places.finish().map_err(report)?;
        self.findings.finish().map_err(report)?;
        self.ranges.finish().map_err(report)?;
        self.compensation.finish().map_err(report)?;
        Ok(())
    }
}

/// The pinned nodes, as `progress.jsonl` has them.
pub(super) fn header_nodes(pinned: &Pinned) -> Vec<HeaderNode> {
    let nodes = pinned.nodes.iter();
    nodes
        .map(|node| HeaderNode {
            address: node.address.clone(),
            run_id: node.identity.run_id.clone(),
            replication_id: node.identity.replication_id.clone(),
        })
        .collect()
}

pub(super) fn report(fault: crate::report::ReportError) -> RunError {
    RunError::Report(fault.to_string())
}

fn digest(reported: &Reported<'_>) -> SubjectDigest {
    let mut digest = Sha256::new();
    let check = reported.check.name.text.as_bytes();
    let subject = reported.subject;
    let entry = reported.entry.map(|id| id.to_string());
    let parts = [
        Some(check),
        Some(subject.key.as_slice()),
        subject.member.as_deref(),
        entry.as_deref().map(str::as_bytes),
        Some(reported.aspect.as_bytes()),
    ];
    // Of a stream everything lies under one key; the id of a cache's row is in its key.
    let ids = subject.id.iter().map(Vec::as_slice);
    let ids = ids.filter(|_| !reported.aspect.is_empty());
    for part in parts.into_iter().flatten().chain(ids) {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let whole: [u8; 32] = digest.finalize().into();
    whole[..16].try_into().expect("sixteen of thirty-two bytes")
}
