//! The other direction: what lies in Redis, and whether a row explains it.

use std::collections::VecDeque;

use super::ScanError;
use super::keys::{Target, candidates, has_candidates};
use super::owner::{Portion, has_place};
use crate::model::check::{Layout, ValueKind};
use crate::model::mapping::Mapping;
use crate::model::observation::{Position, Subject};
use crate::store::redis::{KeyWalk, Redis};

/// Where a walk through the keyspace stands. It belongs to one process of one node: after a restart or a
/// failover it must begin anew.
#[derive(Debug, Default)]
pub struct KeyspaceCursor {
    keys: Option<KeyWalk>,
    /// Keys whose members are still to be walked, the first one at this cursor.
    members: VecDeque<Vec<u8>>,
    member_cursor: u64,
    is_at_end: bool,
    portion: Portion,
    /// Places brought up so far, those of other shards included.
    walked: u64,
}

impl KeyspaceCursor {
    /// A walk that brings up what is of the `portion`; the rest it only counts. `walked`: how many places an earlier walk
    /// over the same keys has met, so that their numbers go on.
    pub fn of(portion: Portion, walked: u64) -> Self {
        Self {
            portion,
            walked,
            ..Self::default()
        }
    }

    /// How many keys or members that could be this check's the walk has met, whichever shard's.
    pub fn walked(&self) -> u64 {
        self.walked
    }
}

/// One page of the walk.
#[derive(Debug, Default)]
pub struct KeyspacePage {
    /// Keys or members that could be this check's.
    pub places: Vec<Place>,
    /// Keys that fit the pattern but cannot be this check's: `user:x:profile` beside `user:7:profile`.
    pub foreign: u64,
    /// Keys that can be split in too many ways to be looked up, and keys of another type than their members
    /// need.
    pub skipped: u64,
    /// Keys in slots that the walk is not about.
    pub elsewhere: u64,
}

/// A key, or a member of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub key: Vec<u8>,
    pub member: Option<Vec<u8>>,
    /// Which of all places of the walk it is, from 0.
    pub number: u64,
}

impl Place {
    /// What is to be looked up, position not yet given; `None` where no id could explain it.
    pub fn target(self, mapping: &Mapping) -> Option<Target> {
        let candidates = candidates(mapping, &self.key, self.member.as_deref())?;
        let id = candidates.first()?.clone();
        Some(Target {
            subject: Subject {
                key: self.key,
                member: self.member,
                id,
            },
            position: Position::default(),
            sweep_key: None,
            candidates,
        })
    }
}

/// The next page; `None` when the walk is done. Pages may be empty and a key may come up twice, as SCAN
/// has it.
pub async fn next_keyspace_page(
    cache: &Redis,
    mapping: &Mapping,
    cursor: &mut KeyspaceCursor,
) -> Result<Option<KeyspacePage>, ScanError> {
    if let (Layout::RowPerMember(_), Some(key)) =
        (&mapping.check.layout, cursor.members.front().cloned())
    {
        let page = cache
            .scan_members(mapping, &key, cursor.member_cursor)
            .await?;
        let mut found = KeyspacePage::default();
        for member in page.items {
            let key = key.clone();
            cursor.sort_in(mapping, key, Some(member), &mut found);
        }
        cursor.member_cursor = page.next;
        if page.next == 0 {
            cursor.members.pop_front();
        }
        return Ok(Some(found));
    }
    if cursor.is_at_end {
        return Ok(None);
    }
    let page = match fixed_key(mapping) {
        // One key of many rows: no need to walk the keyspace for it.
        Some(key) => {
            cursor.is_at_end = true;
            vec![key]
        }
        None => {
            let slots = cursor.portion.slots();
            let walk = cursor.keys.get_or_insert_with(|| cache.walk_keys(slots));
            let page = cache.scan_keys(walk, &mapping.check.key.glob()).await?;
            cursor.is_at_end = walk.is_done();
            page
        }
    };
    let mut found = KeyspacePage::default();
    match mapping.check.layout {
        Layout::KeyPerRow => {
            for key in page {
                cursor.sort_in(mapping, key, None, &mut found);
            }
        }
        Layout::RowPerMember(_) => {
            cursor.member_cursor = 0;
            let (page, others): (Vec<_>, Vec<_>) = page
                .into_iter()
                .partition(|key| cursor.portion.has_slot_of(key));
            found.elsewhere += others.len() as u64;
            let types = cache.types(&page).await?;
            for (key, kind) in page.into_iter().zip(types) {
                let one = u64::from(cursor.portion.shard.has_key(&key));
                match mapping.check.key.split(&key) {
                    Some(splits) if splits.is_empty() => found.foreign += one,
                    Some(_) if kind == "none" => {}
                    // Its members cannot be walked, so what they were is not known.
                    Some(_) if kind != members_type(mapping.check.value) => found.skipped += one,
                    Some(_) => cursor.members.push_back(key),
                    None => found.skipped += one,
                }
            }
        }
    }
    Ok(Some(found))
}

/// The type of a key whose members are rows, as TYPE gives it.
fn members_type(value: ValueKind) -> &'static str {
    match value {
        ValueKind::Zset => "zset",
        ValueKind::Set => "set",
        _ => "hash",
    }
}

/// The key itself, where the template has no placeholder.
fn fixed_key(mapping: &Mapping) -> Option<Vec<u8>> {
    mapping
        .key_cells
        .is_empty()
        .then(|| mapping.check.key.render(std::iter::empty()))
        .flatten()
}

impl KeyspaceCursor {
    /// Puts one key, or member of one, where it belongs; of other shards' only the places count.
    fn sort_in(
        &mut self,
        mapping: &Mapping,
        key: Vec<u8>,
        member: Option<Vec<u8>>,
        page: &mut KeyspacePage,
    ) {
        if !self.portion.has_slot_of(&key) {
            page.elsewhere += 1;
            return;
        }
        let has_candidates = has_candidates(mapping, &key, member.as_deref());
        if has_candidates != Some(true) {
            let one = u64::from(self.portion.shard.has_key(&key));
            match has_candidates {
                None => page.skipped += one,
                Some(_) => page.foreign += one,
            }
            return;
        }
        if has_place(self.portion.shard, mapping, &key, member.as_deref()) {
            let number = self.walked;
            page.places.push(Place {
                key,
                member,
                number,
            });
        }
        self.walked += 1;
    }
}
