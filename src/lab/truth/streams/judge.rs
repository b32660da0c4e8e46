//! What is wrong with which entry, pending message, row or group.

use std::collections::{BTreeMap, BTreeSet};

use super::duplicates::{duplicate_entries, duplicate_rows};
use super::entry_id::EntryId;
use super::world::{EntryFacts, RowFacts, StreamWorld};
use crate::lab::app::streams::{Layout, SAVE};

/// Ids that rows carry are from the future when they are later than the server's clock by more than this.
const SKEW_MS: u64 = 60_000;

/// What a job says of a stream, as far as the truth depends on it.
#[derive(Debug, Clone)]
pub struct StreamView {
    /// The check's name.
    pub check: String,
    pub layout: Layout,
    /// `proof_sql`: a bid without its row in `bid_effect` is not done.
    pub needs_effect: bool,
    /// `rejected_sql`: a row in `bid_rejected` is an end too.
    pub knows_rejections: bool,
    pub may_leave_no_row: bool,
    /// `unique`: one auction, bidder and amount under two identities is one bid twice.
    pub compares_tuples: bool,
    pub max_deliveries: u64,
    pub keeps_entries: bool,
    /// Consumers that are alive, by construction; everyone else is gone.
    pub live: BTreeSet<String>,
}

/// One thing that is wrong, in the words of `findings.csv`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamExpected {
    pub check: String,
    /// The rule's public id.
    pub rule: &'static str,
    /// The entry's id. For a row without an entry its identity; for a group the place where it belongs.
    pub id: String,
}

/// Everything that is wrong in one layout.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamTruth {
    pub expected: BTreeSet<StreamExpected>,
}

/// What MySQL says of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// Its effect is there, or nothing was to happen.
    Settled,
    /// No row.
    Absent,
    /// No row, which says nothing here.
    Silent,
    /// A row of this name with other contents.
    Conflict,
    /// The entry does not say what it is about.
    Nameless,
}

impl StreamView {
    /// As a plain job has it: no second effect, ten deliveries, nobody alive.
    pub fn new(check: &str, layout: Layout) -> Self {
        Self {
            check: check.to_owned(),
            layout,
            needs_effect: false,
            knows_rejections: layout.has_effects(),
            may_leave_no_row: false,
            compares_tuples: false,
            max_deliveries: 10,
            keeps_entries: false,
            live: BTreeSet::new(),
        }
    }

    pub(super) fn is_gone(&self, consumer: &str) -> bool {
        !self.live.contains(consumer)
    }

    /// Whether the entry is one of the check's.
    pub(super) fn owns(&self, entry: &EntryFacts) -> bool {
        entry.field("type") == Some(SAVE)
    }
}

impl StreamTruth {
    pub fn of(world: &StreamWorld, view: &StreamView) -> Self {
        let mut truth = Self::default();
        let ids: BTreeSet<EntryId> = world
            .entries
            .keys()
            .chain(world.pending.keys())
            .copied()
            .collect();
        for id in ids {
            if let Some(rule) = judge_entry(world, view, id) {
                truth.expect(view, rule, id.to_string());
            }
        }
        for id in duplicate_entries(world, view) {
            truth.expect(view, "duplicate-entry", id.to_string());
        }
        for identity in duplicate_rows(world, view) {
            truth.expect(view, "duplicate-row", identity);
        }
        for identity in lost_entries(world, view) {
            truth.expect(view, "lost-entry", identity);
        }
        if let Some((rule, place)) = judge_group(world, view) {
            truth.expect(view, rule, place.to_string());
        }
        truth
    }

    /// How many of each rule.
    pub fn by_rule(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for expected in &self.expected {
            *counts.entry(expected.rule).or_default() += 1;
        }
        counts
    }

    /// What one rule objects to.
    pub fn ids(&self, rule: &str) -> BTreeSet<&str> {
        let of_rule = self
            .expected
            .iter()
            .filter(|expected| expected.rule == rule);
        of_rule.map(|expected| expected.id.as_str()).collect()
    }

    fn expect(&mut self, view: &StreamView, rule: &'static str, id: String) {
        let check = view.check.clone();
        self.expected.insert(StreamExpected { check, rule, id });
    }
}

