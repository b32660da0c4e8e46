//! Rows whose identity no entry of the stream carries.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use super::bounded::{are_there, bounded_entries};
use super::evidence::{Read, identities, weigh};
use super::owner::has_identity;
use super::pace::Pace;
use super::place;
use super::spill::{Spill, SpillLimits};
use crate::model::column::{Column, ColumnType};
use crate::model::identity::SourceIdentity;
use crate::model::rows::{Row, RowRef};
use crate::model::shard::Shard;
use crate::model::stream::{EntryLook, IdRange, Identity, StreamId};
use crate::rules::StreamJudge;
use crate::scan::ScanError;
use crate::store::mysql::{Mysql, SweepKey};
use crate::store::redis::Redis;

/// Rows without an entry that are looked for in the rest of the stream; more are counted as not searched.
const CANDIDATES_MAX: usize = 100_000;
const PAGE_ENTRIES: usize = 1_000;
const IDS_AT_ONCE: usize = 500;

const EXPECTED: u8 = 0;
const CARRIED: u8 = 1;

/// Identities of rows and of entries, compared without holding either.
///
/// First the rows are pushed, then the entries are read: an entry is added before its row, so one whose row is known
/// is in the stream by then. Memory and disk as [`super::Duplicates`] uses them.
#[derive(Debug)]
pub struct LostSearch {
    spill: Spill,
    rows: u64,
    candidates_max: usize,
    shard: Shard,
}

/// A row that no entry was found for yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostRow {
    pub key: SweepKey,
    pub identity: Vec<u8>,
}

/// Rows that no entry seen so far carries.
#[derive(Debug)]
pub struct LostCandidates {
    /// By the identity, as it is compared.
    rows: HashMap<Vec<u8>, Vec<LostRow>>,
    /// Rows beyond the limit, for which the rest of the stream was not searched.
    pub not_searched: u64,
}

/// One look at rows that no entry was found for.
#[derive(Debug, Clone)]
pub struct LostLook {
    /// Those that still are there with their identity and (where the entry's id is the identity) still without an entry.
    pub rows: Vec<(LostRow, Row)>,
    pub source: SourceIdentity,
}

impl LostSearch {
    /// Files, if any are needed, lie in a folder of their own below `folder`.
    pub fn create(folder: &Path) -> Self {
        Self::with_limits(folder, SpillLimits::default(), CANDIDATES_MAX)
    }

    /// The same, which keeps of what is pushed only what is `shard`'s.
    pub fn of(self, shard: Shard) -> Self {
        Self { shard, ..self }
    }

    /// The same, for about this many entries and rows together. None may have been pushed yet.
    pub fn expecting(self, places: u64) -> Self {
        // An entry brings its own identity, and that of its row.
        let spill = self.spill.expecting(places.saturating_mul(2));
        Self { spill, ..self }
    }

    fn with_limits(folder: &Path, limits: SpillLimits, candidates_max: usize) -> Self {
        Self {
            spill: Spill::create(folder, limits),
            rows: 0,
            candidates_max,
            shard: Shard::WHOLE,
        }
    }

    /// A row of the table, once. One without an identity is nobody's effect, and with `$id` one whose identity is no id
    /// neither.
    pub fn push_row(&mut self, judge: &StreamJudge, row: RowRef<'_>) -> Result<(), ScanError> {
        let mapping = judge.mapping();
        let Some(identity) = row.cell(mapping.identity_cell()) else {
            return Ok(());
        };
        if mapping.check.identity == Identity::EntryId && StreamId::parse(identity).is_none() {
            return Ok(());
        }
        if !has_identity(self.shard, judge, identity) {
            return Ok(());
        }
        let key = mapping.rows.sweep_key.iter();
        let key = key.map(|&c| row.cell(c).unwrap_or_default());
        let place = place::of_row(self.rows.into(), key.chain([identity]));
        self.rows += 1;
        let digest = self.spill.digest(compared(judge, identity));
        Ok(self.spill.push(EXPECTED, digest, &place)?)
    }

