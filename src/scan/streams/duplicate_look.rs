//! Exact looks at what shares a digest.

use std::collections::{HashMap, HashSet};

use super::duplicates::{DuplicateGroup, DuplicatePlaces};
use crate::model::identity::SourceIdentity;
use crate::model::rows::Row;
use crate::model::stream::{Entry, StreamId};
use crate::rules::StreamJudge;
use crate::rules::stream::{DuplicateBy, DuplicateCase};
use crate::scan::ScanError;
use crate::store::mysql::{Mysql, SweepKey};
use crate::store::redis::Redis;

/// Entries that are asked for together.
const IDS_AT_ONCE: usize = 100;

/// An entry or a row that carries what another carries, too.
#[derive(Debug, Clone, PartialEq)]
pub enum Duplicated {
    Entry(Entry),
    Row { key: SweepKey, row: Row },
}

/// One place too many, beside the first one.
#[derive(Debug, Clone, PartialEq)]
pub struct DuplicatePair {
    pub case: DuplicateCase,
    /// That of its group.
    pub order: Vec<u8>,
    pub first: Duplicated,
    pub extra: Duplicated,
}

/// One look at some groups.
#[derive(Debug, Clone)]
pub struct DuplicateLook {
    /// All but the first of each identity (or tuple), in the order of groups and places.
    pub pairs: Vec<DuplicatePair>,
    /// Who gave the rows; `None`: there were only entries.
    pub source: Option<SourceIdentity>,
}

/// One member of a group, as it is now.
struct Member {
    /// Identity or tuple, whichever the group is about.
    shared: Vec<u8>,
    identity: Vec<u8>,
    /// The entry that a requeued one was at first; of a row none.
    root: Option<StreamId>,
    what: Duplicated,
}

/// Reads every place again and compares exactly. A digest that two values share by chance, an entry or row that
/// is gone or was changed, and an entry that is another one requeued, make no pair.
pub async fn look_at_duplicates(
    source: &Mysql,
    cache: &Redis,
    judge: &StreamJudge,
    groups: &[DuplicateGroup],
) -> Result<DuplicateLook, ScanError> {
    let mut ids = Vec::new();
    let mut keys = Vec::new();
    for group in groups {
        match &group.places {
            DuplicatePlaces::Entries(places) => ids.extend_from_slice(places),
            DuplicatePlaces::Rows(places) => keys.extend_from_slice(places),
        }
    }
    let entries = entries(cache, judge, &mut ids).await?;
    let (rows, source) = rows(source, judge, &keys).await?;
    let mut pairs = Vec::new();
    for group in groups {
        let members = match &group.places {
            DuplicatePlaces::Entries(places) => {
                let found: Vec<&Entry> = places.iter().filter_map(|id| entries.get(id)).collect();
                of_entries(judge, group.case, &found)
            }
            DuplicatePlaces::Rows(places) => places
                .iter()
                .filter_map(|key| of_row(judge, group.case, key, rows.get(key)?))
                .collect(),
        };
        pairs.extend(pairs_of(group, members));
    }
    Ok(DuplicateLook { pairs, source })
}

impl DuplicatePair {
    /// Whether both are about the same places.
    pub fn is_same(&self, other: &Self) -> bool {
        self.case == other.case
            && self.first.is_same(&other.first)
            && self.extra.is_same(&other.extra)
    }
}

impl Duplicated {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Duplicated::Entry(one), Duplicated::Entry(other)) => one.id == other.id,
            (Duplicated::Row { key: one, .. }, Duplicated::Row { key: other, .. }) => one == other,
            _ => false,
        }
    }
}

async fn entries(
    cache: &Redis,
    judge: &StreamJudge,
    ids: &mut Vec<StreamId>,
) -> Result<HashMap<StreamId, Entry>, ScanError> {
    ids.sort_unstable();
    ids.dedup();
    let mut entries = HashMap::with_capacity(ids.len());
    // Whole entries come along; of each only what is compared and shown is held.
    for ids in ids.chunks(IDS_AT_ONCE) {
        let found = cache.entries_by_id(&judge.mapping().check.key, ids).await?;
        let own = found.into_iter().flatten().filter(|e| judge.belongs(e));
        entries.extend(own.map(|entry| (entry.id, judge.essence(entry))));
    }
    Ok(entries)
}

