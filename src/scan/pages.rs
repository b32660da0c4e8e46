//! A page of rows and what Redis holds for each of them.

use std::sync::Arc;

use bytes::Bytes;

use super::ScanError;
use super::keys::{candidates, subject_of};
use super::owner::{Portion, has_row, has_sweep_key};
use crate::model::check::{Expiry, Layout, ValueKind};
use crate::model::mapping::Mapping;
use crate::model::observation::{Cached, CachedState, KeyExpiry, Subject};
use crate::model::rows::{RowRef, Rows};
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

/// Rows in sweep order, each beside what Redis holds. Of a shard only its own are; the others have their places.
#[derive(Debug)]
pub struct PairedPage {
    pub rows: Rows,
    /// Indexes of own rows that have a key.
    pub keyed: Vec<usize>,
    /// The place of each of `keyed` among all the ids of the page whose key is known.
    pub places: Vec<u64>,
    /// Own rows without a key: they have a NULL in a placeholder.
    pub keyless: u64,
    pub looked: Looked,
    pub cached: CachedPage,
    /// Own changed ids whose row is gone.
    pub rowless: Vec<Rowless>,
    /// Own changed ids whose row is gone and whose key cannot be known without it.
    pub unnamed: u64,
    /// Own rows, and own changed ids whose row is gone, with a key in a slot that the sweep is not about: not read.
    pub elsewhere: u64,
    /// How many places there are, those of other shards included.
    pub length: u64,
    pub next: Option<KeyRange>,
}

/// A changed id whose row is gone, with its key's state.
#[derive(Debug)]
pub struct Rowless {
    pub place: u64,
    pub subject: Subject,
    pub state: CachedState,
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

/// Reads one page of `range` and the keys of the `portion` of it. `limit` bounds the rows, and with them the memory.
pub async fn page(
    source: &Mysql,
    cache: &Redis,
    mapping: &Arc<Mapping>,
    range: &KeyRange,
    selection: Selection,
    portion: &Portion,
    limit: usize,
) -> Result<PairedPage, ScanError> {
    let page = source.page(mapping, range, selection, limit).await?;
    let is_plain = reads_plain_strings(mapping);
    let mut own = Own::default();
    for (at, row) in page.rows.iter().enumerate() {
        let is_own = has_row(portion.shard, mapping, row);
        match is_plain {
            true => own.take_key(mapping, at, row, portion, is_own),
            false => own.take_subject(mapping, at, row, portion, is_own),
        }
    }
    let (looked, cached) = if is_plain {
        let cached = strings(cache, mapping, &own.keys).await?;
        (Looked::Keys(own.keys), cached)
    } else {
        let states = cache
            .read(mapping, &own.subjects, with_expiry(mapping))
            .await?;
        (Looked::Subjects(own.subjects), CachedPage::States(states))
    };
    let mut length = own.length;
    let mut gone = Vec::new();
    let mut unnamed = 0;
    for id in &page.ids_without_row {
        let is_own = has_sweep_key(portion.shard, mapping, id);
        match subject_of_id(mapping, id) {
            Some(subject) if portion.has_slot_of(&subject.key) => {
                gone.extend(is_own.then_some((length, subject)));
                length += 1;
            }
            Some(_) => {
                own.elsewhere += u64::from(is_own);
                length += 1;
            }
            None => unnamed += u64::from(is_own),
        }
    }
    Ok(PairedPage {
        rows: page.rows,
        keyed: own.keyed,
        places: own.places,
        keyless: own.keyless,
        looked,
        cached,
        rowless: rowless(cache, mapping, gone).await?,
        unnamed,
        elsewhere: own.elsewhere,
        length,
        next: page.next,
    })
}

/// A shard's part of a page, as it is taken row by row.
#[derive(Default)]
struct Own {
    keyed: Vec<usize>,
    places: Vec<u64>,
    keyless: u64,
    elsewhere: u64,
    keys: Vec<Vec<u8>>,
    subjects: Vec<Subject>,
    length: u64,
}

impl Own {
    fn take_key(
        &mut self,
        mapping: &Mapping,
        at: usize,
        row: RowRef<'_>,
        portion: &Portion,
        is_own: bool,
    ) {
        let key = mapping.render_key(row);
        let fate = Fate::of(key.as_deref(), portion, is_own);
        self.keys.extend(key.filter(|_| fate == Fate::Read));
        self.count(at, fate, is_own);
    }

    fn take_subject(
        &mut self,
        mapping: &Mapping,
        at: usize,
        row: RowRef<'_>,
        portion: &Portion,
        is_own: bool,
    ) {
        let subject = subject_of(mapping, row);
        let key = subject.as_ref().map(|subject| subject.key.as_slice());
        let fate = Fate::of(key, portion, is_own);
        self.subjects.extend(subject.filter(|_| fate == Fate::Read));
        self.count(at, fate, is_own);
    }

    fn count(&mut self, at: usize, fate: Fate, is_own: bool) {
        match fate {
            Fate::Read => {
                self.keyed.push(at);
                self.places.push(self.length);
            }
            Fate::Keyless => self.keyless += u64::from(is_own),
            Fate::Elsewhere => self.elsewhere += 1,
            Fate::OtherShard => {}
        }
        self.length += u64::from(fate != Fate::Keyless);
    }
}

/// What becomes of a row's key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Read,
    /// Our own, in a slot that the sweep is not about.
    Elsewhere,
    OtherShard,
    Keyless,
}

impl Fate {
    fn of(key: Option<&[u8]>, portion: &Portion, is_own: bool) -> Self {
        match key {
            None => Self::Keyless,
            Some(_) if !is_own => Self::OtherShard,
            Some(key) if portion.has_slot_of(key) => Self::Read,
            Some(_) => Self::Elsewhere,
        }
    }
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

/// What Redis holds for ids that changed and have no row any more.
async fn rowless(
    cache: &Redis,
    mapping: &Mapping,
    gone: Vec<(u64, Subject)>,
) -> Result<Vec<Rowless>, ScanError> {
    if gone.is_empty() {
        return Ok(Vec::new());
    }
    let (places, subjects): (Vec<u64>, Vec<Subject>) = gone.into_iter().unzip();
    let states = cache.read(mapping, &subjects, with_expiry(mapping)).await?;
    let found = places.into_iter().zip(subjects).zip(states);
    Ok(found
        .map(|((place, subject), state)| Rowless {
            place,
            subject,
            state,
        })
        .collect())
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
