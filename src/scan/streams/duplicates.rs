//! One identity, or one tuple, seen twice: found by digests, whatever the length of the stream and the table.

use std::path::Path;

use super::owner::{has_identity, has_tuple};
use super::place;
use super::runs::{Group, Merged, Runs};
use super::spill::{Gathered, Spill, SpillLimits};
use crate::model::rows::RowRef;
use crate::model::shard::Shard;
use crate::model::stream::{Entry, StreamId};
use crate::rules::StreamJudge;
use crate::rules::stream::{DuplicateBy, DuplicateCase, DuplicateSide};
use crate::scan::ScanError;
use crate::store::mysql::SweepKey;

const ENTRY_IDENTITY: DuplicateCase = DuplicateCase {
    side: DuplicateSide::Entries,
    by: DuplicateBy::Identity,
};
const ENTRY_TUPLE: DuplicateCase = DuplicateCase {
    side: DuplicateSide::Entries,
    by: DuplicateBy::Tuple,
};
const ROW_IDENTITY: DuplicateCase = DuplicateCase {
    side: DuplicateSide::Rows,
    by: DuplicateBy::Identity,
};
const ROW_TUPLE: DuplicateCase = DuplicateCase {
    side: DuplicateSide::Rows,
    by: DuplicateBy::Tuple,
};
/// In the order in which their groups come; the place is the tag.
const CASES: [DuplicateCase; 4] = [ENTRY_IDENTITY, ENTRY_TUPLE, ROW_IDENTITY, ROW_TUPLE];

/// Where something occurs, two places at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DuplicatePlaces {
    /// In the order of ids.
    Entries(Vec<StreamId>),
    /// Keys of `mapping.rows`, in the order in which the rows were pushed.
    Rows(Vec<SweepKey>),
}

/// Places that share a digest. Only an exact look says that they share more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DuplicateGroup {
    pub case: DuplicateCase,
    pub places: DuplicatePlaces,
    /// Further places, beyond ten thousand, that were counted but are not named.
    pub more: u64,
    /// Sorts the groups, those of all shards too: by case, then by first place.
    pub order: Vec<u8>,
}

/// Digests of identities and tuples with their places. Some 16 MB are held in memory; more lies on disk until this, or
/// what it finishes as, is dropped. Writes block: milliseconds every 16 MB.
#[derive(Debug)]
pub struct Duplicates {
    spill: Spill,
    limits: SpillLimits,
    rows: u64,
    shard: Shard,
}

/// Groups case by case, each in the order of its first place.
#[derive(Debug)]
pub struct DuplicateGroups(Merged);

