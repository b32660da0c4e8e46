//! From a planned step to its journal record: what it changes, and what it takes away.

use super::plan::{PlannedSettlement, SettlementStep};
use crate::model::mapping::Mapping;
use crate::model::stream::{EntryLook, GroupLook, NewRow, StreamCheck};
use crate::model::time::Micros;
use crate::report::SettlementRecord;
use crate::store::redis::Settlement;

/// What goes to disk before a step on an entry.
pub(super) fn entry_record(
    check: &StreamCheck,
    rows: &Mapping,
    look: &EntryLook,
    planned: &PlannedSettlement,
) -> SettlementRecord {
    let pending = look.after.as_ref().map(|p| p.row.clone());
    let delivered_at = pending.as_ref().map(|row| {
        let idle = i64::try_from(row.idle_millis).unwrap_or(i64::MAX);
        Micros(look.cache_time.0.saturating_sub(idle.saturating_mul(1000)))
    });
    let fields = look.entry.as_ref().map(|entry| {
        let fields = entry.fields.iter();
        fields.map(|(n, v)| (n.to_vec(), v.to_vec())).collect()
    });
    SettlementRecord {
        entry_id: Some(look.id),
        pending,
        delivered_at,
        fields,
        cursor: look.cursor_after,
        ..record(check, Some(rows), planned)
    }
}

/// What goes to disk before a step on a group.
pub(super) fn group_record(
    check: &StreamCheck,
    look: &GroupLook,
    planned: &PlannedSettlement,
) -> SettlementRecord {
    SettlementRecord {
        cursor: look.cursor_after,
        last_id: look.stream.facts().map(|facts| facts.last_generated),
        ..record(check, None, planned)
    }
}

/// What the step itself says.
fn record(
    check: &StreamCheck,
    rows: Option<&Mapping>,
    planned: &PlannedSettlement,
) -> SettlementRecord {
    let (write, row) = match &planned.step {
        SettlementStep::Write(write) => (Some(write), None),
        SettlementStep::Insert { row, then } => (then.as_ref(), Some(row)),
    };
    let (mut to_id, mut to_consumer, mut to_stream) = (None, None, None);
    match write {
        Some(Settlement::Claim { consumer, .. }) => to_consumer = Some(consumer.clone()),
        Some(Settlement::DeadLetter { dead_letter, .. }) => to_stream = Some(dead_letter.clone()),
        Some(Settlement::Requeue { key, .. }) => to_stream = Some(key.clone()),
        Some(Settlement::RecreateGroup { at, .. }) => to_id = Some(*at),
        Some(Settlement::Advance { to, .. } | Settlement::RaiseLastId { to, .. }) => {
            to_id = Some(*to);
        }
        Some(Settlement::Ack { .. } | Settlement::StillHeld { .. }) | None => {}
    }
    SettlementRecord {
        check: check.name.text.clone(),
        key: check.key.clone(),
        group: check.group.clone(),
        remedy: planned.remedy,
        entry_id: None,
        pending: None,
        delivered_at: None,
        fields: None,
        cursor: None,
        last_id: None,
        to_id,
        to_consumer,
        to_stream,
        row: row
            .zip(rows)
            .map(|(row, rows)| cells(row, rows))
            .unwrap_or_default(),
        at: Micros::now(),
    }
}

fn cells(row: &NewRow, rows: &Mapping) -> Vec<(String, Option<Vec<u8>>)> {
    let name = |place: usize| rows.columns[place].name.clone();
    let cells = row.cells.iter();
    cells
        .map(|(place, cell)| (name(*place), cell.clone()))
        .collect()
}
