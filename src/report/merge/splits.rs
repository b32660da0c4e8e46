//! Runs that belong together: the shards of one split, and of each shard the runs that went on from one another.

use std::path::Path;

use crate::model::outcome::RunVerdict;
use crate::model::time::Micros;
use crate::report::ReportError;
use crate::report::run_json::FILE_NAME as RUN_JSON;
use crate::report::run_read::EarlierRun;

/// Shards begin at different moments, and measure clocks apart: windows that begin this close to each other are one.
const SAME_WINDOW_US: u64 = 300_000_000;

/// Even where one process works on shard after shard, a split is done within a day.
const ONE_SPLIT_US: u64 = 24 * 3_600 * 1_000_000;

/// Everything that was looked at once, by however many processes.
#[derive(Debug, Clone)]
pub(super) struct Split {
    /// In the order of their indexes.
    pub strands: Vec<Strand>,
}

/// One shard: a run, after those that it went on from.
#[derive(Debug, Clone)]
pub(super) struct Strand {
    /// The oldest first; one at least.
    pub runs: Vec<EarlierRun>,
    /// A run that the oldest one went on from, and that is not there any more.
    pub gone: Option<String>,
}

/// Puts `runs`, which are of one job, together; in the order in which the first run of each was named.
pub(super) fn splits_of(runs: Vec<EarlierRun>) -> Result<Vec<Split>, ReportError> {
    let absorbed: Vec<String> = runs.iter().filter_map(|run| run.resumes.clone()).collect();
    let (earlier, last): (Vec<EarlierRun>, Vec<EarlierRun>) = runs
        .into_iter()
        .partition(|run| absorbed.contains(&run.run_id));
    let mut splits: Vec<Split> = Vec::new();
    for run in last {
        let strand = Strand::ending_with(run, &earlier)?;
        let fitting = splits.iter_mut().find(|split| split.takes(&strand));
        match fitting {
            Some(split) => split.strands.push(strand),
            None => splits.push(Split {
                strands: vec![strand],
            }),
        }
    }
    for split in &mut splits {
        split.strands.sort_by_key(|strand| strand.last().shard);
    }
    Ok(splits)
}

/// Whether two runs are shards of one split.
pub(super) fn are_of_one_split(one: &EarlierRun, other: &EarlierRun) -> bool {
    let what = |run: &EarlierRun| {
        let asked = (
            run.job.clone(),
            run.config_hash.clone(),
            run.command.clone(),
        );
        (asked, run.is_dry_run, run.is_full, run.shard.count())
    };
    what(one) == what(other) && have_one_window(one, other) && began_together(one, other)
}

fn began_together(one: &EarlierRun, other: &EarlierRun) -> bool {
    let began = |run: &EarlierRun| Micros::from_rfc3339(&run.started_at);
    let (Some(one), Some(other)) = (began(one), began(other)) else {
        return false;
    };
    one.0.abs_diff(other.0) <= ONE_SPLIT_US
}

fn have_one_window(one: &EarlierRun, other: &EarlierRun) -> bool {
    let since = |run: &EarlierRun| run.window.as_ref().map(|w| Micros::from_rfc3339(&w.0));
    match (since(one), since(other)) {
        (None, None) => true,
        (Some(Some(one)), Some(Some(other))) => one.0.abs_diff(other.0) <= SAME_WINDOW_US,
        _ => false,
    }
}

impl Split {
    /// Whether it is one run as it stands.
    pub(super) fn is_plain(&self) -> bool {
        let [only] = self.strands.as_slice() else {
            return false;
        };
        only.last().shard.is_whole() && only.last().resumes.is_none()
    }

    pub(super) fn runs(&self) -> impl Iterator<Item = &EarlierRun> {
        self.strands.iter().flat_map(|strand| &strand.runs)
    }

    /// How many shards the split has.
    pub(super) fn count(&self) -> u8 {
        self.first().shard.count()
    }

    /// Indexes of the shards that are not there.
    pub(super) fn missing(&self) -> Vec<u8> {
        let has = |index: u8| {
            let mut strands = self.strands.iter();
            strands.any(|strand| strand.last().shard.index() == index)
        };
        (0..self.count()).filter(|index| !has(*index)).collect()
    }

    /// What it comes to: the worst of all shards; without one of them it is partial.
    pub(super) fn verdict(&self) -> RunVerdict {
        let verdicts = self.strands.iter().map(Strand::verdict);
        let worst = verdicts.clone().max().unwrap_or(RunVerdict::NothingJudged);
        let is_some_judged = verdicts.clone().any(|v| v != RunVerdict::NothingJudged);
        match worst {
            RunVerdict::NothingJudged if is_some_judged => RunVerdict::Partial,
            RunVerdict::NothingJudged => worst,
            _ if !self.missing().is_empty() => RunVerdict::Partial,
            _ => worst,
        }
    }

    fn first(&self) -> &EarlierRun {
        self.strands.first().expect("a split has a strand").last()
    }

    fn takes(&self, strand: &Strand) -> bool {
        let (run, index) = (strand.last(), strand.last().shard.index());
        let is_shard = !run.shard.is_whole();
        is_shard && are_of_one_split(self.first(), run) && self.missing().contains(&index)
    }
}

impl Strand {
    pub(super) fn last(&self) -> &EarlierRun {
        self.runs.last().expect("a strand has a run")
    }

    fn verdict(&self) -> RunVerdict {
        let verdict = RunVerdict::of_name(&self.last().verdict).unwrap_or(RunVerdict::Partial);
        match &self.gone {
            Some(_) => verdict.max(RunVerdict::Partial),
            None => verdict,
        }
    }

    /// Of `run`, after what it went on from: that is one of `known`, or lies beside it.
    pub(super) fn ending_with(run: EarlierRun, known: &[EarlierRun]) -> Result<Self, ReportError> {
        let mut runs = vec![run];
        while let Some(id) = runs[0].resumes.clone() {
            let named = known.iter().find(|run| run.run_id == id).cloned();
            let found = match (named, runs[0].folder.parent()) {
                (Some(run), _) => Some(run),
                (None, Some(of_job)) => run_in(&of_job.join(&id))?,
                (None, None) => None,
            };
            match found {
                Some(run) if !runs.iter().any(|r| r.run_id == run.run_id) => runs.insert(0, run),
                _ => {
                    let gone = Some(id);
                    return Ok(Self { runs, gone });
                }
            }
        }
        Ok(Self { runs, gone: None })
    }
}

/// The run in `folder`, finished or not.
pub(super) fn run_in(folder: &Path) -> Result<Option<EarlierRun>, ReportError> {
    match folder.join(RUN_JSON).is_file() {
        true => EarlierRun::read(folder).map(Some),
        false => EarlierRun::read_unfinished(folder),
    }
}
