//! A page of rows and what Redis holds for each of them.

use std::sync::Arc;

use bytes::Bytes;

use super::ScanError;
use super::keys::{candidates, subject_of};
use crate::model::check::{Expiry, Layout, ValueKind};
use crate::model::mapping::Mapping;
use crate::model::observation::{Cached, CachedState, KeyExpiry, Subject};
use crate::model::rows::Rows;
use crate::store::mysql::{KeyRange, Mysql, Selection, SweepKey};
use crate::store::redis::Redis;

/// What Redis holds for the rows of a page that have a key, in row order.
#[derive(Debug)]
pub enum CachedPage {
    /// Strings read by MGET, none of them empty-handed; expiry unread. The sweep's fast path.
    Strings(Vec<Bytes>),
    States(Vec<CachedState>),
    /// Strings, some of them empty-handed: those carry their own state.
    Mixed(Vec<Result<Bytes, CachedState>>),
}

impl CachedPage {
    /// The state of the `index`-th row with a key, as the rules want it.
    pub fn state(&self, index: usize) -> CachedState {
        let string = |bytes: &Bytes| CachedState {
            cached: Cached::Value(bytes.clone()),
            expiry: KeyExpiry::Unread,
        };
        match self {
            CachedPage::Strings(all) => string(&all[index]),
            CachedPage::States(all) => all[index].clone(),
            CachedPage::Mixed(all) => match &all[index] {
                Ok(bytes) => string(bytes),
                Err(state) => state.clone(),
            },
        }
    }

    /// The string's bytes, where the row has one and nothing else is to be known.
    pub fn bytes(&self, index: usize) -> Option<&[u8]> {
        match self {
            CachedPage::Strings(all) => Some(&all[index]),
            CachedPage::States(_) => None,
            CachedPage::Mixed(all) => all[index].as_ref().ok().map(AsRef::as_ref),
        }
    }
}

/// What the rows of a page that have a key lead to, in row order.
#[derive(Debug)]
pub enum Looked {
    /// Keys of their own, read by the fast path.
    Keys(Vec<Vec<u8>>),
    Subjects(Vec<Subject>),
}

impl Looked {
    /// Key and member of the `index`-th row with a key.
    pub fn place(&self, index: usize) -> (&[u8], Option<&[u8]>) {
        match self {
            Looked::Keys(keys) => (&keys[index], None),
            Looked::Subjects(subjects) => {
                let subject = &subjects[index];
                (&subject.key, subject.member.as_deref())
            }
        }
    }
}

/// Rows in sweep order, each beside what Redis holds.
#[derive(Debug)]
pub struct PairedPage {
    pub rows: Rows,
    /// Row indexes that have a key; the others have a NULL in a placeholder.
    pub keyed: Vec<usize>,
    pub looked: Looked,
    pub cached: CachedPage,
    /// Changed ids whose row is gone, with their key's state.
    pub rowless: Vec<(Subject, CachedState)>,
    /// Changed ids whose row is gone and whose key cannot be known without it.
    pub unnamed: u64,
    pub next: Option<KeyRange>,
}

impl PairedPage {
    /// Bytes of both sides' values.
    pub fn weight(&self) -> usize {
        let of_state = |state: &CachedState| match &state.cached {
            Cached::Value(bytes) => bytes.len(),
            Cached::Fields(fields) => fields.iter().flatten().map(Bytes::len).sum(),
            Cached::Missing { .. } | Cached::WrongType(_) => 0,
        };
        let cached: usize = match &self.cached {
            CachedPage::Strings(all) => all.iter().map(Bytes::len).sum(),
            CachedPage::States(all) => all.iter().map(of_state).sum(),
            CachedPage::Mixed(all) => all
                .iter()
                .map(|one| one.as_ref().map_or_else(of_state, Bytes::len))
                .sum(),
        };
        self.rows.weight() + cached
    }
}