    /// What an entry carries: its own identity, and that of every row that the database takes for it.
    pub fn push_look(&mut self, judge: &StreamJudge, look: &EntryLook) -> Result<(), ScanError> {
        if look.entry.is_none() {
            return Ok(());
        }
        let cell = judge.mapping().identity_cell();
        let own = judge.identity_of(look.id, look.entry.as_ref());
        let rows = look.evidence.rows.iter();
        let of_rows = rows.filter_map(|row| row.as_ref().cell(cell));
        for identity in own.as_deref().into_iter().chain(of_rows) {
            let digest = self.spill.digest(compared(judge, identity));
            self.spill.push(CARRIED, digest, &[])?;
        }
        Ok(())
    }

    /// Whether an entry that was not pushed can carry the identity of a row that was: another shard's entry, in a
    /// spelling that only the database takes for the same.
    pub fn needs_whole_stream(&self, judge: &StreamJudge) -> bool {
        !self.shard.is_whole() && !is_compared_by_bytes(identity_column(judge))
    }

    /// The rows that no pushed entry carries. Blocks while it reads back what lies on disk.
    pub fn finish(self, judge: &StreamJudge) -> Result<LostCandidates, ScanError> {
        let mut found = LostCandidates {
            rows: HashMap::new(),
            not_searched: 0,
        };
        let mut count = 0;
        let max = self.candidates_max;
        self.spill.gather(|_, gathered| {
            for group in gathered {
                if group.places.iter().any(|(tag, _)| *tag == CARRIED) {
                    continue;
                }
                found.not_searched += group.more;
                for (_, place) in group.places {
                    if count >= max {
                        found.not_searched += 1;
                        continue;
                    }
                    count += 1;
                    found.insert(judge, lost_row(&place));
                }
            }
            Ok(())
        })?;
        Ok(found)
    }
}

impl LostCandidates {
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Takes away whatever an entry of `rest` carries: the part of the stream whose entries were not pushed. With
    /// `$id` the entries are asked for by their ids, wherever they lie. Ends early where nothing is left.
    pub async fn search(
        &mut self,
        source: &Mysql,
        cache: &Redis,
        judge: &StreamJudge,
        rest: IdRange,
        pace: &dyn Pace,
    ) -> Result<(), ScanError> {
        if judge.mapping().check.identity == Identity::EntryId {
            return self.search_by_id(cache, judge, pace).await;
        }
        let key = &judge.mapping().check.key;
        let mut range = Some(rest);
        while let Some(this) = range.filter(|_| !self.is_empty()) {
            if pace.should_stop() {
                return Err(ScanError::Stopped);
            }
            let (entries, is_whole) = bounded_entries(cache, key, this, PAGE_ENTRIES).await?;
            pace.take(entries.len()).await;
            let next = entries.last().and_then(|entry| entry.id.next());
            range = next
                .filter(|next| !is_whole && *next <= this.last)
                .map(|first| IdRange { first, ..this });
            let reads: Vec<Read> = entries
                .into_iter()
                .filter(|entry| judge.belongs(entry))
                .map(|entry| Read {
                    id: entry.id,
                    entry: Some(entry),
                    pending: None,
                })
                .collect();
            self.remove_carried(source, judge, &reads).await?;
        }
        Ok(())
    }

    /// What is left, in the order in which the rows were pushed is not kept: sorted by key.
    pub fn into_rows(self) -> Vec<LostRow> {
        let mut rows: Vec<LostRow> = self.rows.into_values().flatten().collect();
        rows.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        rows
    }

    async fn search_by_id(
        &mut self,
        cache: &Redis,
        judge: &StreamJudge,
        pace: &dyn Pace,
    ) -> Result<(), ScanError> {
        let ids: Vec<StreamId> = self
            .rows
            .keys()
            .filter_map(|identity| StreamId::parse(identity))
            .collect();
        for ids in ids.chunks(IDS_AT_ONCE) {
            if pace.should_stop() {
                return Err(ScanError::Stopped);
            }
            pace.take(ids.len()).await;
            let there = are_there(cache, &judge.mapping().check.key, ids).await?;
            for (id, _) in ids.iter().zip(there).filter(|(_, is_there)| *is_there) {
                self.rows.remove(id.to_string().as_bytes());
            }
        }
        Ok(())
    }