impl DuplicatePlaces {
    /// How many entries or rows a look reads.
    pub fn len(&self) -> usize {
        match self {
            Self::Entries(places) => places.len(),
            Self::Rows(places) => places.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Duplicates {
    /// Files, if any are needed, lie in a folder of their own below `folder`.
    pub fn create(folder: &Path) -> Self {
        Self::with_limits(folder, SpillLimits::default())
    }

    /// The same, which keeps of what is pushed only what is `shard`'s.
    pub fn of(self, shard: Shard) -> Self {
        Self { shard, ..self }
    }

    /// The same, for about this many entries and rows together. None may have been pushed yet.
    pub fn expecting(self, places: u64) -> Self {
        // Each has an identity and may have a tuple.
        let spill = self.spill.expecting(places.saturating_mul(2));
        Self { spill, ..self }
    }

    fn with_limits(folder: &Path, limits: SpillLimits) -> Self {
        Self {
            spill: Spill::create(folder, limits),
            limits,
            rows: 0,
            shard: Shard::WHOLE,
        }
    }

    /// An entry of the check, once. One without an identity is no duplicate.
    pub fn push_entry(&mut self, judge: &StreamJudge, entry: &Entry) -> Result<(), ScanError> {
        let Some(identity) = judge.identity_of(entry.id, Some(entry)) else {
            return Ok(());
        };
        let place = place::of_entry(entry.id);
        if judge.can_duplicate(ENTRY_IDENTITY) && has_identity(self.shard, judge, &identity) {
            self.push(ENTRY_IDENTITY, &identity, &place)?;
        }
        match judge.entry_tuple(entry) {
            Some(tuple) if has_tuple(self.shard, &tuple) => self.push(ENTRY_TUPLE, &tuple, &place),
            _ => Ok(()),
        }
    }

    /// A row of the table, once. What a unique key makes impossible is not looked for.
    pub fn push_row(&mut self, judge: &StreamJudge, row: RowRef<'_>) -> Result<(), ScanError> {
        let ordinal = u128::from(self.rows);
        // Counted whichever shard's it is, so that all shards have one order of rows.
        self.rows += 1;
        self.push_row_at(judge, row, ordinal)
    }

    /// A row that an entry was found to have, beside another one.
    pub fn push_row_of(
        &mut self,
        judge: &StreamJudge,
        entry: StreamId,
        row: RowRef<'_>,
    ) -> Result<(), ScanError> {
        self.push_row_at(judge, row, place::ordinal_of_entry(entry))
    }

    fn push_row_at(
        &mut self,
        judge: &StreamJudge,
        row: RowRef<'_>,
        ordinal: u128,
    ) -> Result<(), ScanError> {
        let mapping = judge.mapping();
        let Some(identity) = row.cell(mapping.identity_cell()) else {
            return Ok(());
        };
        let key = mapping.rows.sweep_key.iter();
        let place = place::of_row(ordinal, key.map(|&c| row.cell(c).unwrap_or_default()));
        if judge.can_duplicate(ROW_IDENTITY) && has_identity(self.shard, judge, identity) {
            self.push(ROW_IDENTITY, identity, &place)?;
        }
        match judge.row_tuple(row) {
            Some(tuple) if judge.can_duplicate(ROW_TUPLE) && has_tuple(self.shard, &tuple) => {
                self.push(ROW_TUPLE, &tuple, &place)
            }
            _ => Ok(()),
        }
    }

    /// All groups of two places or more. Blocks while it reads back what lies on disk.
    pub fn finish(self) -> Result<DuplicateGroups, ScanError> {
        let mut runs = Runs::new(self.limits.bytes_max);
        let folder = self.spill.gather(|folder, gathered| {
            gathered
                .into_iter()
                .filter_map(group)
                .try_for_each(|group| runs.push(folder, group))
        })?;
        Ok(DuplicateGroups(runs.merge(folder)?))
    }

    fn push(&mut self, case: DuplicateCase, value: &[u8], place: &[u8]) -> Result<(), ScanError> {
        let digest = self.spill.digest((case, value));
        Ok(self.spill.push(tag_of(case), digest, place)?)
    }
}

impl Iterator for DuplicateGroups {
    type Item = Result<DuplicateGroup, ScanError>;

    fn next(&mut self) -> Option<Self::Item> {
        let group = match self.0.next()? {
            Ok(group) => group,
            Err(fault) => return Some(Err(fault.into())),
        };
        let case = CASES[usize::from(group.tag)];
        let first = group.places.first().map(Vec::as_slice).unwrap_or_default();
        let order = [&[group.tag], first].concat();
        let places = group.places.iter();
        let places = match case.side {
            DuplicateSide::Entries => {
                DuplicatePlaces::Entries(places.map(|p| place::entry(p)).collect())
            }
            DuplicateSide::Rows => DuplicatePlaces::Rows(places.map(|p| place::row(p)).collect()),
        };
        Some(Ok(DuplicateGroup {
            case,
            places,
            more: group.more,
            order,
        }))
    }
}

fn tag_of(case: DuplicateCase) -> u8 {
    let place = CASES.iter().position(|known| *known == case);
    place.expect("the cases are all there are") as u8
}

/// The case is part of the digest, so all places are of one.
fn group(gathered: Gathered) -> Option<Group> {
    let (tag, _) = *gathered
        .places
        .first()
        .filter(|_| gathered.places.len() > 1)?;
    Some(Group {
        tag,
        places: gathered
            .places
            .into_iter()
            .map(|(_, place)| place)
            .collect(),
        more: gathered.more,
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;

    const TRIED: [DuplicateCase; 2] = [ENTRY_IDENTITY, ROW_TUPLE];

    fn place_of(case: DuplicateCase, at: u64) -> Vec<u8> {
        match case.side {
            DuplicateSide::Entries => place::of_entry(StreamId::new(at, at % 3)).to_vec(),
            DuplicateSide::Rows => place::of_row(
                at.into(),
                [b"key".as_slice(), &at.to_be_bytes()].into_iter(),
            ),
        }
    }

    fn places_of(case: DuplicateCase, ats: &[u64]) -> DuplicatePlaces {
        match case.side {
            DuplicateSide::Entries => {
                DuplicatePlaces::Entries(ats.iter().map(|&at| StreamId::new(at, at % 3)).collect())
            }
            DuplicateSide::Rows => DuplicatePlaces::Rows(
                ats.iter()
                    .map(|at| vec![b"key".to_vec(), at.to_be_bytes().to_vec()])
                    .collect(),
            ),
        }
    }

    fn found(pushed: &[(usize, u8)], limits: SpillLimits, folder: &Path) -> Vec<DuplicateGroup> {
        let mut duplicates = Duplicates::with_limits(folder, limits);
        for (at, &(case, value)) in (0..).zip(pushed) {
            let case = TRIED[case];
            duplicates
                .push(case, &[value], &place_of(case, at))
                .unwrap();
        }
        duplicates.finish().unwrap().map(Result::unwrap).collect()
    }

    /// The same by sorting everything in memory.
    fn expected(pushed: &[(usize, u8)], places_max: usize) -> Vec<DuplicateGroup> {
        let mut by_value: BTreeMap<(usize, u8), Vec<u64>> = BTreeMap::new();
        for (at, &value) in (0..).zip(pushed) {
            by_value.entry(value).or_default().push(at);
        }
        let mut groups: Vec<(usize, Vec<u64>)> = by_value
            .into_iter()
            .map(|((kind, _), ats)| (kind, ats))
            .filter(|(_, ats)| ats.len() > 1)
            .collect();
        groups.sort();
        groups
            .into_iter()
            .map(|(kind, ats)| DuplicateGroup {
                order: [vec![tag_of(TRIED[kind])], place_of(TRIED[kind], ats[0])].concat(),
                case: TRIED[kind],
                places: places_of(TRIED[kind], &ats[..ats.len().min(places_max)]),
                more: ats.len().saturating_sub(places_max) as u64,
            })
            .collect()
    }

    fn tiny() -> SpillLimits {
        SpillLimits {
            bytes_max: 150,
            records_per_pass: 2,
            places_max: 4,
        }
    }

    proptest! {
        #[test]
        fn every_value_that_comes_twice_is_found_whether_in_memory_or_on_disk(
            pushed in proptest::collection::vec((0..TRIED.len(), 0_u8..20), 0..120),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let large = SpillLimits::default();
            prop_assert_eq!(
                found(&pushed, large, folder.path()),
                expected(&pushed, large.places_max)
            );
            prop_assert!(is_empty(folder.path()), "little data needs no disk");
            prop_assert_eq!(
                found(&pushed, tiny(), folder.path()),
                expected(&pushed, tiny().places_max)
            );
            prop_assert!(is_empty(folder.path()), "nothing is left behind");
        }
    }

    #[test]
    fn what_is_dropped_half_way_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let mut duplicates = Duplicates::with_limits(folder.path(), tiny());
        for at in 0..100 {
            let place = place_of(ROW_TUPLE, at);
            duplicates.push(ROW_TUPLE, b"same", &place).unwrap();
        }
        assert!(!is_empty(folder.path()), "memory was full");
        drop(duplicates);
        assert!(is_empty(folder.path()));
    }

    fn is_empty(folder: &Path) -> bool {
        std::fs::read_dir(folder).unwrap().next().is_none()
    }
}
