//! How a stream is judged: what an entry and its rows say together, what several looks are worth.

mod case;
mod confirm_entry;
mod confirm_group;
mod decode;
mod duplicates;
mod judge;
mod new_row;
mod proof;
mod shown;
#[cfg(test)]
pub(crate) mod testing;
mod tuple;

pub use case::{EntryCase, GroupCase, LostCase};
pub use confirm_entry::decide_entry;
pub use confirm_group::decide_group;
pub use duplicates::{DuplicateBy, DuplicateCase, DuplicateSide, judge_duplicate};
pub use judge::StreamJudge;
pub use proof::Proof;