/// Reads one page of `range` and its keys. `limit` bounds the rows, and with them the memory.
pub async fn page(
    source: &Mysql,
    cache: &Redis,
    mapping: &Arc<Mapping>,
    range: &KeyRange,
    selection: Selection,
    limit: usize,
) -> Result<PairedPage, ScanError> {
    let page = source.page(mapping, range, selection, limit).await?;
    let mut keyed = Vec::with_capacity(page.rows.len());
    let (looked, cached) = if reads_plain_strings(mapping) {
        let mut keys = Vec::with_capacity(page.rows.len());
        for (at, row) in page.rows.iter().enumerate() {
            if let Some(key) = mapping.render_key(row) {
                keyed.push(at);
                keys.push(key);
            }
        }
        let cached = strings(cache, mapping, &keys).await?;
        (Looked::Keys(keys), cached)
    } else {
        let mut subjects = Vec::with_capacity(page.rows.len());
        for (at, row) in page.rows.iter().enumerate() {
            if let Some(subject) = subject_of(mapping, row) {
                keyed.push(at);
                subjects.push(subject);
            }
        }
        let states = cache.read(mapping, &subjects, with_expiry(mapping)).await?;
        (Looked::Subjects(subjects), CachedPage::States(states))
    };
    let rowless = rowless(cache, mapping, &page.ids_without_row).await?;
    let unnamed = (page.ids_without_row.len() - rowless.len()) as u64;
    Ok(PairedPage {
        rows: page.rows,
        keyed,
        looked,
        cached,
        rowless,
        unnamed,
        next: page.next,
    })
}

/// Whether the rules of this check need the keys' expiries.
pub(super) fn with_expiry(mapping: &Mapping) -> bool {
    mapping.check.expiry != Expiry::Any
}

fn reads_plain_strings(mapping: &Mapping) -> bool {
    let check = &mapping.check;
    check.layout == Layout::KeyPerRow
        && check.expiry != Expiry::Required
        && matches!(
            check.value,
            ValueKind::String | ValueKind::Integer | ValueKind::Decimal | ValueKind::Json
        )
}

/// MGET, then a second, exact read of what came back empty: MGET also says nil for a key of another type.
async fn strings(
    cache: &Redis,
    mapping: &Mapping,
    keys: &[Vec<u8>],
) -> Result<CachedPage, ScanError> {
    let values = cache.read_strings(keys).await?;
    if values.iter().all(Option::is_some) {
        return Ok(CachedPage::Strings(values.into_iter().flatten().collect()));
    }
    let empty: Vec<Subject> = keys
        .iter()
        .zip(&values)
        .filter(|(_, value)| value.is_none())
        .map(|(key, _)| Subject {
            key: key.clone(),
            member: None,
            id: Vec::new(),
        })
        .collect();
    let mut states = cache.read(mapping, &empty, false).await?.into_iter();
    let mixed = values
        .into_iter()
        .map(|value| value.ok_or_else(|| states.next().expect("read answers every subject")))
        .collect();
    Ok(CachedPage::Mixed(mixed))
}

/// Keys of ids that changed and have no row any more, where the id alone names the key.
async fn rowless(
    cache: &Redis,
    mapping: &Mapping,
    ids: &[SweepKey],
) -> Result<Vec<(Subject, CachedState)>, ScanError> {
    let subjects: Vec<Subject> = ids
        .iter()
        .filter_map(|id| subject_of_id(mapping, id))
        .collect();
    if subjects.is_empty() {
        return Ok(Vec::new());
    }
    let states = cache.read(mapping, &subjects, with_expiry(mapping)).await?;
    Ok(subjects.into_iter().zip(states).collect())
}

fn subject_of_id(mapping: &Mapping, sweep_key: &SweepKey) -> Option<Subject> {
    let value = |cell: &usize| {
        let at = mapping.sweep_key.iter().position(|c| c == cell)?;
        Some(sweep_key[at].as_slice())
    };
    let key = mapping
        .check
        .key
        .render(mapping.key_cells.iter().map(value))?;
    let member = match &mapping.check.layout {
        Layout::KeyPerRow => None,
        Layout::RowPerMember(t) => Some(t.render(mapping.member_cells.iter().map(value))?),
    };
    let id = candidates(mapping, &key, member.as_deref())?
        .into_iter()
        .next()?;
    Some(Subject { key, member, id })
}
