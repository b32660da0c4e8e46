//! The pass over the rows in which a stream's entries end: for rows that occur twice, rows that no entry carries, and
//! entry ids that rows carry.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::check::StreamRun;
use super::scope::StreamScope;
use super::sweep::Seen;
use crate::model::rows::Rows;
use crate::model::shard::Shard;
use crate::model::stream::{EntryLook, Identity, StreamId};
use crate::model::time::Micros;
use crate::plan::{is_integer_key, slices};
use crate::rules::stream::{DuplicateBy, DuplicateCase, DuplicateSide, StreamJudge};
use crate::run::RunError;
use crate::run::task::Task;
use crate::scan::streams::{Duplicates, LostSearch, SourceIds};
use crate::store::mysql::Selection;

/// Rows of a page: of rows this small, about a megabyte.
const PAGE_ROWS: usize = 2_000;

/// What a pass over entries and a pass over rows are to bring together.
pub(super) struct Wanted {
    pub duplicates: Option<Duplicates>,
    pub lost: Option<LostSearch>,
    carried: SourceIds,
    /// Which rows are looked at; `None`: none.
    rows: Option<Selection>,
}

impl Wanted {
    /// What this check and this scope ask for. What the window cannot select is said in `left_out`.
    pub(super) async fn of(
        run: &StreamRun,
        scope: &StreamScope,
        left_out: &mut Vec<String>,
    ) -> Result<Self, RunError> {
        let judge = &run.judge;
        let StreamScope::Sweep { rows, .. } = scope else {
            return Ok(Self::nothing());
        };
        let keeps_entries = run.check().keeps_entries;
        let shard = run.ground.shard;
        let needs_rows = can_duplicate(judge, DuplicateSide::Rows)
            || keeps_entries
            || run.check().identity == Identity::EntryId;
        if needs_rows && rows.is_none() {
            left_out.push(format!(
                "check {} has no changed_at, so that no window of its rows can be searched for duplicate-row and \
                 lost-entry; it needs --full",
                run.name()
            ));
        }
        let has_rows = needs_rows && rows.is_some();
        let has_duplicates = can_duplicate(judge, DuplicateSide::Entries)
            || can_duplicate(judge, DuplicateSide::Rows);
        let places = places(run).await?;
        let duplicates = || Duplicates::create(&run.scratch).of(shard).expecting(places);
        let lost = || LostSearch::create(&run.scratch).of(shard).expecting(places);
        Ok(Self {
            duplicates: has_duplicates.then(duplicates),
            lost: (has_rows && keeps_entries).then(lost),
            carried: SourceIds::default(),
            rows: rows.filter(|_| needs_rows),
        })
    }

    fn nothing() -> Self {
        Self {
            duplicates: None,
            lost: None,
            carried: SourceIds::default(),
            rows: None,
        }
    }

    /// Whether entries are of any use to it.
    pub(super) fn needs_looks(&self) -> bool {
        self.duplicates.is_some() || self.lost.is_some()
    }

    /// Takes the entries of one page, each once.
    pub(super) fn take(&mut self, run: &StreamRun, seen: &Seen) -> Result<(), RunError> {
        if let Some(duplicates) = &mut self.duplicates {
            for entry in &seen.others {
                duplicates.push_entry(&run.judge, entry)?;
            }
        }
        for look in &seen.looks {
            if let (Some(duplicates), Some(entry)) = (&mut self.duplicates, &look.entry) {
                duplicates.push_entry(&run.judge, entry)?;
            }
            if let Some(lost) = &mut self.lost {
                lost.push_look(&run.judge, look)?;
            }
            self.take_twins(run, look)?;
        }
        Ok(())
    }

    /// Entry ids that rows were seen to carry.
    pub(super) fn carried(&self) -> Vec<StreamId> {
        self.carried.candidates()
    }

    /// Reads the rows. Their entries are read afterwards: an entry is there before its row.
    pub(super) async fn read_rows(&mut self, run: &Arc<StreamRun>) -> Result<(), RunError> {
        let Some(selection) = self.rows else {
            return Ok(());
        };
        let key = &run.judge.mapping().check.key;
        let now = run.ground.stores.cache.time_of(key).await?;
        let (sender, mut pages) = mpsc::channel(1);
        // MySQL reads the next page while this one is digested.
        let _reading = Task::spawn(read_pages(Arc::clone(run), selection, sender));
        while let Some(rows) = pages.recv().await {
            self.take_rows(run, &rows?, now)?;
        }
        Ok(())
    }
}

/// Reads page after page until all are read, the run is to stop, or nobody wants more.
async fn read_pages(
    run: Arc<StreamRun>,
    selection: Selection,
    pages: mpsc::Sender<Result<Rows, RunError>>,
) {
    if let Err(fault) = send_pages(&run, selection, &pages).await {
        // A closed channel means that whoever asked has met a fault of its own.
        let _ = pages.send(Err(fault)).await;
    }
}

async fn send_pages(
    run: &StreamRun,
    selection: Selection,
    pages: &mpsc::Sender<Result<Rows, RunError>>,
) -> Result<(), RunError> {
    let ground = &run.ground;
    let (source, mapping) = (&ground.stores.reading.source, &run.judge.mapping().rows);
    let bounds = match selection {
        Selection::All if is_integer_key(mapping) => source.key_bounds(mapping).await?,
        _ => None,
    };
    // Every shard reads all rows: which of them are its own is decided by what they carry.
    for slice in slices(Shard::WHOLE, bounds.as_ref(), mapping.rows_estimated) {
        let mut next = Some(slice.range);
        while let Some(range) = next.filter(|_| !ground.stop.is_requested()) {
            let page = source.page(mapping, &range, selection, PAGE_ROWS).await?;
            ground.pacer.take(page.rows.len()).await;
            next = page.next;
            if pages.send(Ok(page.rows)).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

impl Wanted {
    /// Several rows of one entry are no less so where the window selects only one of them, or none. A row that the pass
    /// over the rows brings too is then there twice; it is no twin of itself.
    fn take_twins(&mut self, run: &StreamRun, look: &EntryLook) -> Result<(), RunError> {
        let rows = &look.evidence.rows;
        if let Some(duplicates) = &mut self.duplicates
            && rows.len() > 1
        {
            for row in rows {
                duplicates.push_row_of(&run.judge, look.id, row.as_ref())?;
            }
        }
        Ok(())
    }

    fn take_rows(&mut self, run: &StreamRun, rows: &Rows, now: Micros) -> Result<(), RunError> {
        for row in rows.iter() {
            self.carried.note(&run.judge, row, now, run.raise_skew);
            if let Some(duplicates) = &mut self.duplicates {
                duplicates.push_row(&run.judge, row)?;
            }
            if let Some(lost) = &mut self.lost
                && run.judge.owns_row(row)
            {
                lost.push_row(&run.judge, row)?;
            }
        }
        Ok(())
    }
}

/// How many entries and rows there are, about; of a window there are fewer.
async fn places(run: &StreamRun) -> Result<u64, RunError> {
    let cache = &run.ground.stores.cache;
    let state = cache.stream_state(&run.check().key).await?;
    let entries = state.facts().map_or(0, |facts| facts.length);
    Ok(entries.saturating_add(run.judge.mapping().rows.rows_estimated))
}

fn can_duplicate(judge: &StreamJudge, side: DuplicateSide) -> bool {
    [DuplicateBy::Identity, DuplicateBy::Tuple]
        .into_iter()
        .any(|by| judge.can_duplicate(DuplicateCase { side, by }))
}
