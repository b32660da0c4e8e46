//! What occurs twice, and rows that no entry carries: judged once both the stream and the table were read.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::check::StreamRun;
use super::findings::bare;
use super::money::sides;
use super::rows::Wanted;
use super::scope::StreamScope;
use crate::model::finding::{Finding, Suspect, Verdict};
use crate::model::observation::{Position, Subject};
use crate::model::outcome::Coverage;
use crate::model::rows::RowRef;
use crate::model::slice::{Section, SliceOrder};
use crate::model::stream::{Entry, IdRange, StreamId};
use crate::model::time::Micros;
use crate::plan::attribute;
use crate::report::escape_id;
use crate::rules::stream::{DuplicateBy, DuplicateSide, judge_duplicate};
use crate::rules::{LOOKS_MAX, changed_at};
use crate::run::RunError;
use crate::run::audit::SLICES_PER_ATTEMPT;
use crate::run::sink::{Reported, Sink};
use crate::scan::ScanError;
use crate::scan::streams::{
    DuplicateGroup, DuplicateGroups, DuplicateLook, DuplicatePair, Duplicated, LostRow, LostSearch,
    look_at_duplicates, look_at_lost,
};

/// Rows that are looked at together. Each batch waits for its second look once.
const BATCH: usize = 1_000;
/// Places of groups that are looked at together; one group has ten thousand at most.
const BATCH_PLACES: usize = 4_000;

/// Where the findings about what occurs twice, or is lost, are written.
pub(super) struct Aftermath<'a> {
    pub run: &'a Arc<StreamRun>,
    pub slice: u32,
    pub sink: &'a Arc<Mutex<Sink>>,
    pub left_out: &'a mut Vec<String>,
    /// Subjects written so far; between each two is a gap, because they are no neighbours.
    written: u64,
    counts: Coverage,
}

/// A subject that a second look confirmed, or could not.
struct Found<'a> {
    subject: Subject,
    entry: Option<StreamId>,
    aspect: &'static str,
    verdict: Verdict,
    suspect: Suspect,
    /// Where it stands among the findings of all shards.
    order: SliceOrder,
    /// What it is about, from either side.
    sides: (Option<&'a Entry>, Option<RowRef<'a>>),
}

impl<'a> Aftermath<'a> {
    pub(super) fn new(
        run: &'a Arc<StreamRun>,
        slice: u32,
        sink: &'a Arc<Mutex<Sink>>,
        left_out: &'a mut Vec<String>,
    ) -> Self {
        Self {
            run,
            slice,
            sink,
            left_out,
            written: 0,
            counts: Coverage::default(),
        }
    }

    /// Judges what the passes brought together. Stopped early, it judges nothing: what one of the passes did not
    /// see would be taken for lost.
    pub(super) async fn judge(
        mut self,
        wanted: Wanted,
        scope: &StreamScope,
    ) -> Result<Coverage, RunError> {
        if self.run.ground.stop.is_requested() {
            return Ok(self.counts);
        }
        if let Some(lost) = wanted.lost {
            self.lost(lost, scope).await?;
        }
        if let Some(duplicates) = wanted.duplicates {
            let mut groups = off_the_runtime(move || duplicates.finish()).await?;
            loop {
                let batch = next_batch(&mut groups)?;
                if batch.is_empty() || self.run.ground.stop.is_requested() {
                    break;
                }
                self.duplicates(&batch).await?;
            }
        }
        let mut sink = self.sink.lock().await;
        sink.slices_done(self.run.name(), &[(self.slice, 2 * self.written)])?;
        sink.flush()?;
        Ok(self.counts)
    }

    async fn duplicates(&mut self, groups: &[DuplicateGroup]) -> Result<(), RunError> {
        let Some(first) = self.duplicate_look(groups).await? else {
            return Ok(());
        };
        let unnamed: u64 = groups.iter().map(|group| group.more).sum();
        if unnamed > 0 {
            self.left_out.push(format!(
                "check {}: {unnamed} more duplicate(s) of a value that occurs ten thousand times were counted but \
                 not judged",
                self.run.name()
            ));
        }
        if first.pairs.is_empty() || !self.wait().await {
            return Ok(());
        }
        let Some(second) = self.duplicate_look(groups).await? else {
            return Ok(());
        };
        // Pushed twice, a row stands beside itself, and beside another one twice.
        let mut met = HashSet::new();
        let named = |pair: &DuplicatePair| (pair.case, place(&pair.first), place(&pair.extra));
        let before: HashSet<_> = first.pairs.iter().map(named).collect();
        for pair in &second.pairs {
            let name = named(pair);
            if name.1 != name.2 && before.contains(&name) && met.insert(name) {
                self.write(duplicate(self.run, pair, self.attempt()))
                    .await?;
            }
        }
        Ok(())
    }

