//! One bid twice: under one identity, or with one auction, bidder and amount under two.

use std::collections::{BTreeMap, BTreeSet};

use super::entry_id::EntryId;
use super::judge::StreamView;
use super::world::{EntryFacts, StreamWorld};

/// A bid without its name.
type Tuple = [String; 3];

/// All entries but the first of each bid.
pub(super) fn duplicate_entries(world: &StreamWorld, view: &StreamView) -> BTreeSet<EntryId> {
    let mut by_identity: BTreeMap<String, Vec<EntryId>> = BTreeMap::new();
    let mut by_tuple: BTreeMap<Tuple, Vec<EntryId>> = BTreeMap::new();
    for (id, entry) in world.entries.iter().filter(|(_, entry)| view.owns(entry)) {
        let Some(identity) = world.identity(*id) else {
            continue;
        };
        by_identity.entry(identity).or_default().push(*id);
        if let Some(tuple) = tuple(entry).filter(|_| view.compares_tuples) {
            by_tuple.entry(tuple).or_default().push(*id);
        }
    }
    let mut extra = BTreeSet::new();
    for ids in by_identity.values() {
        extra.extend(extra_of(world, ids));
    }
    for ids in by_tuple.values() {
        let identities: BTreeSet<_> = ids.iter().map(|id| world.identity(*id)).collect();
        if identities.len() > 1 {
            extra.extend(extra_of(world, ids));
        }
    }
    extra
}

/// All rows but the first of each bid, by identity.
pub(super) fn duplicate_rows(world: &StreamWorld, view: &StreamView) -> BTreeSet<String> {
    let mut extra = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for (identity, rows) in &world.rows {
        if rows.len() > 1 {
            extra.insert(identity.clone());
        }
        for row in rows.iter().filter(|_| view.compares_tuples) {
            let tuple = [&row.auction, &row.bidder, &row.amount].map(Clone::clone);
            if !seen.insert(tuple) {
                extra.insert(identity.clone());
            }
        }
    }
    extra
}

/// All but the first. What was moved to the stream's end is one with where it came from.
fn extra_of(world: &StreamWorld, ids: &[EntryId]) -> Vec<EntryId> {
    let mut origins = BTreeSet::new();
    let is_new = |id: &&EntryId| origins.insert(origin(world, **id));
    ids.iter().filter(is_new).skip(1).copied().collect()
}

fn origin(world: &StreamWorld, id: EntryId) -> EntryId {
    let entry = world.entries.get(&id);
    entry
        .and_then(|entry| EntryId::parse(entry.field("requeued_from")?))
        .unwrap_or(id)
}

fn tuple(entry: &EntryFacts) -> Option<Tuple> {
    let number = |name: &str| {
        let value: i128 = entry.field(name)?.parse().ok()?;
        Some(value.to_string())
    };
    Some([number("auctionId")?, number("bidderId")?, number("amount")?])
}
