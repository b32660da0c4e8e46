//! Which of several shards rows and keys belong to, and which of them a sweep of some slots is about.
//!
//! A key goes with the row it would be of, so that a shard meets the keys of its own rows when it walks Redis; where
//! the key does not say which row that is, its slot decides.

use std::sync::Arc;

use super::keys::{candidates, sweep_key_of_id};
use crate::model::mapping::Mapping;
use crate::model::rows::RowRef;
use crate::model::shard::Shard;
use crate::model::slots::SlotSet;
use crate::plan::is_integer_key;
use crate::store::mysql::SweepKey;

/// What of all rows and keys a sweep is about.
#[derive(Debug, Clone, Default)]
pub struct Portion {
    pub shard: Shard,
    /// `None`: all of them.
    slots: Option<Arc<SlotSet>>,
}

impl Portion {
    /// What is `shard`'s, in whatever slot of a Cluster it lies.
    pub fn of(shard: Shard) -> Self {
        Self { shard, slots: None }
    }

    /// Of that only what lies in `slots`.
    pub fn within(self, slots: &Arc<SlotSet>) -> Self {
        let slots = (!slots.is_all()).then(|| Arc::clone(slots));
        Self { slots, ..self }
    }

    /// Whether the key lies in one of the slots.
    pub fn has_slot_of(&self, key: &[u8]) -> bool {
        self.slots.as_ref().is_none_or(|slots| slots.has_key(key))
    }

    /// `None`: all of them.
    pub fn slots(&self) -> Option<&SlotSet> {
        self.slots.as_deref()
    }
}

/// Whether the row of this key is the shard's.
pub fn has_sweep_key(shard: Shard, mapping: &Mapping, key: &SweepKey) -> bool {
    has_cells(shard, mapping, key.iter().map(Vec::as_slice))
}

pub(super) fn has_row(shard: Shard, mapping: &Mapping, row: RowRef<'_>) -> bool {
    let cells = mapping.sweep_key.iter();
    has_cells(
        shard,
        mapping,
        cells.map(|&c| row.cell(c).unwrap_or_default()),
    )
}

/// Whether this key, or this member of it, is the shard's.
pub fn has_place(shard: Shard, mapping: &Mapping, key: &[u8], member: Option<&[u8]>) -> bool {
    if shard.is_whole() {
        return true;
    }
    let found = candidates(mapping, key, member);
    let of_row = match found.as_deref() {
        Some([only]) => sweep_key_of_id(mapping, only),
        _ => None,
    };
    match of_row {
        Some(row) => has_sweep_key(shard, mapping, &row),
        None => shard.has_key(key),
    }
}

fn has_cells<'c>(shard: Shard, mapping: &Mapping, cells: impl Iterator<Item = &'c [u8]>) -> bool {
    if shard.is_whole() {
        return true;
    }
    let cells: Vec<&[u8]> = cells.collect();
    let id = match cells.as_slice() {
        [only] if is_integer_key(mapping) => whole_number(only),
        _ => None,
    };
    match id {
        Some(id) => shard.has_id(id),
        None => shard.has_parts(cells),
    }
}

fn whole_number(cell: &[u8]) -> Option<i128> {
    std::str::from_utf8(cell).ok()?.parse().ok()
}