    /// One look that the pinned server answered; `None`: none of several was.
    async fn duplicate_look(
        &mut self,
        groups: &[DuplicateGroup],
    ) -> Result<Option<DuplicateLook>, RunError> {
        let ground = &self.run.ground;
        let (stores, judge) = (&ground.stores, &self.run.judge);
        for _ in 0..LOOKS_MAX {
            ground.pacer.take(places(groups)).await;
            let look = look_at_duplicates(&stores.source, &stores.cache, judge, groups).await?;
            ground.still_the_same_nodes().await?;
            let pinned = &stores.source_identity;
            if look.source.as_ref().is_none_or(|source| source == pinned) {
                return Ok(Some(look));
            }
        }
        self.answered_elsewhere("duplicates");
        Ok(None)
    }

    async fn lost(&mut self, search: LostSearch, scope: &StreamScope) -> Result<(), RunError> {
        let run = self.run;
        let (stores, judge) = (&run.ground.stores, &run.judge);
        let own = Arc::clone(judge);
        let needs_whole_stream = search.needs_whole_stream(judge);
        let mut candidates = off_the_runtime(move || search.finish(&own)).await?;
        if candidates.not_searched > 0 {
            self.left_out.push(format!(
                "check {}: {} more row(s) without an entry were not looked for in the rest of the stream",
                run.name(),
                candidates.not_searched
            ));
        }
        let rest = match scope {
            StreamScope::Sweep { .. } if needs_whole_stream => Some(StreamId::MAX),
            StreamScope::Sweep { since, .. } => since.previous(),
            StreamScope::Entries { .. } | StreamScope::Pending => None,
        };
        if let Some(last) = rest {
            let range = IdRange {
                first: StreamId::MIN,
                last,
            };
            let pace = &run.ground.pacer;
            let reader = run.ground.reader();
            let searched = candidates.search(&stores.source, &reader.cache, judge, range, pace);
            match searched.await {
                Err(ScanError::Stopped) => return Ok(()),
                searched => run.ground.counted_of_walk(&reader, searched).await?,
            }
        }
        run.ground.still_the_same_nodes().await?;
        for rows in candidates.into_rows().chunks(BATCH) {
            self.lost_rows(rows).await?;
        }
        Ok(())
    }

    async fn lost_rows(&mut self, rows: &[LostRow]) -> Result<(), RunError> {
        let run = self.run;
        let ground = &run.ground;
        let stores = &ground.stores;
        let mut open = rows.to_vec();
        for look in 0..2 {
            if open.is_empty() || (look > 0 && !self.wait().await) {
                return Ok(());
            }
            ground.pacer.take(open.len()).await;
            let seen = look_at_lost(&stores.source, &stores.cache, &run.judge, &open).await?;
            ground.still_the_same_nodes().await?;
            if seen.source != stores.source_identity {
                self.answered_elsewhere("lost entries");
                return Ok(());
            }
            if look == 0 {
                open = seen.rows.into_iter().map(|(row, _)| row).collect();
                continue;
            }
            for (row, cells) in &seen.rows {
                if let Some(suspect) = run.judge.judge_lost_row() {
                    let order = lost_order(row, self.attempt());
                    self.write(lost(run, row, cells.as_ref(), suspect, order))
                        .await?;
                }
            }
        }
        Ok(())
    }

    /// How often the check began again.
    fn attempt(&self) -> u32 {
        self.slice / SLICES_PER_ATTEMPT
    }

    /// Until a second look stands far enough from the first; false where the run is to stop.
    async fn wait(&self) -> bool {
        let timing = &self.run.ground.timing;
        let wait = timing.settle.max(timing.cache_delay);
        tracing::debug!("the next look is due in {:.3} s", wait.as_secs_f64());
        self.run.ground.stop.sleep(wait).await
    }

    fn answered_elsewhere(&mut self, what: &str) {
        self.left_out.push(format!(
            "check {}: {what} were not judged, because another MySQL server answered in between; a proxy that changes \
             its mind?",
            self.run.name()
        ));
    }

