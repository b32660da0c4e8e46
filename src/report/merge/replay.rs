//! The ranges of a split: the findings of all its runs, written through the writer of one.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;

use super::sequence::{Found, Known, column, progress_of};
use crate::model::finding::Severity;
use crate::model::observation::Position;
use crate::model::shard::block_of;
use crate::model::slice::SliceOrder;
use crate::model::stream::StreamId;
use crate::model::time::Micros;
use crate::report::cell::{unescape, unescape_id, unguard};
use crate::report::range_row::Affected;
use crate::report::{RangesWriter, ReportError};

/// One check of a split on its way into the ranges.
pub(super) struct Replay<'a> {
    check: &'a str,
    runs: Vec<&'a str>,
    /// Slices that are whole, and how many places each has.
    whole: Peekable<std::collections::btree_map::IntoIter<SliceOrder, u64>>,
    is_divided: bool,
    /// The slice that is written to, by the number it has here.
    current: Option<SliceOrder>,
    number: u32,
}

impl<'a> Replay<'a> {
    pub(super) fn new(known: &'a Known<'a>, check: &'a str) -> Result<Self, ReportError> {
        Ok(Self {
            check,
            runs: known.split.runs().map(|run| run.run_id.as_str()).collect(),
            whole: whole_slices(known, check)?.into_iter().peekable(),
            is_divided: known.split.count() > 1,
            current: None,
            number: 0,
        })
    }

    /// Writes a confirmed finding; they come in the order of their places.
    pub(super) fn write(
        &mut self,
        found: &Found,
        ranges: &mut RangesWriter,
    ) -> Result<(), ReportError> {
        let row = &found.row;
        let Some(slice) = found
            .slice
            .as_ref()
            .filter(|_| &row[column::VERDICT] == "confirmed")
        else {
            return Ok(());
        };
        while let Some((done, places)) = self.whole.next_if(|(done, _)| done < slice) {
            self.step_to(&done);
            ranges.slice_done(self.check, self.number, places)?;
        }
        self.step_to(slice);
        let position = Position {
            slice: self.number,
            ordinal: found.ordinal,
        };
        let id = unescape_id(unguard(&row[column::ID])).unwrap_or_default();
        let version = |at: usize| unescape(unguard(&row[at])).ok().filter(|v| !v.is_empty());
        let (cache, source) = (
            version(column::CACHE_VERSION),
            version(column::SOURCE_VERSION),
        );
        let affected = Affected {
            run_id: self.runs.get(found.run).copied(),
            severity: Severity::of_name(&row[column::SEVERITY]).unwrap_or(Severity::Low),
            id: &id,
            stream_id: StreamId::parse(found.stream_id.as_bytes()),
            changed_at: Micros::from_rfc3339(unguard(&row[column::CHANGED_AT])),
            settled_at: Micros::from_rfc3339(unguard(&row[column::SETTLED_AT])),
            cache_version: cache.as_deref(),
            source_version: source.as_deref(),
            money_delta: Some(found.money_delta.as_str()).filter(|delta| !delta.is_empty()),
            attribution: &row[column::ATTRIBUTION],
        };
        ranges.write_affected(self.check, &row[column::RULE], position, &affected)
    }

    /// Goes on to `slice`. What was not looked at in between leaves a hole in the numbers, which no range crosses.
    fn step_to(&mut self, slice: &SliceOrder) {
        if self.current.as_ref() == Some(slice) {
            return;
        }
        if let Some(current) = &self.current {
            self.number += if self.are_neighbours(current, slice) {
                1
            } else {
                2
            };
        }
        self.current = Some(slice.clone());
    }

    fn are_neighbours(&self, one: &SliceOrder, next: &SliceOrder) -> bool {
        match (one.first_id(), next.first_id()) {
            // Shards that are missing, or stopped, leave out their blocks.
            (Some(first), Some(then)) if self.is_divided => {
                one.joins(next) && block_of(first) + 1 == block_of(then)
            }
            _ => one.joins(next),
        }
    }
}

/// What is whole over all shards: a slice that all of them read is where all of them read it to its end.
fn whole_slices(known: &Known<'_>, check: &str) -> Result<BTreeMap<SliceOrder, u64>, ReportError> {
    let mut met: BTreeMap<SliceOrder, (u64, bool, BTreeSet<u8>)> = BTreeMap::new();
    for (at, run) in known.split.runs().enumerate() {
        let progress = progress_of(run)?.check(check);
        let counted = known.counted(at, check);
        for (order, slice) in progress.slices {
            // Whoever went on from this run swept the rest again, in slices of its own.
            let counts = counted.as_ref().is_none_or(|counted| {
                let marked = counted.mark.as_ref().is_some_and(|m| order < m.slice);
                counted.done.is_some() || marked
            });
            if counts {
                let (places, is_shared, shards) = met.entry(order).or_default();
                *places = slice.places.max(*places);
                *is_shared |= slice.is_shared;
                shards.insert(run.shard.index());
            }
        }
    }
    let count = usize::from(known.split.count());
    Ok(met
        .into_iter()
        .filter(|(_, (_, is_shared, shards))| !is_shared || shards.len() == count)
        .map(|(order, (places, ..))| (order, places))
        .collect())
}