/// At most one rule for each id; whichever of them comes first here speaks.
pub(super) fn judge_entry(
    world: &StreamWorld,
    view: &StreamView,
    id: EntryId,
) -> Option<&'static str> {
    let pending = world.pending.get(&id);
    let Some(entry) = world.entries.get(&id) else {
        let is_proven = world.layout.is_by_entry_id() && world.rows.contains_key(&id.to_string());
        let is_gone = pending.is_some_and(|pending| view.is_gone(&pending.consumer));
        return (is_gone || is_proven).then_some("trimmed-pending");
    };
    if !view.owns(entry) {
        return None;
    }
    let word = word_of(world, view, id);
    match (word, pending) {
        (Word::Nameless, _) => Some("undecodable-value"),
        (Word::Conflict, _) => Some("payload-conflict"),
        (Word::Settled, Some(_)) => Some("unacked-persisted"),
        (_, Some(pending)) if pending.deliveries > view.max_deliveries => Some("poison-pending"),
        (_, Some(pending)) => view.is_gone(&pending.consumer).then_some("orphan-pending"),
        (Word::Absent, None) => {
            let is_delivered = world.cursor.is_some_and(|cursor| id <= cursor);
            (is_delivered && !is_dead(world, id)).then_some("acked-unpersisted")
        }
        (Word::Settled | Word::Silent, None) => None,
    }
}

/// What MySQL says of the entry with this id, which must be in the stream.
pub(super) fn word_of(world: &StreamWorld, view: &StreamView, id: EntryId) -> Word {
    let (Some(entry), Some(identity)) = (world.entries.get(&id), world.identity(id)) else {
        return Word::Nameless;
    };
    let rows = world.rows.get(&identity).map_or(&[][..], Vec::as_slice);
    let is_equal = rows.iter().any(|row| has_contents(entry, row));
    if !rows.is_empty() && !is_equal {
        return Word::Conflict;
    }
    let is_whole = is_equal && (!view.needs_effect || world.effects.contains(&identity));
    let is_rejected = view.knows_rejections && world.rejected.contains(&identity);
    match is_whole || is_rejected {
        true => Word::Settled,
        false if view.may_leave_no_row => Word::Silent,
        false => Word::Absent,
    }
}

/// Whether the dead letters hold it.
pub(super) fn is_dead(world: &StreamWorld, id: EntryId) -> bool {
    let identity = world.identity(id);
    let text = id.to_string();
    world.dead.iter().any(|dead| {
        let is_same_bid =
            !world.layout.is_by_entry_id() && dead.field("bidId") == identity.as_deref();
        dead.field("original_id") == Some(&text) || is_same_bid
    })
}

/// A missing group belongs before the first entry that is not proven; one that is behind, past the proven
/// entries that follow it without a gap.
fn judge_group(world: &StreamWorld, view: &StreamView) -> Option<(&'static str, EntryId)> {
    let is_proven = |id: EntryId| {
        let is_owned = world.entries.get(&id).is_some_and(|entry| view.owns(entry));
        is_owned && word_of(world, view, id) == Word::Settled
    };
    let from = world.cursor.unwrap_or(EntryId::START);
    let after = world.entries.range(from..).map(|(id, _)| *id);
    let proven = after
        .filter(|id| *id > from)
        .take_while(|id| is_proven(*id))
        .last();
    match world.cursor {
        Some(_) => proven.map(|to| ("group-rewound", to)),
        None => Some(("group-missing", proven.unwrap_or(EntryId::START))),
    }
}

/// Rows whose entry the stream does not have. Where nothing promises that it keeps its entries, only the
/// highest id past the last one generated says so, or one from the future where there is no other.
fn lost_entries(world: &StreamWorld, view: &StreamView) -> BTreeSet<String> {
    let mut lost = BTreeSet::new();
    if view.keeps_entries {
        let carried: BTreeSet<String> = world
            .entries
            .keys()
            .filter_map(|id| world.identity(*id))
            .collect();
        lost.extend(
            world
                .rows
                .keys()
                .filter(|row| !carried.contains(*row))
                .cloned(),
        );
    }
    if world.layout.is_by_entry_id() {
        let last = world.last_generated.unwrap_or(EntryId::START);
        let ids = world.rows.keys().filter_map(|row| EntryId::parse(row));
        let (future, past): (Vec<_>, Vec<_>) = ids
            .filter(|id| *id > last)
            .partition(|id| id.millis > world.time_ms + SKEW_MS);
        // They are one finding: it is the stream's last id that is too low.
        let named = past.into_iter().max().or(future.into_iter().max());
        lost.extend(named.map(|id| id.to_string()));
    }
    lost
}

/// Numbers are compared as numbers: `010` is `10`.
pub(super) fn has_contents(entry: &EntryFacts, row: &RowFacts) -> bool {
    let number = |text: &str| text.parse::<i128>().ok();
    let is_same = |name: &str, cell: &str| {
        let value = entry.field(name).and_then(number);
        value.is_some() && value == number(cell)
    };
    let is_at = row.at_ms.is_none_or(|at| is_same("at", &at.to_string()));
    is_same("auctionId", &row.auction)
        && is_same("bidderId", &row.bidder)
        && is_same("amount", &row.amount)
        && is_at
}