    async fn write(&mut self, found: Found<'_>) -> Result<(), RunError> {
        let run = self.run;
        let position = Position {
            slice: self.slice,
            ordinal: 2 * self.written,
        };
        self.written += 1;
        self.counts.suspect += 1;
        let finding = finding(run, &found, position);
        let reported = Reported {
            check: &run.check().rows,
            subject: &found.subject,
            entry: found.entry,
            aspect: found.aspect,
            verdict: found.verdict,
            was_suspect: true,
        };
        let mut sink = self.sink.lock().await;
        sink.write_at(&reported, &[finding], Some(&found.order))
    }
}

/// The next groups, of some thousand places together or one of more; none where no more come.
fn next_batch(groups: &mut DuplicateGroups) -> Result<Vec<DuplicateGroup>, ScanError> {
    let (mut batch, mut places) = (Vec::new(), 0);
    while places < BATCH_PLACES
        && let Some(group) = groups.next().transpose()?
    {
        places += group.places.len();
        batch.push(group);
    }
    Ok(batch)
}

/// How many entries and rows a look at `groups` reads.
fn places(groups: &[DuplicateGroup]) -> usize {
    let places = groups.iter().map(|group| group.places.len());
    places.sum()
}

/// Reads back what lies on disk, which blocks, while the rest of the run goes on.
async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ScanError> + Send + 'static,
) -> Result<T, ScanError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(fault) if fault.is_panic() => std::panic::resume_unwind(fault.into_panic()),
        Err(_) => unreachable!("work that has begun to block is never cancelled"),
    }
}

fn duplicate<'a>(run: &StreamRun, pair: &'a DuplicatePair, attempt: u32) -> Found<'a> {
    let suspect = judge_duplicate(pair.case, &place(&pair.first));
    let (subject, entry, sides) = match &pair.extra {
        Duplicated::Entry(entry) => (run.subject(entry.id), Some(entry.id), (Some(entry), None)),
        Duplicated::Row { key, row } => (row_subject(run, key), None, (None, Some(row.as_ref()))),
    };
    Found {
        subject,
        entry,
        aspect: match (pair.case.side, pair.case.by) {
            (DuplicateSide::Entries, DuplicateBy::Identity) => "duplicate",
            (DuplicateSide::Entries, DuplicateBy::Tuple) => "duplicate tuple",
            (DuplicateSide::Rows, DuplicateBy::Identity) => "duplicate row",
            (DuplicateSide::Rows, DuplicateBy::Tuple) => "duplicate row's tuple",
        },
        verdict: Verdict::Confirmed,
        suspect,
        order: SliceOrder::new(attempt, Section::Duplicates, &pair.order),
        sides,
    }
}

fn lost_order(row: &LostRow, attempt: u32) -> SliceOrder {
    SliceOrder::of_cells(attempt, Section::Lost, row.key.iter().map(Vec::as_slice))
}

fn lost<'a>(
    run: &StreamRun,
    row: &LostRow,
    cells: RowRef<'a>,
    suspect: Suspect,
    order: SliceOrder,
) -> Found<'a> {
    Found {
        subject: Subject {
            key: run.check().key.clone(),
            member: None,
            id: vec![row.identity.clone()],
        },
        entry: None,
        aspect: "lost",
        verdict: Verdict::Confirmed,
        suspect,
        order,
        sides: (None, Some(cells)),
    }
}

/// A row, as findings name it: by its key in the table.
fn row_subject(run: &StreamRun, key: &[Vec<u8>]) -> Subject {
    Subject {
        key: run.check().key.clone(),
        member: None,
        id: key.to_vec(),
    }
}

fn place(first: &Duplicated) -> String {
    match first {
        Duplicated::Entry(entry) => entry.id.to_string(),
        Duplicated::Row { key, .. } => escape_id(key),
    }
}

fn finding(run: &StreamRun, found: &Found<'_>, position: Position) -> Finding {
    let (entry, row) = found.sides;
    let changed_at = row.and_then(|row| changed_at(&run.judge.mapping().rows, row));
    let money = run
        .check()
        .money
        .map(|index| sides(run, index, entry, row))
        .unwrap_or_default();
    let since = changed_at.or_else(|| found.entry.and_then(StreamId::instant));
    Finding {
        stream_id: found.entry,
        cache_value: money.cache,
        source_value: money.source,
        compensated: run.judge.compensated(entry, row),
        changed_at,
        attribution: attribute(since, run.ground.window, &run.ground.timing),
        observed_at: Micros::now(),
        ..bare(
            run,
            found.subject.clone(),
            position,
            &found.suspect,
            found.verdict,
        )
    }
}
