//! The rules about streams, one file each; the catalog has them in order. Before them, what they are asked by: a
//! `StreamJudge` sees one look at an entry or a group, `decide_entry` and `decide_group` several.

mod judging;

pub mod acked_unpersisted;
pub mod duplicate_entry;
pub mod duplicate_row;
pub mod group_missing;
pub mod group_rewound;
pub mod lost_entry;
pub mod orphan_pending;
pub mod payload_conflict;
pub mod poison_pending;
pub mod trimmed_pending;
pub mod unacked_persisted;

#[cfg(test)]
pub(crate) use judging::testing;
pub use judging::{
    DuplicateBy, DuplicateCase, DuplicateSide, EntryCase, GroupCase, LostCase, Proof, StreamJudge,
    decide_entry, decide_group, judge_duplicate,
};