async fn rows(
    source: &Mysql,
    judge: &StreamJudge,
    keys: &[SweepKey],
) -> Result<(HashMap<SweepKey, Row>, Option<SourceIdentity>), ScanError> {
    if keys.is_empty() {
        return Ok((HashMap::new(), None));
    }
    let mapping = &judge.mapping().rows;
    let witnessed = source.rows_by_key(mapping, keys).await?;
    let rows = witnessed
        .rows
        .iter()
        .map(|row| {
            let cells = mapping.sweep_key.iter();
            let key = cells.map(|&c| row.cell(c).unwrap_or_default().to_vec());
            (key.collect(), row.to_owned_row())
        })
        .collect();
    Ok((rows, Some(witnessed.source)))
}

fn of_entries(judge: &StreamJudge, case: DuplicateCase, entries: &[&Entry]) -> Vec<Member> {
    let origins: HashMap<StreamId, StreamId> = entries
        .iter()
        .filter_map(|entry| Some((entry.id, requeued_from(judge, entry)?)))
        .collect();
    let member = |entry: &&Entry| {
        let identity = judge.identity_of(entry.id, Some(entry))?;
        Some(Member {
            shared: match case.by {
                DuplicateBy::Identity => identity.clone(),
                DuplicateBy::Tuple => judge.entry_tuple(entry)?,
            },
            identity,
            root: Some(root(&origins, entry.id)),
            what: Duplicated::Entry((*entry).clone()),
        })
    };
    entries.iter().filter_map(member).collect()
}

fn of_row(judge: &StreamJudge, case: DuplicateCase, key: &SweepKey, row: &Row) -> Option<Member> {
    let cells = row.as_ref();
    let identity = cells.cell(judge.mapping().identity_cell())?.to_vec();
    Some(Member {
        shared: match case.by {
            DuplicateBy::Identity => identity.clone(),
            DuplicateBy::Tuple => judge.row_tuple(cells)?,
        },
        identity,
        root: None,
        what: Duplicated::Row {
            key: key.clone(),
            row: row.clone(),
        },
    })
}

/// An id that is not lower than the entry's own is no id it can have been requeued from.
fn requeued_from(judge: &StreamJudge, entry: &Entry) -> Option<StreamId> {
    judge.requeued_from(entry).filter(|from| *from < entry.id)
}

/// Each step goes to a lower id, so this ends.
fn root(origins: &HashMap<StreamId, StreamId>, id: StreamId) -> StreamId {
    let mut root = id;
    while let Some(&origin) = origins.get(&root) {
        root = origin;
    }
    root
}

/// `members` in the order of their places.
fn pairs_of(group: &DuplicateGroup, members: Vec<Member>) -> Vec<DuplicatePair> {
    struct First {
        what: Duplicated,
        identities: HashSet<Vec<u8>>,
        roots: HashSet<StreamId>,
    }
    let case = group.case;
    let mut firsts: HashMap<Vec<u8>, First> = HashMap::new();
    let mut pairs = Vec::new();
    for member in members {
        let Some(first) = firsts.get_mut(&member.shared) else {
            let first = First {
                what: member.what,
                identities: HashSet::from([member.identity]),
                roots: member.root.into_iter().collect(),
            };
            firsts.insert(member.shared, first);
            continue;
        };
        let is_requeued = member.root.is_some_and(|root| !first.roots.insert(root));
        // The same identity is a duplicate by itself already.
        let is_of_another = first.identities.insert(member.identity);
        if !is_requeued && (case.by == DuplicateBy::Identity || is_of_another) {
            pairs.push(DuplicatePair {
                case,
                order: group.order.clone(),
                first: first.what.clone(),
                extra: member.what,
            });
        }
    }
    pairs
}