    async fn remove_carried(
        &mut self,
        source: &Mysql,
        judge: &StreamJudge,
        reads: &[Read],
    ) -> Result<(), ScanError> {
        let identities = identities(judge, reads);
        for identity in identities.iter().flatten() {
            self.rows.remove(compared(judge, identity).as_ref());
        }
        if self.is_empty() || is_compared_by_bytes(identity_column(judge)) {
            return Ok(());
        }
        // Only the database knows which other spellings are the same.
        let cell = judge.mapping().identity_cell();
        let answer = weigh(source, judge, &identities).await?;
        for row in answer.evidence.iter().flat_map(|evidence| &evidence.rows) {
            if let Some(identity) = row.as_ref().cell(cell) {
                self.rows.remove(compared(judge, identity).as_ref());
            }
        }
        Ok(())
    }

    fn insert(&mut self, judge: &StreamJudge, row: LostRow) {
        let compared = compared(judge, &row.identity).into_owned();
        self.rows.entry(compared).or_default().push(row);
    }
}

/// Reads rows again that no entry was found for.
pub async fn look_at_lost(
    source: &Mysql,
    cache: &Redis,
    judge: &StreamJudge,
    rows: &[LostRow],
) -> Result<LostLook, ScanError> {
    let mapping = judge.mapping();
    let keys: Vec<SweepKey> = rows.iter().map(|row| row.key.clone()).collect();
    let witnessed = source.rows_by_key(&mapping.rows, &keys).await?;
    let by_key: HashMap<SweepKey, RowRef<'_>> = witnessed
        .rows
        .iter()
        .map(|row| {
            let cells = mapping.rows.sweep_key.iter();
            let key = cells.map(|&c| row.cell(c).unwrap_or_default().to_vec());
            (key.collect(), row)
        })
        .collect();
    let mut still: Vec<(LostRow, Row)> = Vec::new();
    for row in rows {
        let now = by_key.get(&row.key);
        if let Some(now) = now.filter(|n| n.cell(mapping.identity_cell()) == Some(&row.identity)) {
            still.push((row.clone(), now.to_owned_row()));
        }
    }
    if mapping.check.identity == Identity::EntryId {
        let ids: Vec<StreamId> = still
            .iter()
            .filter_map(|(row, _)| StreamId::parse(&row.identity))
            .collect();
        let there = are_there(cache, &mapping.check.key, &ids).await?;
        let mut there = there.into_iter();
        still.retain(|_| !there.next().unwrap_or(false));
    }
    Ok(LostLook {
        rows: still,
        source: witnessed.source,
    })
}

fn lost_row(place: &[u8]) -> LostRow {
    let mut key = place::row(place);
    let identity = key.pop().expect("the identity is the last cell");
    LostRow { key, identity }
}

pub(super) fn identity_column(judge: &StreamJudge) -> &Column {
    let mapping = judge.mapping();
    &mapping.rows.columns[mapping.identity_cell()]
}

/// The one spelling of an identity, as far as this program can know it: numbers without leading zeros, text without
/// trailing spaces, which most collations leave out of account.
pub(super) fn compared<'i>(judge: &StreamJudge, identity: &'i [u8]) -> Cow<'i, [u8]> {
    match identity_column(judge).kind {
        ColumnType::Integer { .. } => std::str::from_utf8(identity)
            .ok()
            .and_then(|text| text.trim().parse::<i128>().ok())
            .map_or(Cow::Borrowed(identity), |n| {
                Cow::Owned(n.to_string().into_bytes())
            }),
        ColumnType::Text => {
            let end = identity.iter().rposition(|&byte| byte != b' ');
            Cow::Borrowed(&identity[..end.map_or(0, |end| end + 1)])
        }
        _ => Cow::Borrowed(identity),
    }
}

/// Whether two identities that differ in [`compared`] are two for the database as well.
pub(super) fn is_compared_by_bytes(column: &Column) -> bool {
    match column.kind {
        ColumnType::Integer { .. } | ColumnType::Binary => true,
        ColumnType::Text => column
            .collation
            .as_deref()
            .is_some_and(|name| name.ends_with("_bin") || name == "binary"),
        _ => false,
    }
}
